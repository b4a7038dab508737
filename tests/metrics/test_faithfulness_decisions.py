"""What probabilities and decisions have to do with masks: a planted classifier in closed form, and networks mixed by hand."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import earwitness as ew
from earwitness import checks
from earwitness.metrics import (
    AverageDrop,
    AverageGain,
    AverageIncrease,
    Comprehensiveness,
    FaithfulnessFF,
    FidelityToInput,
    FlipTest,
    ImportantAgainstRandom,
    Infidelity,
    MuFidelity,
    Sufficiency,
    SymmetricRelevanceGain,
)
from earwitness.questions import counting

OF_MASKS = (AverageIncrease, AverageDrop, AverageGain, FaithfulnessFF, FidelityToInput)
ALL = (*OF_MASKS, FlipTest, ImportantAgainstRandom)
CAUSE = np.array([[0, 0, 3, 0], [0, 0, 0, 0], [0, 2.5, 0, 0], [0, 0, 0, 2.0]])
WEIGHTS = np.where(CAUSE > 0, CAUSE, -0.1)


def planted(weights=WEIGHTS, bias=-4.0, target="yes", **options):
    """A classifier of ready features that are all 1: logit "yes" is bias + sum of w m, logit "no" is 0."""

    class Sums(nn.Module):
        def forward(self, x):
            yes = bias + (x[:, 0] * torch.as_tensor(weights).to(x)).sum((1, 2))
            return torch.stack([0 * yes, yes], 1)

    classifier = ew.Classifier(Sums(), None, ["no", "yes"]).eval()
    return ew.ask(classifier, torch.ones(1, *weights.shape), ew.Grid(*weights.shape, **options), target)


def given(question, values, kind="effect", **known):
    return ew.Explanation.of(question, np.asarray(values, float), kind=kind, score=0.0, baseline=0.0, **known)


def sigmoid(score):
    return 1 / (1 + np.exp(-score))


def test_scores_of_masks_in_closed_form():
    """The best three of 16 alone: 7.5 - 4; the whole clip: less by 13 tenths; without the three: -4 and -1.3."""
    question = planted()
    right = given(question, CAUSE)
    clip, kept, left = sigmoid(np.array([7.5 - 4 - 1.3, 7.5 - 4, -4 - 1.3]))
    one = {"keep": 0.2}
    assert AverageIncrease(**one)(question, right) == 1
    assert AverageDrop(**one)(question, right) == 0
    assert AverageGain(**one)(question, right) == pytest.approx((kept - clip) / (1 - clip), rel=1e-5)
    assert FaithfulnessFF(**one)(question, right) == pytest.approx(clip - left, rel=1e-5)
    assert FaithfulnessFF(convention="mask-in", **one)(question, right) == pytest.approx(clip - kept, rel=1e-5)
    assert FidelityToInput(**one)(question, right) == 1
    wrong = given(question, np.roll(CAUSE, 1, 0))  # beside the cause
    kept, left = sigmoid(np.array([-4 - 0.3, 7.5 - 4 - 1.0]))
    assert AverageIncrease(**one)(question, wrong) == AverageGain(**one)(question, wrong) == 0
    assert AverageDrop(**one)(question, wrong) == pytest.approx((clip - kept) / clip, rel=1e-5)
    assert FaithfulnessFF(**one)(question, wrong) == pytest.approx(clip - left, rel=1e-5)
    assert FidelityToInput(**one)(question, wrong) == 0


def test_masks_are_soft_unless_told_otherwise():
    """Values of 3, 2.5 and 2 keep 1, 5/6 and 2/3 of their components; a mask is taken as it is."""
    question = planted()
    clip = sigmoid(7.5 - 4 - 1.3)
    soft = sigmoid((9 + 2.5**2 + 4) / 3 - 4)
    assert FaithfulnessFF(convention="mask-in")(question, given(question, CAUSE)) == pytest.approx(
        clip - soft, rel=1e-5
    )
    half = sigmoid((7.5 - 1.3) / 2 - 4)
    mask = given(question, np.full((4, 4), 0.5), "mask")
    assert AverageDrop()(question, mask) == pytest.approx((clip - half) / clip, rel=1e-5)
    both = [FaithfulnessFF(convention=each)(question, mask) for each in ("mask-in", "mask-out")]
    np.testing.assert_allclose(both, clip - half, rtol=1e-5)


def test_the_mask_of_everything_and_of_nothing():
    question = planted()
    clip, none = sigmoid(7.5 - 4 - 1.3), sigmoid(-4)
    expected = {
        AverageIncrease: (0, 0),
        AverageDrop: (0, (clip - none) / clip),
        AverageGain: (0, 0),
        FidelityToInput: (1, 0),
    }
    for metric, scores in expected.items():
        for fill, score in zip((1, 0), scores, strict=True):
            assert metric()(question, given(question, np.full((4, 4), fill), "mask")) == pytest.approx(score, abs=1e-6)
    assert FaithfulnessFF()(question, given(question, np.ones((4, 4)), "mask")) == pytest.approx(clip - none, rel=1e-5)


@pytest.mark.parametrize("baselines", [("silence",), ("silence", "mean", "minimum")])
def test_published_formulas_on_a_network(cnn, tone, baselines):
    """Written again with torch: every input mixed by hand, averaged over the baselines."""
    classifier = cnn(ew.LogMel(8000, 256, 64, 20, amin=1e-6), ("low", "high", "noise"))
    rng, seen = np.random.default_rng(2), set()
    for target in (None, 0, 1, 2):
        question = ew.ask(classifier, tone()[0], ew.Grid(4, 3, baseline=baselines), target)
        mask = rng.random((4, 3)).round(2)

        def p(m, question=question):
            with torch.no_grad():
                x = [question.mix(torch.as_tensor(m, dtype=torch.float32)[None], k) for k in range(len(baselines))]
                return torch.stack([classifier.network(each)[0].double().softmax(0) for each in x]).mean(0)

        p_in, p_out, p_x = p(mask), p(1 - mask), p(np.ones((4, 3)))
        c = int(p_x.argmax()) if target is None else target
        q, q_in = p_x.softmax(0)[c], p_in.softmax(0)[c]
        p_c, p_in_c, p_out_c = float(p_x[c]), float(p_in[c]), float(p_out[c])
        expected = {
            AverageIncrease(): float(p_in_c > p_c),
            AverageDrop(): max(0, p_c - p_in_c) / p_c,
            AverageDrop(softmaxes=2): float((q - q_in).clamp(min=0) / q),
            AverageGain(): max(0, p_in_c - p_c) / (1 - p_c),
            FaithfulnessFF(): p_c - p_out_c,
            FaithfulnessFF(convention="mask-in"): p_c - p_in_c,
        }
        found = [metric(question, given(question, mask, "mask")) for metric in expected]
        np.testing.assert_allclose(found, list(expected.values()), rtol=1e-4, atol=1e-6)
        seen.add(found[0])
    assert seen == {0, 1}


def test_two_softmaxes_shrink_the_drop():
    """A sure model that loses everything: 1 with one softmax, 1 - 1 / e with two, as published."""
    question = planted(100 * WEIGHTS, bias=-100.0)
    nothing = given(question, np.zeros((4, 4)), "mask")
    assert AverageDrop()(question, nothing) == pytest.approx(1)
    assert AverageDrop(softmaxes=2)(question, nothing) == pytest.approx(1 - 1 / np.e)


def test_the_better_of_the_two_conventions():
    """Mask-in is better when lower, and knows so wherever it goes."""
    out, inside = FaithfulnessFF(), FaithfulnessFF(convention="mask-in")
    twins = [copy.deepcopy(inside), pickle.loads(pickle.dumps(inside)), replace(inside, keep=0.5)]
    assert [each.better for each in (out, inside, *twins)] == ["higher", *4 * ["lower"]]
    assert (FaithfulnessFF.better, replace(inside, convention="mask-out").better) == ("higher", "higher")
    assert ew.fingerprint(out) != ew.fingerprint(inside) == ew.fingerprint(twins[0])


def test_flips_in_closed_form():
    """With a bias of -3.1 it takes 3 and 2.5 to flip, and to be enough; all but the 2 is just enough, too."""
    question = planted(bias=-3.1)
    right, wrong = given(question, CAUSE), given(question, -CAUSE)
    found = [[FlipTest(how, count=k)(question, right) for k in (1, 2, 3, 16)] for how in ("remove", "keep")]
    assert found == [[0, 1, 1, 1], [0, 1, 1, 1]]
    found = [[FlipTest(how, count=k)(question, wrong) for k in (1, 13, 14, 15, 16)] for how in ("remove", "keep")]
    assert found == [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]  # of the three, 2 goes first, and comes first
    flip = right.flip()
    assert (flip.fewest, flip.enough) == (2, 2)
    assert FlipTest(share=0.1)(question, right) == 1  # two of 16
    assert FlipTest(share=0.01)(question, right) == 0  # one


def test_decisions_are_those_of_the_mean_logits():
    """Two baselines pull to different sides; what counts is the mean of the logits."""
    question = planted(baseline=("silence", "mean"))  # the mean of ones is one: nothing ever goes there
    right = given(question, CAUSE)
    logits = [np.mean([question.logits(1.0 - top[None], k)[0, 1] for k in (0, 1)]) for top in (CAUSE > 0, CAUSE > -1)]
    assert [FlipTest(count=k)(question, right) for k in (3, 16)] == [float(each < 0) for each in logits]
    assert logits[0] == pytest.approx((-5.3 + 2.2) / 2, abs=1e-5)


def test_a_margin_is_decided_between_its_two(rows, tone):
    """The third label may be louder than both."""
    classifier = ew.Classifier(
        rows([(7, 21), (21, 35), (0, 2)]), ew.LogSTFT(8000, 256, 64), ["low", "high", "hum"]
    ).eval()
    clip = ew.Audio(tone(440.0)[0].samples + 2 * tone(20.0)[0].samples, 8000)
    question = ew.ask(classifier, clip, ew.Grid(8, 4), "low - high")
    assert int(question.clip_logits.argmax()) == 2
    effect = (question.value(question.ones) - question.value(1 - np.eye(32).reshape(-1, 8, 4))).numpy().reshape(8, 4)
    assert FidelityToInput(keep=0.25)(question, given(question, effect)) == 1
    assert FidelityToInput(keep=0.25)(question, given(question, -effect)) == 0
    with pytest.raises(ew.UsageError, match="a margin between two labels has no probability"):
        AverageDrop()(question, given(question, effect))
    other = replace(question, target="low")
    for metric in (FlipTest(), FidelityToInput()):
        with pytest.raises(ew.UsageError, match="the model says 'hum', and what is explained is 'low'"):
            metric(other, given(other, effect))


def test_a_tone_that_is_heard(listener, tone):
    """In a real spectrogram: without its band "low" becomes "high", and its band alone is "low"; the other band says "high"."""
    question = ew.ask(listener, tone()[0], ew.Grid(8, 4), "low")
    margin, without = replace(question, target="low - high"), 1 - np.eye(32).reshape(-1, 8, 4)
    effect = (margin.value(margin.ones) - margin.value(without)).numpy().reshape(8, 4)
    right, wrong = given(question, effect), given(question, -effect)
    for metric in (FlipTest(share=0.25), FlipTest("keep", share=0.25), FidelityToInput(keep=0.25)):
        assert (metric(question, right), metric(question, wrong)) == (1, 0)
    for metric in (FaithfulnessFF(keep=0.25), ImportantAgainstRandom(0.25), ImportantAgainstRandom(0.25, "scattered")):
        assert metric(question, right) > metric(question, wrong) + 0.01
    assert AverageDrop(keep=0.25)(question, right) < AverageDrop(keep=0.25)(question, wrong) - 0.01


def test_important_against_random_in_probabilities():
    """The three best, and their 15 shifts; each shift meets none, one or more of them."""
    question = planted()
    found = ImportantAgainstRandom(draws=15)(question, given(question, CAUSE))
    clip = sigmoid(WEIGHTS.sum() - 4)
    drops = [clip - sigmoid(WEIGHTS[~np.roll(CAUSE > 0, (a, b), (0, 1))].sum() - 4) for a in range(4) for b in range(4)]
    assert found.parts == pytest.approx(
        {"prob_drop_important": drops[0], "prob_drop_random": np.mean(drops[1:]), "p": 1 / 16}, rel=1e-5
    )
    assert found == pytest.approx(drops[0] - np.mean(drops[1:]), rel=1e-5)


@pytest.mark.parametrize(
    "metric",
    [
        *(metric(keep=0.2) for metric in OF_MASKS),
        AverageDrop(keep=0.2, softmaxes=2),
        FaithfulnessFF(keep=0.2, convention="mask-in"),
        FlipTest(),
        FlipTest("keep"),
        ImportantAgainstRandom(),
        ImportantAgainstRandom(regions="scattered"),
        *(metric(of="probability") for metric in (SymmetricRelevanceGain, Comprehensiveness, Sufficiency)),
        *(metric(of="probability") for metric in (Infidelity, MuFidelity)),
    ],
    ids=repr,
)
def test_what_was_planted_beats_chance(metric):
    """No random map is better than the truth, and on average they are worse; the negated truth is not better."""
    question = planted()
    right, negated = metric(question, given(question, WEIGHTS)), metric(question, given(question, -WEIGHTS))
    chance = np.array([metric(question, ew.Random(seed)(question)) for seed in range(12)])
    sign = -1 if metric.better == "lower" else 1
    assert (sign * chance <= sign * right).all()
    assert sign * chance.mean() < sign * right
    assert sign * negated <= sign * right


@pytest.mark.parametrize("metric", [metric() for metric in ALL], ids=repr)
def test_laws(metric, listener, tone):
    checks.check_metric(metric, question=ew.ask(listener, tone()[0], ew.Grid(3, 4), "low"))


@pytest.mark.parametrize(
    ("metric", "cost"), [*((metric, 2) for metric in (*OF_MASKS, FlipTest)), (ImportantAgainstRandom, 13)]
)
def test_cost_with_baselines(listener, tone, metric, cost):
    question = ew.ask(listener, tone()[0], ew.Grid(3, 4, baseline=("silence", "mean")), "low")
    with counting() as count:
        metric()(question, given(question, np.arange(12).reshape(3, 4)))
    assert count.evaluations == 2 * cost


@pytest.mark.parametrize("metric", ALL)
def test_a_game_has_neither_probabilities_nor_decisions(metric):
    game = ew.Game(4, lambda m: m.sum(1))
    with pytest.raises(ew.UsageError, match="a game has a score"):
        metric()(game, given(game, np.arange(4)))


def test_what_cannot_be_asked():
    for metric in OF_MASKS:
        for keep in (0, 1.5, -1, float("nan"), "half"):
            with pytest.raises(ew.UsageError, match="keep"):
                metric(keep=keep)
    for softmaxes in (0, 3, "one"):
        with pytest.raises(ew.UsageError, match="softmaxes"):
            AverageDrop(softmaxes=softmaxes)
    with pytest.raises(ew.UsageError, match="Did you mean mask-out"):
        FaithfulnessFF(convention="maskout")
    with pytest.raises(ew.UsageError, match="Did you mean remove"):
        FlipTest("removed")
    with pytest.raises(ew.UsageError, match="count must be"):
        FlipTest(count=0)
