"""Faithfulness, truth, complexity and axioms against Quantus 0.6.0 and captum: one bin, one component; what goes becomes 0.

Where both define the same, they agree to rounding. Where they don't, the test says who is right, by a slow replica of the
formula. For stability see test_stability_references.py.

Not compared, because one side has no such experiment:
- theirs: Monotonicity, MonotonicityCorrelation, FaithfulnessEstimate, IROF, ROAD, Continuity, Consistency, Focus; their
  Sufficiency asks whether equal explanations go with equal labels, ours whether the best components are enough.
- ours: Insertion, SymmetricRelevanceGain, Comprehensiveness, Sufficiency, MuFidelity, FlipTest, ImportantAgainstRandom,
  FidelityToInput, FaithfulnessFF, AverageDrop, AverageGain, AverageIncrease, RankStability.
Not compared, because it fails:
- PointingGame(weighted=True) writes fractions into an array of booleans, and raises a TypeError.
- AttributionLocalisation(weighted=True) takes for the size of a picture that of all but the first two clips of the batch.
- The baseline "black" is the least number of the clip, no black where features have both signs. Here it is 0.
They refuse maps whose values are all equal, or all below 0; ours score them.
"""

import warnings
from dataclasses import replace
from functools import partial
from itertools import product
from math import comb

import numpy as np
import pytest
import torch
from captum.metrics import infidelity, infidelity_perturb_func_decorator
from torch import nn

import earwitness as ew
from earwitness import metrics

pytestmark = pytest.mark.reference

CHANCE = np.random.default_rng(0)
SIGNED = CHANCE.standard_normal((8, 8))
CAUSE = np.zeros((8, 8))
CAUSE[2:5, 1:6] = 1
ROUNDING = 1e-5  # of float32 networks, asked in other batches


@pytest.fixture
def quantus():
    return pytest.importorskip("quantus")


@pytest.fixture
def asked():
    """`asked(network, components)`: about label "b" of 8 x 8 made features, none of them 0."""

    def make(network=None, components=None, x=None):
        curved = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 3))
        classifier = ew.Classifier(network or curved, None, ["a", "b", "c"]).eval()
        x = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(1)) if x is None else x
        return ew.ask(classifier, x, components or ew.Bins(baseline="zero"), "b", truth=None)

    return make


def linear(weights):
    """A network whose logit "b" is the sum of weights `[8, 8]` times features."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, bias=False))
    with torch.no_grad():
        network[1].weight.zero_()
        network[1].weight[1] = torch.as_tensor(weights, dtype=torch.float32).flatten()
    return network


def theirs(metric, question, values, *, x=None, plain=True, **options):
    """What a metric of Quantus says of a map `[8, 8]`. plain: of the numbers as they are, which isn't its default."""
    x = question.x[None] if x is None else x
    own = {"disable_warnings": True, **({"abs": False, "normalise": False} if plain else {})}
    made = metric.func(**own, **metric.keywords) if hasattr(metric, "func") else metric(**own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = {"softmax": False, "device": "cpu", **options}
        maps = np.array(values, dtype=float).reshape(len(x), 1, 8, 8)
        return made(question.classifier.network, x.numpy(), np.ones(len(x), int), maps, **given)


def scored(metric, question, values, kind="effect"):
    """Our score of a map `[8, 8]`, summed over the components."""
    values = values if question.shape == (8, 8) else np.asarray(values)[None]
    return metric(question, ew.Explanation.of(question, values, kind))


def with_cause(question, cause=CAUSE):
    return replace(question, truth=(cause, question.axes))


def given_to(question, metric, values):
    """The score, and all inputs `[B, 1, 8, 8]` that the network was given for it."""
    explanation, rows = ew.Explanation.of(question, values, "effect"), []
    hook = question.classifier.network.register_forward_pre_hook(lambda _, given: rows.append(given[0].clone()))
    score = metric(question, explanation)
    hook.remove()
    return score, torch.cat(rows)


def test_sparseness(asked, quantus):
    """They add 1e-7 to values relative to the largest, which says no more than equal values do: the rest is the same number."""
    question, sizes = asked(), np.abs(SIGNED) / np.abs(SIGNED).max()
    (said,) = theirs(quantus.Sparseness, question, SIGNED, plain=False)
    ours = scored(metrics.Sparseness(), question, SIGNED)
    assert said == pytest.approx(ours * sizes.sum() / (sizes.sum() + 64e-7), abs=1e-14)


def test_complexity(asked, quantus):
    """They take ln(P + 1e-12), at most 64e-12 off, and refuse a map of zeros, which for us is as one of equal values."""
    question, few = asked(), SIGNED * (SIGNED > 1)
    for values in (SIGNED, few):
        (said,) = theirs(quantus.Complexity, question, values, plain=False)
        assert said == pytest.approx(scored(metrics.Complexity(), question, values), abs=65e-12)
    with pytest.raises(AssertionError, match="all equal to zero"):
        theirs(quantus.Complexity, question, 0 * SIGNED, plain=False)
    assert scored(metrics.Complexity(), question, 0 * SIGNED) == pytest.approx(np.log(64))


def test_effective_complexity(asked, quantus):
    """The paper counts what the model needs, up to a tolerance; they count what isn't 0, and say the same for any model."""
    values = np.zeros((8, 8))
    values[3, :5] = 5, -4, 3, -2, 1
    question = asked(linear(values), x=torch.ones(1, 8, 8))
    assert theirs(quantus.EffectiveComplexity, question, values, plain=False) == [5]
    assert 64 * scored(metrics.EffectiveComplexity(0.01), question, values) == 5
    for network in (linear(values), linear(values * (values > 4))):  # the second listens to one bin alone
        question, falls = asked(network, x=torch.ones(1, 8, 8)), []
        for k in range(65):  # slowly: the best k alone
            best = np.zeros(64)
            best[np.argsort(-np.abs(values), axis=None, kind="stable")[:k]] = 1
            falls.append(float(question.value(question.ones) - question.value(best.reshape(1, 8, 8))))
        near = np.abs(falls) <= 0.4 * abs(falls[0])
        needed = min(k for k in range(65) if near[k:].all())
        assert 64 * scored(metrics.EffectiveComplexity(0.4), question, values) == needed
        assert theirs(quantus.EffectiveComplexity, question, values, plain=False) == [5]
    assert needed == 1


@pytest.mark.parametrize("seed", range(5))
def test_truth(asked, quantus, seed):
    """No two values equal: the same hits, ranks, mass above 0, and ROC area."""
    question, values = with_cause(asked()), np.random.default_rng(seed).standard_normal((8, 8)) + CAUSE
    pairs = [
        (metrics.PointingGame(), quantus.PointingGame),
        (metrics.RankAccuracy(), quantus.RelevanceRankAccuracy),
        (metrics.RankAccuracy(), partial(quantus.TopKIntersection, k=15)),
        (metrics.MassAccuracy(), partial(quantus.AttributionLocalisation, positive_attributions=True)),
        (metrics.ROCArea(), quantus.AUC),
    ]
    for ours, other in pairs:
        (said,) = theirs(other, question, values, s_batch=CAUSE[None, None])
        assert float(said) == pytest.approx(scored(ours, question, values), abs=1e-9), ours
    (said,) = theirs(quantus.RelevanceMassAccuracy, question, np.abs(values), s_batch=CAUSE[None, None])
    assert said == pytest.approx(scored(metrics.MassAccuracy(), question, np.abs(values)), abs=1e-12)
    (said,) = theirs(partial(quantus.TopKIntersection, k=10), question, values, s_batch=CAUSE[None, None])
    union = 10 * said / (10 + 15 - 10 * said)
    assert scored(metrics.IntersectionOverUnion(share=10 / 64), question, values) == pytest.approx(union)


def test_mass_of_values_of_both_signs(asked, quantus):
    """Arras et al. pool relevance to numbers above 0 first; without that theirs is no share: 3 / (3 - 2) = 3 of the whole."""
    question, values = with_cause(asked()), np.zeros((8, 8))
    values[2, 2], values[7, 7] = 3, -2
    assert theirs(quantus.RelevanceMassAccuracy, question, values, s_batch=CAUSE[None, None]) == pytest.approx([3])
    assert scored(metrics.MassAccuracy(), question, values) == 1


def test_equal_values(asked, quantus):
    """32 bins share the largest value, a quarter of them in the cause. Slowly: the order among them is drawn by lot, many times.
    Theirs takes it from the array, so it depends on where the cause lies, and any largest value in the cause is a hit."""
    values, rng, said = np.repeat([[2.0] * 4 + [1.0] * 4], 8, axis=0), np.random.default_rng(0), []
    first = np.arange(64).reshape(8, 8) < 16
    for cause in (first, first[::-1]):
        question, inside = with_cause(asked(), cause.astype(float)), cause.ravel()
        orders = [np.lexsort((rng.permutation(64), -values.ravel())) for _ in range(4000)]
        for metric, k in ((metrics.PointingGame(), 1), (metrics.RankAccuracy(), 16)):
            hits = [inside[order[:k]].mean() for order in orders]
            error = np.std(hits) / np.sqrt(len(hits))
            assert scored(metric, question, values) == pytest.approx(np.mean(hits), abs=4 * error)
        given = {"s_batch": cause[None, None].astype(float)}
        said.append(float(theirs(quantus.RelevanceRankAccuracy, question, values, **given)[0]))
        assert list(theirs(quantus.PointingGame, question, values, **given)) == [True]
        assert theirs(quantus.AUC, question, values, **given) == pytest.approx([0.5])
        assert scored(metrics.ROCArea(), question, values) == pytest.approx(0.5)
    assert abs(said[0] - said[1]) > 0.1


@pytest.mark.parametrize("of", ["score", "probability"])
@pytest.mark.parametrize("step", [1, 4])
def test_pixel_flipping(asked, quantus, of, step):
    """The same curve; theirs lacks its first point, the clip itself."""
    question, options = asked(), {"features_in_step": step, "perturb_baseline": 0.0}
    (said,) = theirs(partial(quantus.PixelFlipping, **options), question, SIGNED, softmax=of == "probability")
    ours = scored(metrics.Deletion(64 // step, of), question, SIGNED).values
    np.testing.assert_allclose(ours[1:], said, atol=ROUNDING)
    if step == 1:
        np.testing.assert_allclose(scored(metrics.RegionPerturbation(64, of=of), question, SIGNED).values, ours)


def test_area_of_pixel_flipping(asked, quantus, monkeypatch):
    """Theirs calls a function that numpy 2.4 took away. Given back: steps are 1 wide, and the first of them is missing."""
    question = asked()
    area = partial(quantus.PixelFlipping, perturb_baseline=0.0, return_auc_per_sample=True)
    if not hasattr(np, "trapz"):
        with pytest.raises(AttributeError, match="trapz"):
            theirs(area, question, SIGNED)
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)
    (said,) = theirs(area, question, SIGNED)
    ours = scored(metrics.Deletion(), question, SIGNED)
    assert 64 * ours == pytest.approx(said + ours.values[:2].mean(), rel=ROUNDING)


@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_regions(asked, quantus, order):
    """Squares of 2 x 2. Their falls are those of the paper's curve; its AOPC is their mean with the 0 at the start."""
    question = asked(components=ew.Grid(4, 4, baseline="zero"))
    options = {"patch_size": 2, "perturb_baseline": 0.0}
    (said,) = theirs(
        partial(quantus.RegionPerturbation, order=order, regions_evaluation=10, **options), question, SIGNED
    )
    ours = scored(metrics.RegionPerturbation(10, order), question, SIGNED)
    np.testing.assert_allclose(ours.values[0] - ours.values[1:], said, atol=ROUNDING)
    assert ours == pytest.approx(np.sum(said) / 11, abs=ROUNDING)
    (said,) = theirs(partial(quantus.Selectivity, **options), question, SIGNED)
    np.testing.assert_allclose(scored(metrics.Deletion(), question, SIGNED).values[1:], said, atol=ROUNDING)


@pytest.mark.parametrize("of", ["score", "probability"])
def test_faithfulness_correlation(asked, quantus, monkeypatch, of):
    """Theirs draws the sets that ours drew."""
    question = asked()
    ours, rows = given_to(question, metrics.FaithfulnessCorrelation(0.2, 100, of), SIGNED)
    drawn = iter([np.flatnonzero(row == 0) for row in rows[1:].flatten(1).numpy()])
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(drawn))
    made = partial(
        quantus.FaithfulnessCorrelation, subset_size=13, nr_runs=100, perturb_baseline=0.0, return_aggregate=False
    )
    (said,) = theirs(made, question, SIGNED, softmax=of == "probability")
    assert next(drawn, None) is None
    assert said == pytest.approx(ours, abs=10 * ROUNDING)


def test_sensitivity_n(asked, quantus):
    """For a linear model the exact effects reach 1 for every n (Ancona et al.). Theirs correlates, over the clips of a batch, the
    value of the n-th bin with the fall of n bins: less than 1 here, and of one clip nothing.

    https://github.com/understandable-machine-intelligence-lab/Quantus/issues/354
    """
    weights, rng = SIGNED, np.random.default_rng(0)
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    question = asked(linear(weights), x=x[0])
    effects = weights * x.numpy()
    for n in (1, 5, 30):  # slowly
        sets = [rng.choice(64, n, replace=False) for _ in range(50)]
        without = [np.where(np.isin(np.arange(64), r).reshape(8, 8), 0, x[0, 0]) for r in sets]
        falls = [float((weights * (x[0, 0].numpy() - other)).sum()) for other in without]
        sums = [effects[0].ravel()[r].sum() for r in sets]
        assert np.corrcoef(sums, falls)[0, 1] == pytest.approx(1)
    np.testing.assert_allclose(scored(metrics.SensitivityN(), question, effects[0, 0]).values, 1, atol=ROUNDING)
    made = partial(quantus.SensitivityN, n_max_percentage=0.8, perturb_baseline=0.0, return_aggregate=False)
    said = np.array(theirs(made, question, effects, x=x))
    order = np.argsort(-effects.reshape(5, 64), axis=1)
    steps = np.take_along_axis(effects.reshape(5, 64), order, 1)
    replica = [np.corrcoef(steps[:, n], steps.cumsum(1)[:, n])[0, 1] for n in range(51)]
    np.testing.assert_allclose(said, replica, atol=1e-4)
    assert np.mean(said) < 0.9
    with pytest.raises(ValueError):
        theirs(made, question, effects[0])


@pytest.mark.parametrize("scaled", [False, True])
def test_infidelity(asked, scaled):
    """captum asks about the clips that ours asked about; its perturbation is, with the inputs divided out, the set that went."""
    question = asked()
    for values in (SIGNED, -SIGNED, 0.1 * SIGNED + 0.02):
        ours, rows = given_to(question, metrics.Infidelity(100, relative=False, scaled=scaled), values)
        same = infidelity_perturb_func_decorator(True)(lambda *_, rows=rows: rows[1:])
        x, maps = question.x[None], torch.tensor(values, dtype=torch.float32)[None, None]
        options = {"n_perturb_samples": 100, "normalize": scaled, "target": 1}
        said = float(infidelity(question.classifier.network, same, x, maps, 0 * x, **options))
        logits, removed = question.answers(rows)[:, 1].detach().double().numpy(), rows[1:] == 0
        falls, sums = logits[0] - logits[1:], removed.flatten(1).double().numpy() @ values.ravel()
        if scaled and sums @ falls < 0:  # the map points the other way: captum turns it round, by a factor below 0
            slowly = [np.mean((factor * sums - falls) ** 2) for factor in np.linspace(0, 5, 101)]
            assert ours == pytest.approx(min(slowly), rel=ROUNDING)
            assert said < 0.99 * ours
        else:
            assert ours == pytest.approx(said, rel=1e-4)


def test_infidelity_over_sets(asked, quantus):
    """The paper's is a mean over random sets: ours is, within 4 standard errors. Theirs removes one patch after the other, in the
    order of reading, and keeps all of them away: 4 sets for 4 patches, however many samples it is asked for."""
    question = asked(components=ew.Grid(2, 2, baseline="zero"))
    x, flat = question.x, question.collect(torch.tensor(SIGNED)[None]).numpy().ravel()

    def error(gone):
        kept = torch.tensor([[0.0 if k in gone else 1.0 for k in range(4)]]).reshape(1, 2, 2)
        return float(flat[list(gone)].sum() - (question.value(question.ones) - question.value(kept))) ** 2

    sets = [[k for k in range(4) if chosen[k]] for chosen in product((0, 1), repeat=4) if any(chosen)]
    odds = np.array([1 / 4 / comb(4, len(r)) for r in sets])  # the size first, then its members
    errors = np.array([error(r) for r in sets])
    exact, spread = odds @ errors, np.sqrt(odds @ errors**2 - (odds @ errors) ** 2)
    ours = scored(metrics.Infidelity(2000, relative=False), question, SIGNED)
    assert ours == pytest.approx(exact, abs=4 * spread / np.sqrt(2000))
    slopes = SIGNED / x[0].numpy()  # theirs multiplies by what goes
    for samples in (1, 7):
        made = partial(quantus.Infidelity, perturb_patch_sizes=[4], n_perturb_samples=samples, perturb_baseline=0.0)
        assert theirs(made, question, slopes) == pytest.approx(
            [np.mean([error(range(k)) for k in (1, 2, 3, 4)])], rel=1e-4
        )
    assert abs(np.mean([error(range(k)) for k in (1, 2, 3, 4)]) - exact) > 8 * spread / np.sqrt(2000)
    with pytest.raises(ValueError):  # patches that do not fit are meant to be padded
        theirs(partial(quantus.Infidelity, perturb_patch_sizes=[3], perturb_baseline=0.0), question, slopes)


def test_completeness(asked, quantus):
    """Theirs asks for equal bits, of maps divided by their largest value unless told not to: shares that add up fail both."""
    whole, made = np.arange(64.0).reshape(8, 8) - 20, partial(quantus.Completeness, perturb_baseline=0.0)
    question = asked(linear(whole), x=torch.ones(1, 8, 8))
    assert list(theirs(made, question, whole)) == [True]
    assert scored(metrics.Completeness(), question, whole, "share") == 0
    assert list(theirs(made, question, whole, plain=False)) == [False]
    question = asked(linear(SIGNED))
    shares = SIGNED * question.x[0].double().numpy()
    assert list(theirs(made, question, shares)) == [False]
    assert scored(metrics.Completeness(), question, shares, "share") < ROUNDING
    assert scored(metrics.Completeness(), question, 1.5 * shares, "share") == pytest.approx(0.5, abs=ROUNDING)


def test_non_sensitivity(asked, quantus):
    """The same mistakes. Theirs counts as no change what is below 1e-5, whatever the unit of the score: in a unit a million times
    as large, nothing matters to it."""
    weights, values = SIGNED.copy(), SIGNED.copy()
    weights[:3], values[2:5] = 0, 0  # two rows are invented, one is zero by both, two are missed
    for unit, counted in ((1.0, 32), (1e-6, 40)):
        question = asked(linear(unit * weights), x=torch.ones(1, 8, 8))
        ours = scored(metrics.NonSensitivity(1e-3), question, values)
        assert ours.parts == {"missed": 16 / 64, "invented": 16 / 64}
        made = partial(quantus.NonSensitivity, perturb_baseline=0.0)
        assert list(theirs(made, question, np.abs(values))) == [counted]
