"""Conductance: closed forms with and without a way past the layer, a slow replica, captum, and what is counted."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from captum.attr import LayerConductance, LayerGradientXActivation
from torch import nn

import earwitness as ew
from earwitness.classifiers.layouts import Layout, evenly

MEL = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6)


class Product(nn.Module):
    """Features (p, q): a layer (p, q^2), its product as the first logit; as the second, p that goes past it times q^2."""

    def __init__(self):
        super().__init__()
        self.layer = Powers()

    def forward(self, x):
        y = self.layer(x)
        return torch.stack([y[:, 0, 0, 0] * y[:, 1, 0, 0], x[:, 0, 0, 0] * y[:, 1, 0, 0]], 1)


class Powers(nn.Module):
    def forward(self, x):
        return torch.stack([x[:, 0, 0], x[:, 0, 1] ** 2], 1)[..., None]


@pytest.fixture
def product():
    classifier = ew.Classifier(Product(), None, ["through", "past"])
    return ew.ask(classifier, torch.tensor([[[2.0], [3.0]]]), ew.Units("layer", "channels"), "through")


def captum_s(question, steps, method="gausslegendre"):
    network, layer = question.classifier.network, question.factorization.layer
    samples = question.audio.samples[None]
    x, b = (question.classifier.at("features", sound, samples) for sound in (samples, 0 * samples))
    found = LayerConductance(network, network.get_submodule(layer))
    target = question.classifier.labels.index(question.target)
    return found.attribute(x, b, target=target, n_steps=steps, method=method)[0].detach().numpy()


def test_two_channels_in_closed_form(product):
    """F = (a p) (a q)^2: a third of p q^2 comes by the first channel, two by the second."""
    found = ew.Conductance(steps=64)(product)
    np.testing.assert_allclose(found.values, [18 / 3, 2 * 18 / 3], rtol=1e-3)
    assert found.numbers["network"] == pytest.approx(18) and found.gap < 2e-4 and found.warnings == ()


def test_what_goes_past_the_layer_is_at_its_own_point_of_the_way(product):
    """p goes past it: of F = p q^2 two thirds pass the layer; with p at the clip it would be everything."""
    found = ew.Conductance(steps=64)(replace(product, target="past"))
    np.testing.assert_allclose(found.values, [0, 2 * 18 / 3], rtol=1e-3)
    assert found.numbers == pytest.approx({"network": 18, "layer": 12}, rel=1e-3)
    assert found.warnings[0].startswith("33% of F(x) - F(b) go past this layer")
    assert found.gap == pytest.approx(1 / 3, rel=1e-3)


@pytest.mark.parametrize("layer", ["features.3", "features.7"])
def test_captum_comes_to_the_same_with_many_steps(cnn, tone, layer):
    question = ew.ask(cnn(MEL), tone()[0], ew.Units(layer, "units"), "high")
    found, expected = ew.Conductance(steps=64)(question), captum_s(question, 512)
    np.testing.assert_allclose(found.values, expected, atol=0.02 * np.abs(expected).max())
    assert found.gap < 0.01


def test_with_few_steps_captum_leaves_out_the_ends(cnn, tone):
    """Behind the last convolution come a mean and a linear layer: the gradient is constant, and the shares are exact."""
    question = ew.ask(cnn(MEL), tone()[0], ew.Units("features.7", "units"), "high")
    slope = question.slope(question.x[None])[0]
    exact = (slope * (question.x - question.baselines[0])).numpy()
    near = 1e-5 * np.abs(exact).max()
    np.testing.assert_allclose(ew.Conductance(steps=8)(question).values, exact, atol=near)
    np.testing.assert_allclose(captum_s(question, 8, "riemann_trapezoid"), exact, atol=near)  # its nodes reach the ends
    for method in ("gausslegendre", "riemann_middle"):
        short = 1 - captum_s(question, 8, method).sum() / exact.sum()
        assert 0.02 < short < 0.15


def test_slow_replica(cnn, tone):
    """Step by step, through the layers by hand."""
    question = ew.ask(cnn(MEL), tone()[0], ew.Units("features.3"), "low")
    network, samples = question.classifier.network, question.audio.samples[None]
    first, rest = network.features[:4], network.features[4:]
    x, b = (question.classifier.at("features", sound, samples) for sound in (samples, 0 * samples))
    total, steps = 0, 5
    with torch.no_grad():
        middle = [first(b + (k + 0.5) / steps * (x - b)) for k in range(steps)]
        ends = [first(b), *((a + c) / 2 for a, c in pairwise(middle)), first(x)]
    for k, y in enumerate(middle):
        y = y.clone().requires_grad_()
        (slope,) = torch.autograd.grad(network.head(rest(y).mean((2, 3)))[0, 0], y)
        total += (slope * (ends[k + 1] - ends[k]))[0].sum(0)
    found = ew.Conductance(steps=steps)(question)
    np.testing.assert_allclose(found.values, total, atol=1e-5 * float(total.abs().max()))


def test_a_layer_that_does_nothing_has_integrated_gradients(cnn, tone):
    """In front of the network: what passes is the features themselves."""
    classifier = cnn(MEL)
    classifier.network = nn.Sequential(nn.Identity(), classifier.network)
    clip = tone(seconds=0.25)[0]
    found = ew.Conductance(steps=200)(ew.ask(classifier, clip, ew.Units("0", "places"), "low"))
    expected = ew.IntegratedGradients(steps=200)(ew.ask(classifier, clip, ew.Bins(), "low"))
    np.testing.assert_allclose(found.values, expected.values, atol=0.01 * np.abs(expected.values).max())


def test_cuts_baselines_costs(cnn, tone):
    """Units add up to channels and to places; several baselines are averaged; every pass is counted; no trace stays."""
    classifier, clip = cnn(MEL).train(), tone(span=(0.2, 0.6))[0]
    other = tone(880, seed=3)[0]
    found = {}
    for baseline in ("silence", other, ("silence", other)):
        for by in ("units", "channels", "places"):
            question = ew.ask(classifier, clip, ew.Units("features.7", by, baseline=baseline), "low")
            found[str(baseline), by] = explanation = ew.Conductance(steps=8)(question)
            assert explanation.evaluations == ew.Conductance(steps=8).expected(question)
            assert explanation.evaluations == (2 * 8 + 3 + 2) * len(question.baselines)
        units = found[str(baseline), "units"].values
        np.testing.assert_allclose(found[str(baseline), "channels"].values, units.sum((1, 2)), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[str(baseline), "places"].values, units.sum(0), rtol=1e-4, atol=1e-6)
    one, two, both = (found[str(b), "places"].values for b in ("silence", other, ("silence", other)))
    np.testing.assert_allclose(both, (one + two) / 2, rtol=1e-4, atol=1e-7)
    assert classifier.training and all(not module._forward_hooks for module in classifier.modules())


def test_gradient_times_activation_is_captum_s(cnn, tone):
    question = ew.ask(cnn(MEL), tone()[0], ew.Units("features.3", "units"), "high")
    network = question.classifier.network
    features = question.classifier.at("features", question.audio.samples[None])
    expected = LayerGradientXActivation(network, network.features[3]).attribute(features, target=1)[0].detach()
    found = ew.GradientInput.paper()(question)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


class Tokens(nn.Module):
    """A special token in front, the sum of all frames, and a token for each; the first is read twice, the frames once."""

    def __init__(self):
        super().__init__()
        self.tokens = Behind()

    def forward(self, x):
        tokens = self.tokens(x)[0]
        return 2 * tokens[:, 0] + tokens[:, 1:].sum(1)

    def layout(self, layer, shape, axes):
        return Layout((evenly(axes[-1], 3),), (3,), -1, special=1)


class Behind(nn.Module):
    def forward(self, x):
        frames = x[:, 0, 0, :, None]
        return torch.cat([frames.sum(1, keepdim=True), frames], 1), None


def test_tokens_without_a_place_carry_their_part():
    """Of 3 (1 + 2 + 4) two thirds pass by the special token."""
    classifier = ew.Classifier(Tokens(), None, ["one"])
    found = ew.Conductance()(ew.ask(classifier, torch.tensor([[[1.0, 2.0, 4.0]]]), ew.Units("tokens")))
    np.testing.assert_allclose(found.values, [1, 2, 4], rtol=1e-5)
    assert found.numbers == pytest.approx({"network": 21, "layer": 21})
    assert found.warnings == ("67% of F(x) - F(b) pass the layer by tokens that stand for no place in the clip",)


def test_what_makes_no_sense(cnn, tone):
    with pytest.raises(ew.UsageError, match="steps must be a whole number 2 or more"):
        ew.Conductance(steps=1)
    for question in (ew.Game(4, lambda m: m.sum(1)), ew.ask(cnn(MEL), tone()[0], ew.Grid(2, 2))):
        with pytest.raises(ew.UsageError, match="conductance is what passes a layer"):
            ew.Conductance()(question)
