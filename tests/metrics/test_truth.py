"""Against the known cause: the pointing game and mass accuracy in closed form, and what chance gives."""

from itertools import permutations

import numpy as np
import pytest

import earwitness as ew
from earwitness.metrics import MassAccuracy, PointingGame
from earwitness.questions import counting

BOTH = (PointingGame, MassAccuracy)
CAUSE = np.array([[0.9, 0.3], [0.2, 0.0]])  # a quarter of the fullest is 0.225


def scored(metric, values, cause=CAUSE, kind="effect"):
    game = ew.Game(np.shape(cause), lambda m: m.flatten(1).sum(1), cause=cause)
    return metric(game, ew.Explanation.of(game, np.asarray(values, float), kind=kind))


@pytest.mark.parametrize(
    ("values", "hit"),
    [
        ([[0, 2], [1, 1]], 1),
        ([[1, 1], [2, 0]], 0),
        ([[3, 0], [3, 0]], 1 / 2),
        ([[3, 3], [3, 0]], 2 / 3),
        ([[0, 0], [0, 0]], 1 / 2),
        ([[-1, -2], [-3, -4]], 1),
        ([[-9, 0], [0, 0]], 1 / 3),
    ],
)
def test_the_pointing_game(values, hit):
    assert scored(PointingGame(), values) == pytest.approx(hit)


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ([[1, 2], [3, 4]], 3 / 10),
        ([[1, -5], [3, -4]], 1 / 4),
        ([[0, 1], [0, -9]], 1),
        ([[-1, -1], [0, 0]], 0),
        ([[0, 0], [0, 0]], 0),
        ([[1, 1], [1, 1]], 1 / 2),
    ],
)
def test_mass_accuracy(values, share):
    assert scored(MassAccuracy(), values) == pytest.approx(share)
    assert scored(MassAccuracy(), 1e-9 * np.array(values)) == pytest.approx(share)  # the unit doesn't matter


def test_what_belongs_to_the_cause_follows_from_filled():
    values = [[0, 1], [3, 0]]
    assert [scored(MassAccuracy(filled), values) for filled in (0.2, 0.25, 0.5)] == [1, 1 / 4, 0]
    assert [scored(PointingGame(filled), values) for filled in (0.2, 0.25, 0.5)] == [1, 0, 0]


@pytest.mark.parametrize("metric", BOTH)
@pytest.mark.parametrize("values", [[5, 3, 2, 1, 0.5], [5, 5, 2, -1, 0]])
def test_chance_is_the_mean_over_all_orders(metric, values):
    cause = np.array([1, 0, 0.5, 0.1, 0])
    game = ew.Game(5, lambda m: m.sum(1), cause=cause)
    assert metric().chance(game) == pytest.approx(2 / 5)
    assert metric(0.05).chance(game) == pytest.approx(3 / 5)
    assert np.mean([scored(metric(), order, cause) for order in permutations(values)]) == pytest.approx(2 / 5)


@pytest.mark.parametrize("metric", BOTH)
def test_a_tone_whose_place_is_known(metric, listener, tone):
    """A burst of 440 Hz in the first half: the cause is the lowest of 8 bands, in the first two of 4 quarters."""
    clip, burst = tone(440.0, span=(0.0, 0.5))
    truth = ew.LogSTFT(8000, 256, 64, level="linear")
    loud = np.asarray(truth(burst.samples[None])[0, 0]) > 1
    question = ew.ask(listener, clip, ew.Grid(8, 4), "low", truth=(loud.astype(float), truth.axes(len(clip.samples))))
    effect = question.value(question.ones) - question.value(1 - np.eye(32).reshape(-1, 8, 4))
    effect = effect.numpy().reshape(8, 4)
    right = ew.Explanation.of(question, effect, kind="effect")
    late = ew.Explanation.of(question, effect[:, ::-1].copy(), kind="effect")
    mass = effect.clip(0)
    expected = {PointingGame: (1, 0), MassAccuracy: (mass[0, :2].sum() / mass.sum(), mass[0, 2:].sum() / mass.sum())}
    with counting() as count:
        np.testing.assert_allclose([metric()(question, found) for found in (right, late)], expected[metric])
        assert metric().chance(question) == 2 / 32
    assert count.evaluations == 0


@pytest.mark.parametrize("metric", BOTH)
def test_what_cannot_be_asked(metric, listener, tone):
    question = ew.ask(listener, tone()[0], ew.Grid(2, 2), "low")
    with pytest.raises(ew.UsageError, match=r"not known here: ask with it, ew.ask\(\.\.\., truth=scene.truth\)"):
        metric()(question, ew.Random()(question))
    with pytest.raises(ew.UsageError, match="not known here"):
        metric().chance(question)
    with pytest.raises(ew.UsageError, match="fills none"):
        scored(metric(), CAUSE, cause=0 * CAUSE)
    for filled in (0, -1, None, 1.5, "half", float("nan")):
        with pytest.raises(ew.UsageError, match="filled"):
            metric(filled)
