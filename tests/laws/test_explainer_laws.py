"""Every method obeys the laws that it claims; the control, which knows nothing, is caught."""

import copy
from itertools import product

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.checks import check_explainer, check_linear, check_reproducible
from earwitness.explainers import METHODS


def total_indices(w):
    """Sobol's indices of a linear function of independent uniform inputs: each one's share of the variance."""
    return w**2 / (w**2).sum()


def dependence(w):
    """HSIC's values of a linear game: of all masks, from explicit centring matrices."""
    masks = np.array(list(product((0, 1), repeat=len(w))), float)
    y, h = masks @ w, np.eye(2 ** len(w)) - 2.0 ** -len(w)
    lc = h @ np.exp(-((y[:, None] - y) ** 2) / (2 * y.var())) @ h
    return np.array([s @ lc @ s for s in (2 * masks - 1).T]) / (len(y) * np.sqrt((lc**2).sum()))


def smoothed(w):
    """What sliding windows of three make of weights: the mean of their means."""
    windows = [np.arange(at, at + 3) for at in range(len(w) - 2)]
    return np.array([np.mean([w[part].mean() for part in windows if i in part]) for i in range(len(w))])


def heard(w):
    """The two of eight with the smallest weights are silent: 0 always, and 0.5 and -0.5 half of the time each."""
    return np.select([w == 0, np.abs(w) == 0.5], [0.0, 0.5], 1.0)


LAWS = {
    "sobol": (ew.Sobol(designs=512), total_indices),
    "sobol, jansen": (ew.Sobol(designs=1024, estimator="jansen"), total_indices),
    "sobol, monte carlo": (ew.Sobol(designs=1024, sampler="monte-carlo"), total_indices),
    "sobol, lhs, glen": (ew.Sobol(designs=1024, sampler="lhs", estimator="glen"), total_indices),
    "sobol, halton": (ew.Sobol(designs=512, sampler="halton"), total_indices),
    "shapley": (ew.Shapley(), None),
    "shapley, sampled": (ew.Shapley(permutations=3), None),
    "kernel shap": (ew.KernelSHAP(), None),
    "kernel shap, sampled": (ew.KernelSHAP(samples=128), None),
    "lime": (ew.LIME(), None),
    "lime, iid": (ew.LIME(samples=200, design="iid"), None),
    "hsic": (ew.HSIC(samples=8192), dependence),
    "rise": (ew.RISE(), None),
    "rise, balanced": (ew.RISE(samples=128), None),
    "rise, iid": (ew.RISE(samples=250, design="iid"), None),
    "rise, mostly kept": (ew.RISE(samples=250, keep=0.6), None),
    "rise, not centred": (ew.RISE(centred=False), lambda w: 1 + w.sum() / 2 + w / 2),
    "occlusion": (ew.Occlusion(), None),
    "occlusion, windows": (ew.Occlusion(window=3), smoothed),
    "saliency": (ew.Saliency(), np.abs),
    "gradient": (ew.Gradient(), None),
    "gradient x input": (ew.GradientInput(), None),
    "gradient x input, published": (ew.GradientInput.paper(), None),
    "smooth grad": (ew.SmoothGrad(samples=20), np.abs),
    "silence map": (ew.SilenceMap(), heard),
    "integrated gradients": (ew.IntegratedGradients(), None),
    "integrated gradients, level": (ew.IntegratedGradients(path="level"), None),
    "expected gradients": (ew.ExpectedGradients(), None),
    "gradient shap": (ew.GradientSHAP(), None),
    "gradient shap, noise": (ew.GradientSHAP(noise=0.1), None),
    "lrp": (ew.LRP(), None),
    "lrp, alpha beta, flat": (ew.LRP("epsilon-alpha2-beta1-flat"), None),
}
CONTROLS = {ew.Random, ew.Loudness, ew.LevelSilenceMap}  # which know nothing of the model
# which answer no game, and no question about anything else
OF_LAYERS = {ew.GradCAM, ew.HiResCAM, ew.ScoreCAM, ew.Conductance, ew.AttentionRollout, ew.ActivationMap}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", LAWS)
def test_laws(name, seed):
    explainer, expected = LAWS[name]
    check_explainer(explainer, expected, seed)


def test_no_method_is_left_out():
    assert set(METHODS) == {type(explainer) for explainer, _ in LAWS.values()} | CONTROLS | OF_LAYERS
    assert set(METHODS) == {type(explainer) for explainer in QUICK} | OF_LAYERS


def test_the_control_is_reproducible_and_knows_nothing():
    game = ew.Game(5, lambda m: m.sum(1))
    check_reproducible(ew.Random(seed=3))
    assert not np.array_equal(ew.Random(seed=3)(game).values, ew.Random(seed=4)(game).values)
    with pytest.raises(AssertionError, match="least and most important"):
        check_linear(ew.Random(seed=3))


def test_the_paper_s_setting_finds_the_weights_too():
    """Unscrambled it reports no error; with 256 designs it is known to be within 0.009 of the truth."""
    weights = np.arange(1.0, 17.0)
    found = ew.Sobol.paper(designs=256)(ew.Game(16, lambda m: m.double() @ torch.as_tensor(weights)))
    assert found.stderr is None
    np.testing.assert_allclose(found.values, total_indices(weights), atol=0.01)


def test_smooth_masks_are_reproducible():
    check_reproducible(ew.RISE(samples=100, grid=3))
    check_reproducible(ew.RISE(samples=100, grid=2, centred=False))


# ---- every method x every kind of question

QUICK = (
    ew.Sobol(designs=8),
    ew.Shapley(permutations=2),
    ew.KernelSHAP(samples=64),
    ew.LIME(samples=64),
    ew.HSIC(samples=3 * 64),
    ew.RISE(samples=64),
    ew.RISE(samples=64, grid=2),
    ew.Occlusion(),
    ew.Occlusion(window=2),
    ew.Saliency(),
    ew.Gradient(),
    ew.GradientInput(),
    ew.SmoothGrad(samples=6),
    ew.SilenceMap(samples=6),
    ew.IntegratedGradients(steps=6),
    ew.ExpectedGradients(samples=6),
    ew.GradientSHAP(samples=6, noise=0.1),
    ew.LRP(),
    ew.LRP("epsilon-plus-flat"),
    ew.Loudness(),
    ew.LevelSilenceMap(),
    ew.Random(),
)
MEL = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6)
KINDS = {
    "a row": lambda cnn, clip: ew.Game(9, lambda m: torch.tanh(m.double()).sum(1) + m[:, 0] * m[:, 4]),
    "a plane": lambda cnn, clip: ew.Game((3, 4), lambda m: torch.tanh(m.double().sum((1, 2))) - m[:, 1, 2]),
    "grid": lambda cnn, clip: ew.ask(cnn(MEL), clip, ew.Grid(3, 4)),
    "segments of sound": lambda cnn, clip: ew.ask(cnn(MEL), clip, ew.Segments(count=9)),
    "cells of sound": lambda cnn, clip: ew.ask(cnn(MEL), clip, ew.Cells(bands=3, seconds=0.25), "low - high"),
    "bands of features": lambda cnn, clip: ew.ask(cnn(MEL), clip, ew.Bands(bands=8, stage="features")),
    "two baselines": lambda cnn, clip: ew.ask(cnn(MEL), clip, ew.Grid(3, 4, baseline=("silence", "mean"))),
    "ready features": lambda cnn, clip: ew.ask(cnn(None), MEL(clip.samples[None])[0], ew.Grid(3, 4)),
    "a black box": lambda cnn, clip: ew.ask(
        ew.BlackBox(lambda x: np.stack([(x**2).mean(1), np.abs(x).max(1)], 1), 8000, ["power", "peak"]),
        clip,
        ew.Segments(count=9),
    ),
}
SOUNDLESS = ("a row", "a plane", "ready features")
# those of every number, gathered by component
BY_SLOPE = ("Saliency", "Gradient", "SmoothGrad", "GradientSHAP", "SilenceMap")
BY_GRADIENT = (*BY_SLOPE, "GradientInput", "IntegratedGradients", "ExpectedGradients", "LRP")
REFUSED = (
    {("Loudness", kind): "cannot be loud" for kind in SOUNDLESS}
    | {("LevelSilenceMap", kind): "no quiet parts" for kind in ("a row", "a plane")}
    | {
        ("LevelSilenceMap", kind): "works at the stage"
        for kind in ("segments of sound", "cells of sound", "a black box")
    }
    | {(method, "cells of sound"): "says nothing about frequency bands" for method in BY_SLOPE}
    | {(method, "a black box"): "no gradient" for method in BY_GRADIENT}
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("explainer", QUICK, ids=repr)
def test_every_method_and_kind_of_question(cnn, tone, explainer, kind):
    """The same bits again, 1e-5 of the spread in other batches, the evaluations that were promised, shares that add up."""
    question = KINDS[kind](cnn, tone(span=(0.2, 0.6))[0])
    if refusal := REFUSED.get((type(explainer).__name__, kind)):
        with pytest.raises(ew.EarwitnessError, match=refusal):
            explainer(question)
        return
    found, others = explainer(question), explainer(in_batches(question, 3))
    np.testing.assert_array_equal(explainer(question).values, found.values)
    spread = np.ptp(found.values)
    assert spread > 0 and found.values.shape == question.shape
    np.testing.assert_allclose(others.values, found.values, atol=1e-5 * spread, rtol=0)
    assert found.evaluations == others.evaluations == explainer.expected(question)
    if (
        found.kind == "share" and type(explainer).__name__ not in BY_GRADIENT
    ):  # those add up on average, or in the limit
        assert found.gap < 1e-5


def in_batches(question, batch):
    """The same question in other batches."""
    other = copy.copy(question)
    object.__setattr__(other, "batch", batch)
    return other
