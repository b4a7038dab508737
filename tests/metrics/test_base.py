"""What all metrics share: the score with its curve, what they declare, and which components belong to a cause."""

import copy
import json
import pickle
from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar

import numpy as np
import pytest

import earwitness as ew
from earwitness import checks
from earwitness.metrics import METRICS, Metric, Score, on_cause

M = ew.metrics
OF_A_CLASSIFIER = (  # which ask for probabilities or decisions, labels, weights, or a noisy clip: what no game has
    M.AverageDrop, M.AverageGain, M.AverageIncrease, M.FaithfulnessFF, M.FidelityToInput, M.FlipTest, M.ImportantAgainstRandom,
    M.MaxSensitivity, M.ParameterRandomisation, M.RandomLogit, M.LocalLipschitz, M.RelativeInputStability,
    M.RelativeOutputStability, M.RelativeRepresentationStability, M.SmoothRandomisation, M.EfficientRandomisation,
    M.InputInvariance,
)  # fmt: skip
FAMILIES = ("faithfulness", "truth", "stability", "complexity", "axioms")


def given(game, values):
    return ew.Explanation.of(game, np.asarray(values, float), kind="effect")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "metric",
    [
        *(metric() for metric in METRICS if metric not in OF_A_CLASSIFIER),
        M.Deletion(steps=3),
        M.Insertion(steps=5, seed=2),
        M.Deletion(random=3),
        M.Insertion(random=2),
        M.Infidelity(relative=False),
        M.ImportantAgainstRandom(of="score"),
        M.ImportantAgainstRandom(of="score", regions="scattered"),
    ],
    ids=repr,
)
def test_laws(metric, seed):
    checks.check_metric(metric, seed)


@pytest.mark.parametrize("metric", [*OF_A_CLASSIFIER, M.ROCArea, M.RankStability, M.Complexity, M.Completeness])
def test_laws_of_a_classifier(metric, cnn, tone):
    axes = (ew.Axis("frequency", "Hz", (0.0, 500.0, 4000.0)), ew.Axis("time", "s", (0.0, 0.25)))
    truth = np.array([[1.0], [0.0]]), axes
    question = ew.ask(cnn(ew.LogMel(8000, 256, 128, 12)), tone(seconds=0.25)[0], ew.Grid(2, 3), truth=truth)
    few = {field.name: 2 for field in fields(metric) if field.name in ("samples", "steps")}
    checks.check_metric(metric(**few), question=question)


@pytest.mark.parametrize("metric", OF_A_CLASSIFIER)
def test_what_no_game_has(metric):
    game = ew.Game(4, lambda m: m.sum(1))
    with pytest.raises(ew.UsageError, match="game has"):
        metric()(game, given(game, [1, 2, 3, 4]))


@pytest.mark.parametrize("metric", METRICS)
def test_what_a_metric_declares(metric):
    assert (metric.better, metric.family) in [(b, f) for b in ("higher", "lower") for f in FAMILIES]
    assert len(metric.bounds) == 2
    assert is_dataclass(metric)
    assert [word for word in ("Cost:", "Source:", "Differs:", "Cannot see:") if word not in metric.__doc__] == []
    assert [field.name for field in fields(metric) if f"{field.name}" not in metric.__doc__] == []
    assert ew.fingerprint(metric()) == ew.fingerprint(metric())


def test_a_score_is_a_number_with_a_curve():
    score = Score(0.123456, np.array([0, 1]), np.array([2.0, 3.0]))
    assert (score, score + 1, f"{score}", f"{score:.1f}") == (0.123456, 1.123456, "0.1235", "0.1")
    assert (repr(score), repr(Score(2))) == ("Score(0.1235, a curve of 2 points)", "Score(2)")
    assert json.dumps([score]) == "[0.123456]"
    assert Score(2).shares is None and Score(2).values is None and Score(2).parts == {}
    score = Score(0.123456, np.array([0, 1]), np.array([2.0, 3.0]), {"p": np.float64(0.25)})
    assert repr(score) == "Score(0.1235, a curve of 2 points, p=0.25)"
    for twin in (copy.deepcopy(score), pickle.loads(pickle.dumps(score))):  # as on the way between processes
        assert (type(twin), twin) == (Score, 0.123456)
        np.testing.assert_array_equal([twin.shares, twin.values], [[0, 1], [2, 3]])
        assert twin.parts == {"p": 0.25} and type(twin.parts["p"]) is float


@pytest.mark.parametrize("metric", METRICS)
def test_an_explanation_of_other_components_is_told(metric):
    game = ew.Game((2, 2), lambda m: m.sum((1, 2)), cause=np.eye(2))
    with pytest.raises(ew.UsageError, match=r"has \[4\] components and the question \[2, 2\]"):
        metric()(game, given(ew.Game(4, lambda m: m.sum(1)), np.arange(4)))


def test_the_cause_is_what_is_filled_a_quarter_as_much_as_the_fullest():
    fill = np.array([[0.8, 0.2], [0.19, 0.0]])
    np.testing.assert_array_equal(on_cause(fill), [[True, True], [False, False]])
    np.testing.assert_array_equal(on_cause(fill, 0.26), [[True, False], [False, False]])
    np.testing.assert_array_equal(on_cause(fill, 0.2), [[True, True], [True, False]])
    with pytest.raises(ew.UsageError, match="fills none"):
        on_cause(np.zeros(3))


@dataclass(frozen=True)
class Made(Metric):
    """A metric made of a function."""

    function: object
    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, None)
    family: ClassVar[str] = "truth"

    def __call__(self, question, explanation):
        return Score(self.function(question, explanation.values))


CALLS = iter(range(1000))


@pytest.mark.parametrize(
    ("law", "function"),
    [
        ("perfect answer, .*, is beaten", lambda q, v: 20 - (v * q.cause).sum()),
        ("perfect answer, .*, is beaten", lambda q, v: abs(v[0]) + 1 if v.any() else 99),
        ("the negated answer, .*, beats", lambda q, v: 9 if set(v) == {-3, 2, -1.5, -1, -0.5, 0.5, 0} else 1),
        ("same seed must give the same", lambda q, v: 1 + 1e-11 * next(CALLS)),
        ("numpy's random state", lambda q, v: 1 + 0 * np.random.random()),
        ("batches of 3", lambda q, v: 1 + 1 / q.batch),
        ("out of", lambda q, v: -1),
    ],
)
def test_metrics_that_break_a_law(law, function):
    with pytest.raises(AssertionError, match=law):
        checks.check_metric(Made(function))


def test_only_truth_and_faithfulness_know_a_perfect_answer(cnn, tone):
    """What beats the perfect answer in those families is no fault in the others, nor of a question without a known answer."""
    turned, below = (lambda q, v: abs(v[0]) if v.any() else 99), (lambda q, v: -1)
    question = ew.ask(cnn(ew.LogMel(8000, 256, 128, 12)), tone(seconds=0.25)[0], ew.Grid(2, 1))
    other = type("Other", (Made,), {"family": "complexity"})
    for metric, asked in ((other, None), (Made, question)):
        checks.check_metric(metric(lambda q, v: turned(q, v.ravel())), question=asked)
        with pytest.raises(AssertionError, match="out of"):
            checks.check_metric(metric(below), question=asked)
