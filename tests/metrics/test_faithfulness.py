"""What scores have to do with values: closed forms on games, slow replicas on the very masks that a metric asked about."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import stats

import earwitness as ew
from earwitness.metrics import (
    Comprehensiveness,
    Deletion,
    FaithfulnessCorrelation,
    ImportantAgainstRandom,
    Infidelity,
    Insertion,
    MuFidelity,
    RegionPerturbation,
    SensitivityN,
    Sufficiency,
    SymmetricRelevanceGain,
)
from earwitness.questions import counting

RNG = np.random.default_rng(11)
AREAS = (Deletion, Insertion)
IMPORTANT = ImportantAgainstRandom(of="score")


def additive(weights, batch=1024):
    w = torch.as_tensor(np.asarray(weights), dtype=torch.float64)
    return ew.Game(tuple(w.shape), lambda m: 1 + (m.double() * w).flatten(1).sum(1), batch=batch)


def wild(shape, asked=None):
    """A game with interactions of every order, which writes down the masks that it is asked about."""
    w = torch.as_tensor(np.random.default_rng(3).standard_normal(int(np.prod(shape))))

    def function(m):
        flat = m.flatten(1).double()
        if asked is not None:
            asked.extend(m.numpy())
        return torch.sin(flat @ w) + (flat @ w.flip(0)) ** 2

    return ew.Game(shape, function)


def given(question, values, kind="effect", **known):
    return ew.Explanation.of(question, np.asarray(values, float), kind=kind, score=0.0, baseline=0.0, **known)


# areas beside those of random orders


@pytest.mark.parametrize("metric", AREAS)
def test_an_area_beside_random_orders_in_closed_form(metric):
    """Two components, both orders equally likely: with weights 3 and 1 the areas are 1 + 3/4 + 3/4 or 1 + 9/4 + 1/4."""
    game = additive([3.0, 1.0])
    plain, found = metric()(game, given(game, [2, 1])), metric(random=400)(game, given(game, [2, 1]))
    assert plain == found.parts["area"] == {Deletion: 2.5, Insertion: 3.5}[metric]
    assert found.parts["random"] == pytest.approx(3.0, abs=3 * 0.5 / 20)
    assert found == pytest.approx((plain - found.parts["random"]) / 4)
    np.testing.assert_array_equal(found.values, plain.values)


@pytest.mark.parametrize("metric", AREAS)
def test_beside_random_orders_the_unit_is_gone(metric):
    """Seven times the score, and something added to it: the same number. The direction of better stays."""
    game, values = wild((3, 4)), RNG.standard_normal((3, 4))
    other = ew.Game((3, 4), lambda m: 5 + 7 * game.function(m))
    scores = [metric(random=6)(each, given(each, values)) for each in (game, other)]
    assert scores[0] == pytest.approx(scores[1])
    falling = ew.Game((3, 4), lambda m: 5 - 7 * game.function(m))
    assert metric(random=6)(falling, given(falling, values)) == pytest.approx(-scores[0])


@pytest.mark.parametrize("metric", AREAS)
def test_beside_random_orders_a_map_that_knows_nothing_scores_0(metric):
    game = wild(10)
    scores = np.array([metric(random=10, seed=seed)(game, given(game, np.zeros(10))) for seed in range(60)])
    assert abs(scores.mean()) < 3 * scores.std(ddof=1) / np.sqrt(60)
    assert scores.std() > 0.02  # the order of equal values is not one of the random orders
    plain = np.array([metric(seed=seed)(game, given(game, np.zeros(10))) for seed in range(60)])
    middle = np.mean(game.ends())
    assert abs(plain.mean() - middle) > 5 * plain.std(ddof=1) / np.sqrt(60)  # which the plain area doesn't tell


def test_what_random_orders_cost_and_where_there_is_nothing_to_measure_by():
    game = wild(10)
    with counting() as count:
        Deletion(random=4, steps=5)(game, given(game, np.arange(10)))
    assert count.evaluations == (4 + 1) * (5 + 1)
    flat = ew.Game(4, lambda m: m[:, 0] * (1 - m[:, 0]))
    with pytest.raises(ew.UsageError, match="does not change"):
        Deletion(random=2)(flat, given(flat, [1, 2, 3, 4]))
    with pytest.raises(ew.UsageError, match="random must be a whole number 0 or more"):
        Insertion(random=-1)


# symmetric relevance gain


def test_the_gain_of_an_additive_game_in_closed_form():
    w = RNG.standard_normal((3, 4))
    place = (np.arange(12) + 0.5) / 12
    found = SymmetricRelevanceGain()(additive(w), given(additive(w), w))
    assert found == pytest.approx(np.sort(w.ravel())[::-1] @ (1 - 2 * place))
    reverse = SymmetricRelevanceGain()(additive(w), given(additive(w), -w))
    assert reverse == pytest.approx(-found)


def test_the_gain_is_the_difference_of_the_two_areas():
    game, values = wild((4, 5)), RNG.standard_normal((4, 5))
    explanation = given(game, values)
    with counting() as count:
        found = SymmetricRelevanceGain(steps=7)(game, explanation)
    up, down = Insertion(steps=7)(game, explanation), Deletion(steps=7)(game, explanation)
    assert count.evaluations == 2 * 8
    assert (found, found.parts) == (up - down, {"insertion": up, "deletion": down})
    np.testing.assert_allclose(found.values, up.values - down.values)
    np.testing.assert_array_equal(found.shares, up.shares)


def test_what_random_orders_do_cancels():
    """Over all 120 orders the gain is 0 exactly, and neither area is the mean of the ends."""
    game = wild(5)
    explanations = [given(game, order) for order in permutations(range(5))]
    assert np.mean([SymmetricRelevanceGain()(game, each) for each in explanations]) == pytest.approx(0, abs=1e-12)
    for metric in AREAS:
        assert abs(np.mean([metric()(game, each) for each in explanations]) - np.mean(game.ends())) > 0.02


# comprehensiveness and sufficiency


def test_rationales_of_an_additive_game_in_closed_form():
    """The fall is the sum of what goes: the best k, or all others."""
    w = RNG.standard_normal((5, 8))
    best = np.cumsum(np.sort(w.ravel())[::-1])[np.array([1, 2, 4, 8, 20]) - 1]  # 1 % of 40 is one
    explanation = given(additive(w), w)
    needed, enough = Comprehensiveness()(additive(w), explanation), Sufficiency()(additive(w), explanation)
    assert needed == pytest.approx(best.mean())
    assert enough == pytest.approx(w.sum() - best.mean())
    np.testing.assert_allclose(needed.values, 1 + w.sum() - best)
    np.testing.assert_allclose(enough.values, 1 + best)
    np.testing.assert_allclose(needed.shares, [1 / 40, 0.05, 0.1, 0.2, 0.5])


@pytest.mark.parametrize("members", [[0], [2, 5], [1, 3, 4]])
def test_rationales_of_a_conjunction(members):
    """What is needed falls at once; what is enough is there when all members are."""
    game = ew.Game(10, lambda m: m[:, members].prod(1))
    right = given(game, np.isin(np.arange(10), members))
    shares = (0.1, 0.2, 0.3, 0.4)
    assert Comprehensiveness(shares)(game, right) == 1
    assert Sufficiency(shares)(game, right) == (len(members) - 1) / 4


@pytest.mark.parametrize("metric", [Comprehensiveness, Sufficiency])
def test_what_rationales_cost_and_refuse(metric):
    game = wild(10)
    with counting() as count:
        metric(shares=[0.2, 1])(game, given(game, np.arange(10)))
    assert count.evaluations == 3
    assert metric(shares=[0.2, 1]) == metric(shares=(0.2, 1))
    for shares in ((), (0.0,), (0.1, 1.5), (float("nan"),), (None,)):
        with pytest.raises(ew.UsageError, match="shares"):
            metric(shares=shares)
    with pytest.raises(ew.UsageError, match="Did you mean probability"):
        metric(of="probabilty")


# infidelity


def test_infidelity_of_an_additive_game_in_closed_form():
    """Values c w: (c - 1)^2 of the mean squared fall; importances may have any unit."""
    w = RNG.standard_normal((3, 4))
    game = additive(w)

    def score(c, kind="effect", **options):
        return Infidelity(**options)(game, given(game, c * w, kind=kind))

    assert score(1) < 1e-25
    np.testing.assert_allclose([score(0), score(-1), score(3)], [1, 4, 4])
    np.testing.assert_allclose([score(3, relative=False) / score(0, relative=False)], 4)
    assert [score(c, kind="importance") < 1e-25 for c in (0.01, 1, 500)] == [True] * 3
    assert score(-1, kind="importance") == 1  # no factor below 0 is allowed
    found = Infidelity()(game, given(game, w / 8, kind="mask"))
    assert found.parts["scale"] == pytest.approx(8)


def test_infidelity_beside_that_of_a_flat_map():
    """A map of ones, scaled to fit; and effects are scaled where that is asked for."""
    game, values = wild((3, 4)), RNG.standard_normal((3, 4)) ** 2
    flat = Infidelity()(game, given(game, np.ones((3, 4)), "importance"))
    found = {kind: Infidelity()(game, given(game, values, kind)) for kind in ("importance", "effect")}
    assert flat == pytest.approx(found["importance"].parts["flat"]) == pytest.approx(found["effect"].parts["flat"])
    assert found["importance"] < found["effect"]
    assert Infidelity(scaled=True)(game, given(game, values)) == found["importance"]
    equal = additive(np.full(6, 0.3))
    assert Infidelity()(equal, given(equal, np.arange(6))).parts["flat"] < 1e-25


def test_the_mean_squared_fall_in_closed_form():
    """Of a sum of equal components the fall is the set's size: its mean square over 1 to n is (n + 1)(2 n + 1) / 6."""
    game = additive(np.ones(9))
    found = Infidelity(subsets=20000, relative=False)(game, given(game, np.zeros(9)))
    assert found == pytest.approx(10 * 19 / 6, abs=3 * 26.9 / np.sqrt(20000))


@pytest.mark.parametrize("kind", ["share", "effect", "importance", "mask"])
@pytest.mark.parametrize("relative", [True, False])
def test_infidelity_again_from_its_formula(kind, relative):
    asked = []
    game, values = wild((3, 4), asked), RNG.random((3, 4)) * 0.3
    found = Infidelity(subsets=60, relative=relative, seed=5)(game, given(game, values, kind=kind))
    whole_clip, *masks = asked
    assert (whole_clip == 1).all() and len(masks) == 60
    score = lambda mask: float(game.value(mask[None])[0])  # noqa: E731
    sums, drops = [], []
    for mask in list(masks):
        sums.append(sum(values[i] for i in np.ndindex(3, 4) if mask[i] == 0))
        drops.append(score(whole_clip) - score(mask))
    factor = 1.0
    if kind in ("importance", "mask"):
        tried = np.linspace(0, 20, 20001)
        factor = tried[np.argmin([np.mean((a * np.array(sums) - drops) ** 2) for a in tried])]
    errors = [(factor * a - b) ** 2 for a, b in zip(sums, drops, strict=True)]
    expected = np.mean(errors) / (np.mean(np.square(drops)) if relative else 1)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found.parts["scale"] == pytest.approx(factor, abs=1e-3)


def test_the_sets_of_infidelity():
    """Each size from 1 to all is as likely as any other, and so is each member."""
    asked = []
    game = wild(8, asked)
    Infidelity(subsets=8000)(game, given(game, np.ones(8)))
    sets = 1 - np.array(asked[1:])
    sizes = np.bincount(sets.sum(1).astype(int), minlength=9)
    assert sizes[0] == 0
    assert np.abs(sizes[1:] - 1000).max() < 4 * np.sqrt(1000 * 7 / 8)
    assert np.abs(sets.mean(0) - 9 / 16).max() < 4 * 0.5 / np.sqrt(8000)


# mu-fidelity


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_mu_fidelity_of_an_additive_game(share):
    w = RNG.standard_normal((3, 4))
    game = additive(w)
    scores = [MuFidelity(share)(game, given(game, values)) for values in (w, 2 * w + 5, -w, 0 * w + 0.1)]
    np.testing.assert_allclose(scores, [1, 1, -1, 0], atol=1e-12)


def test_mu_fidelity_again_from_its_formula():
    asked = []
    game, values = wild((4, 5), asked), RNG.standard_normal((4, 5))
    with counting() as count:
        found = MuFidelity(subsets=80, seed=3)(game, given(game, values))
    assert count.evaluations == len(asked) == 81
    masks = np.array(asked[1:])
    assert ((masks == 0).sum((1, 2)) == 4).all()
    drops = [float(game.value(game.ones)[0] - game.value(mask[None])[0]) for mask in masks]
    sums = [values[mask == 0].sum() for mask in masks]
    assert abs(found) > 0.05
    assert found == pytest.approx(stats.spearmanr(sums, drops).statistic, abs=1e-9)


def test_mu_fidelity_of_random_maps_is_0_on_average():
    """Also where every component argues for the target: sets are of one size."""
    game = additive(RNG.random(20) + 0.5)
    scores = np.array([MuFidelity(subsets=40)(game, ew.Random(seed)(game)) for seed in range(100)])
    assert abs(scores.mean()) < 3 * scores.std(ddof=1) / np.sqrt(100)


def test_where_the_score_does_not_change_nothing_is_measured():
    flat = ew.Game(6, lambda m: 2 + 0 * m.sum(1))
    for metric in (Infidelity(), MuFidelity()):
        with pytest.raises(ew.UsageError, match="does not change"):
            metric(flat, given(flat, np.arange(6)))
    assert Infidelity(relative=False)(flat, given(flat, np.zeros(6))) == 0


# correlations of numbers


@pytest.mark.parametrize("metric", [FaithfulnessCorrelation(), SensitivityN()])
def test_correlations_of_an_additive_game(metric):
    w = RNG.standard_normal((4, 6))
    game = additive(w)
    scores = [metric(game, given(game, values)) for values in (w, 2 * w + 5, -w, 0 * w + 0.1)]
    np.testing.assert_allclose(scores, [1, 1, -1, 0], atol=1e-12)
    bent = metric(game, given(game, w**3))
    assert 0.3 < bent < 0.98  # right in order, not in size


def test_correlations_again_from_their_formula():
    """One size, or several: 0.02, 0.05 and 0.1 of 20 are 1, 1 and 2."""
    asked, values = [], RNG.standard_normal((4, 5))
    game = wild((4, 5), asked)

    def again(start, stop, size):
        masks = np.array(asked[start:stop])
        assert (masks[0] == 1).all() and ((masks[1:] == 0).sum((1, 2)) == size).all()
        drops = [
            float(game.function(torch.tensor(masks[:1])) - game.function(torch.tensor(m[None]))) for m in masks[1:]
        ]
        return stats.pearsonr([values[m == 0].sum() for m in masks[1:]], drops).statistic

    found = FaithfulnessCorrelation(share=0.3, subsets=70)(game, given(game, values))
    assert len(asked) == 71
    assert found == pytest.approx(again(0, 71, 6), abs=1e-9)
    asked.clear()
    found = SensitivityN(subsets=50)(game, given(game, values))
    assert len(asked) == 5 * 51
    expected = [again(51 * i, 51 * (i + 1), size) for i, size in enumerate((1, 2, 4, 8, 16))]
    np.testing.assert_allclose(found.values, expected, atol=1e-9)
    np.testing.assert_allclose(found.shares, [0.05, 0.1, 0.2, 0.4, 0.8])
    assert found == pytest.approx(np.mean(expected))


def test_sizes_whose_sets_the_score_does_not_tell_apart_count_0():
    """A component that counts only where two or more others are gone: it gives nothing away as long as one goes."""
    game = ew.Game(10, lambda m: m[:, 0] * (m.sum(1) < 9))
    found = SensitivityN((0.1, 0.5))(game, given(game, np.arange(10) == 0))
    np.testing.assert_allclose(found.values, [0, 1])
    for sizes in ((1.0,), ()):
        with pytest.raises(ew.UsageError, match="leave no sets to compare"):
            SensitivityN(sizes)(game, given(game, np.arange(10)))


# region perturbation


@pytest.mark.parametrize("steps", [None, 1, 5, 99])
def test_region_perturbation_of_an_additive_game(steps):
    """After k steps the fall is the sum of the k largest; step 0, whose fall is 0, counts as well."""
    w = RNG.standard_normal((3, 4))
    game, L = additive(w), min(steps or 12, 12)
    largest, smallest = np.cumsum(np.sort(w.ravel())[::-1])[:L], np.cumsum(np.sort(w.ravel()))[:L]
    with counting() as count:
        found = RegionPerturbation(steps)(game, given(game, w))
    assert count.evaluations == L + 1
    assert found == pytest.approx(largest.sum() / (L + 1))
    np.testing.assert_allclose(found.values, 1 + w.sum() - np.append(0, largest))
    np.testing.assert_allclose(found.shares, np.arange(L + 1) / 12)
    lerf = RegionPerturbation(steps, order="lerf")
    assert lerf(game, given(game, w)) == pytest.approx(smallest.sum() / (L + 1))
    assert (lerf.better, RegionPerturbation(steps).better) == ("lower", "higher")


def test_region_perturbation_takes_100_steps_at_most():
    game = additive(np.ones(130))
    assert len(RegionPerturbation()(game, given(game, np.ones(130))).values) == 101
    assert len(RegionPerturbation(120)(game, given(game, np.ones(130))).values) == 121
    with pytest.raises(ew.UsageError, match="Did you mean morf"):
        RegionPerturbation(order="mrof")


# important against random


@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 3, 4)])
def test_all_shifts_of_an_additive_game_in_closed_form(shape):
    """Over all shifts each component is hit equally often; the set's own place is left out."""
    w = RNG.standard_normal(shape)
    n, k = w.size, round(0.3 * w.size)
    top = np.sort(w.ravel())[-k:].sum()
    others = (k * w.sum() - top) / (n - 1)
    found = ImportantAgainstRandom(share=0.3, of="score", draws=n)(additive(w), given(additive(w), w))
    assert found == pytest.approx(top - others)
    expected = {"score_drop_important": top, "score_drop_random": others, "p": 1 / n}
    assert found.parts == pytest.approx(expected)
    scattered = ImportantAgainstRandom(share=0.3, regions="scattered", of="score", draws=4000)
    found = scattered(additive(w), given(additive(w), w))
    error = np.sqrt(k * (1 - k / n) * w.var(ddof=1) / 4000)
    assert found.parts["score_drop_random"] == pytest.approx(k * w.mean(), abs=4 * error)


@pytest.mark.parametrize("values", [np.zeros((4, 6)), RNG.standard_normal((4, 6)), np.eye(4, 6)])
def test_regions_are_as_many_and_of_the_same_shape(values):
    asked = []
    game = wild((4, 6), asked)
    found = ImportantAgainstRandom(of="score", draws=15)(game, given(game, values))
    clip, first, *others = (1 - np.array(asked)).astype(int)
    assert len(others) == len({each.tobytes() for each in others}) == 15
    assert (clip.sum(), first.sum()) == (0, 5)  # exactly 0.2 of 24, also of equal values
    assert values[first == 1].min() >= values[first == 0].max()
    rolled = [np.roll(first, (a, b), (0, 1)) for a in range(4) for b in range(6) if (a, b) != (0, 0)]
    assert all(any((each == other).all() for other in rolled) for each in others)
    drops = (game.value(game.ones) - game.value(1.0 - np.array([first, *others]))).numpy()
    assert found == pytest.approx(drops[0] - drops[1:].mean())
    assert found.parts["p"] == (1 + (drops[1:] >= drops[0]).sum()) / 16


def test_scattered_regions_are_as_many():
    asked = []
    game = wild((4, 6), asked)
    with counting() as count:
        ImportantAgainstRandom(of="score", regions="scattered", draws=300)(
            game, given(game, np.arange(24).reshape(4, 6))
        )
    assert count.evaluations == 302
    regions = 1 - np.array(asked[2:])
    assert (regions.sum((1, 2)) == 5).all()
    assert np.abs(regions.mean(0) - 5 / 24).max() < 4 * np.sqrt(5 / 24 * 19 / 24 / 300)


def test_shifts_that_are_no_better_count_against_the_best():
    """The upper row of two: seven shifts around it find itself, eight the lower row or a copy of it."""
    w = np.repeat([[1.0], [0.0]], 8, 1)
    found = ImportantAgainstRandom(share=0.5, of="score", draws=50)(additive(w), given(additive(w), w))
    assert found.parts == {"score_drop_important": 8, "score_drop_random": 7 * 8 / 15, "p": 8 / 16}


def test_p_values_of_a_map_that_knows_nothing_are_uniform():
    """0.05 of them are 0.05 or less, and so on."""
    game = wild((5, 8))
    p = [IMPORTANT(game, ew.Random(seed)(game)).parts["p"] for seed in range(200)]
    for level in (0.1, 0.3, 0.6):
        assert abs(np.mean(np.array(p) <= level) - level) < 4 * np.sqrt(level * (1 - level) / 200)


def test_what_important_against_random_refuses():
    with pytest.raises(ew.UsageError, match="of 1 components are all of them"):
        IMPORTANT(additive([1.0]), given(additive([1.0]), [1]))
    with pytest.raises(ew.UsageError, match="Did you mean shifted"):
        ImportantAgainstRandom(regions="shited")
    with pytest.raises(ew.UsageError, match="draws must be"):
        ImportantAgainstRandom(draws=0)
    for share in (0, 1.5, -1, float("nan"), "half"):
        with pytest.raises(ew.UsageError, match="share"):
            ImportantAgainstRandom(share=share)
        with pytest.raises(ew.UsageError, match="share"):
            MuFidelity(share=share)


# all of them


@pytest.mark.parametrize(
    "metric",
    [
        Deletion(),
        Deletion(random=10),
        Insertion(random=10),
        SymmetricRelevanceGain(),
        Comprehensiveness(),
        Sufficiency(),
        Infidelity(),
        MuFidelity(),
        FaithfulnessCorrelation(),
        SensitivityN(),
        RegionPerturbation(),
        RegionPerturbation(order="lerf"),
        IMPORTANT,
        ImportantAgainstRandom(of="score", regions="scattered"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["effect", "importance"])
def test_what_was_planted_beats_chance(metric, kind):
    """A few components matter, most hardly do: the truth is better than each of 20 random maps."""
    w = 0.05 * RNG.random((6, 8))
    w.flat[[3, 17, 18, 40]] = [2, 3, 1.5, 2.5]
    game = additive(w)
    right = metric(game, given(game, w, kind=kind))
    chance = [metric(game, given(game, ew.Random(seed)(game).values * w.max(), kind=kind)) for seed in range(20)]
    assert right < min(chance) if metric.better == "lower" else right > max(chance)


@pytest.mark.parametrize(
    "metric", [SymmetricRelevanceGain(), Comprehensiveness(), Sufficiency(), Infidelity(), MuFidelity(), IMPORTANT]
)
def test_the_batch_size_changes_nothing(metric):
    game, values = wild((3, 4)), RNG.standard_normal((3, 4))
    scores = []
    for batch in (1, 5, 1024):
        game.batch = batch
        scores.append(metric(game, given(game, values)))
    np.testing.assert_allclose(scores, scores[0], rtol=1e-9)


def test_metrics_without_a_score_of_a_game_say_so():
    game = additive([1.0, 2])
    for metric in (
        SymmetricRelevanceGain,
        Comprehensiveness,
        Sufficiency,
        Infidelity,
        MuFidelity,
        ImportantAgainstRandom,
    ):
        with pytest.raises(ew.UsageError, match=r'no probabilities: take of="score"'):
            metric(of="probability")(game, given(game, [1, 2]))
