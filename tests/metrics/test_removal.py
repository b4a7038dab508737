"""Deletion and insertion: games whose curves are known, a slow replica from RISE's definition, and real classifiers."""

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.metrics import Deletion, Insertion
from earwitness.questions import counting

BOTH = (Deletion, Insertion)
RNG = np.random.default_rng(7)


def additive(weights, batch=1024):
    w = torch.as_tensor(np.asarray(weights), dtype=torch.float64)
    return ew.Game(tuple(w.shape), lambda m: 1 + (m.double() * w).flatten(1).sum(1), batch=batch)


def conjunction(size, members):
    """1 as long as all members are there."""
    return ew.Game(size, lambda m: m[:, members].prod(1))


def given(question, values, **known):
    return ew.Explanation.of(question, np.asarray(values, float), kind="effect", score=0.0, baseline=0.0, **known)


def rise(question, values, step, mode, answer):
    """RISE's causal metric, component by component: `step` of them at a time, then its own formula for the area."""
    order = sorted(range(question.size), key=lambda i: -values.flat[i])
    state = np.ones(question.size) if mode == "deletion" else np.zeros(question.size)
    scores = [answer(state)]
    for start in range(0, question.size, step):
        for i in order[start : start + step]:
            state[i] = 0 if mode == "deletion" else 1
        scores.append(answer(state))
    scores = np.array(scores)
    return scores, (scores.sum() - scores[0] / 2 - scores[-1] / 2) / (len(scores) - 1)


@pytest.mark.parametrize("shape", [(9,), (3, 4)])
def test_an_additive_game_in_closed_form(shape):
    """The curve is the total minus the sorted cumulative sum, or the sum itself; the area that of its trapezoids."""
    w = RNG.standard_normal(shape)
    n, falling = w.size, np.sort(w.ravel())[::-1]
    gone = np.concatenate([[0], np.cumsum(falling)])
    place = (np.arange(n) + 0.5) / n  # the i-th component that goes is there for so long
    down, up = (metric()(additive(w), given(additive(w), w)) for metric in BOTH)
    np.testing.assert_allclose(down.shares, np.arange(n + 1) / n)
    np.testing.assert_allclose(down.values, 1 + w.sum() - gone, atol=1e-12)
    np.testing.assert_allclose(up.values, 1 + gone, atol=1e-12)
    np.testing.assert_allclose(down, 1 + falling @ place)
    np.testing.assert_allclose(up, 1 + falling @ (1 - place))
    np.testing.assert_allclose(down + up, 2 + w.sum())  # deletion and insertion mirror each other


@pytest.mark.parametrize("members", [[0], [2, 5], [1, 3, 4]])
def test_a_conjunction_in_closed_form(members):
    """It falls with the first member that goes, and rises with the last that comes."""
    n, a, game = 8, len(members), conjunction(8, members)
    right = np.isin(np.arange(n), members)
    assert Deletion()(game, given(game, right)) == pytest.approx(1 / (2 * n))
    assert Insertion()(game, given(game, right)) == pytest.approx((n - a + 1 / 2) / n)
    assert Deletion()(game, given(game, ~right)) == pytest.approx((n - a + 1 / 2) / n)
    assert Insertion()(game, given(game, ~right)) == pytest.approx(1 / (2 * n))


@pytest.mark.parametrize("metric", BOTH)
def test_a_random_map_scores_halfway_on_average(metric):
    """On an additive game each component is gone for half of the way: the area is the mean of both ends."""
    game = additive(RNG.standard_normal(12))
    areas = np.array([metric()(game, ew.Random(seed=seed)(game)) for seed in range(400)])
    assert abs(areas.mean() - np.mean(game.ends())) < 3 * areas.std(ddof=1) / 20


@pytest.mark.parametrize("mode", ["deletion", "insertion"])
@pytest.mark.parametrize("step", [1, 2, 5])
def test_rise_s_definition(mode, step):
    w, pairs, values = RNG.standard_normal(20), RNG.standard_normal((20, 20)), RNG.standard_normal((4, 5))
    ours = [torch.as_tensor(array) for array in (w, pairs)]

    def function(m):
        flat = m.flatten(1).double()
        return torch.sin(flat @ ours[0]) + ((flat @ ours[1]) ** 2).sum(1)

    game = ew.Game((4, 5), function)
    metric = {"deletion": Deletion, "insertion": Insertion}[mode]
    curve, area = rise(game, values, step, mode, lambda state: np.sin(state @ w) + ((state @ pairs) ** 2).sum())
    found = metric(steps=20 // step)(game, given(game, values))
    np.testing.assert_allclose(found.values, curve)
    np.testing.assert_allclose(found, area)


@pytest.mark.parametrize("mode", ["deletion", "insertion"])
@pytest.mark.parametrize("target", ["low", "low - high"])
def test_rise_s_probabilities(cnn, tone, mode, target):
    """The softmax of the target in a real network, each input mixed by hand, averaged over two baselines."""
    classifier, values = cnn(ew.LogMel(8000, 256, 64, 20, amin=1e-6)), RNG.standard_normal((2, 3))
    question = ew.ask(classifier, tone()[0], ew.Grid(2, 3, baseline=("silence", "mean")), target)

    def answer(state):
        shares = []
        for number in (0, 1):
            x = question.mix(torch.tensor(state, dtype=torch.float32).reshape(1, 2, 3), number)
            with torch.no_grad():
                odds = classifier.network(x)[0].double().exp()
            shares.append(float(odds[0] / odds.sum() - (odds[1] / odds.sum() if target == "low - high" else 0)))
        return np.mean(shares)

    metric = {"deletion": Deletion, "insertion": Insertion}[mode]
    found = metric(of="probability")(question, given(question, values))
    curve, area = rise(question, values, 1, mode, answer)
    assert np.ptp(curve) > 0.01
    np.testing.assert_allclose(found.values, curve, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found, area, rtol=1e-4)


def test_scores_are_those_of_the_question(listener, tone):
    """The rows that the label listens to are the best explanation, and only score and probability differ."""
    question = ew.ask(listener, tone()[0], ew.Grid(8, 4), "low")
    effect = question.value(question.ones) - question.value(1 - np.eye(32).reshape(-1, 8, 4))
    right = given(question, effect.reshape(8, 4))
    wrong = given(question, -right.values)
    for of in ("score", "probability"):
        assert Deletion(of=of)(question, right) < Deletion(of=of)(question, wrong)
        assert Insertion(of=of)(question, right) > Insertion(of=of)(question, wrong)
    ends = question.ends()
    assert Deletion()(question, right).values[[0, -1]] == pytest.approx(ends)
    assert Insertion()(question, right).values[[-1, 0]] == pytest.approx(ends)


@pytest.mark.parametrize("metric", BOTH)
@pytest.mark.parametrize(
    ("size", "steps", "points"), [(64, None, 65), (65, None, 65), (200, None, 65), (7, None, 8), (7, 3, 4), (7, 99, 8)]
)
def test_steps_and_cost(metric, size, steps, points):
    """Nearly equal steps with both ends, and one evaluation for each point."""
    game = additive(np.ones(size), batch=16)
    explanation = given(game, np.arange(size))
    with counting() as count:
        found = metric(steps=steps)(game, explanation)
    taken = np.diff(np.round(found.shares * size))
    assert (count.evaluations, len(found.values), len(found.shares)) == (points, points, points)
    assert (found.shares[0], found.shares[-1]) == (0, 1)
    assert np.ptp(taken) <= 1 and taken.min() >= 1
    gone = found.shares * size
    np.testing.assert_allclose(found.values, 1 + (size - gone if metric is Deletion else gone), atol=1e-9)


@pytest.mark.parametrize("of", ["score", "probability"])
def test_cost_with_baselines(listener, tone, of):
    question = ew.ask(listener, tone()[0], ew.Grid(2, 3, baseline=("silence", "mean", "minimum")), "low")
    with counting() as count:
        Deletion(of=of)(question, given(question, np.zeros((2, 3))))
    assert count.evaluations == 3 * 7


def test_uneven_steps_weigh_as_wide_as_they_are():
    """Seven components in three steps (2, 3, 2): the trapezoids are not of one width."""
    w = np.array([4.0, 0, 3, 1, 5, 2, 6])
    found = Deletion(steps=3)(additive(w), given(additive(w), w))
    np.testing.assert_allclose(found.values, [22, 11, 2, 1])
    np.testing.assert_allclose(found, (2 * 33 / 2 + 3 * 13 / 2 + 2 * 3 / 2) / 7)


@pytest.mark.parametrize("metric", BOTH)
def test_equal_values_go_in_a_seeded_random_order(metric):
    game = additive([1.0, 2, 4, 8, 16])
    flat, state = given(game, np.zeros(5)), np.random.get_state()[1].tobytes()
    areas = {seed: metric(seed=seed)(game, flat) for seed in range(300)}
    assert np.random.get_state()[1].tobytes() == state
    assert len(set(areas.values())) > 20
    assert areas[3] == metric(seed=3)(game, flat)
    found = np.array(list(areas.values()))
    assert abs(found.mean() - np.mean(game.ends())) < 3 * found.std(ddof=1) / np.sqrt(300)


@pytest.mark.parametrize("metric", BOTH)
def test_the_seed_only_decides_among_equals(metric):
    """Whatever the seed, 9 goes first and -1 last; without equal values the seed does nothing."""
    game = additive([1.0, 2, 4, 8, 16])
    for seed in range(20):
        steps = np.abs(np.diff(metric(seed=seed)(game, given(game, [0, 9, 0, 0, -1])).values))
        assert (steps[0], steps[-1], sorted(steps[1:-1])) == (2, 16, [1, 4, 8])
    assert len({metric(seed=seed)(game, given(game, [3, 1, 4, 5, 9])) for seed in range(20)}) == 1


@pytest.mark.parametrize("metric", BOTH)
@pytest.mark.parametrize("of", ["score", "probability"])
def test_the_batch_size_changes_nothing(cnn, tone, metric, of):
    question = ew.ask(cnn(ew.LogSTFT(8000, 256, 64)), tone()[0], ew.Grid(3, 4), "low")
    explanation = given(question, RNG.standard_normal((3, 4)))
    curves = []
    for batch in (1, 5, 64):
        object.__setattr__(question, "batch", batch)
        curves.append(metric(of=of)(question, explanation).values)
    np.testing.assert_allclose(curves, np.tile(curves[0], (3, 1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", BOTH)
def test_what_cannot_be_asked(metric, listener, tone):
    game = additive([1.0, 2])
    with pytest.raises(ew.UsageError, match=r'no probabilities: take of="score"'):
        metric(of="probability")(game, given(game, [1, 2]))
    with pytest.raises(ew.UsageError, match="Did you mean probability"):
        metric(of="probabilty")
    with pytest.raises(ew.UsageError, match="steps must be a whole number above 0"):
        metric(steps=0)
    with pytest.raises(ew.UsageError, match="seed must be a whole number 0 or more"):
        metric(seed=-1)


def test_a_model_without_an_answer_is_told(rows, tone):
    class Cracks(rows):
        def forward(self, x):
            return super().forward(x) / (x.amax((1, 2, 3)) > 0)[:, None]  # 0 / 0 at silence

    classifier = ew.Classifier(Cracks([(7, 21), (21, 35)]), ew.LogSTFT(8000, 256, 64), ["low", "high"]).eval()
    question = ew.ask(classifier, tone()[0], ew.Grid(2, 2), "low")
    for of in ("score", "probability"):
        with pytest.raises(ew.ModelError, match="NaN or infinity"):
            Deletion(of=of)(question, given(question, np.ones((2, 2))))
