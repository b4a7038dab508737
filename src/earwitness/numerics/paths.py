"""Ways from nothing to everything, along which a gradient is added up: even in amplitude, or even in level.

    integral over a, 0 to 1, of f(a)  =  integral over u, 0 to 1, of f(a(u)) da/du

With a = 10^(level / 20) and level even in u, points are even in decibels down to a floor; what lies below it is one more short
piece. For whatever hears by level, a logarithm or a normalised layer, f changes evenly along such a way, and few points see all
of it; even in a they would see nothing but the last few decibels.
"""

import numpy as np

BELOW = 0.02  # the part of u that is spent below the floor


def by_level(u: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """a(u) and da/du, for u in [0, 1]; `floor` in dB below everything, less than 0."""
    lowest = 10 ** (floor / 20)
    above = (u - BELOW) / (1 - BELOW)
    rising = lowest ** (1 - np.clip(above, 0, 1))
    a = np.where(above < 0, u / BELOW * lowest, rising)
    return a, np.where(above < 0, lowest / BELOW, -np.log(lowest) * rising / (1 - BELOW))
