"""LRP through the audio transformers of Hugging Face as they come: nothing is patched, registered or recognised.

The models are small and of random weights: what is tested is the arithmetic, which doesn't ask what was learnt.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

import earwitness as ew
from earwitness.numerics.relevance import propagating
from earwitness.numerics.relevance_rules import Rules

transformers = pytest.importorskip("transformers")

SPEECH = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "num_labels": 3,
    "conv_dim": (16, 16, 16), "conv_kernel": (10, 3, 3), "conv_stride": (5, 4, 4), "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4, "classifier_proj_size": 16,
    "apply_spec_augment": False,
}  # fmt: skip
PICTURE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "num_labels": 3,
    "patch_size": 8, "frequency_stride": 5, "time_stride": 5, "max_length": 40, "num_mel_bins": 24,
}  # fmt: skip


def speech(name, **options):
    config = getattr(transformers, f"{name}Config")(**SPEECH, **options)
    return getattr(transformers, f"{name}ForSequenceClassification")(config)


MODELS = {
    "wav2vec2": lambda **options: speech("Wav2Vec2", **options),
    "wav2vec2, layer norms": lambda **options: speech(
        "Wav2Vec2", feat_extract_norm="layer", do_stable_layer_norm=True, **options
    ),
    "hubert": lambda **options: speech("Hubert", **options),
    "wavlm": lambda **options: speech("WavLM", num_buckets=8, max_bucket_distance=20, **options),
    "ast": lambda **options: transformers.ASTForAudioClassification(transformers.ASTConfig(**PICTURE, **options)),
}


class Answering(nn.Module):
    """The logits of a model; features [B, 1, F, T] as it takes them, [B, T, F]."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x if x.ndim == 2 else x[:, 0].transpose(1, 2)).logits


def lively(model, seed=0, biases=True):
    """Seeded weights, larger than a fresh model's, so that attention is uneven; biases and positions, or none."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.from_numpy(rng.standard_normal(value.shape)).float()
            added = "bias" in name or name.endswith(("_embeddings", "_token"))
            if value.ndim > 1 and not added:
                value.copy_(noise * (1.5 / math.sqrt(value[0].numel())))
            elif added:
                value.copy_(0.3 * noise if biases else 0 * noise)
    return model.eval()


def asked(name, biases=True, seed=0, **options):
    network = Answering(lively(MODELS[name](**options), seed, biases))
    noise = torch.from_numpy(np.random.default_rng(3).standard_normal(2000)).float()
    if name == "ast":
        features = noise[: 24 * 40].reshape(1, 24, 40)
        return ew.ask(ew.Classifier(network, None, ["a", "b", "c"]), features, ew.Grid(4, 5), "a")
    return ew.ask(
        ew.Classifier(network, ew.Waveform(16000), ["a", "b", "c"]),
        ew.Audio(noise / 4, 16000),
        ew.Segments(count=9),
        "a",
    )


@pytest.mark.parametrize("composite", ["epsilon", "gamma", "epsilon-plus-flat"])
@pytest.mark.parametrize("name", MODELS)
def test_values_stay_and_relevance_is_finite(name, composite):
    question, lrp = asked(name), ew.LRP(composite)
    with torch.no_grad():
        plain = question.answers(question.x[None])
    with propagating(lrp.rules):
        walked = question.answers(question.x[None].clone().requires_grad_()).detach()
    np.testing.assert_allclose(walked, plain, atol=1e-5 * float(plain.abs().max()))
    found = lrp(question)
    assert np.isfinite(found.values).all() and np.ptp(found.values) > 0
    assert all(value.requires_grad and value.grad is None for value in question.classifier.parameters())


@pytest.mark.parametrize("composite", ["epsilon", "gamma", "epsilon-plus-flat"])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_lost_with_attention_held_and_without_biases(name, composite):
    """Through norms, GELU, positions by convolution and gated position biases: the score, to 1 %."""
    question = asked(name, biases=False)
    found = ew.LRP(composite, attention="held")(question)
    assert found.values.sum() == pytest.approx(found.score, rel=0.01)
    assert found.warnings == ()


@pytest.mark.parametrize("name", ["wav2vec2", "hubert", "ast"])
def test_fused_attention_and_attention_in_steps_are_one(name):
    found = [
        ew.LRP("epsilon")(asked(name, attn_implementation=implementation)).values
        for implementation in ("sdpa", "eager")
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-4 * np.abs(found[0]).max())


def linear(x, layer, relevance):
    """LRP-epsilon of a linear layer, tokens `[n, in]` and relevance `[n, out]`."""
    y = layer(x)
    y = y + 1e-6 * torch.where(y < 0, -1.0, 1.0)
    return torch.einsum("ni,oi,no->ni", x, layer.weight, relevance / y)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_layer_of_attention_is_attnlrp_by_hand(implementation):
    """Of wav2vec 2.0, in double precision: linear layers by epsilon, products by halves, softmax as x_i (R'_i - y_i sum R')."""
    model = lively(MODELS["wav2vec2"](attn_implementation=implementation)).double()
    attention = model.wav2vec2.encoder.layers[1].attention
    x, relevance = (torch.from_numpy(np.random.default_rng(seed).standard_normal((6, 32))) for seed in (5, 6))
    with propagating(Rules(), at_input=False):
        start = x[None].clone().requires_grad_()
        out = attention(start)[0]
        (slope,) = torch.autograd.grad(out, start, relevance / out.detach())
    found = x * slope[0]

    with torch.no_grad():
        q, k, v = (getattr(attention, f"{part}_proj")(x).reshape(6, 4, 8).transpose(0, 1) for part in "qkv")
        scores = q @ k.mT / math.sqrt(8)
        weights = scores.softmax(-1)
        heads = weights @ v
        inner = heads.transpose(0, 1).reshape(6, 32)
        np.testing.assert_allclose(attention.out_proj(inner), out[0].detach(), atol=1e-9)
        of_heads = linear(inner, attention.out_proj, relevance).reshape(6, 4, 8).transpose(0, 1) / heads
        of_weights = torch.einsum("hij,hjc,hic->hij", weights, v, of_heads) / 2
        of_v = torch.einsum("hij,hjc,hic->hjc", weights, v, of_heads) / 2
        of_scores = scores * (of_weights - weights * of_weights.sum(-1, keepdim=True))
        of_q, of_k = (
            torch.einsum(f"hic,hjc,hij->{kept}", q, k, of_scores / scores / math.sqrt(8)) / 2 for kept in ("hic", "hjc")
        )
        expected = sum(
            linear(x, getattr(attention, f"{part}_proj"), each.transpose(0, 1).reshape(6, 32))
            for part, each in (("q", of_q), ("k", of_k), ("v", of_v))
        )
    np.testing.assert_allclose(found, expected, atol=1e-8 * float(expected.abs().max()))
