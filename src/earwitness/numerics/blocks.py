"""Sums over independent blocks of samples: estimates from them, their standard errors, and when to stop sampling.

A sampled method that estimates from sums (of masks, of answers, of their products) needs to keep nothing else. Sums of samples
that were drawn together form a block; blocks are independent of each other, and any estimate that is a function of the sums gets
its standard error by leaving out one block at a time,

    error^2 = (B - 1) / B * sum_b (estimate without b - their mean)^2                           (jackknife over B blocks)

However long the sampling goes on, at most `MOST` blocks are kept: then neighbours are joined, and the blocks to come are twice
as large. Memory does not grow with the number of samples.

A jackknife over few blocks does not know its error well: value ± 1.96 error would cover the truth in 91 % of cases with 8
blocks. So errors are widened by the ratio of Student's quantile to the normal one (1.21 for 8 blocks, 1.09 for 16): the interval
of ± 1.96 errors then covers 95 %.

Source: Quenouille (1956), Tukey (1958); Student (1908).
"""

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

FIRST, MOST = 16, 32  # blocks: how many before one looks at the error, and how many are kept
ENOUGH = 3  # blocks: fewer have no standard error
NORMAL = 1.959963984540054

Sums = dict[str, np.ndarray]  # each `[...]` for one block, `[blocks, ...]` for several


def shared_out(points: int, blocks: int = FIRST) -> list[int]:
    """How many points each of (at most) so many blocks has: nearly equal, none empty, summing to `points`."""
    return [len(part) for part in np.array_split(np.arange(points), min(blocks, points))]


def stacked(blocks: list[Sums]) -> Sums:
    """`[blocks, ...]` of each sum."""
    return {name: np.stack([block[name] for block in blocks]) for name in blocks[0]}


def added(one: Sums, other: Sums) -> Sums:
    """The sums of both."""
    return {name: one[name] + other[name] for name in one}


def joined(blocks: list[Sums], add: Callable[[Sums, Sums], Sums] = added) -> list[Sums]:
    """Neighbours added up, two at a time; a last one without a neighbour stays."""
    return [reduce(add, blocks[first : first + 2]) for first in range(0, len(blocks), 2)]


def jackknife(sums: Sums, estimate: Callable[[Sums], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The standard error of each estimate; empty with fewer than three blocks.

    sums: `[blocks, ...]`.  estimate: from sums (with any number of blocks) to arrays by name.
    """
    count = len(next(iter(sums.values())))
    if count < ENOUGH:
        return {}
    left_out = [estimate({name: np.delete(part, block, 0) for name, part in sums.items()}) for block in range(count)]
    spread = {name: np.stack([each[name] for each in left_out]).var(0) for name in left_out[0]}
    return {name: widening(count) * np.sqrt((count - 1) * part) for name, part in spread.items()}


def widening(blocks: int) -> float:
    """How much wider an interval has to be whose error is known from so many blocks only."""
    return float(stdtrit(blocks - 1, 0.975)) / NORMAL


def rank_reliability(values: np.ndarray, stderr: np.ndarray, seed: int = 0, draws: int = 64) -> float:
    """The expected Spearman correlation of estimates with the true values, judged from their standard errors.

    The true values vary less than the estimates, whose variance is theirs and that of the errors. So the estimates are drawn
    together to the variance that is left, and disturbed by their errors: how well does the order of the disturbed values keep
    to that of the others?
    """
    values, stderr = values.ravel(), stderr.ravel()
    noise, seen = float(np.mean(stderr**2)), float(np.var(values))
    if seen <= noise:
        return 1.0 if noise == 0 else 0.0
    true = values.mean() + np.sqrt(1 - noise / seen) * (values - values.mean())
    disturbed = true + stderr * np.random.default_rng(seed).standard_normal((draws, len(true)))
    return float(np.mean(_ranks(disturbed) @ _ranks(true[None])[0]))


def _ranks(rows: np.ndarray) -> np.ndarray:
    """`[rows, n]`: ranks about 0, equal values sharing theirs, each row with length 1 (0 if all are equal)."""
    ranks = rankdata(rows, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    return ranks / np.maximum(np.linalg.norm(ranks, axis=1, keepdims=True), 1e-12)
