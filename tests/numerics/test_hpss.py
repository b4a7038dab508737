"""Harmonic and percussive masks: the papers' formulas, bin by bin."""

import numpy as np
import pytest

from earwitness.numerics.hpss import hpss_masks


def by_hand(s, frames, bins, margin, power):
    """Medians over mirrored neighbours, shares of their powers; half and half (with a margin nothing) where both are 0."""
    f, t = frames // 2, bins // 2
    wide, tall = np.pad(s, ((0, 0), (f, f)), mode="symmetric"), np.pad(s, ((t, t), (0, 0)), mode="symmetric")
    masks = np.zeros((2, *s.shape))
    for i, j in np.ndindex(s.shape):
        h, p = np.median(wide[i, j : j + frames]), np.median(tall[i : i + bins, j])
        for k, (own, other) in enumerate(((h, p), (p, h))):
            total = own**power + (margin * other) ** power
            masks[k, i, j] = own**power / total if total > 0 else 0.5 * (margin == 1)
    return masks


@pytest.mark.parametrize(("margin", "power"), [(1.0, 2.0), (2.0, 2.0), (1.0, 1.0)])
def test_the_formulas(margin, power):
    rng = np.random.default_rng(0)
    s = rng.exponential(size=(20, 30))
    s[:, 12:25] = 0
    s[10, 18] = 3.0  # a bin alone in silence: no median sees it, and it must not get lost
    found = hpss_masks(s, 7, 5, margin, power)
    np.testing.assert_allclose(found, by_hand(s, 7, 5, margin, power), atol=1e-12)
    assert np.all(found.sum(0) <= 1 + 1e-12) and (margin > 1 or np.allclose(found.sum(0), 1))
