"""Intervals, paired tests, rank stability and corrections: closed forms, scipy as oracle, and simulated coverage."""

from itertools import combinations, permutations, product

import numpy as np
import pytest
from scipy import stats

from earwitness.errors import UsageError
from earwitness.statistics import (
    Interval,
    friedman,
    holm,
    mean_interval,
    nemenyi_difference,
    paired_difference,
    rank_stability,
    signed_rank_p,
)

DEMSAR = """
4 3 2 1
1 2 3 4
4 1 2 3
4 1 3 2
4 2 3 1
1 2.5 4 2.5
3 2 4 1
2.5 2.5 4 1
4 3 2 1
2.5 2.5 2.5 2.5
4 2.5 1 2.5
3 2 4 1
4 1 2 3
3 1 4 2
"""  # Demšar (2006), table 6: ranks of four variants of C4.5 on 14 data sets; their means are 3.143, 2.000, 2.893, 1.964


@pytest.mark.parametrize("draw, mean", [(np.random.Generator.normal, 0.0), (np.random.Generator.exponential, 1.0)])
def test_intervals_cover_the_mean_as_often_as_they_say(draw, mean):
    """600 samples of 20: 95 %, less the 1 or 2 % that so few values cost; 600 know that to 1 %."""
    samples = draw(np.random.default_rng(0), size=(600, 20))
    found = [mean_interval(sample, resamples=999, seed=k) for k, sample in enumerate(samples)]
    assert 0.915 <= np.mean([interval.low <= mean <= interval.high for interval in found]) <= 0.97


def test_few_values_are_allowed_for():
    """8 values: 93 %; a bootstrap without widening covers in 88 %."""
    samples = np.random.default_rng(9).normal(size=(400, 8))
    found = [mean_interval(sample, resamples=1999, seed=k) for k, sample in enumerate(samples)]
    assert np.mean([interval.low <= 0 <= interval.high for interval in found]) > 0.91


def test_narrower_levels_are_covered_less():
    samples = np.random.default_rng(1).normal(size=(300, 20))
    found = [mean_interval(sample, level=0.5, resamples=999) for sample in samples]
    assert 0.41 <= np.mean([interval.low <= 0 <= interval.high for interval in found]) <= 0.57  # 3 sigma


def test_an_interval_has_the_width_of_the_standard_error():
    """Of 400 normal values: 2 x 1.96 standard errors, to the 3 % that 9,999 resamples and their own skewness leave."""
    values = np.random.default_rng(2).normal(5, 3, size=400)
    found = mean_interval(values)
    assert found.mean == values.mean()
    assert found.high - found.low == pytest.approx(2 * 1.96 * stats.sem(values), rel=0.03)
    assert found == mean_interval(list(values)) and found != mean_interval(values, seed=1)
    assert str(Interval(0.41, 0.3, 0.52, 0.95)) == "0.41 [0.3, 0.52]"


def test_equal_values_have_no_width():
    assert mean_interval([0.3, 0.3, 0.3]) == Interval(0.3, 0.3, 0.3, 0.95)


def test_paired_test_by_counting():
    """8 clips, all greater: of the 2^8 ways to sign the ranks one is as extreme on this side."""
    first, second = np.arange(8) + 1.5, np.arange(8) * 0.9
    found = paired_difference(first, second)
    assert found.p == pytest.approx(2 / 256)
    assert paired_difference(first, second, "greater").p == pytest.approx(1 / 256)
    assert paired_difference(first, second, "less").p == 1
    assert (found.wins, found.ties, found.clips) == (8, 0, 8)
    assert found.mean == pytest.approx(np.mean(first - second))
    assert found.low > 0
    assert "p = 0.0078, greater on 8 of 8" in str(found)


def test_pairs_matter():
    """A small difference on every clip, among clips that differ much: seen by the paired test, not by comparing two samples."""
    rng = np.random.default_rng(0)
    second = rng.normal(0, 10, size=30)
    first = second + rng.normal(0.5, 0.3, size=30)
    assert paired_difference(first, second).p < 1e-5
    assert stats.mannwhitneyu(first, second).pvalue > 0.5
    assert paired_difference(first, rng.permutation(second)).p > 0.05


def test_paired_test_swaps():
    a, b = np.random.default_rng(3).normal(size=(2, 15))
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert one.p == other.p and one.mean == -other.mean
    assert paired_difference(a, b, "greater").p == other.p / 2 or paired_difference(a, b, "less").p == one.p / 2


def test_false_alarms_are_as_rare_as_promised():
    """400 comparisons of a method with itself: 5 % below 0.05, give or take 3 sigma of 1.1 %."""
    pairs = np.random.default_rng(4).normal(size=(400, 2, 12))
    alarms = np.mean([stats.wilcoxon(a - b).pvalue < 0.05 for a, b in pairs])
    ours = np.mean([paired_difference(a, b, seed=0).p < 0.05 for a, b in pairs[:100]])
    assert 0.017 < alarms < 0.083 and ours < 0.12


def test_ties_say_nothing():
    same = np.arange(6.0)
    found = paired_difference(same, same)
    assert (found.p, found.wins, found.ties) == (1, 0, 6)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    some = paired_difference([1, 2, 3, 4, 5, 9, 9], [0.5, 1, 1.25, 1, 0, 9, 9])
    assert (some.wins, some.ties) == (5, 2)
    assert some.p == pytest.approx(stats.wilcoxon([0.5, 1, 1.75, 3, 5, 0, 0]).pvalue)


def test_rank_stability_is_scipys_spearman():
    maps = np.round(np.random.default_rng(5).random((4, 3, 5)), 1)  # rounded: with ties
    expected = np.mean([stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in combinations(maps, 2)])
    assert rank_stability(maps) == pytest.approx(expected, abs=1e-12)


def test_rank_stability_knows_order_only():
    base = np.random.default_rng(6).random((2, 3))
    assert rank_stability([base, np.exp(base), 3 * base - 1]) == pytest.approx(1)
    assert rank_stability([base, -base]) == pytest.approx(-1)
    flat = 0 * base
    assert rank_stability([base, base, flat]) == pytest.approx(1 / 3)  # one pair of three has an order on both sides
    noise = np.random.default_rng(7).random((50, 100))
    assert abs(rank_stability(noise)) < 0.01  # 1,225 pairs with a spread of 0.1


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.6]), [1, 1])
    np.testing.assert_allclose(holm([0.02]), [0.02])
    assert holm([]).shape == (0,)


def test_holm_keeps_the_family_wise_error():
    """1,000 families of 10 true nulls: at most 5 % with any alarm (1.4 % is two standard errors); uncorrected it is 40 %."""
    p = np.random.default_rng(8).random((1000, 10))
    assert np.mean([(holm(row) < 0.05).any() for row in p]) < 0.064
    assert np.mean((p < 0.05).any(1)) > 0.35


def demsar() -> np.ndarray:
    return np.array([line.split() for line in DEMSAR.split("\n") if line], dtype=float)


def test_friedman_is_demsars_example():
    """chi^2 = 9.28 and F = 3.69, p < 0.05; ours corrects for ties, which divides by 1 - sum(t^3 - t) / (N k (k^2 - 1))."""
    found = friedman(demsar())
    np.testing.assert_allclose(found.ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    ties = sum((count**3 - count).sum() for row in demsar() for count in [np.unique(row, return_counts=True)[1]])
    plain = found.statistic * (1 - ties / (14 * 4 * 15))
    assert plain == pytest.approx(9.28, abs=0.005)
    assert 13 * plain / (14 * 3 - plain) == pytest.approx(3.69, abs=0.005)
    f = 13 * found.statistic / (14 * 3 - found.statistic)
    assert found.p == pytest.approx(1 - stats.f.cdf(f, 3, 39)) and found.p < 0.05


def test_friedman_is_scipys_and_the_formula():
    values = np.round(np.random.default_rng(10).random((9, 5)), 1)  # with ties
    found = friedman(values)
    assert found.statistic == pytest.approx(stats.friedmanchisquare(*values.T).statistic, abs=1e-12)
    untied = np.random.default_rng(11).random((7, 3))
    ranks = np.mean([[1 + sum(other < value for other in row) for value in row] for row in untied], axis=0)
    formula = 12 * 7 / (3 * 4) * (sum(rank**2 for rank in ranks) - 3 * 4**2 / 4)
    assert friedman(untied).statistic == pytest.approx(formula, abs=1e-12)
    np.testing.assert_allclose(friedman(untied).ranks, ranks)


def test_friedman_at_its_ends():
    assert friedman(np.ones((5, 3))).p == 1
    agreed = friedman(np.tile([1.0, 2.0, 3.0], (6, 1)))
    assert (agreed.p, agreed.statistic) == (pytest.approx(6.0**-5), pytest.approx(12))
    assert friedman(-np.tile([1.0, 2.0, 3.0], (6, 1))).ranks.tolist() == [3, 2, 1]
    for values in (np.ones((1, 3)), np.ones((3, 1)), np.ones(3), [[1, np.nan], [1, 2]]):
        with pytest.raises(UsageError, match="Friedman"):
            friedman(values)


def test_friedman_keeps_its_promise():
    """1,000 comparisons of equal methods: 5 %, to three standard errors of 0.7 %."""
    p = [friedman(values).p for values in np.random.default_rng(12).random((1000, 10, 4))]
    assert abs(np.mean(np.less(p, 0.05)) - 0.05) < 0.021


def test_nemenyi_is_demsars_table():
    """His table 5a, two-tailed Nemenyi test at 5 % and 10 %; and his example, critical differences of 1.25 and 1.12."""
    q = dict(zip(range(2, 11), (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164), strict=True))
    for methods, value in q.items():
        found = nemenyi_difference(methods, 30) / np.sqrt(methods * (methods + 1) / (6 * 30))
        assert found == pytest.approx(value, abs=0.0011)
    assert nemenyi_difference(4, 14) == pytest.approx(1.25, abs=0.006)
    assert nemenyi_difference(4, 14, 0.1) == pytest.approx(1.12, abs=0.006)
    for wrong in ((1, 5), (3, 1), (3, 5, 1.0)):
        with pytest.raises(UsageError, match="critical difference"):
            nemenyi_difference(*wrong)


def test_nemenyi_keeps_its_promise():
    """2,000 comparisons of four equal methods on 25 clips: the two most distant mean ranks exceed it in about 5 %."""
    ranks = np.random.default_rng(13).random((2000, 25, 4)).argsort(2).argsort(2).mean(1)
    assert np.mean(np.ptp(ranks, axis=1) > nemenyi_difference(4, 25)) == pytest.approx(0.05, abs=0.015)


def test_signed_ranks_by_counting():
    """Of all 2^6 ways to sign the ranks, those whose sum is as far from the middle."""
    difference = np.array([0.3, -0.1, 1.2, 0.7, 2.0, -0.4])
    ranks = stats.rankdata(abs(difference))
    sums = [sum(rank for rank, up in zip(ranks, signs, strict=True) if up) for signs in np.ndindex(*[2] * 6)]
    middle, seen = ranks.sum() / 2, ranks[difference > 0].sum()
    assert signed_rank_p(difference) == pytest.approx(np.mean([abs(s - middle) >= abs(seen - middle) for s in sums]))
    assert signed_rank_p([0, 0, 0]) == 1


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan], [[1.0, 2.0]], [1.0, np.inf]])
def test_what_has_no_mean_interval(values):
    with pytest.raises(UsageError, match="two or more finite"):
        mean_interval(values)


def test_what_cannot_be_compared():
    with pytest.raises(UsageError, match="same clips, not 3 and 2"):
        paired_difference([1, 2, 3], [1, 2])
    with pytest.raises(UsageError, match="level"):
        mean_interval([1, 2], level=95)
    with pytest.raises(UsageError, match="two or more finite maps"):
        rank_stability(np.ones((1, 5)))
    with pytest.raises(UsageError, match="p-values"):
        holm([0.5, 1.2])
    with pytest.raises(UsageError, match="p-values"):
        holm([0.5, np.nan])


@pytest.mark.parametrize(("methods", "clips"), [(2, 2), (3, 3), (4, 2)])
def test_friedman_where_all_clips_agree(methods, clips):
    """The chance that every clip ranks as the first does: 1 / methods! for each of the others."""
    found = friedman(np.tile(np.arange(methods), (clips, 1)) + np.arange(clips)[:, None])
    ranked = list(product(permutations(range(methods)), repeat=clips - 1))
    agreeing = sum(all(other == tuple(range(methods)) for other in others) for others in ranked)
    assert found.p == pytest.approx(agreeing / len(ranked))
