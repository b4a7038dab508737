"""Occlusion: what is lost without each component, in closed form, and sliding windows written again as loops."""

from itertools import product

import numpy as np
import pytest
import torch

import earwitness as ew

W = torch.tensor([3.0, -2.0, 1.0, 0.0], dtype=torch.float64)
GAMES = {  # on four components, and what is lost without each
    "linear": (lambda m: 1 + m @ W, W.numpy()),
    "energy": (lambda m: m.square() @ W, W.numpy()),
    "and": (lambda m: m.prod(1), [1, 1, 1, 1]),
    "max": (lambda m: m.amax(1), [0, 0, 0, 0]),
    "unanimity": (lambda m: m[:, 0] * m[:, 2], [1, 0, 1, 0]),
    "additive": (lambda m: m[:, 0] ** 3 + torch.sin(m[:, 1]), [1, np.sin(1), 0, 0]),
    "third order": (lambda m: 2 * m[:, 0] * m[:, 1] * m[:, 2] + m[:, 2] * m[:, 3], [2, 2, 3, 1]),
}


@pytest.mark.parametrize("name", GAMES)
def test_closed_forms(name):
    function, expected = GAMES[name]
    found = ew.Occlusion()(ew.Game(4, lambda m: function(m.double())))
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert (found.kind, found.stderr, found.evaluations) == ("effect", None, 4 + 2)


def loops(function, shape, window, stride):
    """Window by window: the drop, shared evenly, averaged over the windows that cover a component."""

    def value(mask):
        return float(function(torch.as_tensor(mask)[None])[0])

    total, times = np.zeros(shape), np.zeros(shape)
    for corner in product(*(range(size) for size in shape)):
        last = [size - w for size, w in zip(shape, window, strict=True)]
        if all(at <= end and (at % step == 0 or at == end) for at, end, step in zip(corner, last, stride, strict=True)):
            part = tuple(slice(at, at + w) for at, w in zip(corner, window, strict=True))
            mask = np.ones(shape)
            mask[part] = 0
            total[part] += (value(np.ones(shape)) - value(mask)) / np.prod(window)
            times[part] += 1
    return total / times


@pytest.mark.parametrize(
    ("shape", "window", "stride"),
    [((7,), 3, 1), ((7,), 3, 2), ((8,), 3, 3), ((4, 5), (2, 3), 1), ((5, 6), (2, 3), (2, 2)), ((3, 4), (3, 4), 1)],
)
def test_sliding_windows(shape, window, stride):
    w = torch.from_numpy(np.random.default_rng(0).standard_normal(int(np.prod(shape))))

    def function(m):
        return torch.tanh(m.double().flatten(1) @ w) + m.double().flatten(1)[:, 0] * m.double().flatten(1)[:, 1]

    each = [given if isinstance(given, tuple) else (given,) * len(shape) for given in (window, stride)]
    game, method = ew.Game(shape, function), ew.Occlusion(window, stride)
    found = method(game)
    np.testing.assert_allclose(found.values, loops(function, shape, *each), atol=1e-12)
    assert found.evaluations == method.expected(game) <= method.cost(game.size) + 2


@pytest.mark.parametrize(("window", "stride"), [(2, 1), (3, 2), (4, 4)])
def test_equal_weights_stay_as_they_are(window, stride):
    """Also at the edges, and where the last window overlaps more than the others."""
    found = ew.Occlusion(window, stride)(ew.Game(9, lambda m: 2 * m.double().sum(1)))
    np.testing.assert_allclose(found.values, 2, atol=1e-12)


def test_windows_find_what_neighbours_say_alike():
    game = ew.Game(6, lambda m: torch.maximum(m[:, 2], m[:, 3]))
    assert ew.Occlusion()(game).values.max() == 0
    np.testing.assert_array_equal(ew.Occlusion(2)(game).values > 0, [False, False, True, True, False, False])


def test_many_components_are_asked_a_part_at_a_time(monkeypatch):
    whole = ew.Occlusion(2)(ew.Game((4, 6), lambda m: m.double().flatten(1).sum(1) ** 2)).values
    asked = []
    monkeypatch.setattr("earwitness.explainers.occlusion.NUMBERS", 24 * 5)
    game = ew.Game((4, 6), lambda m: (asked.append(len(m)), m.double().flatten(1).sum(1) ** 2)[1])
    np.testing.assert_allclose(ew.Occlusion(2)(game).values, whole, atol=1e-12)
    assert asked == [2, 5, 5, 5]


def test_laws_are_claimed_for_single_components_only():
    assert (ew.Occlusion().axioms, ew.Occlusion(window=2).axioms) == (("dummy", "symmetry"), ())
    assert ew.Occlusion() == ew.Occlusion(1, 1)


@pytest.mark.parametrize("options", [{"window": 0}, {"window": (2, 0)}, {"stride": 0}, {"window": 1.5}])
def test_windows_are_whole_numbers(options):
    with pytest.raises(ew.UsageError, match="must be a whole number above 0"):
        ew.Occlusion(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 4}, "is larger than"),
        ({"window": (2, 2)}, r"window=\(2, 2\) has 2 numbers, and the components have 1 axes"),
        ({"window": 2, "stride": 3}, "leave gaps"),
    ],
)
def test_windows_that_do_not_fit(options, message):
    with pytest.raises(ew.UsageError, match=message):
        ew.Occlusion(**options)(ew.Game(3, lambda m: m.sum(1)))
