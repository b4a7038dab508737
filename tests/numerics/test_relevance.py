"""Relevance through single operations: functions of one number, products, quotients, norms; the published formulas."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from earwitness.errors import ModelError


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def close(came, expected, near=1e-9):
    np.testing.assert_allclose(came.detach().numpy(), torch.as_tensor(expected).detach().numpy(), rtol=near, atol=near)


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
def test_relevance_passes_activations_unchanged(walked, name):
    x = normal(50, seed=4).abs() if name == "logarithms" else 3 * normal(50, seed=4)
    for function in ACTIVATIONS[name]:
        module = function.double() if isinstance(function, nn.Module) else function
        plain = module((x + 0).clone()).detach()
        y, found = walked(lambda x, f=module: f(x * 1.0), x)
        assert torch.equal(y, plain)
        close(found, torch.where(y == 0, 0.0, y))


def test_what_is_written_in_place_is_there_afterwards(walked):
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


def test_what_isn_t_0_at_0_has_its_plain_gradient(walked):
    x = normal(20)
    for function in (
        torch.sigmoid,
        F.hardsigmoid,
        F.softplus,
        torch.exp,
        lambda x: x.log_softmax(0),
        lambda x: x.logsumexp(0),
        lambda x: x.clamp(min=0.5),
        lambda x: x.clamp(0.1, 1),
        lambda x: 2**x,
    ):
        _, found = walked(function, x)
        twin = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(function(twin).sum(), twin)
        close(found, x * slope)


def test_an_activation_at_0(walked):
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
    "bilinear": lambda a, b: F.bilinear(a[0], b[0], torch.ones(2, 4, 4).double()),
    "outer": lambda a, b: torch.outer(a[0, 0], b[0, 0]) + torch.ger(a[1, 0], b[1, 0]),
    "addr": lambda a, b: torch.addr(torch.zeros(4, 4).double(), a[0, 0], b[0, 0]),
    "vdot": lambda a, b: torch.vdot(a[0, 0], b[0, 0])[None],
    "vecdot": torch.linalg.vecdot,
    "cross": lambda a, b: torch.cross(a, b, dim=0),
    "linalg.cross": lambda a, b: torch.linalg.cross(a, b, dim=0),
    "linalg.matmul": torch.linalg.matmul,
    "kron": lambda a, b: torch.kron(a[0], b[0]),
    "multi_dot": lambda a, b: torch.linalg.multi_dot([a[0], b[0]]),
    "chain_matmul": lambda a, b: torch.chain_matmul(a[0], b[0]),
    "by name": lambda a, b: torch.mul(input=a, other=b),
}


def _times(a, b):
    a *= b
    return a


@pytest.mark.filterwarnings("ignore:.*chain_matmul:UserWarning")
@pytest.mark.parametrize("name", EVEN)
def test_both_factors_get_half(walked, name):
    function = EVEN[name]
    y, found = walked(doubled(function), SQUARES)
    a, b = (t.clone().requires_grad_() for t in SQUARES)
    plain = function(a, b)
    close(y, plain)
    slopes = torch.autograd.grad(plain, (a, b), torch.ones_like(y))
    close(found, torch.stack([a * slopes[0], b * slopes[1]]) / 2)
    assert float(found.sum()) == pytest.approx(float(y.sum()))


def test_three_factors_get_a_third_and_a_square_is_a_product(walked):
    x = normal(3, 5)
    y, found = walked(lambda x: torch.einsum("i,i,i->i", x[0], x[1], x[2]), x)
    close(found, y.expand(3, 5) / 3)
    for function in (lambda x: x * x, lambda x: x**2, torch.square):
        y, found = walked(function, x)
        close(found, y)
    for function in (lambda x: torch.float_power(x, 2), lambda x: torch.pow(input=x, exponent=2)):
        y, found = walked(function, x)
        close(found, y)


def test_factors_of_a_matrix_with_itself(walked):
    """Variances and covariances are products of two, whatever else is answered; of a product of six each gets a sixth."""
    x = normal(3, 6)
    for function in (
        lambda x: x.var(1),
        lambda x: torch.var_mean(x, 1)[0],
        lambda x: torch.var_mean(x, 1)[1],
        lambda x: torch.var_mean(x, dim=1, keepdim=True)[0][:, 0],
    ):
        y, found = walked(function, x)
        close(found.sum(1), y)
    y, found = walked(torch.cov, x)
    close(found.sum(), y.sum())
    for function in (lambda x: x.prod(1), lambda x: torch.prod(input=x, dim=1), lambda x: x.prod(1, True)[:, 0]):
        y, found = walked(function, x)
        close(found, (y / 6)[:, None].expand(3, 6))
    y, found = walked(torch.prod, x)
    close(found, (y / 18).expand(3, 6))


def test_what_is_added_to_a_product_is_no_factor(walked):
    """x + x x x / 3: by its place, not by which tensor it is; in place as well."""
    x = normal(4, 4)
    for function in (
        lambda x: torch.addcmul(x, x, x),
        lambda x: torch.addcmul(input=x, tensor1=x, tensor2=x),
        lambda x: (x * 1.0).addcmul_(x, x),
    ):
        y, found = walked(function, x)
        close(y, x + x * x)
        close(found, x + x * x)
    y, found = walked(lambda x: torch.addmm(x, x, x), x)
    close(found.sum(), y.sum())
    y, found = walked(lambda x: torch.addcdiv(x[0], x[1], x[2], value=2), x[:3])
    close(found, torch.stack([x[0], 2 * x[1] / x[2], 0 * x[0]]))


def _moved(x, end, weight):
    x.lerp_(end, weight)
    return x


def test_a_weight_between_two(walked):
    """a + w (b - a): the weight gets half of what it moves."""
    x = normal(3, 5)
    a, b, w = x
    for function in (
        lambda x: torch.lerp(x[0], x[1], x[2]),
        lambda x: torch.lerp(input=x[0], end=x[1], weight=x[2]),
        lambda x: _moved(x[0] * 1.0, x[1], x[2]),
    ):
        y, found = walked(function, x)
        close(y, torch.lerp(a, b, w))
        close(found, torch.stack([a - a * w / 2, b * w / 2, w * (b - a) / 2]))
    for weight in (0.3, normal(5, seed=2)):
        y, found = walked(lambda x, w=weight: torch.lerp(x[0], x[1], w), x[:2])
        close(found, torch.stack([a * (1 - weight), b * weight]))


REFUSED = {
    "cumprod": lambda x: x.cumprod(0),
    "det": torch.linalg.det,
    "matrix_power": lambda x: torch.linalg.matrix_power(x, 3),
    "pow": lambda x: x.abs() ** x,
    "xlogy": lambda x: torch.xlogy(x, x.abs()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_multiply_relevance_is_refused(walked, name):
    with pytest.raises(ModelError, match=f"no rule by which relevance could pass {name}: it multiplies"):
        walked(REFUSED[name], normal(3, 3))


def test_what_divides_is_held_constant(walked):
    a, b = normal(2, 6)
    for function in (
        lambda x: x[0] / x[1],
        lambda x: torch.div(x[0], x[1]),
        lambda x: torch.div(input=x[0], other=x[1]),
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
def test_norms_are_linear_with_their_deviation_held(walked, name):
    """y_k = w_k (x_k - mean) / d + b_k: R_j = x_j (w_j R_j / y_j - mean over k of w_k R_k / y_k) / d."""
    module, shape, dims, weight = NORMS[name]
    affine(module)
    x, relevance = normal(*shape, seed=3), normal(*shape, seed=4)
    y, found = walked(module, x, relevance)
    close(y, module(x))
    deviation = (x.var(dims, correction=0, keepdim=True) + module.eps).sqrt()
    g = weight(module) * relevance / y / deviation
    close(found, x * (g - g.mean(dims, keepdim=True)))


def test_groups_are_normalised_each_by_itself(walked):
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


def test_root_mean_squares_and_unit_vectors_pass_relevance(walked):
    x = normal(3, 6)
    for function in (nn.RMSNorm(6).double(), F.normalize, lambda x: x / x.norm(dim=1, keepdim=True)):
        y, found = walked(function, x)
        close(y, function(x))
        close(found, y)


def test_a_cosine_holds_its_norms(walked):
    """Between two that depend on the input each gets half; with a constant all is the input's."""
    a, b = normal(2, 3, 6)
    for options in ({}, {"dim": 0}, {"dim": 1, "eps": 1e-3}):
        y, found = walked(lambda x, o=options: F.cosine_similarity(x[0], x[1], **o), torch.stack([a, b]))
        close(y, F.cosine_similarity(a, b, **options))
        close(found.sum((0, options.get("dim", 1) + 1)), y)
        close(found[0], found[1])
    y, found = walked(lambda x: F.cosine_similarity(x, b), a)
    close(found, a * b / (a.norm(dim=1) * b.norm(dim=1))[:, None])


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
def test_what_is_homogeneous_needs_nothing(walked, name):
    """Nothing is lost; the larger summand gets the larger share, the winner all."""
    x = normal(3, 4, 6)
    y, found = walked(PLAIN[name], x)
    close(y, PLAIN[name](x))
    close(found.sum(), y.sum())
    twin = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(PLAIN[name](twin).sum(), twin)
    close(found, x * slope)
