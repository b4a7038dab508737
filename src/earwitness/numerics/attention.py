"""Which token looked at which: every attention map that a network computes, whatever computes it.

    A = softmax( q k^T scale + mask )                                 [batch, heads, tokens, tokens], each row sums to 1

Fused implementations never hold A, and models seldom return it. So the calls to torch are watched while the network runs: a
fused call has q and k among its arguments, from which A is computed once more; a softmax over `[batch, heads, tokens, tokens]`
answers A itself. What the network answers does not change.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax)


class AttentionRecorder(TorchFunctionMode):
    """Keeps the maps of all self-attentions inside it, in the order in which they are computed.

        with AttentionRecorder() as recorder:
            network(x)
        recorder.maps                                                          # [batch, heads, tokens, tokens] of each block

    keep: what to keep of each map; all of it takes memory (in AST 71 MB a block), the mean over heads a twelfth of that.

    Sees `F.scaled_dot_product_attention`, `F.multi_head_attention_forward` (each head by itself, also where the model asks for
    their mean) and softmax. Attention to something else, of tokens to others than themselves, is left out: its map is not square.
    Cannot see: kernels that are not torch's, such as flash-attention's own; attention without a softmax.
    """

    def __init__(self, keep: Callable[[Tensor], Tensor] = lambda attention: attention) -> None:
        super().__init__()
        self.keep = keep
        self.maps: list[Tensor] = []

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        answer = func(*args, **kwargs)  # in here the recorder is off
        if func is F.scaled_dot_product_attention:
            self._record(attention_weights(*args, **kwargs))
        elif func is F.multi_head_attention_forward:
            each = {**kwargs, "need_weights": True, "average_attn_weights": False}
            self._record(func(*args, **each)[1])
        elif func in SOFTMAX and _over_the_last(args, kwargs):
            self._record(answer)
        return answer

    def _record(self, attention: Tensor) -> None:
        attention = attention.detach()
        attention = attention[:, None] if attention.ndim == 3 else attention
        if attention.ndim == 4 and attention.shape[-1] == attention.shape[-2]:
            self.maps.append(self.keep(attention))


def attention_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor | None = None,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`[..., heads, queries, keys]`: the map behind `F.scaled_dot_product_attention`, without its dropout.

    The arguments are its own: query `[..., heads, queries, width]`, key `[..., heads, keys, width]` (`enable_gqa`: fewer heads,
    each for several of the queries'); a mask that is added, or True where one may look; by default scale = 1 / sqrt(width).
    A query that may look at nothing has zeros. In single precision at least.
    """
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scores = (query @ key.transpose(-1, -2)) * (query.shape[-1] ** -0.5 if scale is None else scale)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1).nan_to_num(0.0)


def head_means(run: Callable[[], object], tokens: int) -> list[Tensor]:
    """`[tokens, tokens]` for each block, the first one first: the mean over heads while `run` asks a network about one input.

    Empty where nothing attends, or something that is not these tokens does (windows, frames before a pooling).
    """
    with AttentionRecorder(keep=lambda attention: attention.mean(1)) as recorder:
        run()
    fitting = all(attention.shape == (1, tokens, tokens) for attention in recorder.maps)
    return [attention[0] for attention in recorder.maps] if fitting else []


def rolled_out(maps: list[Tensor], start: Tensor) -> Tensor:
    """`[tokens]`: what of each token is in a mixture `start` `[tokens]` of those behind the last block.

    maps: `[tokens, tokens]`, the first block's first. Each block passes half on as it is and half as it attends:
    start^T A_L ... A_1,  with A = (attention + 1) / 2, rows summing to 1.
    """
    for attention in reversed(maps):
        passed = 0.5 * attention + 0.5 * torch.eye(len(attention)).to(attention)
        start = start @ (passed / passed.sum(1, keepdim=True))
    return start


def _over_the_last(args: tuple, kwargs: dict) -> bool:
    """Whether a softmax is over the last of four dimensions."""
    x = args[0] if args else kwargs["input"]
    dim = args[1] if len(args) > 1 else kwargs.get("dim")
    return isinstance(x, Tensor) and x.ndim == 4 and dim in (-1, 3)
