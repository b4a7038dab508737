"""The slope of a score on each mask level alone, from sums over random masks.

    slope_i = cov(m_i, y) / var(m_i)

For binary masks that is E[y | m_i = 1] - E[y | m_i = 0]. Where levels are independent of each other it tends to what i adds on
average over the masks of the others.
"""

from collections.abc import Iterable

import numpy as np

from earwitness.numerics.blocks import Sums

LEVEL = 1e-9  # variance of a level that never changes, up to rounding


def moments(masks: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Sums:
    """What slopes are made of: sums over masks `[n, components]` and their scores `[n]`, each counting 1 or its weight."""
    m, w = masks.astype(np.float64), np.ones(len(y)) if weights is None else weights
    return {"points": w.sum(), "m": w @ m, "mm": w @ m**2, "y": w @ y, "my": (w * y) @ m}


def added(parts: Iterable[Sums]) -> Sums:
    """Sums of several parts, added up."""
    first, *others = parts
    return {name: sum((part[name] for part in others), start=first[name]) for name in first}


def marginal_slopes(sums: Sums) -> np.ndarray:
    """`[components]` from moments `[blocks, ...]`; 0 for a level that never changed."""
    points = sums["points"].sum()
    m, mm, y, my = (sums[name].sum(0) / points for name in ("m", "mm", "y", "my"))
    variance = mm - m**2
    return np.divide(my - m * y, variance, out=np.zeros_like(variance), where=variance > LEVEL)
