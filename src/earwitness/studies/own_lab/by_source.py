"""What is independent where several clips come from one source: a speaker, an original recording?

Clips of one source are alike beyond their label: they are right together and wrong together. Whole sources are drawn, not clips,
so the variance of a share p of N clips is that of the sums of the sources j with n_j clips, s_j of them right:

    V = S / (S - 1) * sum_j (s_j - p n_j)^2 / N^2          deff = V / (p (1 - p) / N), at least 1
    N_eff = N / deff                                       the clips that would tell as much if all were independent

Wilson's interval is taken with N_eff; where all or none are right, nothing is known of deff, and N_eff = S, the sources.

Source: ratio estimate of clusters, Kish (1965), "Survey sampling"; effective sample size, Korn and Graubard (1998), "Confidence
intervals for proportions with small expected number of positive counts estimated from survey data".
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from earwitness.statistics import Interval, mean_interval, proportion_interval

LEVEL = 0.95
Z = 1.959963984540054  # of the normal distribution, for 95 %


def source_numbers(sources: Sequence[str]) -> np.ndarray:
    """`[N]`: the number of each clip's source; a clip of no known source ("") is its own."""
    names = [f"={source}" if source else str(place) for place, source in enumerate(sources)]
    return np.unique(names, return_inverse=True)[1]


def unit_numbers(sources: Sequence[str], labels: np.ndarray) -> np.ndarray:
    """`[N]`: clips of one source and one label have the same number. labels: `[N]`, whole numbers."""
    return np.unique(source_numbers(sources) * (int(labels.max()) + 1) + labels, return_inverse=True)[1]


def dealt_anew(labels: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[N]`: labels shuffled over the units: all clips of a unit get the label of another unit."""
    first = np.unique(units, return_index=True)[1]
    return labels[first][rng.permutation(len(first))][units]


def share_of(right: ArrayLike, sources: Sequence[str]) -> Interval:
    """The share of clips that are right, with its 95 % interval. right: `[N]`, of booleans; N at least 1."""
    values, numbers = np.asarray(right).astype(bool).astype(float), source_numbers(sources)
    count, mean = int(numbers.max()) + 1, float(values.mean())
    if count == len(values):
        return proportion_interval(int(values.sum()), count)
    binomial = mean * (1 - mean) / len(values)
    effective = (
        len(values) / max(1.0, _variance(values, numbers) / binomial) if binomial and count > 1 else float(count)
    )
    middle = (mean + Z**2 / (2 * effective)) / (1 + Z**2 / effective)
    half = Z / (1 + Z**2 / effective) * np.sqrt(mean * (1 - mean) / effective + Z**2 / (4 * effective**2))
    return Interval(mean, float(max(0.0, middle - half)), float(min(1.0, middle + half)), LEVEL)


def mean_over(values: ArrayLike, sources: Sequence[str]) -> Interval:
    """The mean over clips, with Student's 95 % interval over sources; a bootstrap where each clip is its own.

    values: `[N]`, N at least 2. Of one source alone nothing is known: the interval is NaN, unless all values are equal.
    """
    numbers, row = source_numbers(sources), np.asarray(values, float)
    count, mean = int(numbers.max()) + 1, float(row.mean())
    if count == len(row) or np.ptp(row) == 0:
        return mean_interval(row)
    half = stats.t.ppf((1 + LEVEL) / 2, count - 1) * np.sqrt(_variance(row, numbers)) if count > 1 else np.nan
    return Interval(mean, float(mean - half), float(mean + half), LEVEL)


def sign_p(differences: ArrayLike, sources: Sequence[str]) -> float:
    """p that as many sources gain as lose (two-sided sign test over the sums of the sources); 1 where none does either."""
    sums = np.bincount(source_numbers(sources), np.asarray(differences, float))
    gains, losses = int((sums > 0).sum()), int((sums < 0).sum())
    return float(stats.binomtest(gains, gains + losses).pvalue) if gains + losses else 1.0


def _variance(values: np.ndarray, numbers: np.ndarray) -> float:
    """Of the mean over clips, where whole sources are drawn."""
    count = int(numbers.max()) + 1
    apart = np.bincount(numbers, values) - values.mean() * np.bincount(numbers)
    return float(count / (count - 1) * (apart**2).sum() / len(values) ** 2)
