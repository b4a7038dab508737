"""HSIC: against explicit kernel and centring matrices, in closed form, and calibrated."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.numerics.kernels import gaussian, halves_hsic, plain_hsic

W = torch.tensor([3.0, -2.0, 1.5, 1.0, 0.5, 0.25, 0.0, -1.0], dtype=torch.float64)
MASKS = np.array(list(product((0, 1), repeat=8)), float)
BINARY = {  # games with two scores, and the squared correlation of each component with the score: p / (1 - p)
    "one": (lambda m: m[:, 2], {2: 1.0}),
    "and": (lambda m: 4 * m[:, :3].prod(1), dict.fromkeys(range(3), 1 / 8 / (7 / 8))),
    "max": (lambda m: 5 - 4 * m[:, :3].amax(1), dict.fromkeys(range(3), 1 / 8 / (7 / 8))),
    "unanimity": (lambda m: m[:, 1] * m[:, 6], {1: 1 / 3, 6: 1 / 3}),
}
GAMES = {name: function for name, (function, _) in BINARY.items()} | {
    "linear": lambda m: m @ W,
    "additive": lambda m: m @ W + torch.sin(3 * m[:, 1]) - m[:, 2] ** 2,
    "third order": lambda m: m @ W + 6 * m[:, 0] * m[:, 1] * m[:, 4] - 4 * m[:, 3] * m[:, 5] * m[:, 7],
    "kink": lambda m: torch.relu(m @ W - 2),
}


def game(name):
    return ew.Game(8, lambda m: GAMES[name](m.double()))


def population(function, width=None):
    """The value of all masks, from explicit matrices: tr(K H L H) / sqrt(tr(K H K H) tr(L H L H))."""
    y = function(torch.tensor(MASKS)).numpy()
    n = len(y)
    h = np.eye(n) - 1 / n
    lc = h @ np.exp(-((y[:, None] - y) ** 2) / (2 * y.std() ** 2)) @ h
    values = []
    for m in MASKS.T:
        kc = h @ (0.5 - (m[:, None] - m) ** 2) @ h  # the published binary kernel
        values.append((kc * lc).sum() / np.sqrt((kc**2).sum() * (lc**2).sum()))
    return np.array(values)


def test_the_published_estimate_with_explicit_matrices():
    """tr(K H L H) / (n - 1)^2, K = 1 + k; and tr(H K H H L H) / n, which is the same up to a constant."""
    asked = []
    question = ew.Game(8, lambda m: (asked.append(m.clone()), GAMES["third order"](m.double()))[1])
    found = ew.HSIC.paper(samples=300, seed=1).attribute(question)
    masks = torch.cat(asked).double().numpy()
    assert masks.shape == (300, 8)
    np.testing.assert_array_equal(masks.sum(0), 150)  # a Latin hypercube: each component in half of the masks
    y = GAMES["third order"](torch.tensor(masks)).numpy()
    n, h = 300, np.eye(300) - 1 / 300
    kernel = np.exp(-((y[:, None] - y) ** 2) / (2 * np.median(y) ** 2))
    inputs = [1 + 0.5 - (m[:, None] - m) ** 2 for m in masks.T]
    np.testing.assert_allclose(found.values, [np.trace(k @ h @ kernel @ h) / (n - 1) ** 2 for k in inputs], rtol=1e-9)
    other = [((h @ k @ h) * (h @ kernel @ h).T).sum() / n for k in inputs]
    np.testing.assert_allclose(found.values / other, n / (n - 1) ** 2, rtol=1e-9)
    assert found.stderr is None and ew.HSIC.paper().samples == 1500
    np.testing.assert_allclose(found.signed, [np.polyfit(m, y, 1)[0] for m in masks.T], atol=1e-9)


def test_the_plain_estimate_a_part_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    signs, y = rng.choice([-1.0, 1.0], (50, 3)), rng.standard_normal(50)
    whole = plain_hsic(signs, y, 0.7)
    monkeypatch.setattr("earwitness.numerics.kernels.ROWS", 7)
    np.testing.assert_allclose(plain_hsic(signs, y, 0.7), whole, rtol=1e-12)


def test_halves_by_explicit_covariances():
    """C1 . C2 with features of the kernel written out: phi from its own matrix, covariances with 1 / (n - 1)."""
    rng = np.random.default_rng(0)
    signs, y = rng.choice([-1.0, 1.0], (12, 3)), rng.standard_normal(12)
    values, vectors = np.linalg.eigh(gaussian(y, y, 0.7))
    phi = vectors * np.sqrt(np.maximum(values, 0))
    c = [[np.cov(signs[part, i], phi[part].T)[0, 1:] for i in range(3)] for part in (slice(0, 6), slice(6, 12))]
    own = [np.cov(phi[part].T) for part in (slice(0, 6), slice(6, 12))]
    found, itself = halves_hsic(signs, y, 0.7)
    np.testing.assert_allclose(found, [0.5 * a @ b for a, b in zip(*c, strict=True)], atol=1e-10)
    np.testing.assert_allclose(itself, (own[0] * own[1]).sum(), atol=1e-10)


@pytest.mark.parametrize("name", BINARY)
def test_two_scores_give_the_squared_correlation(name):
    expected = np.zeros(8)
    for index, value in BINARY[name][1].items():
        expected[index] = value
    np.testing.assert_allclose(population(GAMES[name]), expected, atol=1e-12)  # the form itself
    found = ew.HSIC(samples=4096)(game(name))
    assert (np.abs(found.values - expected) <= 4 * found.stderr + 1e-3).all()
    assert found.stderr.max() < 0.03


@pytest.mark.parametrize(
    ("name", "samples"), [("and", 512), ("max", 512), ("linear", 512), ("kink", 512), ("third order", 2048)]
)
def test_intervals_cover(name, samples):
    """The value of all masks, in 90 to 99 % of 200 seeds x 8 components; and what has no effect lies about 0."""
    expected = population(GAMES[name])
    found = [ew.HSIC(samples=samples, seed=seed).attribute(game(name)) for seed in range(200)]
    values, errors = (np.array([getattr(each, part) for each in found]) for part in ("values", "stderr"))
    covered = np.abs(values - expected) <= 1.96 * errors + 1e-12
    assert 0.9 <= covered[:, errors.max(0) > 1e-9].mean() <= 0.99
    null = expected < 1e-12
    assert (np.abs(values.mean(0)[null]) < 4 * values.std(0)[null] / np.sqrt(200)).all()


def test_the_slope_tells_the_sign():
    found = ew.HSIC()(game("linear"))
    assert (np.abs(found.signed - W.numpy()) <= 4 * found.others["signed_stderr"]).all()
    assert found.kind == "importance"


def test_the_unit_of_the_score_does_not_matter():
    plain = ew.HSIC(samples=512)(game("kink"))
    scaled = ew.HSIC(samples=512)(ew.Game(8, lambda m: 1e4 * GAMES["kink"](m.double()) - 7e4))
    np.testing.assert_allclose(scaled.values, plain.values, atol=1e-9)


def test_a_constant_score_depends_on_nothing():
    found = ew.HSIC(samples=256)(ew.Game(8, lambda m: torch.full((len(m),), 0.1)))
    np.testing.assert_array_equal(found.values, 0)
    np.testing.assert_array_equal(ew.HSIC.paper(64)(ew.Game(8, lambda m: torch.zeros(len(m)))).values, 0)


@pytest.mark.parametrize(("samples", "masks"), [(4, 64), (64, 64), (65, 128), (2048, 2048)])
def test_whole_bundles_are_asked(samples, masks):
    found = ew.HSIC(samples=samples)(game("linear"))
    assert found.evaluations == masks + 2 == ew.HSIC(samples=samples).cost(8) + 2


def test_a_budget_stops():
    found = ew.HSIC(until=ew.Budget(evaluations=1000))(game("kink"))
    assert found.evaluations == 15 * 64 + 2 and "1,000 evaluations is spent" in found.stopped
    aimed = ew.HSIC(until=ew.Budget(precision=0.02))(game("kink"))
    assert aimed.stderr.max() <= 0.02 * aimed.values.max()
    assert (np.abs(aimed.values - population(GAMES["kink"])) <= 4 * aimed.stderr + 1e-9).all()


def test_memory_does_not_grow_with_the_samples():
    peaks = []
    for samples in (2**14, 2**17):
        question = ew.Game(16, lambda m: m.sum(1))
        tracemalloc.start()
        ew.HSIC(samples=samples).attribute(question)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_what_makes_no_sense():
    with pytest.raises(ew.UsageError, match="samples must be a whole number 4 or more"):
        ew.HSIC(samples=3)
    with pytest.raises(ew.UsageError, match="fixed number of samples"):
        ew.HSIC(published=True, until=ew.Budget(evaluations=1000))
