"""Statistics over clips: how sure is a mean, is one method better than another, do repeated maps agree?

Clips are the unit of chance: cells of one map, or windows of one recording, are not independent of each other, clips are. Two
methods are compared on the same clips, so pairs are compared, never two means:

    difference_k = first_k - second_k        H0: differences are symmetric about 0        (Wilcoxon's signed ranks)

Every p-value goes with an effect and its interval, as a p-value alone only says that there were enough clips; several p-values
of one table are corrected together (`holm`). Do k methods differ at all on N clips? Each clip ranks them, and mean ranks R_j are
compared:

    chi^2 = 12 N / (k (k + 1)) (sum_j R_j^2 - k (k + 1)^2 / 4)                   (Friedman)
    |R_i - R_j| > q sqrt(k (k + 1) / 6N)                                         (Nemenyi)

Source: Efron (1987), BCa intervals; Wilcoxon (1945); Holm (1979); Spearman (1904); Friedman (1937), Iman and Davenport (1980) and
Nemenyi (1963) as in Demšar (2006). `scipy.stats` computes the first two and the distributions.
"""

from dataclasses import dataclass
from math import factorial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from earwitness.errors import UsageError


@dataclass(frozen=True)
class Interval:
    """A mean, and the interval from low to high that covers the true one in `level` of all repetitions; in the values' unit."""

    mean: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class PairedDifference(Interval):
    """The mean of first - second over clips, with its interval, and how surprising it is.

    p: of Wilcoxon's signed-rank test.  wins, ties: on how many of the `clips` first is greater than, or equal to, second.
    """

    p: float
    wins: int
    ties: int
    clips: int

    def __str__(self) -> str:
        return f"{super().__str__()}, p = {self.p:.2g}, greater on {self.wins} of {self.clips}"


@dataclass(frozen=True, eq=False)
class Friedman:
    """Do methods differ? ranks: `[methods]`, mean over the `clips`, 1 for the smallest value.

    statistic: Friedman's chi^2, corrected for ties.  p: of Iman and Davenport's F.
    """

    statistic: float
    p: float
    ranks: np.ndarray
    clips: int


def mean_interval(values: ArrayLike, level: float = 0.95, resamples: int = 9999, seed: int = 0) -> Interval:
    """Bootstrap interval of a mean: bias-corrected, accelerated (BCa), and widened for few values.

    values: `[n]`, one for each clip, n at least 2. Equal values give an interval of no width.
    A bootstrap alone is too narrow for few values: with 8 it covers in 88 % of repetitions what it should in 95 %. So the level
    is raised to the one at which normal values get Student's interval: 8 then cover in 93 % (92 % if their distribution is
    exponential), 20 in 94 % (93 %).

    Source: Efron (1987); Hesterberg (2015), "What teachers should know about the bootstrap", for the widening.
    """
    values = _numbers(values, "values")
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval lies between 0 and 1, not at {level}")
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean, level)
    n = len(values)
    student = np.sqrt(n / (n - 1)) * stats.t.ppf((1 + level) / 2, n - 1)
    widened = min(float(2 * stats.norm.cdf(student) - 1), 1 - 2 / resamples)
    batch = max(1, 10**6 // n)  # resamples at once: 8 MB
    rng = np.random.default_rng(seed)
    found = stats.bootstrap(
        (values,), np.mean, confidence_level=widened, n_resamples=resamples, batch=batch, rng=rng
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), level)


def proportion_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """How often something happens, with Wilson's interval: it has a width even where it always or never happened.

    Source: Wilson (1927), in `scipy.stats.binomtest`.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise UsageError(f"{successes} successes in {trials} trials: it takes one trial or more, and no more successes")
    found = stats.binomtest(successes, trials).proportion_ci(level, "wilson")
    return Interval(successes / trials, float(found.low), float(found.high), level)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    alternative: Literal["two-sided", "greater", "less"] = "two-sided",
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Is `first` another than `second` (or greater, or less)? Both `[n]`, the same clips in the same order, n at least 2.

    Clips on which both are equal say nothing and are left out of the test (not of the mean); if all are, p is 1. Up to 50
    clips, and without ties, p is exact. The seed is that of the interval.
    """
    first, second = _numbers(first, "first"), _numbers(second, "second")
    if len(first) != len(second):
        raise UsageError(f"a paired test needs both methods on the same clips, not {len(first)} and {len(second)}")
    difference = first - second
    wins, ties, clips = int(np.sum(difference > 0)), int(np.sum(difference == 0)), len(difference)
    p = signed_rank_p(difference, alternative)
    return PairedDifference(**vars(mean_interval(difference, level, seed=seed)), p=p, wins=wins, ties=ties, clips=clips)


def signed_rank_p(difference: ArrayLike, alternative: Literal["two-sided", "greater", "less"] = "two-sided") -> float:
    """The p-value of Wilcoxon's signed-rank test that differences `[n]` are symmetric about 0; 1 where all are 0."""
    difference = _numbers(difference, "differences")
    return float(np.asarray(stats.wilcoxon(difference, alternative=alternative))[1]) if difference.any() else 1.0


def friedman(values: ArrayLike) -> Friedman:
    """Do methods differ at all? values: `[clips, methods]`, two or more of each; smaller gets the smaller rank.

    Equal values share their mean rank; where all are equal on all clips, p is 1.

    Source: Friedman (1937), Iman and Davenport (1980), as in Demšar (2006), Statistical comparisons of classifiers over multiple
    data sets, JMLR 7, 1-30.
    Differs: chi^2 is corrected for ties (as in `scipy.stats.friedmanchisquare`), which Demšar leaves out; p is never
        below methods! ^ (1 - clips), the chance that all clips agree: of few clips F says more than they can.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise UsageError(
            f"Friedman's test needs finite values [clips, methods], two or more of each, not {list(values.shape)}"
        )
    (clips, methods), ranks = values.shape, stats.rankdata(values, axis=1)
    between = clips * np.sum((ranks.mean(0) - (methods + 1) / 2) ** 2)
    within = np.sum((ranks - (methods + 1) / 2) ** 2) / (clips * (methods - 1))
    if within == 0:
        return Friedman(0.0, 1.0, ranks.mean(0), clips)
    statistic = between / within
    rest = clips * (methods - 1) - statistic  # 0 where all clips agree
    f = (clips - 1) * statistic / rest if rest > 1e-9 else np.inf
    least = float(factorial(methods)) ** (1 - clips)
    p = max(least, stats.f.sf(f, methods - 1, (methods - 1) * (clips - 1)))
    return Friedman(float(statistic), float(p), ranks.mean(0), clips)


def nemenyi_difference(methods: int, clips: int, level: float = 0.05) -> float:
    """How far apart two mean ranks must lie to differ, when all pairs of `methods` are looked at: the critical difference.

    level: the share of cases in which any pair of equal methods lies further apart.

    Source: Nemenyi (1963), as in Demšar (2006): q is the studentised range's quantile for infinite degrees of freedom, over
    the square root of 2.
    """
    if methods < 2 or clips < 2 or not 0 < level < 1:
        raise UsageError(
            f"a critical difference needs two methods and clips or more and a level in 0 to 1, not {methods}, {clips}, {level}"
        )
    q = stats.studentized_range.ppf(1 - level, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * clips)))


def rank_stability(maps: ArrayLike) -> float:
    """Mean Spearman correlation over all pairs of repeated maps `[repeats, ...]`, in [-1, 1]; 1: always the same order.

    Equal values share their mean rank. A map whose values are all equal has no order: it correlates 0 with every map.
    """
    maps = np.asarray(maps, dtype=np.float64)
    if maps.ndim < 2 or len(maps) < 2 or not np.isfinite(maps).all():
        raise UsageError(f"rank stability needs two or more finite maps [repeats, ...], not {list(maps.shape)}")
    ranks = stats.rankdata(maps.reshape(len(maps), -1), axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    ranks = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    return float(np.mean((ranks @ ranks.T)[np.triu_indices(len(maps), 1)]))


def holm(p_values: ArrayLike) -> np.ndarray:
    """`[n]` p-values of one family of tests, corrected: below 0.05 means that the whole family errs in at most 5 %.

    The smallest is multiplied by n, the next by n - 1, ..., none falls below a smaller one's, none exceeds 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise UsageError(f"p-values are numbers from 0 to 1 in a row, not {p_values!r}")
    order = np.argsort(p)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    """A row of two or more finite numbers."""
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1 or len(row) < 2 or not np.isfinite(row).all():
        raise UsageError(f"{name} must be two or more finite numbers, one for each clip, not {values!r}")
    return row
