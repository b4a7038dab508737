"""Which functions of torch are run as the smaller ones that they are made of, so that relevance can go through each of those?

    norms               (x - mean) / d, the deviation d held constant
    attention           softmax(q k' scale + mask) v
    gated linear units  a sigmoid(b)
    cosine              sum of a b / (|a| |b|), the lengths held constant
    lerp                a + w (b - a)

and whatever in `torch.nn.functional` is written in Python. The signatures are torch's own.
"""

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from earwitness.numerics.attention import attention_weights


def centred(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    """(x - mean) / deviation, the deviation held constant."""
    deviation = (x.detach().var(dims, correction=0, keepdim=True) + eps).sqrt()
    return (x - x.mean(dims, keepdim=True)) / deviation


def channelwise(weight: Tensor | None, x: Tensor) -> Tensor | float:
    """A constant weight for each channel of x `[B, C, ...]`, shaped to multiply it; 1 where there is none."""
    return 1.0 if weight is None else weight.detach().reshape(1, -1, *[1] * (x.ndim - 2))


def _layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5, *_) -> Tensor:
    scaled = centred(input, tuple(range(-len(normalized_shape), 0)), eps)
    return scaled if weight is None else scaled * weight.detach()


def _group_norm(input, num_groups, weight=None, bias=None, eps=1e-5, *_) -> Tensor:
    groups = input.reshape(len(input), num_groups, -1)
    return centred(groups, (2,), eps).reshape(input.shape) * channelwise(weight, input)


def _instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
) -> Tensor:
    if use_input_stats or running_var is None:
        return _group_norm(input, input.shape[1], weight, bias, eps)
    return input * (channelwise(weight, input) / channelwise((running_var + eps).sqrt(), input))


def _attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
) -> Tensor:
    """What `F.scaled_dot_product_attention` computes, in steps."""
    if enable_gqa:
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    weights = attention_weights(query, key, None, attn_mask, 0.0, is_causal, scale, enable_gqa)
    return weights.to(value.dtype) @ value


def _gated(input, dim=-1) -> Tensor:
    """a sigmoid(b), as `F.glu` computes it."""
    half, gate = input.chunk(2, dim)
    return half * gate.sigmoid()


def _cosine(x1, x2, dim=1, eps=1e-8) -> Tensor:
    lengths = (x.detach().norm(dim=dim).clamp(min=eps) for x in (x1, x2))
    return (x1 * x2).sum(dim) / math.prod(lengths)


def _between(input, end, weight) -> Tensor:
    return input + weight * (end - input)


NORMS = {
    F.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    F.group_norm: _group_norm,
    torch.group_norm: _group_norm,
    F.instance_norm: _instance_norm,
}
TAKEN_APART = {
    "scaled_dot_product_attention": _attention,
    "glu": _gated,
    "cosine_similarity": _cosine,
    "lerp": _between,
}


def can_be_opened(func: Callable) -> bool:
    """Whether a function is one of `torch.nn.functional`'s that are written in Python."""
    return isinstance(func, FunctionType) and func.__globals__ is vars(F)


def opened(func: Any) -> Any:
    """A function of torch that is written in Python, such as `F.multi_head_attention_forward`, to be run under the mode.

    Such functions first ask whether somebody wants to take over, which a mode always does; in this copy they are told no, and go
    on to the functions that they are made of.
    """
    if not can_be_opened(func):
        return func
    nobody = {name: lambda *_: False for name in func.__globals__ if name.startswith("has_torch_function")}
    twin = FunctionType(func.__code__, func.__globals__ | nobody, func.__name__, func.__defaults__, func.__closure__)
    twin.__kwdefaults__ = func.__kwdefaults__
    return twin
