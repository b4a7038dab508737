"""Relevance through single operations: every rule written again as loops, the published formulas, and what must not change."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from earwitness.errors import ModelError, UsageError
from earwitness.numerics.relevance import propagating
from earwitness.numerics.relevance_rules import ANYWHERE, RULES, Rules

EPSILON = 1e-6
PLAIN_RULES = Rules()


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def walked(function, x, relevance=None, rules=PLAIN_RULES, at_input=False):
    """The value, and the relevance of x; `relevance`: that of the value, by default the value itself."""
    with propagating(rules, at_input):
        start = x.detach().clone().requires_grad_()
        y = function(start)
        relevance = y.detach() if relevance is None else relevance
        each = torch.where(y == 0, 0.0, relevance / y).detach()
        (g,) = torch.autograd.grad(y, start, each, allow_unused=True)
    return y.detach(), x * (torch.zeros_like(x) if g is None else g)


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
def test_a_rule_shares_as_its_formula_says(rule, bias):
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
def test_a_convolution_is_a_dense_layer_with_places_out_of_reach(name, rule):
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


def test_the_box_is_the_row_s_own_range_by_default():
    x, weight = normal(2, 7), normal(5, 7, seed=1)
    _, found = walked(lambda x: F.linear(x, weight), x, rules=Rules(first="z-box"), at_input=True)
    for row in (0, 1):
        rules = Rules(first="z-box", low=float(x[row].min()), high=float(x[row].max()))
        z = F.linear(x[row], weight).tolist()
        close(found[row], by_hand("z-box", x[row].tolist(), weight.tolist(), [0.0] * 5, z, rules))


def test_what_is_exactly_0_can_carry_no_relevance():
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
def test_a_product_with_a_constant_matrix_is_a_linear_layer(name):
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
def test_batch_norm_is_merged_into_the_layer_before_it(layer, rule):
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


def test_batch_norm_is_merged_only_into_what_made_its_input():
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


def test_groups_of_a_transposed_convolution_are_not_merged():
    """Its weight's second dimension is that of one group's outputs: batch norm behind it is linear by itself."""
    layer, norm = nn.ConvTranspose1d(4, 6, 3, groups=2).double(), nn.BatchNorm1d(6).double().eval()
    with torch.no_grad():
        norm.running_var.copy_(normal(6).abs() + 0.1)
    x, scale = normal(2, 4, 5), (1 / (norm.running_var + norm.eps).sqrt())[:, None]
    y, found = walked(lambda x: norm(layer(x)), x, rules=Rules("z-plus"))
    same, expected = walked(lambda x: layer(x) * scale, x, rules=Rules("z-plus"))
    close(y, same)
    close(found, expected)


def test_the_first_layer_keeps_its_rule_when_it_is_merged():
    linear, norm = normalised(2, 3)
    x, kernel = normal(1, 2, 5), torch.ones(1, 2, 3, dtype=torch.float64)
    y, found = walked(lambda x: norm(linear(x)), x, rules=Rules("z-plus", first="flat"), at_input=True)
    each = (y.sum(1, keepdim=True) / (6 + EPSILON)).expand(1, 1, 3)
    close(found, F.conv_transpose1d(each, kernel), 1e-6)


# ---- functions of one number

ACTIVATIONS = {
    "relu": (F.relu, torch.relu, nn.ReLU(), lambda x: x.relu(), lambda x: x.clamp(min=0)),
    "in place": (nn.ReLU(inplace=True), lambda x: x.relu_(), lambda x: F.relu(x, True), lambda x: x.clamp_(0)),
    "relu6": (F.relu6, nn.ReLU6(inplace=True), nn.Hardtanh(0, 6)),
    "gelu": (F.gelu, nn.GELU("tanh")),
    "leaky": (nn.LeakyReLU(0.2), nn.LeakyReLU(0.2, inplace=True), nn.PReLU()),
    "silu": (F.silu, nn.SiLU(inplace=True), nn.Mish(), nn.Hardswish(), nn.Hardswish(inplace=True)),
    "elu": (F.elu, nn.ELU(inplace=True), F.selu, F.celu),
    "tanh": (torch.tanh, lambda x: x.tanh(), lambda x: x.tanh_(), F.tanh, nn.Softsign(), nn.Tanhshrink()),
    "powers": (torch.square, lambda x: x**2, lambda x: x.pow(3), lambda x: torch.pow(x, 4)),
    "logarithms": (torch.log1p, lambda x: x.square().log(), lambda x: x.square().log10()),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_relevance_passes_activations_unchanged(name):
    x = normal(50, seed=4).abs() if name == "logarithms" else 3 * normal(50, seed=4)
    for function in ACTIVATIONS[name]:
        module = function.double() if isinstance(function, nn.Module) else function
        plain = module((x + 0).clone()).detach()
        y, found = walked(lambda x, f=module: f(x * 1.0), x)
        assert torch.equal(y, plain)
        close(found, torch.where(y == 0, 0.0, y))


def test_what_is_written_in_place_is_there_afterwards():
    """Whoever calls a method that ends in "_" need not look at what it returns."""

    def written(x):
        x, factor = x * 1.0, x + 1
        x.tanh_()
        x.mul_(factor)
        x.relu_()
        return x.sum(1)

    x = normal(3, 4)
    y, found = walked(written, x)
    close(y, written(x))
    same, expected = walked(lambda x: (x.tanh() * (x + 1)).relu().sum(1), x)
    close(y, same)
    close(found, expected)


def test_what_isn_t_0_at_0_has_its_plain_gradient():
    x = normal(20)
    for function in (torch.sigmoid, F.softplus, torch.exp, lambda x: x.clamp(min=0.5), lambda x: x.clamp(0.1, 1)):
        _, found = walked(function, x)
        twin = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(function(twin).sum(), twin)
        close(found, x * slope)


def test_an_activation_at_0():
    _, found = walked(lambda x: torch.tanh(x * 1.0), torch.zeros(3), torch.ones(3))
    assert torch.equal(found, torch.zeros(3))


# ---- products, quotients, norms


def doubled(function):
    """A function of two, of which both are the same input: relevance is that of the sum of both places."""
    return lambda x: function(x[0], x[1])


SQUARES = normal(2, 3, 4, 4)
EVEN = {
    "mul": lambda a, b: a * b,
    "multiply": torch.multiply,
    "in place": lambda a, b: (a * 1.0).mul_(b),
    "*=": lambda a, b: _times(a * 1.0, b),
    "matmul": lambda a, b: a @ b,
    "bmm": torch.bmm,
    "einsum": lambda a, b: torch.einsum("bij,bjk->bik", a, b),
    "einsum of a list": lambda a, b: torch.einsum("bij,bjk->bik", [a, b]),
    "baddbmm": lambda a, b: torch.baddbmm(torch.zeros(3, 4, 4).double(), a, b),
    "dynamic weights": lambda a, b: F.linear(a[0], b[0]),
}


def _times(a, b):
    a *= b
    return a


@pytest.mark.parametrize("name", EVEN)
def test_both_factors_get_half(name):
    function = EVEN[name]
    y, found = walked(doubled(function), SQUARES)
    a, b = (t.clone().requires_grad_() for t in SQUARES)
    plain = function(a, b)
    close(y, plain)
    slopes = torch.autograd.grad(plain, (a, b), torch.ones_like(y))
    close(found, torch.stack([a * slopes[0], b * slopes[1]]) / 2)
    assert float(found.sum()) == pytest.approx(float(y.sum()))


def test_three_factors_get_a_third_and_a_square_is_a_product():
    x = normal(3, 5)
    y, found = walked(lambda x: torch.einsum("i,i,i->i", x[0], x[1], x[2]), x)
    close(found, y.expand(3, 5) / 3)
    for function in (lambda x: x * x, lambda x: x**2, torch.square):
        y, found = walked(function, x)
        close(found, y)
    y, found = walked(lambda x: x.var(1), x)
    close(found.sum(1), y)


def test_what_divides_is_held_constant():
    a, b = normal(2, 6)
    for function in (
        lambda x: x[0] / x[1],
        lambda x: torch.div(x[0], x[1]),
        lambda x: (x[0] * 1.0).div_(x[1]),
        lambda x: x[0] * x[1].reciprocal(),
        lambda x: x[0] * (1 / x[1]),
        lambda x: x[0] * x[1] ** -1,
    ):
        y, found = walked(function, torch.stack([a, b]))
        close(y, a / b)
        close(found, torch.stack([a / b, 0 * a]))
    y, found = walked(lambda x: x * torch.rsqrt(x.square().mean() + 1e-3), a)
    close(found, y)


def affine(module, seed=0):
    with torch.no_grad():
        for at, value in enumerate(module.parameters()):
            value.copy_(normal(*value.shape, seed=seed + at))
    return module.double().eval()


NORMS = {
    "layer": (nn.LayerNorm(6), (3, 4, 6), (2,), lambda m: m.weight),
    "layer, two dimensions": (nn.LayerNorm((4, 6)), (3, 4, 6), (1, 2), lambda m: m.weight),
    "layer, plain": (nn.LayerNorm(6, elementwise_affine=False), (3, 4, 6), (2,), lambda m: 1.0),
    "instance": (nn.InstanceNorm1d(4, affine=True), (3, 4, 6), (2,), lambda m: m.weight[:, None]),
    "group of all": (nn.GroupNorm(1, 4), (3, 4, 6), (1, 2), lambda m: m.weight[:, None]),
    "group of one": (nn.GroupNorm(4, 4), (3, 4, 6), (2,), lambda m: m.weight[:, None]),
    "batch, its own": (nn.BatchNorm1d(4, track_running_stats=False), (3, 4, 6), (0, 2), lambda m: m.weight[:, None]),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_are_linear_with_their_deviation_held(name):
    """y_k = w_k (x_k - mean) / d + b_k: R_j = x_j (w_j R_j / y_j - mean over k of w_k R_k / y_k) / d."""
    module, shape, dims, weight = NORMS[name]
    affine(module)
    x, relevance = normal(*shape, seed=3), normal(*shape, seed=4)
    y, found = walked(module, x, relevance)
    close(y, module(x))
    deviation = (x.var(dims, correction=0, keepdim=True) + module.eps).sqrt()
    g = weight(module) * relevance / y / deviation
    close(found, x * (g - g.mean(dims, keepdim=True)))


def test_groups_are_normalised_each_by_itself():
    module, x = affine(nn.GroupNorm(2, 4)), normal(3, 4, 6)
    relevance = normal(3, 4, 6, seed=1)
    _, found = walked(module, x, relevance)
    for half in (slice(0, 2), slice(2, 4)):
        alone = affine(nn.GroupNorm(1, 2))
        with torch.no_grad():
            alone.weight.copy_(module.weight[half])
            alone.bias.copy_(module.bias[half])
        _, expected = walked(alone, x[:, half], relevance[:, half])
        close(found[:, half], expected)


def test_root_mean_squares_and_unit_vectors_pass_relevance():
    x = normal(3, 6)
    for function in (nn.RMSNorm(6).double(), F.normalize, lambda x: x / x.norm(dim=1, keepdim=True)):
        y, found = walked(function, x)
        close(y, function(x))
        close(found, y)


PLAIN = {
    "sum": lambda x: x.sum(1),
    "mean": lambda x: x.mean((1, 2)),
    "maximum": lambda x: x.amax(2),
    "max pool": lambda x: F.max_pool1d(x, 2),
    "average pool": lambda x: F.avg_pool1d(x, 2),
    "adaptive pool": lambda x: F.adaptive_avg_pool1d(x, 1),
    "shapes": lambda x: torch.cat([x.mT.reshape(3, -1), x.flatten(1)[:, ::2]], 1),
    "zeros": lambda x: F.pad(x, (2, 3)).sum(2),
    "reflection": lambda x: F.pad(x, (2, 3), mode="reflect"),
    "residual": lambda x: x + x.flip(1),
    "in place": lambda x: (x * 2).add_(x),
    "spectrum": lambda x: torch.fft.rfft(x).abs(),
    "spread": lambda x: x.std(1),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_homogeneous_needs_nothing(name):
    """Nothing is lost; the larger summand gets the larger share, the winner all."""
    x = normal(3, 4, 6)
    y, found = walked(PLAIN[name], x)
    close(y, PLAIN[name](x))
    close(found.sum(), y.sum())
    twin = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(PLAIN[name](twin).sum(), twin)
    close(found, x * slope)


# ---- attention


def softmaxed(relevance, scores):
    """AttnLRP's rule: R_i = x_i (R'_i - y_i sum of R')."""
    y = scores.softmax(-1)
    return scores * (relevance - y * relevance.sum(-1, keepdim=True))


def test_softmax():
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


def test_scaled_dot_products_are_the_slow_replica():
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
def test_scaled_dot_products_with_options(options):
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
def test_multi_head_attention_is_the_slow_replica(heads, weights):
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


def test_a_position_bias_that_depends_on_the_input_gets_its_share():
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


def test_a_whole_encoder_layer():
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


def test_gated_linear_units_are_products():
    x = normal(3, 6)
    y, found = walked(F.glu, x)
    a, b = x.chunk(2, 1)
    close(y, F.glu(x))
    close(found, torch.cat([y / 2, b * a * b.sigmoid() * (1 - b.sigmoid()) / 2], 1))


# ---- what depends on the input, and what stands at it


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_parameters_are_constants(norm):
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


def test_buffers_that_are_written_into_and_views_of_constants():
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
    _, norm = normalised(2, 4)
    return norm(x)


@pytest.mark.parametrize("name", AT_INPUT)
def test_functions_of_one_number_of_the_input_pass_relevance(name):
    x, relevance = normal(2, 4, 5), normal(2, 4, 5, seed=1)
    y, found = walked(AT_INPUT[name], x, relevance, at_input=True)
    close(y, AT_INPUT[name](x))
    close(found, relevance)
    _, shared = walked(AT_INPUT[name], x, relevance)  # deeper, what is added keeps its share
    assert float((shared - relevance).abs().max()) > 0.1


def test_behind_a_sum_a_constant_keeps_its_share():
    for function in (lambda x: 1 + x.sum(1), lambda x: F.avg_pool1d(x, 2) - 1, lambda x: (x * 1.0).add_(x.flip(1)) + 1):
        x = normal(2, 4, 6)
        y, found = walked(function, x, at_input=True)
        plain, expected = walked(function, x)
        close(y, plain)
        close(found, expected)


def test_the_rule_of_the_first_layer_holds_at_the_input_alone():
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
def test_recurrent_layers_are_refused(layer):
    with pytest.raises(ModelError, match=r"no rule by which relevance could pass (LSTM|GRU|RNN) layers"):
        walked(lambda x: layer(x)[0], torch.randn(4, 3))


def test_nothing_is_left_behind():
    x = normal(3, 4)
    walked(torch.tanh, x)
    twin = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.tanh(twin).sum(), twin)
    close(slope, 1 - torch.tanh(x) ** 2)


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
