"""Non-negative factors: nothing lost, never a step back, the table of a few atoms found again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.numerics.nmf import divergence_of, factorise

DIVERGENCES = ("kl", "frobenius")


@pytest.mark.parametrize("divergence", DIVERGENCES)
@given(seed=st.integers(0, 2**31))
def test_no_update_is_a_step_back(divergence, seed):
    v = np.random.default_rng(seed).exponential(size=(12, 20)) * 10.0 ** np.random.default_rng(seed).integers(-6, 6)
    made = [divergence_of(v, *factorise(v, 3, n, divergence, seed=1), divergence) for n in range(1, 8)]
    assert np.all(np.diff(made) <= 1e-9 * abs(made[0]))


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_two_atoms_are_found_again(divergence):
    """Without overlap in frequency, and never in the same proportion: the factors are unique."""
    w = np.zeros((10, 2))
    w[:4, 0], w[5:, 1] = [0.1, 0.4, 0.3, 0.2], 0.2
    h = np.random.default_rng(0).exponential(size=(2, 30)) * [[1.0], [5.0]]
    h[0, :10], h[1, 20:] = 0, 0
    found, active = factorise(w @ h, 2, 2000, divergence)
    order = np.argsort(-found[0])
    np.testing.assert_allclose(found[:, order], w, atol=1e-3)
    np.testing.assert_allclose(active[order], h, atol=0.02)


def test_kl_updates_one_by_one():
    """The formula of the paper, element by element."""
    rng = np.random.default_rng(3)
    v = rng.exponential(size=(4, 5))
    start = np.random.default_rng(0)
    w, h = start.random((4, 2)) + 0.1, start.random((2, 5)) + 0.1
    scaled = v / v.max()
    new = h.copy()
    for a in range(2):
        for t in range(5):
            new[a, t] *= sum(w[i, a] * scaled[i, t] / (w[i] @ h[:, t]) for i in range(4)) / sum(w[:, a])
    after = w.copy()
    for i in range(4):
        for a in range(2):
            after[i, a] *= sum(new[a, t] * scaled[i, t] / (w[i] @ new[:, t]) for t in range(5)) / sum(new[a])
    found, active = factorise(v, 2, 1, "kl", 0)
    np.testing.assert_allclose(found, after / after.sum(0), rtol=1e-9)
    np.testing.assert_allclose(found @ active, v.max() * after @ new, rtol=1e-9)


def test_silence_and_unknown_divergences():
    w, h = factorise(np.zeros((3, 4)), 2)
    assert np.all(h == 0) and np.allclose(w.sum(0), 1)
    with pytest.raises(ew.UsageError, match="unknown divergence 'is'"):
        factorise(np.ones((3, 4)), 2, divergence="is")
