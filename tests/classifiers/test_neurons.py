"""Neurons as labels: captum on the same channel, a layer by hand, and that nothing is copied or changed."""

import numpy as np
import pytest
import torch
from captum.attr import NeuronGradient, NeuronIntegratedGradients
from torch import nn

import earwitness as ew
from earwitness.checks import check_question
from earwitness.classifiers.layouts import Layout, Spans

MEL = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6)


@pytest.fixture
def clip(tone):
    return tone(seconds=0.5)[0]


def mean_of(channel):
    return lambda y: y[:, channel].mean((1, 2))


def test_answers_are_means_over_places(cnn, clip):
    classifier = cnn(MEL)
    hidden = ew.neurons(classifier, "features.3")
    assert hidden.labels == tuple(f"channel {i}" for i in range(4))
    expected = classifier.at("network.features.3", clip.samples[None])[0].mean((1, 2))
    np.testing.assert_allclose(hidden(clip.samples[None])[0].detach(), expected.detach(), rtol=1e-5)
    question = ew.ask(hidden, clip, ew.Grid(4, 4), "channel 2")
    assert question.unit == "activation"
    check_question(question)


@pytest.mark.parametrize("layer", ["features.3", "features.7"])
def test_captum_s_neurons(cnn, clip, layer):
    classifier = cnn(MEL)
    module = classifier.network.get_submodule(layer)
    x, b = (classifier.at("features", sound[None], clip.samples[None]) for sound in (clip.samples, 0 * clip.samples))
    question = ew.ask(ew.neurons(classifier, layer), clip, ew.Bins(), "channel 3")
    options = {"neuron_selector": mean_of(3), "attribute_to_neuron_input": False}
    x.requires_grad_()
    slope = NeuronGradient(classifier.network, module).attribute(x, **options)[0, 0].detach()
    near = 1e-5 * float(slope.abs().max())
    np.testing.assert_allclose(ew.Gradient()(question).values, slope, rtol=1e-4, atol=near)
    way = NeuronIntegratedGradients(classifier.network, module)
    expected = way.attribute(x, baselines=b, n_steps=32, **options)[0, 0].detach()
    found = ew.IntegratedGradients(steps=32)(question)
    np.testing.assert_allclose(found.values, expected, atol=1e-4 * float(expected.abs().max()))
    assert found.gap < 0.05


def test_layers_below_keep_their_paths_and_carry_it_all(cnn, clip):
    """Through the first block to a channel of the second: everything has to pass, and conductance adds up."""
    classifier = cnn(MEL)
    question = ew.ask(ew.neurons(classifier, "features.7"), clip, ew.Units("features.3", "channels"), "channel 3")
    found = ew.Conductance(steps=128)(question)
    assert found.shape == (4,) and found.gap < 0.01
    assert torch.equal(question.x, ew.ask(classifier, clip, ew.Units("features.3", "channels")).x)
    same = ew.Conductance(steps=2)(
        ew.ask(ew.neurons(classifier, "features.3"), clip, ew.Units("features.3", "channels"), 2)
    )
    assert same.values[2] == pytest.approx(same.total) and not np.delete(same.values, 2).any()


def test_nothing_is_copied_or_changed(cnn, clip):
    classifier = cnn(MEL)
    classifier.network.features[3].train()
    modes = {name: part.training for name, part in classifier.named_modules()}
    classifier.baseline, classifier.notes = "noise", ("of glass",)
    hidden = ew.neurons(classifier, "network.features.7")
    assert (hidden.baseline, hidden.notes) == ("noise", ("of glass",))
    assert hidden.frontend is classifier.frontend
    assert {id(p) for p in hidden.parameters()} == {id(p) for p in classifier.parameters()}
    ew.Saliency()(ew.ask(hidden, clip, ew.Grid(2, 2)))
    assert {name: part.training for name, part in classifier.named_modules()} == modes
    assert not any(part._forward_hooks for part in classifier.modules())
    assert ew.fingerprint(hidden) != ew.fingerprint(ew.neurons(classifier, "features.3"))


class Tokens(nn.Module):
    """Two special tokens and one for each of three frames; a channel for each feature row. It knows its layout."""

    def __init__(self):
        super().__init__()
        self.tokens = Rows()

    def forward(self, x):
        return self.tokens(x)[0].mean((1, 2))[:, None]

    def layout(self, layer, shape, axes):
        at = np.arange(3.0)
        return Layout((Spans("time", "index", np.stack([at, at + 1], 1)),), (3,), channels=-1, special=2)


class Rows(nn.Module):
    def forward(self, x):
        rows = x[:, 0].transpose(1, 2)
        return torch.cat([100 + 0 * rows[:, :2], rows], 1), None  # a tuple, as transformers answers


def test_tokens_without_a_place_do_not_count():
    features = torch.arange(12.0).reshape(1, 4, 3)
    hidden = ew.neurons(ew.Classifier(Tokens(), None, ["one"]), "tokens", clip=features)
    np.testing.assert_allclose(hidden(features[None])[0], features[0].mean(1))
    found = ew.GradientInput()(ew.ask(hidden, features, ew.Units("tokens", "places"), "channel 3"))
    np.testing.assert_allclose(found.values, features[0, 3] / 3)


def test_units_behind_a_pooling(cnn, clip):
    classifier = cnn(MEL)
    hidden = ew.neurons(classifier, "head")
    np.testing.assert_allclose(hidden(clip.samples[None]).detach(), classifier(clip.samples[None]).detach())


class Named(nn.Module):
    """Parts that are called whatever one likes."""

    def __init__(self, *names):
        super().__init__()
        for name in names:
            self.add_module(name, nn.Conv2d(1, 1, 1))

    def forward(self, x):
        for part in self.children():
            x = part(x)
        return x.mean((2, 3))


@pytest.mark.parametrize("name", ["whole", "behind", "placed", "network", "shape"])
def test_parts_keep_whatever_name_they_have(name):
    network = Named("first", name)
    features = torch.ones(1, 4, 3)
    classifier = ew.Classifier(network, None, ["one"])
    hidden = ew.neurons(classifier, name, clip=features)
    torch.testing.assert_close(hidden(features[None]), classifier(features[None]))
    assert hidden.network.get_submodule(name) is network.get_submodule(name)
    question = ew.ask(hidden, features, ew.Units("first"), 0)
    assert torch.equal(question.x, network.first(features[None])[0])


@pytest.mark.parametrize("name", ["layout", "_whole", "_behind", "_placed"])
def test_a_part_that_is_named_as_one_of_ours_is_refused(name):
    with pytest.raises(ew.UsageError, match=f"the network has a part named '{name}'"):
        ew.neurons(ew.Classifier(Named("first", name), None, ["one"]), "first", clip=torch.ones(1, 4, 3))


def test_what_cannot_be_answered(cnn, clip):
    with pytest.raises(ew.UsageError, match="unknown stage 'network"):
        ew.neurons(cnn(MEL), "features.30")
    with pytest.raises(ew.InputError, match="found with ready features"):
        ew.neurons(cnn(None), "features.3")
    assert len(ew.neurons(cnn(None), "features.3", clip=MEL(clip.samples[None])[0]).labels) == 4
