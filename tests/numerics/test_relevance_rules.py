"""Rules by which layers share relevance: each written again as loops; batch norm, merged."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from earwitness.errors import UsageError
from earwitness.numerics.relevance_rules import ANYWHERE, RULES, Rules

EPSILON = 1e-6


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def close(came, expected, near=1e-9):
    np.testing.assert_allclose(came.detach().numpy(), torch.as_tensor(expected).detach().numpy(), rtol=near, atol=near)


# ---- rules, number by number


def contributions(rule, x, w, b, z, rules):
    """What input x claims of the output z by weight w (both numbers), and what the bias does; for alpha-beta pairs of them."""
    up, down = (lambda t: max(t, 0.0)), (lambda t: min(t, 0.0))
    if rule in ("zero", "epsilon"):
        return x * w, b
    if rule == "gamma":
        own = up if z >= 0 else down
        return x * w + rules.gamma * own(x * w), b + rules.gamma * own(b)
    if rule == "z-plus":
        return up(x * w), up(b)
    if rule == "alpha-beta":
        return (up(x * w), down(x * w)), (up(b), down(b))
    if rule == "flat":
        return 1.0, 0.0
    if rule == "w-square":
        return w * w, 0.0
    low, high = rules.low, rules.high
    return x * w - low * up(w) - high * down(w), 0.0


def by_hand(rule, x, weight, bias, relevance, rules):
    """R_j = sum over k of s_jk / s_k R_k for inputs `[J]`, weights `[K, J]`; a weight of None is a place out of reach.

    Where a rule of signs finds contributions of one sign alone, they share as in epsilon.
    """
    found = np.zeros(len(x))
    asked = rule
    for k, row in enumerate(weight):
        parts = [v * w for v, w in zip(x, row, strict=True) if w is not None] + [bias[k]]
        one_sided = (asked == "z-plus" and max(parts) <= 0) or (
            asked == "alpha-beta" and (max(parts) <= 0 or min(parts) >= 0)
        )
        rule = "epsilon" if one_sided else asked
        z = sum(parts)
        for sign, part in ((rules.alpha, 0), (-rules.beta, 1)) if rule == "alpha-beta" else ((1.0, None),):
            claims = {j: contributions(rule, x[j], w, bias[k], z, rules) for j, w in enumerate(row) if w is not None}
            shares = {j: c[0] if part is None else c[0][part] for j, c in claims.items()}
            rest = next(iter(claims.values()))[1]
            total = sum(shares.values()) + (rest if part is None else rest[part])
            total += 0.0 if rule == "zero" else math.copysign(rules.epsilon, total if total else 1.0)
            for j, share in shares.items():
                found[j] += sign * share / total * relevance[k]
    return found


def chosen(rule, **options):
    options = {"low": -3.0, "high": 4.0} | options
    return Rules(rule, rule, **options) if rule in ANYWHERE else Rules(first=rule, **options)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_shares_as_its_formula_says(walked, rule, bias):
    x, weight, relevance = normal(7), normal(5, 7, seed=1), normal(1, 5, seed=2)
    b = normal(5, seed=3) if bias else torch.zeros(5, dtype=torch.float64)
    rules = chosen(rule)
    y, found = walked(lambda x: F.linear(x, weight, b if bias else None), x[None], relevance, rules, at_input=True)
    close(y, F.linear(x[None], weight, b))
    expected = by_hand(rule, x.tolist(), weight.tolist(), b.tolist(), relevance[0].tolist(), rules)
    close(found[0], expected)


CONVOLUTIONS = {
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1, groups=2), (4, 9), (4, 2, 3)),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=(1, 0), dilation=(1, 2)), (2, 4, 6), (3, 2, 3, 2)),
    "conv2d, same": (lambda x, w, b: F.conv2d(x, w, b, padding="same"), (1, 4, 4), (2, 1, 3, 3)),
    "transposed": (lambda x, w, b: F.conv_transpose1d(x, w, b, stride=2), (2, 4), (2, 3, 3)),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_is_a_dense_layer_with_places_out_of_reach(walked, name, rule):
    convolve, shape, kernel = CONVOLUTIONS[name]
    outputs = kernel[1] if name == "transposed" else kernel[0]
    x, weight, b = normal(*shape), normal(*kernel, seed=1), normal(outputs, seed=2)
    units = torch.eye(x.numel(), dtype=torch.float64).reshape(-1, *shape)
    matrix, reach = (convolve(units, w, None).flatten(1).T for w in (weight, torch.ones_like(weight)))
    rows = [[float(w) if r else None for w, r in zip(*pair, strict=True)] for pair in zip(matrix, reach, strict=True)]
    ground = convolve(0 * x[None], weight, b).flatten().tolist()
    rules = chosen(rule)
    relevance = normal(*convolve(x[None], weight, b).shape, seed=3)
    _, found = walked(lambda x: convolve(x, weight, b), x[None], relevance, rules, at_input=True)
    expected = by_hand(rule, x.flatten().tolist(), rows, ground, relevance.flatten().tolist(), rules)
    close(found.flatten(), expected)


def test_the_box_is_the_row_s_own_range_by_default(walked):
    x, weight = normal(2, 7), normal(5, 7, seed=1)
    _, found = walked(lambda x: F.linear(x, weight), x, rules=Rules(first="z-box"), at_input=True)
    for row in (0, 1):
        rules = Rules(first="z-box", low=float(x[row].min()), high=float(x[row].max()))
        z = F.linear(x[row], weight).tolist()
        close(found[row], by_hand("z-box", x[row].tolist(), weight.tolist(), [0.0] * 5, z, rules))


def test_what_is_exactly_0_can_carry_no_relevance(walked):
    """Nor does it take part in the sharing: nothing is lost."""
    x, weight = torch.tensor([[1.0, 0.0, -2.0]]), torch.ones(1, 3)
    _, found = walked(lambda x: F.linear(x, weight), x, rules=Rules(first="flat"), at_input=True)
    close(found, [[-0.5, 0.0, -0.5]], 1e-5)


MATRIX = normal(4, 3, seed=1)
AS_PRODUCTS = {
    "matmul": lambda x: x @ MATRIX,
    "from the left": lambda x: (MATRIX.T @ x.mT).mT,
    "torch.mm": lambda x: torch.mm(x, MATRIX),
    "addmm": lambda x: torch.addmm(torch.zeros(3, dtype=torch.float64), x, MATRIX),
    "einsum": lambda x: torch.einsum("bj,jk->bk", x, MATRIX),
    "einsum, swapped": lambda x: torch.einsum("jk,bj->bk", MATRIX, x),
    "bmm": lambda x: torch.bmm(x[None], MATRIX[None])[0],
}


@pytest.mark.parametrize("name", AS_PRODUCTS)
def test_a_product_with_a_constant_matrix_is_a_linear_layer(walked, name):
    x, rules = normal(2, 4), Rules(dense="z-plus")
    y, found = walked(AS_PRODUCTS[name], x, rules=rules)
    same, expected = walked(lambda x: F.linear(x, MATRIX.T), x, rules=rules)
    close(y, same)
    close(found, expected)


# ---- batch norm


def normalised(inputs, outputs, layer=nn.Conv1d):
    norm = (nn.BatchNorm1d if layer is not nn.Conv2d else nn.BatchNorm2d)(outputs).double().eval()
    linear = (layer(inputs, outputs) if layer is nn.Linear else layer(inputs, outputs, 3)).double()
    with torch.no_grad():
        for at, value in enumerate((norm.weight, norm.bias, norm.running_mean, norm.running_var)):
            value.copy_(normal(outputs, seed=at + 5).abs() + 0.1 if at == 3 else normal(outputs, seed=at + 5))
    return linear, norm


@pytest.mark.parametrize("rule", ANYWHERE)
@pytest.mark.parametrize("layer", [nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d])
def test_batch_norm_is_merged_into_the_layer_before_it(walked, layer, rule):
    linear, norm = normalised(2, 3, layer)
    x = normal(2, 2) if layer is nn.Linear else normal(2, 2, 5, 4) if layer is nn.Conv2d else normal(2, 2, 5)
    y, found = walked(lambda x: norm(linear(x)), x, rules=chosen(rule))
    assert torch.equal(y, norm(linear(x)))
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    with torch.no_grad():
        shape = [1, -1] if layer is nn.ConvTranspose1d else [-1, 1]
        linear.weight *= scale.reshape(*shape, *[1] * (linear.weight.ndim - 2))
        linear.bias.copy_((linear.bias - norm.running_mean) * scale + norm.bias)
    same, expected = walked(linear, x, y, rules=chosen(rule))
    close(same, y)
    close(found, expected)


def test_batch_norm_is_merged_only_into_what_made_its_input(walked):
    """Where something was written in between, or stands between, it is linear by itself, its shift keeping its share."""
    linear, norm = normalised(2, 3)
    x, rules = normal(2, 2, 5), Rules("z-plus")
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()[:, None]
    shift = norm.bias.detach()[:, None] - norm.running_mean[:, None] * scale

    def apart(y):
        return y * scale + shift

    for between in (lambda z: z.mul_(2), lambda z: z.relu(), lambda z: z.relu_(), lambda z: z + 1):
        y, found = walked(lambda x, f=between: norm(f(linear(x))), x, rules=rules)
        same, expected = walked(lambda x, f=between: apart(f(linear(x))), x, rules=rules)
        close(y, same)
        close(found, expected)


def test_groups_of_a_transposed_convolution_are_not_merged(walked):
    """Its weight's second dimension is that of one group's outputs: batch norm behind it is linear by itself."""
    layer, norm = nn.ConvTranspose1d(4, 6, 3, groups=2).double(), nn.BatchNorm1d(6).double().eval()
    with torch.no_grad():
        norm.running_var.copy_(normal(6).abs() + 0.1)
    x, scale = normal(2, 4, 5), (1 / (norm.running_var + norm.eps).sqrt())[:, None]
    y, found = walked(lambda x: norm(layer(x)), x, rules=Rules("z-plus"))
    same, expected = walked(lambda x: layer(x) * scale, x, rules=Rules("z-plus"))
    close(y, same)
    close(found, expected)


def test_the_first_layer_keeps_its_rule_when_it_is_merged(walked):
    linear, norm = normalised(2, 3)
    x, kernel = normal(1, 2, 5), torch.ones(1, 2, 3, dtype=torch.float64)
    y, found = walked(lambda x: norm(linear(x)), x, rules=Rules("z-plus", first="flat"), at_input=True)
    each = (y.sum(1, keepdim=True) / (6 + EPSILON)).expand(1, 1, 3)
    close(found, F.conv_transpose1d(each, kernel), 1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"convolution": "z+"}, "unknown rule for convolutions 'z\\+'"),
        ({"dense": "flat"}, "unknown rule for dense layers 'flat'"),
        ({"first": "box"}, "unknown rule for the first layer 'box'"),
        ({"alpha": 2.0, "beta": 0.5}, "alpha - beta must be 1"),
        ({"epsilon": 0.0}, "epsilon must be a number above 0"),
        ({"low": 1.0, "high": 0.0}, "from low to high"),
        ({"attention": "off"}, "unknown way through attention 'off'"),
    ],
)
def test_what_makes_no_sense(options, said):
    with pytest.raises(UsageError, match=said):
        Rules(**options)
