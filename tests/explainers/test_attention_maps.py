"""Attention rollout and activation maps: slow replicas, closed forms, and a transformer that attends where the tone is."""

import numpy as np
import pytest
import torch
import transformers
from torch import nn

import earwitness as ew
from earwitness.classifiers.layouts import Layout, evenly
from earwitness.frontends.extractors import model_inputs

MEL = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6)
WIDTH, HEADS = 12, 3


class Block(nn.Module):
    """Self-attention, fused or not, with a residual connection."""

    def __init__(self, fused):
        super().__init__()
        self.qkv, self.fused = nn.Linear(WIDTH, 3 * WIDTH), fused

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mix = nn.functional.scaled_dot_product_attention if self.fused else eager
        return x + mix(q, k, v).transpose(1, 2).flatten(2)


def eager(q, k, v):
    return (q @ k.transpose(2, 3) / 2).softmax(-1) @ v


class Patches(nn.Module):
    """Patches of 5 bands x 16 frames as tokens behind `special` others, three blocks, and a mean: by default of the special ones.

    read: how often each token is read, in their order, instead.
    """

    def __init__(self, special=2, fused=True, read=None):
        super().__init__()
        self.read = read
        self.special, self.convolution = special, nn.Conv2d(1, WIDTH, (5, 16), (5, 16))
        self.first = nn.Parameter(torch.randn(special, WIDTH))
        self.blocks = nn.Sequential(*(Block(fused) for _ in range(3)))
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x):
        tokens = self.convolution(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), tokens], 1)
        found = self.blocks(tokens)
        if self.read is not None:
            return self.head(self.read @ found)
        return self.head(found[:, : self.special or None].mean(1))

    def layout(self, layer, shape, axes):
        if len(shape) == 3:
            return Layout(
                tuple(evenly(axis, size) for axis, size in zip(axes, shape[1:], strict=True)), tuple(shape[1:])
            )
        grid = (4, (shape[0] - self.special) // 4)
        return Layout(tuple(evenly(axis, size) for axis, size in zip(axes, grid, strict=True)), grid, -1, self.special)


def asked(clip, layer="blocks.2", label="a", **network):
    torch.manual_seed(0)
    return ew.ask(ew.Classifier(Patches(**network), MEL, ["a", "b"]).eval(), clip, ew.Units(layer), label)


@pytest.fixture
def clip(tone):
    return tone(span=(0.3, 0.6))[0]


def attentions(question):
    """`[blocks, heads, tokens, tokens]`, step by step."""
    network, x = question.classifier.network, question.classifier.at("features", question.audio.samples[None])
    found = []
    with torch.no_grad():
        tokens = network.convolution(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([network.first[None], tokens], 1)
        for block in network.blocks:
            q, k, _ = block.qkv(tokens)[0].unflatten(1, (3, HEADS, 4)).permute(1, 2, 0, 3)
            found.append(torch.softmax(torch.einsum("hid,hjd->hij", q, k) / 2, -1))
            tokens = block(tokens)
    return torch.stack(found).double().numpy()


@pytest.mark.parametrize("special", [0, 1, 2])
@pytest.mark.parametrize("fused", [True, False])
def test_rollout_written_out(clip, special, fused):
    question = asked(clip, special=special, fused=fused)
    tokens = special + 4 * 7
    product = np.eye(tokens)
    for block in attentions(question):
        passed = 0.5 * block.mean(0) + 0.5 * np.eye(tokens)
        product = passed / passed.sum(1, keepdims=True) @ product
    row = product[: special or tokens].mean(0)
    found = ew.AttentionRollout()(question)
    np.testing.assert_allclose(found.values, row[special:].reshape(4, 7), rtol=1e-4)
    assert found.values.sum() + row[:special].sum() == pytest.approx(1, rel=1e-5)
    assert (found.kind, found.evaluations, found.shape) == ("importance", 1 + 2, (4, 7))


READ = {
    "patches, as in BEiT": torch.tensor([0.0] + [1.0] * 28) / 28,
    "the first and the patches, none of four registers, as in Dinov2": torch.tensor([1.0] + [0.0] * 4 + [1 / 28] * 28),
    "one patch": torch.tensor([0.0] * 20 + [-2.0] + [0.0] * 8),
}


@pytest.mark.parametrize("layer", ["blocks.2", "blocks.0"])
@pytest.mark.parametrize("name", READ)
def test_it_starts_from_what_is_read(clip, name, layer):
    """Not from the special tokens, unless it is they; whichever layer is asked about."""
    read, special = READ[name], len(READ[name]) - 28
    question = asked(clip, layer, special=special, read=read)
    start, last = (read.abs() / read.abs().sum()).double().numpy(), attentions(question)[-1].mean(0)
    row = start
    for block in attentions(question)[::-1]:
        row = row @ (0.5 * block.mean(0) + 0.5 * np.eye(len(read)))
    np.testing.assert_allclose(ew.AttentionRollout()(question).values, row[special:].reshape(4, 7), rtol=1e-4)
    expected = (start @ last)[special:].reshape(4, 7)
    np.testing.assert_allclose(ew.ActivationMap()(question).others["map"], expected, rtol=1e-4)


def test_where_nothing_is_read(clip):
    """A score that depends on no token: an empty map."""
    question = asked(clip, special=1, read=torch.zeros(29))
    assert not ew.AttentionRollout()(question).values.any()


def test_even_attention_in_closed_form(clip):
    """Where every token looks at all alike, L blocks leave 2^-L of what is read as it is, and spread the rest."""
    question = asked(clip, special=1)
    for block in question.classifier.network.blocks:
        nn.init.zeros_(block.qkv.weight)
        nn.init.zeros_(block.qkv.bias)
    found = ew.AttentionRollout()(question)
    np.testing.assert_allclose(found.values, (1 - 2.0**-3) / 29, rtol=1e-5)
    last = ew.ActivationMap(quantile=0.75)(question)
    np.testing.assert_allclose(last.others["map"], 1 / 29, rtol=1e-5)
    np.testing.assert_array_equal(
        last.values.ravel(), np.arange(28) < 7
    )  # all are equal: the first, and exactly so many


def test_every_layer_of_tokens_and_every_label_has_the_same_map(clip):
    first, other = asked(clip), asked(clip, "blocks.0", "b")
    for method in (ew.AttentionRollout(), ew.ActivationMap()):
        np.testing.assert_allclose(method(first).values, method(other).values, rtol=1e-5)


@pytest.mark.parametrize("special", [0, 2])
def test_the_last_block_s_attention(clip, special):
    question = asked(clip, special=special)
    last = attentions(question)[-1].mean(0)
    expected = last[: special or None].mean(0)[special:].reshape(4, 7)
    found = ew.ActivationMap(quantile=0.8)(question)
    np.testing.assert_allclose(found.others["map"], expected, rtol=1e-4)
    np.testing.assert_array_equal(found.values, expected >= np.sort(expected, axis=None)[-6])  # a fifth of 28, rounded
    assert (found.kind, found.evaluations) == ("mask", 3) and ew.ActivationMap().expected(question) == 3


def test_the_norm_of_a_convolution(cnn, clip):
    """Above the published threshold, where no two places are equal."""
    question = ew.ask(cnn(MEL), clip, ew.Units("features.3"), "low")
    level = np.sqrt((question.x.numpy() ** 2).sum(0))
    found = ew.ActivationMap()(question)
    np.testing.assert_allclose(found.others["map"], level, rtol=1e-5)
    np.testing.assert_array_equal(found.values, level >= np.quantile(level, 0.9))
    assert found.values.sum() == 63 and found.evaluations == 2 == ew.ActivationMap().expected(question)
    assert ew.ActivationMap(quantile=0.0)(question).values.all()
    assert ew.ActivationMap(quantile=0.999999)(question).values.sum() == 1
    assert ew.ActivationMap()(asked(clip, "convolution")).shape == (4, 7)  # [channels, *places] in front of the blocks


def test_attention_goes_to_the_tone(tone):
    """A transformer whose one special token asks for energy: half of the clip is silent, and gets nothing."""
    question = asked(tone(440, span=(0.5, 1.0), noise=0.0)[0], special=1)
    network = question.classifier.network
    with torch.no_grad():
        network.convolution.weight.copy_(torch.ones_like(network.convolution.weight) / 80)
        network.convolution.bias.zero_()
        network.first.fill_(1.0)
        for block in network.blocks:
            block.qkv.weight.zero_()
            block.qkv.bias.zero_()
            block.qkv.weight[WIDTH : 2 * WIDTH] = torch.eye(WIDTH)  # keys: the level
            block.qkv.bias[:WIDTH] = 1.0  # queries: louder, please
    for method in (ew.AttentionRollout(), ew.ActivationMap(quantile=0.9)):
        found = method(question)
        early = np.asarray(found.axes[1].edges[1:]) < 0.45
        assert found.values[:, early].sum() < 1e-3 * found.values.sum()


def test_where_nothing_attends(cnn, clip):
    for layer in ("features.3", "features.7"):
        with pytest.raises(ew.UsageError, match="nothing attends to those of network"):
            ew.AttentionRollout()(ew.ask(cnn(MEL), clip, ew.Units(layer), "low"))
    question = asked(clip)
    for block in question.classifier.network.blocks:
        block.forward = lambda x: x
    with pytest.raises(ew.UsageError, match="nothing attends"):
        ew.AttentionRollout()(question)
    found = ew.ActivationMap()(question)  # the norm instead
    expected = question.components.x[2:].norm(dim=1).reshape(4, 7)
    np.testing.assert_allclose(found.others["map"], expected, rtol=1e-5)
    for method in (ew.AttentionRollout(), ew.ActivationMap()):
        for other in (ew.Game(3, lambda m: m.sum(1)), ew.ask(cnn(MEL), clip, ew.Grid(2, 2))):
            with pytest.raises(ew.UsageError, match="the places of a layer"):
                method(other)


def test_what_makes_no_sense():
    for quantile in (1, -0.1, True):
        with pytest.raises(ew.UsageError, match="lies between 0 and 1"):
            ew.ActivationMap(quantile=quantile)


PICTURE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 20,
    "num_labels": 2,
}


@pytest.mark.parametrize("name", ["Beit", "Dinov2WithRegisters", "ViT"])
def test_what_models_of_pictures_read(tone, name):
    """BEiT the mean of its patches; Dinov2 the first token and that mean, by one layer; ViT the first alone."""
    config = getattr(transformers, f"{name}Config")(**PICTURE, image_size=32, patch_size=8)
    config.use_mean_pooling = True
    model = getattr(transformers, f"{name}ForImageClassification")(config)
    front = ew.Picture(ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20), 32, 32)
    path = {"Beit": "model.beit.layers.1", "ViT": "model.vit.layers.1"}.get(
        name, "model.dinov2_with_registers.encoder.layer.1"
    )
    question = ew.ask(ew.hugging_face(model, front), tone()[0], ew.Units(path), 0)
    model.set_attn_implementation("eager")
    features = question.classifier.at("features", question.audio.samples[None])
    with torch.no_grad():
        each = model(pixel_values=features, output_attentions=True).attentions
    special = {"Dinov2WithRegisters": 5}.get(name, 1)
    start = torch.zeros(special + 16)
    if name != "Beit":
        start[0] = 1.0
    if name == "Dinov2WithRegisters":
        first, patches = (half.norm() for half in model.classifier.weight[0].detach().chunk(2))
        start[0], start[5:] = first, patches / 16
    if name == "Beit":
        start[1:] = 1.0
    start = start / start.sum()
    row = start
    for attention in each[::-1]:
        row = row @ (0.5 * attention[0].mean(0) + 0.5 * torch.eye(len(start)))
    for values, expected in (
        (ew.AttentionRollout()(question).values, row),
        (ew.ActivationMap()(question).others["map"], start @ each[-1][0].mean(0)),
    ):
        np.testing.assert_allclose(values, expected[special:].reshape(4, 4).detach(), rtol=1e-4)


def test_a_model_of_transformers(tone):
    """AST, fused: the product of the attentions that it returns where it isn't; of 146 tokens two stand for no place."""
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=4, intermediate_size=20, max_length=128, num_labels=2
    )
    model = transformers.ASTForAudioClassification(config)
    classifier = ew.hugging_face(model, ew.ASTMel(max_frames=128))
    question = ew.ask(classifier, tone()[0], ew.Units("model.audio_spectrogram_transformer.layers.1"))
    rollout, attended = ew.AttentionRollout()(question).values, ew.ActivationMap()(question).others["map"]
    model.set_attn_implementation("eager")
    features = classifier.at("features", question.audio.samples[None])
    with torch.no_grad():
        each = model(**model_inputs(classifier.frontend, features), output_attentions=True).attentions
    product = torch.eye(146)
    for attention in each:
        product = (0.5 * attention[0].mean(0) + 0.5 * torch.eye(146)) @ product
    for values, rows in ((rollout, product), (attended, each[-1][0].mean(0))):
        expected = rows[:2].mean(0)[2:].reshape(12, 12)[:, : values.shape[1]]  # those behind the clip are padding
        np.testing.assert_allclose(values, expected, rtol=1e-4)
