"""Sobol against SciPy and SALib: independent programs, their own designs, the same indices within both errors."""

import numpy as np
import pytest
import torch
from scipy import stats

import earwitness as ew

pytestmark = pytest.mark.reference

DESIGNS = 4096


def ishigami(u):
    x, y, z = (np.pi * (2 * u - 1)).T
    return np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x)


def interacting(u):
    """Kinks, a jump, products, saturation; the last component does nothing."""
    a, b, c, d, _ = u.T
    return np.maximum(2 * a + b - 1, 0) + 2 * a * c + np.tanh(3 * c - 2 * d) + 0.5 * (d > 0.6)


def g_function(u):
    """Sobol's G function with a = 0, 1, 4.5, 9, 99, 99."""
    a = np.array([0, 1, 4.5, 9, 99, 99])
    return np.prod((np.abs(4 * u - 2) + a) / (1 + a), 1)


GAMES = {"ishigami": (3, ishigami), "interacting": (5, interacting), "g_function": (6, g_function)}


def ours(game):
    """Our total and first-order indices, and 4 of their standard errors (8 blocks)."""
    size, function = GAMES[game]
    found = ew.Sobol(DESIGNS, seed=5)(ew.Game(size, lambda m: torch.from_numpy(function(m.double().numpy()))))
    first, error = found.others["first_order"], found.others["first_order_stderr"]
    return (found.values, 4 * found.stderr), (first, 4 * error)


@pytest.mark.parametrize("game", GAMES)
def test_scipy(game):
    """SciPy's error: 0.01, what 4,096 scrambled designs leave on these functions; a jump's cosines miss up to 8 % of S_i."""
    size, function = GAMES[game]
    (total, total_error), (first, first_error) = ours(game)
    theirs = stats.sobol_indices(
        func=lambda x: function(x.T), n=DESIGNS, dists=[stats.uniform()] * size, rng=np.random.default_rng(1)
    )
    assert (np.abs(total - theirs.total_order) <= total_error + 0.01).all()
    assert (np.abs(first - theirs.first_order) <= first_error + 0.01 + 0.08 * first).all()
    assert total_error.max() < 0.1 and first_error.max() < 0.15


@pytest.mark.parametrize("game", GAMES)
def test_salib(game):
    """Saltelli's sampling and SALib's analysis, with the 95 % intervals that it reports, twice over."""
    sampling = pytest.importorskip("SALib.sample.sobol")
    analysis = pytest.importorskip("SALib.analyze.sobol")
    size, function = GAMES[game]
    problem = {"num_vars": size, "names": [f"x{i}" for i in range(size)], "bounds": [[0, 1]] * size}
    points = sampling.sample(problem, DESIGNS, calc_second_order=False, seed=1)
    theirs = analysis.analyze(problem, function(points), calc_second_order=False, seed=1)
    (total, total_error), (first, first_error) = ours(game)
    assert (np.abs(total - theirs["ST"]) <= total_error + 2 * theirs["ST_conf"]).all()
    assert (np.abs(first - theirs["S1"]) <= first_error + 2 * theirs["S1_conf"] + 0.08 * first).all()


def test_jansen_is_scipys_estimator():
    """The same points and values give SciPy's total order (saltelli_2010, which is Jansen's), up to its denominators.

    SciPy takes the variance of A and B together; with 4,096 designs both variances agree to 2 %.
    """
    size, function = GAMES["interacting"]
    theirs = stats.sobol_indices(func=lambda x: function(x.T), n=DESIGNS, dists=[stats.uniform()] * size, rng=1)
    game = ew.Game(size, lambda m: torch.from_numpy(function(m.double().numpy())))
    for sampler in ("sobol", "sobol-plain", "lhs"):
        found = ew.Sobol(DESIGNS, estimator="jansen", sampler=sampler)(game)
        np.testing.assert_allclose(found.values, theirs.total_order, atol=0.02)
