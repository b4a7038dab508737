"""Class activation maps: captum on the same layer, the closed form behind a mean and a linear layer, a planted tone."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation

import earwitness as ew

MEL = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6)


@pytest.fixture
def question(cnn, tone):
    return ew.ask(cnn(MEL), tone()[0], ew.Units("features.7"), "low")


def at_the_features(question):
    return question.classifier.at("features", question.audio.samples[None])


@pytest.mark.parametrize("layer", ["features.3", "features.7"])
def test_grad_cam_equals_captum_s(cnn, tone, layer):
    question = ew.ask(cnn(MEL), tone()[0], ew.Units(layer), "high")
    network = question.classifier.network
    captum = LayerGradCam(network, dict(network.named_modules())[layer])
    for relu in (True, False):
        expected = captum.attribute(at_the_features(question), target=1, relu_attributions=relu)[0, 0].detach()
        found = ew.GradCAM()(question)
        came = found.values if relu else found.signed
        np.testing.assert_allclose(came, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


def test_hires_cam_is_captum_s_gradient_times_activation(question):
    network = question.classifier.network
    each = LayerGradientXActivation(network, network.features[7]).attribute(at_the_features(question), target=0)[0]
    expected = each.detach().sum(0)
    found = ew.HiResCAM()(question)
    np.testing.assert_allclose(found.signed, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))
    np.testing.assert_allclose(found.values, expected.clamp(min=0), rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


def test_behind_it_a_mean_and_a_linear_layer(question):
    """Then both are the same, and add up to the score but for its bias."""
    cam, hires = ew.GradCAM()(question), ew.HiResCAM()(question)
    np.testing.assert_allclose(cam.signed, hires.signed, rtol=1e-4, atol=1e-7)
    linear = next(m for m in question.classifier.network.head.modules() if isinstance(m, torch.nn.Linear))
    assert hires.signed.sum() == pytest.approx(question.ends()[0] - float(linear.bias.detach()[0]), rel=1e-4)


def test_before_the_end_they_differ(cnn, tone):
    question = ew.ask(cnn(MEL), tone()[0], ew.Units("features.3"), "low")
    cam, hires = ew.GradCAM()(question).signed, ew.HiResCAM()(question).signed
    assert np.abs(cam - hires).max() > 0.05 * np.abs(hires).max()


def test_score_cam_by_hand(question):
    """Channel by channel: stretched, as a mask between silence and the features, scored; their softmax weighs them."""
    network, x = question.classifier.network, question.x
    features, silence = (
        question.classifier.at("features", sound[None])[0]
        for sound in (question.audio.samples, 0 * question.audio.samples)
    )
    weights = []
    for channel in x:
        stretched = torch.nn.functional.interpolate(channel[None, None], features.shape[1:], mode="bilinear")[0]
        mask = (stretched - channel.min()) / (channel.max() - channel.min())  # not a number where a channel is even
        with torch.no_grad():
            weights.append(network((silence + mask * (features - silence))[None])[0, 0].nan_to_num(-torch.inf))
    assert 2 <= sum(torch.isfinite(weight) for weight in weights) < len(x)  # some are: they have no weight
    expected = (torch.stack(weights).softmax(0)[:, None, None] * x).sum(0)
    found = ew.ScoreCAM()(question)
    np.testing.assert_allclose(found.signed, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.values, expected.clamp(min=0), rtol=1e-4, atol=1e-6)
    assert found.evaluations == len(x) + 2 == ew.ScoreCAM().expected(question)


@pytest.mark.parametrize("method", [ew.GradCAM(), ew.HiResCAM(), ew.ScoreCAM()])
def test_only_places_of_a_layer(cnn, tone, method):
    classifier, clip = cnn(MEL), tone()[0]
    for cut in (ew.Grid(2, 2), ew.Units("features.7", "channels"), ew.Units("features.7", "units")):
        with pytest.raises(ew.UsageError, match="about the places of a layer: ask one"):
            method(ew.ask(classifier, clip, cut))
    with pytest.raises(ew.UsageError, match="about the places of a layer"):
        method(ew.Game(4, lambda m: m.sum(1)))
    found = method(ew.ask(classifier, clip, ew.Units("features.7")))
    assert (found.kind, found.evaluations) == ("importance", method.expected(found.question))
