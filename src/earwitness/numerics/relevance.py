"""Where did the score come from, if every layer hands back to its inputs what it was given?

Layer-wise relevance propagation starts with the score and goes back through the network: each operation shares out the relevance
of its outputs over its inputs. Here relevance is written as

    R = x g,        g = a gradient in which some operations have been given another slope (their value stays)

so that autograd does the walk: `propagating` is a mode under which the functions of torch, whoever calls them, have these
slopes. No module is patched, copied or recognised.

**What needs nothing.** Where y(a x) = a y(x), Euler says sum_j x_j dy/dx_j = y: the plain gradient hands on all there is. So it
is for sums (a + b shares in the ratio a : b, as residual connections should), means, maxima (the winner takes all), pools,
reshapes, concatenations, zero padding, Fourier transforms, |z|, and layers without bias (LRP-0). A constant that is added, a bias
or a position, keeps its share.

**What gets another slope.**

| operation | slope | so that |
|---|---|---|
| linear layers | `relevance_rules` | the rule decides |
| batch norm behind one | merged into it | both are one linear layer |
| f of one number, f(0) = 0 (ReLU, GELU, tanh, squares) | f(x) / x | relevance passes unchanged |
| logarithms | f(x) / x | the same: a level is the level of its power |
| a product of n that depend on the input | a n-th for each | relevance is not multiplied |
| what divides (also 1/x, rsqrt, the lengths in a cosine) | 0 | normalising scales, and is no cause |
| layer, group, instance norm | as linear, the deviation held | the mean takes its part, the scale none |
| softmax, sigmoid, exp | their own | see below |
| attention, gated linear units, lerp | taken apart into the above | |
| what multiplies otherwise (`cumprod`, `det`, x ** y, ...), recurrent layers | none: refused | |

**Softmax.** Deep Taylor decomposition at x itself, f(x) ~ J x + rest: R_i = x_i (R'_i - y_i sum_j R'_j), where outputs y have the
relevance R'_j = y_j g_j. That is x_i times the plain gradient, y_i (g_i - sum_j y_j g_j). The rest keeps its own part: where
attention is even, all that comes to the softmax, half of what came to the attention. Held constant (Ali et al. 2022), it gets
nothing and nothing is lost, but the answer is silent on why the network attended to what it did.

**At the input** itself, functions of one number pass relevance unchanged, whatever they are: where a network begins by taking a
mean from each band, what 5 dB above the mean are owed stays there (by shares, -40 dB less -45 dB would get -8 times as much).

**Cannot see.** Whatever else is not homogeneous has its plain gradient, and may keep any part of what it got, or owe more:
log_softmax, softplus and logsumexp inside a network, gates by hardsigmoid, correlations, functions with a backward pass of their
own.

Source: Bach et al. (2015); Achtibat et al. (2024), "AttnLRP", which writes relevance so; Ali et al. (2022), layer norm.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from earwitness.errors import ModelError
from earwitness.numerics.relevance_rules import TINY, Layer, Rules, merged, shared
from earwitness.numerics.taking_apart import NORMS, TAKEN_APART, can_be_opened, centred, channelwise, opened

PASSING = set(
    "relu relu6 leaky_relu elu selu celu gelu silu mish tanh tanhshrink softsign softshrink hardshrink hardtanh hardswish prelu "
    "rrelu sqrt square log log2 log10 log1p expm1 sin sinh asinh atan arctan erf rms_norm normalize clamp clip pow "
    "float_power".split()
)
ONE_BY_ONE = set("add iadd radd sub isub rsub subtract exp sigmoid softplus logsigmoid maximum minimum".split())
MOVING = set(
    "mul imul rmul multiply div truediv itruediv true_divide divide neg abs view reshape permute transpose swapaxes movedim "
    "unsqueeze squeeze flatten unflatten contiguous clone to float double expand expand_as getitem get pad chunk split narrow "
    "select unfold real requires_grad".split()
)
PLACEWISE = (PASSING - {"rms_norm", "normalize"}) | ONE_BY_ONE | MOVING | {"batch_norm"}
SIMPLE = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear")
MATRICES = ("matmul", "rmatmul", "imatmul", "mm", "bmm", "mv", "dot", "inner", "einsum")
PRODUCTS = {*MATRICES, *"mul imul rmul multiply outer ger vdot vecdot cross kron tensordot bilinear".split()} | {
    *"multi_dot chain_matmul var var_mean cov prod".split()
}
SUMS_OF_PRODUCTS = ("addmm", "baddbmm", "addbmm", "addmv", "addr", "addcmul")  # whose first operand is only added
QUOTIENTS: dict[str, tuple[int, str]] = {  # where the divisor stands, and its name
    **dict.fromkeys(("div", "truediv", "itruediv", "true_divide", "divide"), (1, "other")),
    "addcdiv": (2, "tensor2"),
}
DIVISORS = ("reciprocal", "rsqrt", "rdiv", "rtruediv")
POWERS = ("pow", "float_power")
WRITING = {
    f"__{name}__" for name in "iadd isub imul itruediv ifloordiv imod ipow imatmul iand ior ixor setitem".split()
}
REFUSED = ("cumprod", "det", "matrix_power", "matrix_exp", "xlogy", "ldexp")
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")


@dataclass(frozen=True)
class Made:
    """How a linear layer made its output, as long as neither has been written into since."""

    rule: str
    layer: Layer
    x: Tensor
    weight: Tensor
    bias: Tensor | None
    outputs: int
    versions: tuple[int, int]


class propagating(TorchFunctionMode):  # noqa: N801 (a context, as torch.no_grad)
    """Inside, gradients with respect to a tensor on which `requires_grad_()` is called are modified gradients; values stay.

    at_input: whether that tensor is the network's input, where `rules.first` holds, rather than what stands behind a layer.
    Parameters are constants, whether they require gradients or not, and so is whatever is made of them alone inside.
    Raises `ModelError` where there is no rule: for recurrent layers, and for `REFUSED`.
    """

    def __init__(self, rules: Rules, at_input: bool = True) -> None:
        super().__init__()
        self.rules, self.at_input = rules, at_input
        self.places = WeakTensorKeyDictionary()  # tensors of which each number comes from one number of the input
        self.made = WeakTensorKeyDictionary()

    def begins_at(self, x: Tensor) -> None:
        """Here, too, the network's input stands."""
        self.places[x] = True

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "").strip("_").removeprefix("linalg_")
        moved = [t for t in _tensors((args, tuple(kwargs.values()))) if _depends(t)]
        if not moved:
            result = _constant(func, args, kwargs)
            if name == "requires_grad" and self.at_input and _depends(result):
                self.begins_at(result)
            return result
        alone = len(moved) == 1 and moved[0] in self.places
        result = self._propagate(name, func, args, kwargs, moved, alone)
        if alone and name in PLACEWISE:
            for tensor in _tensors((result,)):
                self.places[tensor] = True
        elif _writes(func):
            self._forget(_given(args, kwargs, 0, "input"))
        return result

    def _forget(self, written: Tensor) -> None:
        """What has been written into from elsewhere is no place any more; nor is what shares its memory."""
        memory = written.untyped_storage().data_ptr()
        for tensor in [known for known in self.places if known.untyped_storage().data_ptr() == memory]:
            del self.places[tensor]

    def _propagate(self, name: str, func: Callable, args: tuple, kwargs: dict, moved: list[Tensor], alone: bool) -> Any:
        if name in RECURRENT:
            raise ModelError(f"there is no rule by which relevance could pass {name.split('_')[0].upper()} layers")
        if name in REFUSED or (name in POWERS and len(moved) > 1):
            raise ModelError(
                f"there is no rule by which relevance could pass {name}: it multiplies, in its own way, what depends on the "
                "input; write it as products, or explain with a method that walks no network, such as Sobol"
            )
        if _writes(func) and not _depends(_given(args, kwargs, 0, "input")):  # into a buffer, say
            return func(*args, **kwargs)
        if func is F.batch_norm and len(moved) == 1:
            return self._batch_norm(args, kwargs, moved, alone)
        if len(moved) == 1 and (name in PASSING or (alone and name in ONE_BY_ONE)):
            return _one_number(name, func, args, kwargs, moved[0], alone)
        if name in SIMPLE or (name in (*MATRICES, "addmm") and len(moved) == 1):
            return self._linear(name, func, args, kwargs)
        if name in PRODUCTS or name in SUMS_OF_PRODUCTS:
            return _product(name, func, args, kwargs)
        if name in QUOTIENTS:
            return _divided(func, args, kwargs, *QUOTIENTS[name])
        if name in DIVISORS or (name == "softmax" and self.rules.attention == "held"):
            return _held(func, args, kwargs, moved[0])
        if func in NORMS and len(moved) == 1:
            return _slope_of(func(*args, **kwargs), NORMS[func](*args, **kwargs))
        if name in TAKEN_APART or can_be_opened(func):
            with self:
                found = TAKEN_APART.get(name, opened(func))(*args, **kwargs)
            return args[0].copy_(found) if name in TAKEN_APART and _writes(func) else found
        return func(*args, **kwargs)

    def _linear(self, name: str, func: Callable, args: tuple, kwargs: dict) -> Tensor:
        if name in SIMPLE:
            x, weight, bias = (
                _given(args, kwargs, place, key) for place, key in enumerate(("input", "weight", "bias"))
            )
            rest = {key: value for key, value in kwargs.items() if key not in ("input", "weight", "bias")}

            layer: Layer = lambda *operands: func(*operands, *args[3:], **rest)  # noqa: E731
        else:
            found = _matrices(name, func, args, kwargs)
            if found is None:
                return func(*args, **kwargs)
            layer, x, weight, bias = found
        if not _depends(x) or x.is_complex() or weight.is_complex():
            return func(*args, **kwargs)
        if _depends(weight):
            return _product(name, func, args, kwargs)
        rule = self.rules.convolution if name.startswith("conv") else self.rules.dense
        rule = self.rules.first if self.rules.first and x in self.places else rule
        y = shared(self.rules, rule, layer, x, weight, bias)
        groups = _given(args, kwargs, 6, "groups") if "transpose" in name else 1
        if name in SIMPLE and y.ndim == weight.ndim and groups in (None, 1):
            outputs, versions = int("transpose" in name), (x._version, y._version)
            self.made[y] = Made(rule, layer, x, weight, bias, outputs, versions)
        return y

    def _batch_norm(self, args: tuple, kwargs: dict, moved: list[Tensor], alone: bool) -> Tensor:
        keys = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        x, mean, var, weight, bias, training, _, eps = (_given(args, kwargs, at, key) for at, key in enumerate(keys))
        eps = 1e-5 if eps is None else eps
        y = F.batch_norm(*args, **kwargs)
        if training or mean is None:
            return _slope_of(y, centred(x, (0, *range(2, x.ndim)), eps) * channelwise(weight, x))
        made: Made | None = self.made.get(x)
        if made is not None and made.versions == (made.x._version, x._version):
            scale = (1 if weight is None else weight.detach()) / (var + eps).sqrt()
            shift = (0 if bias is None else bias.detach()) - mean * scale
            both = merged(made.weight.detach(), made.bias, scale, shift, made.outputs)
            return _slope_of(y, shared(self.rules, made.rule, made.layer, made.x, *both))
        return _one_number("batch_norm", F.batch_norm, args, kwargs, moved[0], alone) if alone else y


def _tensors(values: Iterable) -> Iterator[Tensor]:
    """The tensors in arguments, also in lists and tuples of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _depends(value: object) -> bool:
    """Whether a value depends on the input: parameters require gradients too, but are constants here."""
    return isinstance(value, Tensor) and value.requires_grad and not isinstance(value, nn.Parameter)


def _writes(func: Callable) -> bool:
    """Whether a method writes into its first argument: `add_`, `__iadd__`, `x[...] = y`."""
    name = getattr(func, "__name__", "")
    return name in WRITING or (name.endswith("_") and not name.endswith("__"))


def _constant(func: Callable, args: tuple, kwargs: dict) -> Any:
    """What is made of parameters alone (the weight behind a weight norm, say) is as constant as they are."""
    if not any(tensor.requires_grad for tensor in _tensors((args, tuple(kwargs.values())))):
        return func(*args, **kwargs)
    with torch.no_grad():
        return func(*args, **kwargs)


def _swapped(value: Any, new: dict[int, Tensor]) -> Any:
    """Arguments with other tensors in the place of some."""
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_swapped(part, new) for part in value)
    if isinstance(value, dict):
        return {key: _swapped(part, new) for key, part in value.items()}
    return new.get(id(value), value)


def _given(args: tuple, kwargs: dict, place: int, key: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(key)


def _slope_of(value: Tensor, surrogate: Tensor) -> Tensor:
    return value.detach() + (surrogate - surrogate.detach())


def _applied(func: Callable, args: tuple, kwargs: dict, x: Tensor) -> tuple[Tensor, bool]:
    """The function's value, without a gradient and without touching x; whether it would have been written into x."""
    copy = x.detach().clone()
    value = func(*_swapped(args, {id(x): copy}), **_swapped(kwargs, {id(x): copy}))
    return value.detach(), value is copy


def _one_number(name: str, func: Callable, args: tuple, kwargs: dict, x: Tensor, alone: bool) -> Tensor:
    """A function of one number: relevance passes unchanged, where f(0) = 0 or x is the input."""
    if not alone and name in ("clamp", "clip") and not _covers_zero(args, kwargs):
        return func(*args, **kwargs)
    if name in POWERS:
        power = _given(args, kwargs, 1, "exponent")
        if not alone and _given(args, kwargs, 0, "input") is not x:
            return func(*args, **kwargs)
        if not alone and not torch.as_tensor(power > 0).all():
            return _held(func, args, kwargs, x)
    value, inplace = _applied(func, args, kwargs, x)
    if x.is_complex() or value.is_complex():
        return func(*args, **kwargs)
    start = x.detach()
    there = start.abs() > TINY
    y = value + (x - start) * torch.where(there, value / torch.where(there, start, 1.0), 0.0)
    return x.copy_(y) if inplace else y


def _covers_zero(args: tuple, kwargs: dict) -> bool:
    low, high = _given(args, kwargs, 1, "min"), _given(args, kwargs, 2, "max")
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return False
    return (low is None or low <= 0) and (high is None or high >= 0)


def _held(func: Callable, args: tuple, kwargs: dict, x: Tensor) -> Tensor:
    """The value alone: what divides is a constant."""
    value, inplace = _applied(func, args, kwargs, x)
    return x.copy_(value) if inplace else value


def _divided(func: Callable, args: tuple, kwargs: dict, place: int, key: str) -> Tensor:
    """What divides, by its place or its name, is a constant."""
    if len(args) > place:
        args = (*args[:place], _constants(args[place]), *args[place + 1 :])
    return func(*args, **{name: _constants(value) if name == key else value for name, value in kwargs.items()})


def _constants(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _product(name: str, func: Callable, args: tuple, kwargs: dict) -> Any:
    """Each of n factors that depend on the input gets an n-th of the slope."""
    added = 1 if name in SUMS_OF_PRODUCTS else 0
    named = {key: value for key, value in kwargs.items() if not (added and key == "input")}
    factors = [t for t in _tensors((args[added:], tuple(named.values()))) if _depends(t)]
    number = _factors(name, args, kwargs) or len(factors)
    if number < 2:
        return func(*args, **kwargs)
    new = {id(t): t / number + t.detach() * (1 - 1 / number) for t in factors}
    y = func(*args[:added], *_swapped(args[added:], new), **{**kwargs, **_swapped(named, new)})
    if name == "var_mean":
        return y[0], func(*args, **kwargs)[1]
    return args[0].copy_(y) if args and not added and y is new.get(id(args[0])) else y


def _factors(name: str, args: tuple, kwargs: dict) -> int | None:
    """How many factors a function of one tensor makes of it: variances two, products what they go over."""
    if name in ("var", "var_mean", "cov"):
        return 2
    if name != "prod":
        return None
    x, dim = _given(args, kwargs, 0, "input"), _given(args, kwargs, 1, "dim")
    return x.numel() if dim is None else x.shape[dim]


def _matrices(
    name: str, func: Callable, args: tuple, kwargs: dict
) -> tuple[Layer, Tensor, Tensor, Tensor | None] | None:
    """A product of matrices, one of them constant, as a layer with its input, weight and bias; None for other forms."""
    if kwargs or len(args) != 2 + (name in ("addmm", "einsum")) or not all(isinstance(t, Tensor) for t in args[-2:]):
        return None
    a, b = args[-2:]
    head = args[:-2]
    bias = head[0] if name == "addmm" else None
    if _depends(bias):
        return None

    def layer(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        pair = (x, weight) if _depends(a) else (weight, x)
        if name == "addmm":
            return torch.mm(*pair) if bias is None else torch.addmm(bias, *pair)
        return func(*head, *pair)

    return (layer, a, b, bias) if _depends(a) else (layer, b, a, bias)
