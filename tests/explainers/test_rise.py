"""RISE: Banzhaf values in closed form, the published estimator written again, calibrated errors, balanced masks."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
import torch

import earwitness as ew

W = torch.tensor([3.0, -2.0, 1.5, 1.0, 1.0, 0.5, -0.5, 0.25, 0.0, 0.0, 0.75, -1.0], dtype=torch.float64)
NOISY = {
    "linear": lambda m: m @ W,
    "and": lambda m: m[:, :3].prod(1) + 0.2 * m[:, 5],
    "third order": lambda m: m @ W + 6 * m[:, 0] * m[:, 1] * m[:, 2] - 4 * m[:, 3] * m[:, 4] * m[:, 5],
    "kink": lambda m: torch.relu(m @ W - 2),
}


def game(function, size=12):
    return ew.Game(size, lambda m: function(m.double()))


def banzhaf(function, size, keep=0.5):
    """E[y | i is kept] - E[y | i is removed], by going through all masks."""
    masks = np.array(list(product((0, 1), repeat=size)), float)
    y, chance = function(torch.tensor(masks)).numpy(), (keep**masks * (1 - keep) ** (1 - masks)).prod(1)
    return np.array([(chance * y * m).sum() / keep - (chance * y * (1 - m)).sum() / (1 - keep) for m in masks.T])


@pytest.mark.parametrize("keep", [0.5, 0.3])
def test_closed_forms_are_exact_where_components_are_few(keep):
    w, others = W[:4], 1 - keep
    forms = {
        "linear": (lambda m: 1 + m @ w, w.numpy()),
        "energy": (lambda m: m.square() @ w, w.numpy()),
        "and": (lambda m: m.prod(1), 4 * [keep**3]),
        "max": (lambda m: m.amax(1), 4 * [others**3]),
        "unanimity": (lambda m: m[:, 0] * m[:, 2], [keep, 0, keep, 0]),
        "additive": (lambda m: m[:, 0] ** 3 + torch.sin(m[:, 1]), [1, np.sin(1), 0, 0]),
        "third order": (lambda m: m[:, 0] * m[:, 1] * m[:, 2] - m[:, 3], [keep**2, keep**2, keep**2, -1]),
    }
    for name, (function, expected) in forms.items():
        found = ew.RISE(samples=16, keep=keep)(game(function, 4))
        np.testing.assert_allclose(found.values, expected, atol=1e-12, err_msg=name)
        assert (found.stopped, found.stderr.max(), found.evaluations) == ("exact", 0, 16 + 2)


def test_on_a_linear_game_balanced_masks_leave_no_error():
    found = ew.RISE(samples=512)(game(NOISY["linear"]))
    np.testing.assert_allclose(found.values, W.numpy(), atol=1e-12)
    assert found.evaluations == 512 + 2 and found.stopped == ""


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name in ("and", "third order", "kink") for options in ({}, {"design": "iid"})]
    + [("kink", {"design": "paired"}), ("kink", {"design": "sobol"}), ("kink", {"keep": 0.7})],
    ids=str,
)
def test_intervals_cover(name, options):
    """Of 200 seeds x 12 components, nominal 95 %: at least 90 % (balanced masks that leave hardly any error: up to all)."""
    expected, question = banzhaf(NOISY[name], 12, options.get("keep", 0.5)), game(NOISY[name])
    found = [ew.RISE(samples=256, seed=seed, **options).attribute(question) for seed in range(200)]
    values, errors = (np.array([getattr(each, part) for each in found]) for part in ("values", "stderr"))
    covered = (np.abs(values - expected) <= 1.96 * errors + 1e-12).mean()
    assert covered >= 0.9
    if options.get("design", "iid") == "iid" and options:
        assert covered <= 0.99
    bias = np.abs(values.mean(0) - expected) / (values.std(0) / np.sqrt(200) + 1e-12)
    assert bias.max() < 4


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("design", ["iid", "hadamard"])
def test_two_sums_written_again(design, centred):
    """The slope of the very masks that were asked; and the published map, sum(y m) / (N keep)."""
    asked = []
    watched = ew.Game((3, 5), lambda m: (asked.append(m.clone()), NOISY["kink"](m.double().flatten(1)[:, :12]))[1])
    found = ew.RISE(samples=256, seed=3, design=design, centred=centred).attribute(watched)
    masks = torch.cat([rows for rows in asked if len(rows) > 2]).double().flatten(1)  # two are the ends
    y = NOISY["kink"](masks[:, :12])
    slope = [np.polyfit(m, y, 1)[0] for m in masks.T.numpy()]
    expected = slope if centred else (y @ masks).numpy() / (len(y) * 0.5)
    np.testing.assert_allclose(found.values.ravel(), expected, atol=1e-10)
    if not centred:
        np.testing.assert_allclose(found.signed.ravel(), slope, atol=1e-10)


def test_the_published_map_adds_the_mean():
    """mean(y m) / keep = E[y | kept] = E[y] + (1 - keep) x effect."""

    def function(m):
        return 5 + m @ W[:4]

    plain = ew.RISE(samples=16, keep=0.3, centred=False)(game(function, 4))
    mean = 5 + 0.3 * float(W[:4].sum())
    np.testing.assert_allclose(plain.values, mean + 0.7 * W[:4].numpy(), atol=1e-12)
    assert (plain.kind, ew.RISE().kind, ew.RISE.paper().kind) == ("importance", "effect", "importance")


def test_smooth_masks_are_what_they_should_be():
    """Means keep, within [0, 1], neighbours alike and far ones not, and the same for any batch size."""
    asked = []
    watched = ew.Game((12, 20), lambda m: (asked.append(m.clone()), m.double().mean((1, 2)))[1])
    ew.RISE(samples=4000, keep=0.3, grid=4).attribute(watched)
    masks = torch.cat([rows for rows in asked if len(rows) > 2]).double().numpy()  # two are the ends
    assert masks.shape == (4000, 12, 20) and masks.min() >= 0 and masks.max() <= 1
    np.testing.assert_allclose(masks.mean(0), 0.3, atol=0.03)
    flat = masks[:, 6].T
    correlation = np.corrcoef(flat)  # cells are 5 components wide: linear interpolation reaches two cells
    assert correlation[4, 5] > 0.9 and abs(correlation[4, 15]) < 0.06
    variance = masks.var(0) / (0.3 * 0.7)
    np.testing.assert_allclose(variance, (2 / 3) ** 2, atol=0.05)  # E[a^2 + (1 - a)^2] = 2/3 along each axis


def test_a_grid_smooths_the_weights():
    """A single component that matters: the map peaks there, and fades within two cells."""
    spot = ew.Game((16, 16), lambda m: m[:, 5, 9].double())
    found = ew.RISE(samples=2048, grid=4)(spot)
    assert np.unravel_index(found.values.argmax(), found.shape) == (5, 9)
    np.testing.assert_allclose(found.values[5, 9], 1, atol=1e-6)
    far = np.abs(found.values[:, :1])
    assert (far < 5 * found.stderr[:, :1]).all()


def test_memory_does_not_grow_with_the_samples():
    peaks = []
    for samples in (2**12, 2**16):
        question = ew.Game(64, lambda m: m.sum(1))
        tracemalloc.start()
        ew.RISE(samples=samples).attribute(question)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 2**20


def test_a_budget_stops():
    found = ew.RISE(until=ew.Budget(evaluations=700))(game(NOISY["kink"]))
    assert found.evaluations <= 700 and "700 evaluations is spent" in found.stopped
    exact = ew.RISE(until=ew.Budget(evaluations=34))(game(lambda m: m @ W[:5], 5))
    assert (exact.stopped, exact.evaluations) == ("exact", 34)
    short = ew.RISE(until=ew.Budget(evaluations=33))(game(lambda m: m @ W[:5], 5))
    assert "budget" in short.stopped and short.evaluations <= 33
    aimed = ew.RISE(until=ew.Budget(precision=0.05))(game(NOISY["kink"]))
    assert aimed.stderr.max() <= 0.05 * np.abs(aimed.values).max() and "largest standard error" in aimed.stopped


def test_a_constant_score_has_no_effects():
    found = ew.RISE(samples=256)(ew.Game(12, lambda m: torch.full((len(m),), 0.1)))
    np.testing.assert_array_equal(found.values, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 7}, "samples must be a whole number 8 or more"),
        ({"keep": 0}, "between 0 and 1"),
        ({"keep": 1.0}, "between 0 and 1"),
        ({"design": "hadamar"}, "Did you mean hadamard"),
        ({"grid": 0}, "grid must be a whole number"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_what_makes_no_sense(options, message):
    with pytest.raises(ew.UsageError, match=message):
        ew.RISE(**options)


def test_a_grid_that_is_finer_than_the_components():
    with pytest.raises(ew.UsageError, match="more cells than there are components"):
        ew.RISE(grid=4)(ew.Game((3, 8), lambda m: m.sum((1, 2))))
