"""The verdict: right maps stand, maps that know nothing don't, and what cannot be told is not told."""

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.metrics import Deletion, Insertion, MuFidelity
from earwitness.questions import counting
from earwitness.studies.verifying import Trial

SHAPE = (8, 8)
CASES = 8  # few, since each takes a quarter of a second: `benchmarks/verdicts.py` has 200 of each


def planted(seed, shape=SHAPE):
    """A game: a blob of weights somewhere, its parts needing each other, in front of weak weights everywhere."""
    rng = np.random.default_rng(seed)
    high, wide = rng.integers(1, 4, 2)
    blob = np.zeros(shape)
    blob[:high, :wide] = 1 + rng.random((high, wide))
    blob = np.roll(blob, (rng.integers(shape[0]), rng.integers(shape[1])), (0, 1))
    w = torch.as_tensor(blob + 0.2 * rng.standard_normal(shape))
    return ew.Game(shape, lambda m: torch.tanh((m.double() * w).sum((1, 2)) / blob.sum()) * 3)


def given(game, values, **known):
    return ew.Explanation.of(game, np.asarray(values, float), kind=known.pop("kind", "effect"), **known)


def outcomes(maps):
    return [ew.verify(given(game, values)).outcome for game, values in maps]


def test_right_maps_stand():
    found = outcomes((planted(seed), ew.Occlusion()(planted(seed)).values) for seed in range(CASES))
    assert found.count("stands") >= 7 and "does not stand" not in found


@pytest.mark.parametrize("null", ["white", "another clip", "shifted by a fifth", "negated"])
def test_maps_that_are_wrong_do_not(null):
    def wrong(seed):
        values = ew.Occlusion()(planted(seed)).values
        return {
            "white": np.random.default_rng(seed).standard_normal(SHAPE),
            "another clip": ew.Occlusion()(planted(seed + 1000)).values,
            "shifted by a fifth": np.roll(values, 2, 1),
            "negated": -values,
        }[null]

    found = outcomes((planted(seed), wrong(seed)) for seed in range(CASES))
    assert "stands" not in found and found.count("does not stand") >= 5


def test_scores_and_p_values_are_those_of_the_metrics():
    """Written again, slowly: every turn of the map, asked one by one; Holm's step by hand."""
    game = planted(3)
    values = ew.Occlusion()(game).values
    verdict = ew.verify(given(game, values))
    turns = [np.roll(values, (i, j), (0, 1)) for i in range(8) for j in range(8)]
    turns = [turn for turn in turns if np.corrcoef(turn.ravel(), values.ravel())[0, 1] <= 0.7]
    p = []
    for trial, metric in zip(verdict.tests, (Deletion(steps=8), Insertion(steps=8), MuFidelity()), strict=True):
        chance = sorted(float(metric(game, given(game, turn))) for turn in turns)
        np.testing.assert_allclose(sorted(trial.random), chance, atol=1e-12)
        assert trial.score == pytest.approx(float(metric(game, given(game, values))))
        better = [score <= trial.score if metric.better == "lower" else score >= trial.score for score in chance]
        assert trial.p == (1 + sum(better)) / (1 + len(turns))
        p.append(trial.p)
    first, second, third = sorted(p)
    stepped = dict(zip(sorted(p), np.maximum.accumulate([3 * first, 2 * second, third]).clip(max=1), strict=True))
    np.testing.assert_allclose([trial.corrected for trial in verdict.tests], [stepped[q] for q in p])


def test_ties_count_against():
    """Every component does the same: all maps are as good as each other."""
    (tied,) = ew.verify(given(ew.Game(40, lambda m: m.sum(1)), np.arange(40)), tests=[Deletion()]).tests
    assert tied.p == 1 and len(tied.random) == 99


def test_a_cause_that_lasts_is_told():
    """Row 2 decides, in any column: the map knows the row, and no better than its turns along the other axis."""
    game = ew.Game((8, 8), lambda m: m[:, 2].sum(1))
    values = np.random.default_rng(0).random((8, 8)) / 10
    values[2] = 2.0 ** np.arange(8)
    verdict = ew.verify(given(game, values))
    assert verdict.outcome == "can't tell" and "only its turns along" in verdict.remarks[0]
    assert "can be rearranged in 7 ways only" in str(ew.verify(ew.Occlusion()(game)))  # the row is even


def trial(score, low, high, corrected=0.01, better="higher", loudness=None):
    return Trial("test", better, score, low, high, np.arange(100.0), corrected, corrected, loudness)


def test_when_a_score_is_like_chance():
    """Its better end lies below the 75th percentile of the random maps: 74.25 of 0, 1, ..., 99; 24.75 where low is better."""
    assert trial(50, 40, 74).like_chance and not trial(50, 40, 75).like_chance
    assert trial(50, 25, 60, better="lower").like_chance and not trial(50, 24, 60, better="lower").like_chance
    assert trial(98, 98, 98, 0.049).unlike_chance and not trial(98, 98, 98, 0.05).unlike_chance
    assert trial(98, 97, 99, loudness=96).beats_loudness and not trial(98, 95, 99, loudness=96).beats_loudness
    assert trial(3, 2, 4, better="lower", loudness=5).beats_loudness and trial(3, 2, 4).beats_loudness is None


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"kind": "share"}, "the shares add up to"),
        ({"numbers": {"fidelity": 0.3}}, "the surrogate explains 30%"),
        ({"stderr": np.full(SHAPE, 9.0)}, "its error bars are larger than the differences"),
    ],
)
def test_arithmetic_that_fails(known, said):
    game = planted(1)
    values = ew.Occlusion()(game).values * (3 if "kind" in known else 1)
    verdict = ew.verify(given(game, values, **known))
    assert verdict.outcome == "does not stand"
    assert any(said in reason for reason in verdict.reasons) and any(said in line for line in verdict.arithmetic)


def test_arithmetic_that_holds():
    exact = ew.Shapley(40)(planted(1))
    assert ew.verify(exact).arithmetic == ()
    assert ew.verify(ew.LIME(400)(planted(1))).arithmetic == ()


@pytest.mark.parametrize(
    ("game", "values", "said"),
    [
        (ew.Game(7, lambda m: m.sum(1)), np.arange(7), "7 components are too few"),
        (ew.Game(20, lambda m: 3 + 0 * m.sum(1)), np.arange(20), "the model says the same to every mask"),
        (ew.Game(20, lambda m: m[:, 0] * 1.0), np.ones(20), "can be rearranged in 0 ways"),
        (ew.Game(20, lambda m: m[:, 0] * 1.0), np.eye(20)[0], "can be rearranged in 19 ways"),
    ],
)
def test_without_power_nothing_is_told(game, values, said):
    verdict = ew.verify(given(game, values))
    assert verdict.outcome == "can't tell" and verdict.tests == () and said in verdict.reasons[0]
    assert str(verdict).startswith("can't tell: ") and verdict.to_frame().empty


def test_a_real_question(listener, tone):
    """A burst in 2 of 16 columns. Importances go by their sign; what another label hangs on does not stand."""
    clip, _ = tone(440, span=(0.5, 0.625), level=0.3)
    question = ew.ask(listener, clip, ew.Grid(8, 16), "low")
    right = ew.verify(ew.Sobol(designs=16)(question))
    assert right.outcome == "stands" and str(right).startswith("stands: better than chance in deletion, insertion")
    assert right.flip.decision == "low" and str(right).endswith("better than Loudness in every test")
    assert [trial.name for trial in right.tests] == ["deletion", "insertion", "mu fidelity"]
    assert all(trial.low <= trial.score <= trial.high and trial.low < trial.high for trial in right.tests)
    loud = ew.verify(ew.Loudness()(question))  # finds it as well: it is no better than itself
    assert loud.outcome == "stands" and str(loud).endswith(
        "no better than Loudness in deletion, insertion, mu fidelity"
    )
    other = ew.verify(ew.Occlusion()(ew.ask(listener, clip, ew.Grid(8, 16), "high")), question)
    assert other.outcome != "stands"
    table = right.to_frame()
    assert list(table["random_maps"]) == [99] * 3 and (table["loudness"].notna()).all()
    assert len(right.picture().panels) == 3


def test_a_game_has_no_loudness_and_no_flip():
    verdict = ew.verify(ew.Occlusion()(planted(0)))
    assert verdict.flip is None and all(trial.loudness is None for trial in verdict.tests)
    assert "not held against Loudness" in str(verdict) and "no flip" in str(verdict)


def test_the_seed_decides_and_the_cost_is_counted():
    explanation = ew.LIME(400)(planted(2))
    with counting() as count:
        first = ew.verify(explanation, seed=1)
    assert first.evaluations == count.evaluations <= 2 * (63 + 20 + 1) * 7 + 200 + 8 + 2
    again, other = ew.verify(explanation, seed=1), ew.verify(explanation, seed=2)
    assert str(first) == str(again) and first.to_frame().equals(again.to_frame())
    assert not other.to_frame().equals(first.to_frame())  # the maps within the error bars


def test_loaded_from_a_file(tmp_path):
    game = planted(4)
    explanation = ew.Occlusion()(game)
    explanation.save(tmp_path / "map.npz")
    loaded = ew.Explanation.load(tmp_path / "map.npz")
    with pytest.raises(ew.UsageError, match=r"has no question: ask again, verify\(explanation, question="):
        ew.verify(loaded)
    assert str(ew.verify(loaded, game)) == str(ew.verify(explanation))
    with pytest.raises(ew.UsageError, match=r"has \[8, 8\] components and the question \[4\]"):
        ew.verify(loaded, ew.Game(4, lambda m: m.sum(1)))


@pytest.mark.parametrize(("options", "said"), [({"maps": 59}, "60 or more"), ({"tests": []}, "one test or more")])
def test_what_makes_no_sense(options, said):
    with pytest.raises(ew.UsageError, match=said):
        ew.verify(ew.Occlusion()(planted(0)), **options)
