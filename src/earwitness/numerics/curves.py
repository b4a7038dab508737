"""What experiments of removal are made of: an order of the components, where to look, the area below; random sets of them.

area = sum over k of (y_k + y_{k+1}) / 2 * (x_{k+1} - x_k)
"""

import numpy as np

from earwitness.errors import UsageError


def ranks(values: np.ndarray, seed: int) -> np.ndarray:
    """`[*shape]`, whole numbers: 0 for the largest value, size - 1 for the smallest; equal values in a random order."""
    chance = np.random.default_rng(seed).permutation(values.size)
    found = np.empty(values.size, dtype=int)
    found[np.lexsort((chance, -values.ravel()))] = np.arange(values.size)
    return found.reshape(values.shape)


def counts(size: int, steps: int) -> np.ndarray:
    """`[steps + 1]`: numbers of components from 0 to `size` in nearly equal steps; all of them if steps >= size."""
    return np.linspace(0, size, min(steps, size) + 1).round().astype(int)


def area(x: np.ndarray, y: np.ndarray) -> float:
    """Below the points `[points]`, joined by straight lines."""
    return float(np.diff(x) @ (y[1:] + y[:-1]) / 2)


def best(share: float, size: int) -> int:
    """How many components a share of them is: the nearest whole number, at least 1."""
    return max(1, round(share * size))


def proper_part(share: float, size: int) -> int:
    """As `best`; `UsageError` where that is all of them, so that every set is the same."""
    count = best(share, size)
    if count == size:
        raise UsageError(f"{share:.0%} of {size} components are all of them: there is only one such set")
    return count


def random_subsets(members: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """`[sets, size]` of booleans: as many true as `members` `[sets]` says, each set of that size equally likely."""
    return rng.random((len(members), size)).argsort(1).argsort(1) < members[:, None]


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's, of two rows of numbers, -1 to 1; 0 where the numbers of either are all equal."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
