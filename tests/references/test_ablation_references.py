"""Occlusion, RISE and Shapley values against captum and shap, on the same features and masks of a small network."""

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, ShapleyValueSampling
from captum.attr import Occlusion as CaptumOcclusion

import earwitness as ew

pytestmark = pytest.mark.reference

SIZES = (12, 30)  # rows and columns of the features


@pytest.fixture
def asked(cnn):
    """A question about 4 x 6 rectangles of made features, and what captum needs: network, features, baseline, rectangles."""
    x = torch.randn(1, *SIZES, generator=torch.Generator().manual_seed(0))
    classifier = cnn(None)
    question = ew.ask(classifier, x, ew.Grid(4, 6, baseline="mean"), "low")
    rectangles = (torch.arange(12) // 3)[:, None] * 6 + torch.arange(30) // 5
    return question, classifier.network, x[None], question.baselines, rectangles


def by_component(attribution, rectangles):
    """captum gives every bin of a rectangle its number."""
    flat, where = attribution.flatten().detach().numpy(), rectangles.flatten().numpy()
    return np.array([flat[where == number].mean() for number in range(24)]).reshape(4, 6)


def test_feature_ablation(asked):
    question, network, x, baseline, rectangles = asked
    theirs = FeatureAblation(network).attribute(x, baseline, target=0, feature_mask=rectangles[None, None])
    ours = ew.Occlusion()(question).values
    np.testing.assert_allclose(ours, by_component(theirs, rectangles), atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize(("window", "stride"), [((2, 3), (1, 1)), ((2, 2), (2, 2)), ((1, 4), (1, 2))])
def test_sliding_windows(asked, window, stride):
    """Theirs gives every component the whole effect of a window, ours an even share of it; windows that fit."""
    question, network, x, baseline, rectangles = asked
    theirs = CaptumOcclusion(network).attribute(
        x,
        sliding_window_shapes=(1, 3 * window[0], 5 * window[1]),
        strides=(1, 3 * stride[0], 5 * stride[1]),
        baselines=baseline,
        target=0,
    )
    ours = ew.Occlusion(window, stride)(question).values
    expected = by_component(theirs, rectangles) / np.prod(window)
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(ours).max())


def test_shapley_sampling(asked):
    """Within 4 standard errors of both; theirs, of orders without opposites, from the spread of four runs."""
    question, network, x, baseline, rectangles = asked
    ours, runs = ew.Shapley(permutations=100)(question), []
    for seed in range(4):
        torch.manual_seed(seed)
        theirs = ShapleyValueSampling(network).attribute(
            x, baseline, target=0, feature_mask=rectangles[None, None], n_samples=50, perturbations_per_eval=8
        )
        runs.append(by_component(theirs, rectangles))
    error = np.hypot(ours.stderr, np.sqrt(np.var(runs, axis=0, ddof=1).mean() / len(runs)))
    assert (np.abs(ours.values - np.mean(runs, 0)) <= 4 * error).all()
    assert error.max() < 0.1 * np.abs(ours.values).max()
    np.testing.assert_allclose(np.mean(runs, 0).sum(), ours.total, rtol=1e-3)


@pytest.mark.parametrize("size", [5, 8])
def test_shap_exact(size):
    """The same game: zeros as background, all coalitions."""
    shap = pytest.importorskip("shap")
    w = np.random.default_rng(size).standard_normal((size, 4))

    def function(m):
        return np.tanh(m @ w).sum(1) + m[:, 0] * m[:, 1] * m[:, 2]

    theirs = shap.explainers.ExactExplainer(function, np.zeros((1, size)))(np.ones((1, size))).values[0]
    ours = ew.Shapley(permutations=2**size)(ew.Game(size, lambda m: function(m.double().numpy())))
    assert ours.stopped == "exact"
    np.testing.assert_allclose(ours.values, theirs, atol=1e-9)


def test_shap_permutations():
    """Theirs walks forwards and backwards as ours: within 4 of our errors, theirs being of the same size."""
    shap = pytest.importorskip("shap")
    w = np.random.default_rng(1).standard_normal((16, 4))

    def function(m):
        return np.tanh(m @ w).sum(1) + 3 * m[:, 0] * m[:, 1] * m[:, 2]

    explainer = shap.explainers.PermutationExplainer(function, np.zeros((1, 16)), seed=0)
    theirs = explainer(np.ones((1, 16)), max_evals=64 * (2 * 16 + 1)).values[0]
    ours = ew.Shapley(permutations=64)(ew.Game(16, lambda m: function(m.double().numpy())))
    assert (np.abs(ours.values - theirs) <= 4 * np.sqrt(2) * ours.stderr).all()
    assert ours.stderr.max() < 0.1 * np.abs(ours.values).max()
    np.testing.assert_allclose(theirs.sum(), ours.total, atol=1e-9)
