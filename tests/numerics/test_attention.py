"""Attention maps: by hand, and those that models of transformers return where they can."""

import math

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional as F

from earwitness.numerics.attention import AttentionRecorder, attention_weights, head_means, rolled_out

SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 20}
CONVOLUTIONS = {"conv_dim": (8, 8), "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_feat_extract_layers": 2}
SPEECH = {**CONVOLUTIONS, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "vocab_size": 8}


def built(name, **settings):
    config = getattr(transformers, f"{name}Config")(**SMALL, **settings)
    torch.manual_seed(0)
    return getattr(transformers, f"{name}Model")(config).eval()


def whisper():
    config = transformers.WhisperConfig(
        d_model=16,
        encoder_layers=3,
        encoder_attention_heads=4,
        encoder_ffn_dim=20,
        num_mel_bins=8,
        max_source_positions=30,
    )
    torch.manual_seed(0)
    return transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()


MODELS = {
    "ast": (lambda: built("AST", max_length=64, num_mel_bins=32), (2, 64, 32), 2 + 2 * 5),
    "vit": (lambda: built("ViT", image_size=32, patch_size=8), (2, 3, 32, 32), 1 + 16),
    "wav2vec2": (lambda: built("Wav2Vec2", **SPEECH), (2, 800), 79),
    "hubert": (lambda: built("Hubert", **SPEECH), (2, 800), 79),
    "wavlm": (lambda: built("WavLM", **SPEECH), (2, 800), 79),
    "whisper": (whisper, (2, 8, 60), 30),
}


def recorded(model, x, **options):
    with torch.no_grad(), AttentionRecorder(**options) as recorder:
        answer = model(x).last_hidden_state
    return recorder.maps, answer


@pytest.mark.parametrize("name", MODELS)
def test_models_of_transformers(name):
    """Fused and eager have the same maps; those are what the model itself returns; its answer keeps its bits."""
    make, shape, tokens = MODELS[name]
    model, x = make(), torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain = model(x).last_hidden_state
    maps, answer = recorded(model, x)
    assert torch.equal(answer, plain)
    assert [attention.shape for attention in maps] == 3 * [(2, 4, tokens, tokens)]
    assert max(float((attention.sum(-1) - 1).abs().max()) for attention in maps) < 1e-5
    assert min(float(attention.std(1).max()) for attention in maps) > 1e-4  # heads differ
    if name == "wavlm":  # returns the mean over heads
        with torch.no_grad():
            returned = model(x, output_attentions=True).attentions
        for attention, theirs in zip(maps, returned, strict=True):
            mean = theirs if theirs.ndim == 3 else theirs[:, 0]
            np.testing.assert_allclose(attention.mean(1), mean, atol=1e-6)
        return
    assert model.config._attn_implementation == "sdpa"
    model.set_attn_implementation("eager")
    eager, _ = recorded(model, x)
    with torch.no_grad():
        returned = model(x, output_attentions=True).attentions
    for fused, slow, theirs in zip(maps, eager, returned, strict=True):
        np.testing.assert_allclose(fused, slow, atol=1e-6)
        np.testing.assert_array_equal(slow, theirs)


def test_what_is_kept():
    make, shape, tokens = MODELS["vit"]
    model, x = make(), torch.randn(shape)
    means, _ = recorded(model, x, keep=lambda attention: attention.mean(1))
    whole, _ = recorded(model, x)
    assert [mean.shape for mean in means] == 3 * [(2, tokens, tokens)]
    assert torch.equal(means[1], whole[1].mean(1))


def mask(kind, queries, keys):
    generator = torch.Generator().manual_seed(3)
    if kind == "added":
        return {"attn_mask": torch.randn(queries, keys, generator=generator)}
    if kind == "allowed":
        return {
            "attn_mask": (torch.rand(2, 1, queries, keys, generator=generator) > 0.4) | torch.eye(queries, keys).bool()
        }
    return {"causal": {"is_causal": True}, "scaled": {"scale": 0.3}, "plain": {}}[kind]


@pytest.mark.parametrize("kind", ["plain", "scaled", "causal", "added", "allowed"])
def test_they_are_the_weights_of_the_values(kind):
    """A times v is what the fused call answers: for every mask, also with fewer keys' heads, in any shape."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 4, 6, 5, generator=generator) for _ in range(3))
    options = mask(kind, 6, 6)
    weights = attention_weights(q, k, v, **options)
    np.testing.assert_allclose(weights @ v, F.scaled_dot_product_attention(q, k, v, **options), atol=1e-6)
    shared = attention_weights(q, k[:, :2], v[:, :2], **options, enable_gqa=True)
    expected = F.scaled_dot_product_attention(q, k[:, :2], v[:, :2], **options, enable_gqa=True)
    np.testing.assert_allclose(shared @ v[:, [0, 0, 1, 1]], expected, atol=1e-6)


def test_one_row_by_hand():
    q, k = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 1.0], [0.0, 1.0]]])
    found = attention_weights(q, k)[0, 0]
    a, b = math.exp(5 / math.sqrt(2)), math.exp(2 / math.sqrt(2))
    np.testing.assert_allclose(found, [a / (a + b), b / (a + b)], rtol=1e-6)
    nothing = attention_weights(q, k, attn_mask=torch.zeros(1, 2, dtype=torch.bool))
    assert torch.equal(nothing, torch.zeros(1, 1, 2))


@pytest.mark.parametrize("need_weights", [True, False])
def test_torch_s_own_module(need_weights):
    """Each head by itself, in evaluation mode too, where a fast path would bypass everything; padding is masked."""
    torch.manual_seed(0)
    module, x = nn.MultiheadAttention(8, 2, batch_first=True).eval(), torch.randn(3, 5, 8)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[1, 3:] = True
    with torch.no_grad(), AttentionRecorder() as recorder:
        answer, weights = module(x, x, x, key_padding_mask=padding, need_weights=need_weights)
    expected, heads = module(x, x, x, key_padding_mask=padding, average_attn_weights=False)
    np.testing.assert_allclose(recorder.maps[0], heads.detach(), atol=1e-6)
    np.testing.assert_allclose(answer, expected.detach(), atol=1e-6)
    assert (weights is not None) == need_weights and not recorder.maps[0][1, :, :, 3:].any()
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.no_grad(), AttentionRecorder() as recorder:
        nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)(x)
    assert [attention.shape for attention in recorder.maps] == 2 * [(3, 2, 5, 5)]


def test_what_is_no_self_attention_is_left_out():
    x = torch.randn(2, 3, 4, 4)
    with AttentionRecorder() as recorder:
        F.softmax(x, 1)
        F.softmax(x[..., :3], -1)
        F.softmax(x[0], -1)
        F.scaled_dot_product_attention(x, x[:, :, :3], x[:, :, :3])
        assert recorder.maps == []
        torch.softmax(x, -1), x.softmax(dim=3), F.softmax(x, dim=-1)
    assert len(recorder.maps) == 3
    F.softmax(x, -1)
    assert len(recorder.maps) == 3  # and nothing once the recorder is off


def test_means_over_heads_of_the_tokens_that_are_meant():
    """All blocks, the first one first; nothing where one of them attends to anything else."""
    first, second, windows = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4), torch.randn(3, 2, 4, 4)
    found = head_means(lambda: (first.softmax(-1), second.softmax(-1)), 4)
    assert len(found) == 2 and torch.equal(found[1], second.softmax(-1)[0].mean(0))
    assert head_means(lambda: (first.softmax(-1), windows.softmax(-1)), 4) == []
    assert head_means(lambda: first.softmax(-1), 5) == head_means(lambda: None, 4) == []


def test_two_blocks_rolled_out_by_hand():
    """Token 0 reads half of 1 in the second block; of that, the first block had taken a quarter from 2."""
    first = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 1]])
    second = torch.tensor([[0.0, 1, 0], [0, 1, 0], [0, 0, 1]])
    found = rolled_out([first, second], torch.tensor([1.0, 0, 0]))
    np.testing.assert_allclose(found, [0.5, 0.5 * 0.75, 0.5 * 0.25])
    blind = rolled_out([torch.zeros(3, 3)], torch.tensor([0.0, 1, 0]))  # rows that look at nothing still sum to 1
    np.testing.assert_allclose(blind, [0, 1, 0])
