"""Against the known cause: each metric in closed form and as a slow replica, what chance gives, and what is better than it."""

from itertools import permutations, product

import numpy as np
import pytest

import earwitness as ew
from earwitness.data.truth import truth_of
from earwitness.metrics import IntersectionOverUnion, MassAccuracy, PointingGame, RankAccuracy, ROCArea
from earwitness.questions import counting

TRUTHS = (PointingGame, MassAccuracy, RankAccuracy, ROCArea, IntersectionOverUnion)
RNG = np.random.default_rng(3)
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


@pytest.mark.parametrize(
    ("values", "rank", "area", "union"),
    [
        ([[2, 1], [0, -1]], 1, 1, 1),
        ([[-1, 0], [1, 2]], 0, 0, 0),
        ([[2, 0], [1, -1]], 1 / 2, 3 / 4, 1 / 3),
        ([[0, 0], [0, 0]], 1 / 2, 1 / 2, (1 / 1 + 4 * 1 / 3 + 0) / 6),
        ([[1, 0], [0, 0]], 1 / 2 + 1 / 6, 3 / 4, (1 + 2 / 3) / 3),
        ([[1, 0], [1, 0]], 1 / 2, 1 / 2, 1 / 3),
        ([[0, 0], [0, -5]], 2 / 3, 3 / 4, (1 + 2 * 1 / 3) / 3),
    ],
)
def test_ranks_by_hand(values, rank, area, union):
    """The first row is the cause; of two equal values each is as likely to be among the best."""
    found = [scored(metric(), values) for metric in (RankAccuracy, ROCArea, IntersectionOverUnion)]
    np.testing.assert_allclose(found, [rank, area, union])
    np.testing.assert_allclose([scored(m(), 1e-9 * np.array(values)) for m in TRUTHS[2:]], found)


def by_definition(metric, values, cause):
    """The score of a map without equal values, from sets and pairs."""
    right = set(np.flatnonzero(cause))
    order = [int(i) for i in np.argsort(-values)]
    if isinstance(metric, PointingGame):
        return float(order[0] in right)
    if isinstance(metric, MassAccuracy):
        return sum(max(v, 0) for i, v in enumerate(values) if i in right) / sum(max(v, 0) for v in values)
    if isinstance(metric, RankAccuracy):
        return len(right & set(order[: len(right)])) / len(right)
    if isinstance(metric, ROCArea):
        return np.mean([values[i] > values[j] for i, j in product(right, set(order) - right)])
    best = set(order[: len(right) if metric.share is None else max(1, round(metric.share * len(order)))])
    return len(best & right) / len(best | right)


ALL = [*(metric() for metric in TRUTHS), *(IntersectionOverUnion(share=share) for share in (0.01, 0.3, 0.8, 1))]


@pytest.mark.parametrize("metric", ALL, ids=repr)
def test_the_definitions(metric):
    for _ in range(20):
        cause, values = (RNG.random(11) < 0.4).astype(float), RNG.standard_normal(11)
        cause[RNG.integers(11)] = 1
        assert scored(metric, values, cause) == pytest.approx(by_definition(metric, values, cause))


@pytest.mark.parametrize("metric", ALL, ids=repr)
@pytest.mark.parametrize("values", [[5, 3, 2, 1, 0.5], [5, 5, 2, -1, 0]])
def test_chance_is_the_mean_over_all_orders(metric, values):
    cause = np.array([1, 0, 0.5, 0.1, 0])
    game = ew.Game(5, lambda m: m.sum(1), cause=cause)
    expected = np.mean([scored(metric, order, cause) for order in permutations(values)])
    assert metric.chance(game) == pytest.approx(expected)
    if not isinstance(metric, IntersectionOverUnion):
        area = isinstance(metric, ROCArea)
        assert expected == pytest.approx(1 / 2 if area else 2 / 5)
        assert type(metric)(0.05).chance(game) == pytest.approx(1 / 2 if area else 3 / 5)


@pytest.mark.parametrize("metric", ALL, ids=repr)
def test_equal_values_score_the_mean_over_their_orders(metric):
    cause, values = np.array([1, 0, 0.5, 0, 0]), np.array([4.0, 1, 1, 1, 0])
    shifts = [1e-9 * np.array([0, *order, 0]) for order in permutations(range(3))]
    assert scored(metric, values, cause) == pytest.approx(np.mean([scored(metric, values + s, cause) for s in shifts]))


@pytest.mark.parametrize("metric", TRUTHS)
def test_lift_is_0_for_chance_and_1_for_the_truth(metric):
    for size in (1, 2, 3):
        cause = (np.arange(4) < size).astype(float)
        game = ew.Game(4, lambda m: m.sum(1), cause=cause)
        assert metric().lift(game, metric().chance(game)) == 0
        assert metric().lift(game, scored(metric(), cause, cause)) == 1
        assert metric().lift(game, scored(metric(), 1 - cause, cause)) < 0
    with pytest.raises(ew.UsageError, match="every component belongs to the cause"):
        metric().lift(ew.Game(4, lambda m: m.sum(1), cause=np.ones(4)), 1)


@pytest.mark.parametrize("metric", TRUTHS)
def test_the_oracle_beats_chance_and_chance_is_what_random_maps_score(metric):
    """A planted game: the weights of the cause are above all others."""
    cause = np.zeros((4, 6))
    cause[1, 2:4] = 1
    game = ew.Game((4, 6), lambda m: m[:, 1, 2:4].sum(1), cause=cause)
    assert metric()(game, ew.Saliency()(game)) == 1
    scores = np.array([metric()(game, ew.Random(seed)(game)) for seed in range(400)])
    assert abs(scores.mean() - metric().chance(game)) < 3 * scores.std(ddof=1) / 20


@pytest.mark.parametrize("metric", TRUTHS)
def test_a_cause_in_time_alone(metric, listener, tone):
    """A burst between 0.25 and 0.5 of a second: the third and fourth of eight segments."""
    clip, _ = tone(440.0, span=(0.25, 0.5))
    times = ew.Axis("time", "s", (0.0, 0.25, 0.5, clip.duration))
    question = ew.ask(listener, clip, ew.Segments(count=8), "low", truth=(np.array([0.0, 1.0, 0.0]), (times,)))
    np.testing.assert_array_equal(question.cause > 0.5, np.isin(np.arange(8), (2, 3)))
    found = ew.Occlusion()(question)
    own = found.values.clip(0)
    assert metric()(question, found) == pytest.approx(own[2:4].sum() / own.sum() if metric is MassAccuracy else 1)
    assert metric().lift(question, metric()(question, found)) > 0.4
    assert metric().lift(question, metric()(question, ew.Random()(question))) < 0.4


@pytest.mark.parametrize("metric", TRUTHS)
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
    expected = {MassAccuracy: (mass[0, :2].sum() / mass.sum(), mass[0, 2:].sum() / mass.sum())}
    expected |= {ROCArea: (1, 28 / 30)}  # of 30 components outside, only two are above the cause
    with counting() as count:
        scores = [metric()(question, found) for found in (right, late)]
        chance = metric().chance(question)
    np.testing.assert_allclose(scores, expected.get(metric, (1, 0)))
    both, one = 1 / (16 * 31), 2 * 30 / (16 * 31)  # of 496 pairs of components
    assert chance == pytest.approx({ROCArea: 1 / 2, IntersectionOverUnion: both + one / 3}.get(metric, 2 / 32))
    assert count.evaluations == 0


@pytest.mark.parametrize("metric", TRUTHS)
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


@pytest.mark.parametrize("truth", ["event.flac", np.ones((4, 4)), (np.ones((4, 4)),)])
def test_a_truth_that_is_none_is_told_at_once(listener, tone, truth):
    clip, burst = tone()
    with pytest.raises(ew.UsageError, match=r"a map and its axes.*truth_of\(cause, clip\)"):
        ew.ask(listener, clip, ew.Grid(4, 4), truth=truth)
    known = ew.ask(listener, clip, ew.Grid(4, 4), "low", truth=truth_of(burst, clip))
    assert ew.metrics.PointingGame()(known, ew.Occlusion()(known)) == 1
