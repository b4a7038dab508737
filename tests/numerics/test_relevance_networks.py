"""Relevance through attention; what depends on the input, and what stands at it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from earwitness.errors import ModelError
from earwitness.numerics.relevance_rules import Rules

EPSILON = 1e-6


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def close(came, expected, near=1e-9):
    np.testing.assert_allclose(came.detach().numpy(), torch.as_tensor(expected).detach().numpy(), rtol=near, atol=near)


def affine(module, seed=0):
    with torch.no_grad():
        for at, value in enumerate(module.parameters()):
            value.copy_(normal(*value.shape, seed=seed + at))
    return module.double().eval()


# ---- attention


def softmaxed(relevance, scores):
    """AttnLRP's rule: R_i = x_i (R'_i - y_i sum of R')."""
    y = scores.softmax(-1)
    return scores * (relevance - y * relevance.sum(-1, keepdim=True))


def test_softmax(walked):
    x, relevance = normal(4, 5), normal(4, 5, seed=1)
    for function in (lambda x: x.softmax(-1), lambda x: F.softmax(x, -1), nn.Softmax(-1)):
        _, found = walked(function, x, relevance)
        close(found, softmaxed(relevance, x))
        _, found = walked(lambda x, f=function: f(x) * x, x, rules=Rules(attention="held"))
        close(found, x * x.softmax(-1))


def slow_attention(q, k, v, relevance, mask=0.0):
    """Relevance of q, k, v (and of a float mask) `[tokens, width]`, by loops over AttnLRP's rules."""
    width, (n, m) = math.sqrt(q.shape[1]), (len(q), len(k))
    scores = q @ k.T / width + mask
    weights = scores.softmax(-1)
    out = weights @ v
    of_weights, of_v = torch.zeros(n, m).double(), torch.zeros_like(v)
    for i in range(n):
        for j in range(m):
            for c in range(v.shape[1]):
                share = weights[i, j] * v[j, c] / out[i, c] * relevance[i, c] / 2
                of_weights[i, j] += share
                of_v[j, c] += share
    of_scores = softmaxed(of_weights, scores)
    of_q, of_k = torch.zeros_like(q), torch.zeros_like(k)
    for i in range(n):
        for j in range(m):
            for c in range(q.shape[1]):
                share = q[i, c] * k[j, c] / width / scores[i, j] * of_scores[i, j] / 2
                of_q[i, c] += share
                of_k[j, c] += share
    return torch.stack([of_q, of_k, of_v]), of_scores * mask / scores


def test_scaled_dot_products_are_the_slow_replica(walked):
    x, relevance = normal(3, 4, 5), normal(4, 5, seed=1)
    y, found = walked(lambda x: F.scaled_dot_product_attention(x[0][None], x[1][None], x[2][None])[0], x, relevance)
    close(y, F.scaled_dot_product_attention(*(t[None] for t in x))[0])
    close(found, slow_attention(*x, relevance)[0])
    other, loose = walked(lambda x: (x[0] @ x[1].T / math.sqrt(5)).softmax(-1) @ x[2], x, relevance)
    close(y, other)
    close(found, loose)


MASK = torch.tensor([[True, True, False, False], [True, True, True, False]] * 2)


@pytest.mark.parametrize(
    "options",
    [
        {"is_causal": True},
        {"attn_mask": MASK},
        {"attn_mask": normal(4, 4, seed=7)},
        {"scale": 0.3},
        {"enable_gqa": True},
    ],
    ids=str,
)
def test_scaled_dot_products_with_options(walked, options):
    q, kv = normal(1, 4, 4, 5), normal(2, 1, 2 if "enable_gqa" in options else 4, 4, 5, seed=1)
    plain = F.scaled_dot_product_attention(q, *kv, **options)
    y, found = walked(lambda kv: F.scaled_dot_product_attention(q, kv[0], kv[1], **options), kv)
    close(y, plain)
    assert float(found.abs().max()) > 0 and torch.isfinite(found).all()


def linear(x, weight, bias, relevance):
    """LRP-epsilon of y = x w' + b for tokens `[n, in]`; relevance `[n, out]`."""
    y = x @ weight.T + bias
    shares = x[:, None, :] * weight / (y + EPSILON * torch.where(y < 0, -1.0, 1.0))[:, :, None]
    return (shares * relevance[:, :, None]).sum(1)


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("heads", [1, 2])
def test_multi_head_attention_is_the_slow_replica(walked, heads, weights):
    """Of a module that nobody has patched, whether it returns its weights (in steps of its own) or not (fused)."""
    module, x, relevance = affine(nn.MultiheadAttention(4, heads, batch_first=True)), normal(3, 4), normal(3, 4, seed=9)
    y, found = walked(lambda x: module(x, x, x, need_weights=weights)[0], x[None], relevance[None])
    close(y, module(x[None], x[None], x[None], need_weights=weights)[0])
    in_weights, in_biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    q, k, v = (x @ w.T + b for w, b in zip(in_weights, in_biases, strict=True))
    inner = torch.cat([
        (q[:, h] @ k[:, h].T / math.sqrt(4 / heads)).softmax(-1) @ v[:, h] for h in _heads(heads)
    ], 1)  # fmt: skip
    of_inner = linear(inner, module.out_proj.weight, module.out_proj.bias, relevance)
    each = [slow_attention(q[:, h], k[:, h], v[:, h], of_inner[:, h])[0] for h in _heads(heads)]
    of_projected = torch.cat(each, 2)
    expected = sum(linear(x, w, b, r) for w, b, r in zip(in_weights, in_biases, of_projected, strict=True))
    close(found[0], expected, 1e-6)


def _heads(heads):
    return [slice(4 // heads * h, 4 // heads * (h + 1)) for h in range(heads)]


def test_a_position_bias_that_depends_on_the_input_gets_its_share(walked):
    """As in WavLM: a float mask, made from the input, added to the scores."""
    x, relevance, eye = normal(3, 4), normal(3, 4, seed=9), torch.eye(4, dtype=torch.float64)
    to_mask = normal(3, 4, seed=5)

    def attend(x, mask):
        zeros = torch.zeros(12, dtype=torch.float64)
        given = (4, 1, None, zeros, None, None, False, 0.0, eye, zeros[:4])
        found, _ = F.multi_head_attention_forward(
            *(x[:, None] for _ in range(3)), *given, attn_mask=mask, training=False, need_weights=False,
            use_separate_proj_weight=True, q_proj_weight=eye, k_proj_weight=eye, v_proj_weight=eye,
        )  # fmt: skip
        return found[:, 0]

    mask = x @ to_mask.T
    y, found = walked(lambda x: attend(x, x @ to_mask.T), x, relevance)
    close(y, attend(x, mask))
    (of_q, of_k, of_v), of_mask = slow_attention(x, x, x, relevance, mask)
    expected = of_q + of_k + of_v + linear(x, to_mask, torch.zeros(3), of_mask)
    close(found, expected, 1e-4)


def test_a_whole_encoder_layer(walked):
    layer, x = affine(nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)), normal(2, 3, 4)
    with torch.no_grad():
        plain = layer(x)
    for rules in (Rules(), Rules(attention="held")):
        y, found = walked(layer, x, rules=rules)
        close(y, plain)
        assert torch.isfinite(found).all() and float(found.abs().max()) > 0
    with torch.no_grad():
        for name, value in layer.named_parameters():
            value.mul_(0.0 if name.endswith("bias") else 1.0)
    y, found = walked(layer, x, normal(2, 3, 4, seed=2), rules=Rules("zero", "zero", attention="held"))
    assert float(found.sum()) == pytest.approx(float(normal(2, 3, 4, seed=2).sum()))


def test_gated_linear_units_are_products(walked):
    x = normal(3, 6)
    y, found = walked(F.glu, x)
    a, b = x.chunk(2, 1)
    close(y, F.glu(x))
    close(found, torch.cat([y / 2, b * a * b.sigmoid() * (1 - b.sigmoid()) / 2], 1))


# ---- what depends on the input, and what stands at it


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_parameters_are_constants(walked, norm):
    """They require gradients, and so do weights that are made of them, but relevance stays with the input."""
    torch.manual_seed(0)
    net = nn.Sequential(norm(nn.Conv1d(2, 4, 3), dim=2), nn.Tanh(), nn.Conv1d(4, 3, 1)).double()
    scale = nn.Parameter(normal(3, 1))
    x, rules = normal(2, 2, 6), Rules("gamma")
    assert all(value.requires_grad for value in net.parameters())
    y, found = walked(lambda x: net(x) * scale, x, rules=rules)
    frozen = nn.Sequential(nn.Conv1d(2, 4, 3), nn.Tanh(), nn.Conv1d(4, 3, 1)).double().requires_grad_(False)
    with torch.no_grad():
        frozen[0].weight.copy_(net[0].weight)
        frozen[0].bias.copy_(net[0].bias)
        frozen[2].load_state_dict(net[2].state_dict())
    same, expected = walked(lambda x: frozen(x) * scale.detach(), x, rules=rules)
    close(y, same)
    close(found, expected)
    assert all(value.requires_grad and value.grad is None for value in net.parameters())
    with torch.enable_grad():
        assert net(x).requires_grad  # as before


def test_buffers_that_are_written_into_and_views_of_constants(walked):
    """A buffer filled piece by piece depends on the input from then on."""
    x, weight = normal(2, 3), nn.Parameter(normal(3, 3, seed=1))

    def function(x):
        row, held = torch.zeros(2, 3, dtype=torch.float64), weight[0]
        row[:, 2].add_(x[:, 0])
        row[:, :2] += x[:, 1:]
        return F.linear(row, weight) * held

    y, found = walked(function, x, rules=Rules(dense="z-plus"), at_input=True)
    rolled, expected = walked(lambda x: F.linear(x, weight) * weight[0], x.roll(-1, 1), rules=Rules(dense="z-plus"))
    close(y, rolled)
    close(found.roll(-1, 1), expected)


MEAN = normal(4, 1, seed=6)
AT_INPUT = {
    "shift": lambda x: (x - MEAN) / 3,
    "from the other side": lambda x: 1 - (x + MEAN),
    "batch norm": lambda x: affine_batch(x),
    "level": lambda x: torch.log(torch.maximum(x.square(), MEAN.abs())).unsqueeze(1)[:, 0],
    "in place": lambda x: (x * 1.0).sub_(MEAN).exp_(),
}


def affine_batch(x):
    norm = affine(nn.BatchNorm1d(4))
    norm.running_mean.copy_(normal(4, seed=2))
    norm.running_var.copy_(normal(4, seed=3).abs() + 0.1)
    return norm(x)


@pytest.mark.parametrize("name", AT_INPUT)
def test_functions_of_one_number_of_the_input_pass_relevance(walked, name):
    x, relevance = normal(2, 4, 5), normal(2, 4, 5, seed=1)
    y, found = walked(AT_INPUT[name], x, relevance, at_input=True)
    close(y, AT_INPUT[name](x))
    close(found, relevance)
    _, shared = walked(AT_INPUT[name], x, relevance)  # deeper, what is added keeps its share
    assert float((shared - relevance).abs().max()) > 0.1


def test_looking_at_the_rows_writes_nothing(walked):
    x, relevance = normal(2, 3), normal(2, 3, seed=1)

    def function(x):
        _, _ = x
        return x.exp()

    _, found = walked(function, x, relevance, at_input=True)
    close(found, relevance)


def test_behind_a_sum_a_constant_keeps_its_share(walked):
    for function in (lambda x: 1 + x.sum(1), lambda x: F.avg_pool1d(x, 2) - 1, lambda x: (x * 1.0).add_(x.flip(1)) + 1):
        x = normal(2, 4, 6)
        y, found = walked(function, x, at_input=True)
        plain, expected = walked(function, x)
        close(y, plain)
        close(found, expected)


def _set(x):
    y = x.clone()
    y[1:] = x[1:] - 0.9 * x[:-1]
    return y.exp()


def _in_a_view(x):
    y = x.clone()
    y[1:].sub_(0.9 * x[:-1])
    return y.exp()


def _by_name(x):
    y = x.clone()
    tail = y.narrow(0, 1, 3)
    tail -= 0.9 * x[:-1]
    return y.exp()


@pytest.mark.parametrize("function", [_set, _in_a_view, _by_name])
def test_what_is_written_from_elsewhere_is_no_longer_one_number_of_the_input(walked, function):
    """Pre-emphasis in place is what it is with `cat`: behind it exp has its own slope."""
    x = torch.tensor([1.9, -0.4, 1.3, 0.8]).double()
    _, expected = walked(lambda x: torch.cat([x[:1], x[1:] - 0.9 * x[:-1]]).exp(), x, at_input=True)
    _, found = walked(function, x, at_input=True)
    close(found, expected)


def test_the_rule_of_the_first_layer_holds_at_the_input_alone(walked):
    """On every branch that begins there, and nowhere behind them."""
    a, b = normal(3, 1, 3, seed=1), normal(3, 1, 5, seed=2)
    c, x = normal(2, 3, 1, seed=3).abs(), normal(1, 8)

    def branches(x):
        x = x[:, None] * 2
        return F.conv1d(F.relu(F.conv1d(x, a, padding=1)) + F.relu(F.conv1d(x, b, padding=2)), c)

    rules = Rules("z-plus", first="flat")
    y, found = walked(branches, x, rules=rules, at_input=True)
    left, right = F.relu(F.conv1d(2 * x[:, None], a, padding=1)), F.relu(F.conv1d(2 * x[:, None], b, padding=2))
    of_sum = (left + right) * F.conv_transpose1d(y / (y + EPSILON), c)
    expected = torch.zeros(1, 1, 8).double()
    for part, kernel in ((left, a), (right, b)):
        of_part = (part * of_sum / (left + right).clamp(min=1e-30)).sum(1, keepdim=True)
        ones, pad = torch.ones(1, 1, kernel.shape[2]).double(), kernel.shape[2] // 2
        places = F.conv1d(torch.ones_like(x)[:, None], ones, padding=pad) + EPSILON
        expected += F.conv_transpose1d(of_part / places, ones, padding=pad)
    close(found[:, None], expected, 1e-5)
    _, behind = walked(branches, x, rules=rules)
    _, without = walked(branches, x, rules=Rules("z-plus"))
    close(behind, without)


@pytest.mark.parametrize("layer", [nn.LSTM(3, 2), nn.GRU(3, 2), nn.RNN(3, 2), nn.LSTMCell(3, 2)])
def test_recurrent_layers_are_refused(walked, layer):
    with pytest.raises(ModelError, match=r"no rule by which relevance could pass (LSTM|GRU|RNN) layers"):
        walked(lambda x: layer(x)[0], torch.randn(4, 3))


def test_nothing_is_left_behind(walked):
    x = normal(3, 4)
    walked(torch.tanh, x)
    twin = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.tanh(twin).sum(), twin)
    close(slope, 1 - torch.tanh(x) ** 2)
