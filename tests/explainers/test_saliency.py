"""Saliency: the absolute slope of the score at the clip, by hand and against captum."""

import numpy as np
import pytest
import torch
from captum.attr import Saliency as CaptumSaliency

import earwitness as ew
from earwitness.carrying import partition

RATE = 8000


def test_a_nonlinear_game_by_hand():
    """At (1, 1, 1): d/dm of m0 m1 - m1^3 + 0 m2 is (1, 1 - 3, 0)."""
    found = ew.Saliency()(ew.Game(3, lambda m: m[:, 0] * m[:, 1] - m[:, 1] ** 3))
    np.testing.assert_allclose(found.values, [1, 2, 0])
    np.testing.assert_allclose(found.signed, [1, -2, 0])
    assert (found.kind, found.stderr, found.seed, found.method) == ("importance", None, None, "saliency")


@pytest.mark.parametrize("frontend", [ew.LogSTFT(RATE, 256, 64), ew.LogMel(RATE, 256, 64, 20, amin=1e-6)])
@pytest.mark.parametrize("target", [0, 1])
def test_every_bin_equals_captum_s(cnn, tone, frontend, target):
    classifier, clip = cnn(frontend), tone()[0]
    features = frontend(clip.samples[None]).requires_grad_()
    expected = CaptumSaliency(classifier.network).attribute(features, target=target)[0, 0]
    found = ew.explain(classifier, clip, ew.Saliency(), target, ew.Bins())
    np.testing.assert_allclose(found.values, expected.numpy(), rtol=1e-4, atol=1e-5 * float(expected.max()))
    cells = ew.explain(classifier, clip, ew.Saliency(), target, ew.Grid(2, 1)).values
    half = features.shape[2] // 2
    np.testing.assert_allclose(cells[:, 0], [expected[:half].sum(), expected[half:].sum()], rtol=1e-4)


def test_signed_is_the_slope_on_the_mask(cnn, tone):
    """Gradient x (input - baseline), gathered by component, is d value / d mask where everything is kept."""
    question = ew.ask(
        cnn(ew.LogMel(RATE, 256, 64, 20, amin=1e-6)), tone()[0], ew.Grid(3, 4, baseline=("silence", "mean"))
    )
    gradient = question.gradient(question.ones)[0].numpy()
    np.testing.assert_allclose(ew.Saliency()(question).signed, gradient, rtol=1e-3, atol=1e-5 * np.abs(gradient).max())


def test_samples_by_hand(tone):
    """A linear network on samples: the slope is its weights; segments cross-fade over 20 ms."""
    network = torch.nn.Linear(RATE, 2)
    classifier = ew.Classifier(network, ew.Waveform(RATE), ["a", "b"])
    found = ew.explain(classifier, tone()[0], ew.Saliency(), "b", ew.Segments(count=4, stage="features"))
    windows = partition(np.linspace(0, 1, 5), (np.arange(RATE) + 0.5) / RATE, 0.02)
    expected = windows @ network.weight[1].detach().abs().double().numpy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)


def test_it_hears_the_rows_that_the_network_hears(listener, tone):
    found = ew.explain(listener, tone()[0], ew.Saliency(), "low")
    heard = np.zeros(129)
    heard[7:21] = 1 / 14 / 126
    np.testing.assert_allclose(found.values, heard[:, None] * np.ones(126), atol=1e-9)


def test_a_flat_score_is_told():
    flat = ew.Saliency()(ew.Game(3, lambda m: torch.relu(m.sum(1) - 100)))
    np.testing.assert_array_equal(flat.values, 0)
    assert flat.warnings == ("the gradient is zero everywhere: the score is flat (saturated) at this clip",)


def test_bands_of_samples_have_no_saliency(listener, tone):
    with pytest.raises(ew.UsageError, match="says nothing about frequency bands"):
        ew.explain(listener, tone()[0], ew.Saliency(), "low", ew.Bands(bands=3))
