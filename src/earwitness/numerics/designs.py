"""Sampling designs: points in the unit cube, in blocks that are independent of each other.

Statistics over blocks are honest only where the blocks are independent. Points of one low-discrepancy sequence are not: each
block is then a scrambling of its own. Monte Carlo points are independent one by one, and are only gathered into blocks so that
statistics that leave out one block at a time stay cheap.

| sampler | points | blocks |
|---|---|---|
| "sobol" | Sobol' sequence, scrambled | up to 8 scramblings |
| "sobol-plain" | Sobol' sequence, unscrambled: always the same | 1 |
| "halton" | Halton sequence, scrambled | up to 8 scramblings |
| "lhs" | Latin hypercube (of up to 4 MB; then another) | up to 8 hypercubes |
| "monte-carlo" | independent uniform | up to 16 |

Eight blocks are a compromise: more of them know the error better, fewer leave each sequence more points to be even with.

Source: `scipy.stats.qmc` draws the sequences.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from scipy.stats import qmc

from earwitness.errors import UsageError, unknown

SAMPLERS = ("sobol", "sobol-plain", "halton", "lhs", "monte-carlo")
SOBOL, HALTON = qmc.Sobol.MAXDIM, 1000  # dimensions; scrambling a Halton sequence of more takes hundreds of MB
NUMBERS = 2**19  # coordinates of the points that are drawn at once: 4 MB
MOST_DIMENSIONS = {"sobol": SOBOL, "sobol-plain": SOBOL, "halton": HALTON}


def block_sizes(sampler: str, points: int) -> list[int]:
    """How many points each independent block has; they sum to `points`. A jackknife wants three blocks or more."""
    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS)
    if points < 1:
        raise UsageError(f"at least one design is needed, not {points}")
    blocks = {"sobol-plain": 1, "monte-carlo": 16}.get(sampler, min(8, max(3, points // 2)))
    return [len(part) for part in np.array_split(np.arange(points), min(blocks, points))]


def unit_points(sampler: str, points: int, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    """`[points, dimensions]` in [0, 1): one block. Raises `UsageError` where a sequence has too few dimensions."""
    return np.concatenate(list(some_points(sampler, points, dimensions, rng)))


def some_points(sampler: str, points: int, dimensions: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The same block, `[some, dimensions]` at a time, so that memory does not grow with `points`."""
    most = MOST_DIMENSIONS.get(sampler, dimensions)
    if dimensions > most:
        raise UsageError(
            f"the sampler {sampler!r} has at most {most} dimensions (two for each component) and {dimensions} are needed: "
            'use fewer components, or sampler="monte-carlo"'
        )
    draw = _source(sampler, dimensions, rng)
    at_once = 2 ** max(0, (NUMBERS // dimensions).bit_length() - 1)  # a power of 2: sequences are even over those
    for first in range(0, points, at_once):
        yield draw(min(at_once, points - first))


def _source(sampler: str, dimensions: int, rng: np.random.Generator) -> Callable[[int], np.ndarray]:
    """What draws the next points, `[points, dimensions]`, of one block."""
    if sampler == "monte-carlo":
        return lambda points: rng.random((points, dimensions))
    if sampler in ("sobol", "sobol-plain"):
        _read_direction_numbers()
        sequence = qmc.Sobol(dimensions, scramble=sampler == "sobol", rng=rng)
        return lambda points: sequence.random(2 ** (points - 1).bit_length())[:points]
    return (qmc.Halton if sampler == "halton" else qmc.LatinHypercube)(dimensions, rng=rng).random


@cache
def _read_direction_numbers() -> None:
    """Have scipy read its table, once, in a thread: there no Ctrl-C arrives, which it would ignore and draw from half a table."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(qmc.Sobol, 1).result()


def exchanges(x: np.ndarray, z: np.ndarray, at_once: int) -> Iterator[np.ndarray]:
    """For each row of x `[N, d]`: the row itself, then the d rows in which one x_i is exchanged for z_i.

    N (d + 1) rows in all, made `at_once` at a time, so that memory does not grow with N.
    """
    width = x.shape[1] + 1
    for first in range(0, len(x) * width, at_once):
        row, column = np.divmod(np.arange(first, min(first + at_once, len(x) * width)), width)
        points, swapped = x[row], np.flatnonzero(column)  # column 0: nothing is exchanged
        at = column[swapped] - 1
        points[swapped, at] = z[row[swapped], at]
        yield points
