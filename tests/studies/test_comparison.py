"""What a comparison says: the summary, ranks and sentences against what the scores allow."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from earwitness.errors import UsageError
from earwitness.statistics import holm, mean_interval, paired_difference
from earwitness.studies.comparison import Comparison, _groups, tidy
from earwitness.studies.shards import SCHEMA


def made(scores: dict[str, np.ndarray], better: str = "higher") -> Comparison:
    """A comparison with given scores `[clips]` of each method; NaN for what doesn't apply."""
    clips = len(next(iter(scores.values())))
    rows = [
        dict.fromkeys(SCHEMA.names, "")
        | {
            "clip": f"{clip}",
            "explainer": name,
            "metric": "made",
            "better": better,
            "score": values[clip],
            "seed": None,
        }
        | {"status": "not applicable" if np.isnan(values[clip]) else "ok", "seconds": 0.0, "evaluations": 1}
        for clip in range(clips)
        for name, values in scores.items()
    ]
    return Comparison(tidy(rows), "random", "loudness" if "loudness" in scores else None)


def drawn(shifts: dict[str, float], clips: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 5, clips)
    return {name: hard + shift + rng.normal(0, 1, clips) for name, shift in shifts.items()}


def test_the_summary_is_what_the_statistics_say():
    scores = drawn({"a": 1.0, "b": 0.2, "loudness": 0.1, "random": 0.0}, 20, 0)
    scores["b"][:5] = np.nan
    found = made(scores).summary().set_index("explainer")
    assert found["n"].tolist() == [20, 15, 20, 20] and found["not_applicable"].tolist() == [0, 5, 0, 0]
    interval = mean_interval(scores["b"][5:])
    assert found.loc["b", ["mean", "low", "high"]].tolist() == [interval.mean, interval.low, interval.high]
    tests = [
        paired_difference(scores[name][cut:], scores["random"][cut:])
        for name, cut in (("a", 0), ("b", 5), ("loudness", 0))
    ]
    np.testing.assert_allclose(found["p_random"].to_numpy()[:3], holm([test.p for test in tests]))
    np.testing.assert_allclose(found["minus_random"].to_numpy()[:3], [test.mean for test in tests])
    np.testing.assert_allclose(found["minus_random_low"].to_numpy()[:3], [test.low for test in tests])
    assert np.isnan(found.loc["random", "p_random"]) and np.isnan(found.loc["loudness", "p_loudness"])
    ranks = np.mean([stats.rankdata([-v[clip] for v in scores.values()]) for clip in range(5, 20)], axis=0)
    np.testing.assert_allclose(found["rank"], ranks)


def test_ranks_follow_what_is_better():
    scores = {"a": np.array([1.0, 2, 3]), "b": np.array([2.0, 1, 4]), "random": np.array([3.0, 3, 3])}
    assert made(scores, "lower").ranks("made").to_dict() == pytest.approx({"a": 4.5 / 3, "b": 2.0, "random": 7.5 / 3})
    assert made(scores, "higher").ranks("made").to_dict() == pytest.approx({"random": 4.5 / 3, "b": 2.0, "a": 7.5 / 3})


def test_the_best_is_named_where_it_is():
    shifts = {"a": 3.0, "b": 0.5, "random": 0.0}
    assert "made: a is best: mean rank 1." in made(drawn(shifts, 20, 0)).verdict("made")
    assert "made: random (a control" in made(drawn(shifts | {"random": 6.0}, 20, 0)).verdict("made")
    twins = made(drawn({"a": 3.0, "b": 3.0, "random": 0.0}, 20, 1)).verdict("made")
    assert "no significant difference between" in twins and "worse: random (" in twins
    assert "no significant difference among" in made(drawn({"a": 0.0, "b": 0.0, "random": 0.0}, 20, 2)).verdict("made")
    assert "with fewer than 7 clips" in made(drawn({"a": 9.0, "b": 4.0, "random": 0.0}, 6, 0)).verdict("made")
    assert "nothing to compare" in made({"a": np.array([1.0]), "random": np.array([0.0])}).verdict("made")


def test_pairs_are_corrected_together():
    scores = drawn({"a": 0.6, "b": 0.3, "random": 0.0}, 15, 3)
    found = made(scores)._pairs("made")
    pairs = list(combinations(scores, 2))
    plain = [stats.wilcoxon(scores[one], scores[other]).pvalue for one, other in pairs]
    assert [found[frozenset(pair)] for pair in pairs] == pytest.approx(holm(plain)) != plain


@pytest.mark.parametrize("shifts", [{"a": 0, "b": 0, "c": 0, "random": 0}, {"a": 0, "b": 0, "c": -9, "random": -9}])
def test_no_method_is_named_by_chance(shifts):
    """60 comparisons in which no method is best: at most 5 % name one, and 3 sigma of 2.8 %."""
    named = [" is best" in made(drawn(shifts, 12, seed)).verdict("made") for seed in range(60)]
    assert np.mean(named) < 0.05 + 3 * 0.028


def test_bars_join_what_does_not_differ():
    rng = np.random.default_rng(0)
    for _ in range(100):
        ranks, apart = np.sort(rng.uniform(1, 6, 6)), float(rng.uniform(0.3, 3))
        runs = [pair for pair in combinations(range(6), 2) if ranks[pair[1]] - ranks[pair[0]] <= apart]
        longest = [(a, b) for a, b in runs if not any(c <= a and b <= d and (c, d) != (a, b) for c, d in runs)]
        assert _groups(ranks, apart) == longest


def test_nothing_to_draw():
    with pytest.raises(UsageError, match="nothing to draw"):
        made({"a": np.array([1.0]), "random": np.array([0.0])}).plot()
