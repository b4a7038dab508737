"""Sobol as a method: which masks it asks for, what it costs, what is defined at the edges."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.stats import qmc

import earwitness as ew
from earwitness.errors import UsageError
from earwitness.explainers import sobol
from earwitness.numerics import designs
from earwitness.numerics.designs import SAMPLERS
from earwitness.numerics.sobol_indices import ESTIMATORS

W = np.array([3.0, -1.0, 0.5, 0.0, 2.0, -0.25])


class Watched:
    """A game that remembers every mask it was asked about: with slopes W, curved and interacting."""

    def __init__(self, shape=(2, 3), batch=1024):
        self.asked, self.game = [], ew.Game(shape, self.answer, batch=batch)

    def answer(self, masks):
        self.asked.append(masks.clone())
        m = masks.flatten(1).double()
        return (torch.from_numpy(W) * m).sum(1) + m[:, 0] * m[:, 4] + torch.sin(4 * m[:, 1])

    @property
    def masks(self):
        return torch.cat(self.asked).numpy()


def linear(offset=0.0, scale=1.0):
    w = torch.from_numpy(W) * scale
    return ew.Game(len(W), lambda m: m.double() @ w + offset)


# ---- which masks, and how many


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("designs", [2, 3, 17, 32])
def test_every_evaluation_is_counted_and_none_is_wasted(estimator, sampler, designs):
    watched, method = Watched(), ew.Sobol(designs, estimator=estimator, sampler=sampler)
    method.attribute(watched.game)
    assert len(watched.masks) == designs * 7 == method.cost(6)
    assert watched.masks.min() >= 0 and watched.masks.max() <= 1
    rows = watched.masks.reshape(designs, 7, 6)
    changed = rows[:, 1:] != rows[:, :1]
    assert not (changed & ~np.eye(6, dtype=bool)).any()  # the i-th mask of a design differs in component i alone


def test_the_ends_are_counted_too():
    found = ew.Sobol(4)(Watched().game)
    assert found.evaluations == 4 * 7 + 2


def test_paper_asks_for_the_published_masks_row_for_row():
    """Unscrambled sequence of 2d columns, A the first d, B the last d, C_i is A with column i of B; of these A and all C_i."""
    watched, d, n = Watched((2, 2)), 4, 16
    game = ew.Game((2, 2), lambda m: watched.asked.append(m.clone()) or m.sum((1, 2)))
    method = ew.Sobol.paper(n)
    method.attribute(game)
    sequence = qmc.Sobol(2 * d, scramble=False).random(n)
    a, b = sequence[:, :d], sequence[:, d:]
    expected = np.empty((n, d + 1, d))
    for row in range(n):
        expected[row, 0] = a[row]
        for i in range(d):
            expected[row, i + 1] = a[row]
            expected[row, i + 1, i] = b[row, i]
    np.testing.assert_array_equal(watched.masks.reshape(n, d + 1, d), expected.astype(np.float32))
    assert ew.Sobol.paper().designs == 64


def test_paper_computes_the_published_numbers():
    """Jansen's formula on those masks, by loops; no standard error, as nothing was random."""
    watched = Watched()
    found = ew.Sobol.paper(32)(watched.game)
    points = qmc.Sobol(12, scramble=False).random(32)

    def value(m):
        return watched.answer(torch.tensor(m[None], dtype=torch.float32)).item()

    y = np.array([value(row[:6]) for row in points])
    for i in range(6):
        changed = points[:, :6].copy()
        changed[:, i] = points[:, 6 + i]
        c = np.array([value(row) for row in changed])
        expected = np.sum((y - c) ** 2) / (2 * 32 * np.var(y, ddof=1))
        assert found.values.flat[i] == pytest.approx(expected, abs=1e-12)
    assert found.stderr is None and not [name for name in found.others if "stderr" in name]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_same_seed_same_bits_whatever_the_batch(sampler, monkeypatch):
    one, other = Watched(batch=1024), Watched(batch=5)
    first = ew.Sobol(9, seed=3, sampler=sampler)(one.game)
    monkeypatch.setattr(sobol, "NUMBERS", 60)  # and however few masks are made at once
    second = ew.Sobol(9, seed=3, sampler=sampler)(other.game)
    np.testing.assert_array_equal(one.masks, other.masks)
    for name in ("values", "signed"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    if sampler != "sobol-plain":
        np.testing.assert_array_equal(first.stderr, second.stderr)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_seeds(sampler):
    a, b = (ew.Sobol(8, seed=seed, sampler=sampler)(Watched().game).values for seed in (0, 1))
    assert np.array_equal(a, b) == (sampler == "sobol-plain")


def test_nobody_elses_randomness():
    """Global generators are neither used nor moved."""
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = ew.Sobol(8)(Watched().game).values
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    np.random.seed(1)
    np.testing.assert_array_equal(ew.Sobol(8)(Watched().game).values, first)


# ---- nothing to share


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("level", [0.0, 1.0, -7.3, 1e6])
def test_a_constant_score_gives_zeros_and_a_warning(estimator, sampler, level):
    found = ew.Sobol(8, estimator=estimator, sampler=sampler)(ew.Game((2, 2), lambda m: torch.full((len(m),), level)))
    for numbers in (found.values, found.signed, found.others["first_order"]):
        np.testing.assert_array_equal(numbers, np.zeros((2, 2)))
    if sampler == "sobol-plain":
        assert found.stderr is None  # one block says nothing about its error, not even here
    else:
        np.testing.assert_array_equal(found.stderr, np.zeros((2, 2)))
    assert any("same for every mask" in warning for warning in found.warnings)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_rounding_is_not_explained(estimator):
    """A constant of 1e6 in single precision, give or take one unit in the last place."""
    noise = torch.Generator().manual_seed(0)

    def almost(m):
        return torch.tensor(1e6) + 0.0625 * torch.randint(-1, 2, (len(m),), generator=noise)

    found = ew.Sobol(8, estimator=estimator)(ew.Game(5, almost))
    np.testing.assert_array_equal(found.values, 0)
    assert found.warnings


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_small_and_large_scores_are_explained_alike(scale):
    """A tiny score is not a constant: indices have no unit, slopes have the score's."""
    found, one = ew.Sobol(16)(linear(scale=scale)), ew.Sobol(16)(linear())
    np.testing.assert_allclose(found.values, one.values, rtol=1e-9)
    np.testing.assert_allclose(found.signed, one.signed * scale, rtol=1e-9)
    assert not found.warnings


def test_a_far_offset_changes_nothing():
    found, one = ew.Sobol(16)(linear(offset=1e5)), ew.Sobol(16)(linear())
    np.testing.assert_allclose(found.values, one.values, atol=1e-8)
    assert not found.warnings


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_base_masks_that_are_all_alike(estimator):
    """Only exchanged masks get another score: the default still knows the variance, the others ask for more designs."""
    method = ew.Sobol(2, estimator=estimator, sampler="monte-carlo")

    def once_changed(m):
        return torch.tensor([0.0, 1.0, 0.0]).repeat(len(m) // 3)

    found = method.attribute(ew.Game(2, once_changed))
    if estimator == "importance":
        np.testing.assert_array_equal(found.values, [1, 0])
        assert not found.warnings
    else:
        np.testing.assert_array_equal(found.values, [0, 0])
        assert "more designs" in found.warnings[0]


# ---- for or against


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s != "sobol-plain"])
@pytest.mark.parametrize("amplitude", [None, 0.5, 1.0])
@pytest.mark.parametrize("estimator", ["importance", "jansen"])
def test_signed_is_the_weight_of_a_linear_game(sampler, amplitude, estimator):
    """In units of the score for one unit of level, whatever the range of levels; within 6 of the errors reported (t, 7)."""
    found = ew.Sobol(64, sampler=sampler, amplitude=amplitude, estimator=estimator)(linear(scale=100))
    assert (np.abs(found.signed - 100 * W) <= 6 * found.others["signed_stderr"] + 1e-4).all()
    assert found.others["signed_stderr"].max() < 60  # of 300
    assert (np.sign(found.signed) == np.sign(W))[np.abs(W) >= 1].all()


def test_amplitude_asks_about_both_sides_of_the_clip():
    watched = Watched()
    ew.Sobol(64, amplitude=0.25).attribute(watched.game)
    assert 0.75 <= watched.masks.min() < 0.76 and 1.24 < watched.masks.max() <= 1.25
    plain = Watched()
    ew.Sobol(64).attribute(plain.game)
    np.testing.assert_allclose(watched.masks, 0.75 + 0.5 * plain.masks, atol=1e-6)


@pytest.mark.parametrize("amplitude", [0.1, 1.0])
def test_amplitude_of_a_linear_game_gives_the_same_indices(amplitude):
    found, plain = ew.Sobol(16, amplitude=amplitude)(linear()), ew.Sobol(16)(linear())
    # a step as short as 0.001 x 0.2 of a level of 1 is known to 6e-8 / 2e-4 in single precision
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-3)
    np.testing.assert_allclose(found.signed, plain.signed, rtol=1e-3)


# ---- edges


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("designs", [2, 3, 5, 7, 33])
def test_few_and_odd_designs(sampler, estimator, designs):
    found = ew.Sobol(designs, sampler=sampler, estimator=estimator)(linear())
    assert np.isfinite(found.values).all() and np.isfinite(found.signed).all()
    assert found.values[3] == 0 == found.signed[3]
    assert (found.stderr is None) == (sampler == "sobol-plain" or designs == 2)
    if estimator == "importance":
        assert found.values.min() >= 0 and found.values.max() <= 1
        assert np.argmax(found.values) == 0  # 9 of 14.3 parts of the variance, the next has 4


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_component(sampler):
    found = ew.Sobol(4, sampler=sampler)(ew.Game(1, lambda m: m[:, 0].double() ** 2))
    np.testing.assert_array_equal(found.values, [1])


def test_many_components():
    w = torch.from_numpy(np.random.default_rng(0).normal(size=1200))
    game = ew.Game((30, 40), lambda m: m.flatten(1).double() @ w, batch=16)
    found = ew.Sobol(4)(game)
    assert np.corrcoef(found.values.ravel(), w.numpy() ** 2)[0, 1] > 0.95  # with 4 designs


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_memory_does_not_grow_with_the_designs(sampler, monkeypatch):
    """Four times the designs in as many blocks; what is made at once is small here, so that what is kept would show."""
    monkeypatch.setattr(sobol, "NUMBERS", 2**12)
    monkeypatch.setattr(designs, "NUMBERS", 2**12)
    peaks = []
    for count in (1024, 4096):
        question = ew.Game(30, lambda m: m.double().prod(1) + m[:, 1], batch=128)
        tracemalloc.start()
        ew.Sobol(count, sampler=sampler).attribute(question)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 4096 * 31 * 8  # one number for each evaluation would be as much


def test_memory_does_not_grow_with_a_budget(monkeypatch):
    """Nor where blocks are joined, and those to come twice as large."""
    monkeypatch.setattr(sobol, "NUMBERS", 2**12)
    monkeypatch.setattr(designs, "NUMBERS", 2**12)
    peaks = []
    for evaluations in (2**14, 2**16):
        tracemalloc.start()
        ew.Sobol(until=ew.Budget(evaluations=evaluations))(ew.Game(15, lambda m: m.double().prod(1), batch=128))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_designs_asked_a_few_at_a_time_answer_alike(monkeypatch):
    whole = [ew.Sobol(100, sampler=sampler)(Watched().game) for sampler in SAMPLERS if sampler != "lhs"]
    monkeypatch.setattr(designs, "NUMBERS", 60)  # 4 designs
    parts = [ew.Sobol(100, sampler=sampler)(Watched().game) for sampler in SAMPLERS if sampler != "lhs"]
    for one, other in zip(whole, parts, strict=True):
        for name in ("values", "signed"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9)
        for name, expected in one.others.items():
            np.testing.assert_allclose(other.others[name], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"designs": 1}, "2 or more"),
        ({"designs": -4}, "2 or more"),
        ({"estimator": "janson"}, "jansen"),
        ({"sampler": "sobl"}, "sobol"),
        ({"amplitude": 0.0}, "amplitude"),
        ({"amplitude": 1.5}, "amplitude"),
        ({"amplitude": float("nan")}, "amplitude"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(UsageError, match=message):
        ew.Sobol(**options)


def test_too_many_components_for_a_sequence():
    with pytest.raises(UsageError, match="fewer components"):
        ew.Sobol(2).attribute(ew.Game(10601, lambda m: m.sum(1)))
