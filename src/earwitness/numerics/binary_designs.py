"""Random masks of zeros and ones: which components to keep together.

Each mask alone is uniform: every component is kept with probability 1/2, independently. Masks of one call belong together, masks
of two calls are independent. Pairing a mask with its opposite cancels every effect of even order in the slopes; a design that
is balanced as well makes all pairs of components equally frequent, as far as the number of masks allows.

| design | masks |
|---|---|
| "iid" | independent |
| "paired" | independent masks, each followed by its opposite |
| "sobol" | the first binary digits of a scrambled Sobol' sequence |
| "hadamard" | rows of a Hadamard matrix, columns and signs drawn by chance, and the opposites of all (a fold-over) |

The first digits of a Sobol' sequence are themselves rows of a Hadamard matrix and their opposites, with columns of its own;
n of its points have n / 2 different columns at most, and some components are then told apart by no single scrambling.

Coalitions of a given size, for Shapley values, are drawn uniformly among their size.

Source: Plackett & Burman (1946) and Box & Wilson (1951) for fold-over designs; Sylvester (1867) for the matrix.
"""

from collections.abc import Iterator

import numpy as np

from earwitness.errors import unknown
from earwitness.numerics.designs import unit_points

DESIGNS = ("iid", "paired", "sobol", "hadamard")
FOLDED = ("paired", "hadamard")  # whose masks come with their opposites
NUMBERS = 2**21  # levels in the masks that are made at once: 8 MB


def random_masks(design: str, points: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """float32 `[rows, size]`, a bounded number at a time; `points` masks in all, or as many pairs for a folded design."""
    if design not in DESIGNS:
        raise unknown("design", design, DESIGNS)
    most = full_set(size) if design == "hadamard" else max(1, NUMBERS // size)
    for first in range(0, points, most):
        count = min(most, points - first)
        if design == "sobol":
            masks = unit_points("sobol", count, size, rng) < 0.5
        else:
            masks = _hadamard(count, size, rng) if design == "hadamard" else rng.integers(0, 2, (count, size))
        yield opposed(masks) if design in FOLDED else masks.astype(np.float32)


def opposed(masks: np.ndarray) -> np.ndarray:
    """Masks, and after them their opposites."""
    masks = masks.astype(np.float32)
    return np.concatenate([masks, 1 - masks])


def full_set(size: int) -> int:
    """The order of the Hadamard matrix that has a column for each component: a power of two."""
    return 1 << max(0, size - 1).bit_length()


def every_mask(size: int, ends: bool = True) -> Iterator[np.ndarray]:
    """All 2^size masks (without `ends` all but the first, nothing, and the last, everything), float32 `[rows, size]`."""
    first, last, most = int(not ends), 2**size - int(not ends), max(1, NUMBERS // size)
    for start in range(first, last, most):
        yield (np.arange(start, min(start + most, last))[:, None] >> np.arange(size) & 1).astype(np.float32)


def random_coalitions(sizes: np.ndarray, pairs: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """float32 `[rows, size]`: coalitions and their opposites, a bounded number at a time.

    sizes: `[size - 1]`, the probability of each number of members, 1 to size - 1. The sizes are drawn evenly:
    each occurs as often as its probability says, to within one.
    """
    members = 1 + np.searchsorted(np.cumsum(sizes[:-1]), (rng.random() + np.arange(pairs)) / pairs, side="right")
    for part in np.array_split(members, -(-pairs * size // NUMBERS)):
        yield opposed(rng.random((len(part), size)).argsort(1).argsort(1) < part[:, None])


def _hadamard(rows: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """`[rows, size]` of 0 and 1: rows of Sylvester's matrix, drawn without replacement, as its columns are; signs by chance."""
    order = full_set(size)
    row, column = rng.permutation(order)[:rows], rng.permutation(order)[:size]
    return _parity(row[:, None] & column) ^ rng.integers(0, 2, size)


def _parity(numbers: np.ndarray) -> np.ndarray:
    """Whether a number has an odd number of binary ones."""
    for shift in (16, 8, 4, 2, 1):
        numbers = numbers ^ numbers >> shift
    return numbers & 1
