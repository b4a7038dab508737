"""How does a linear layer hand relevance back: in which proportions do its inputs share what an output got?

    z_k = sum_j x_j w_jk + b_k            R_j = sum_k s_jk / s_k R_k,     s_k = sum_j s_jk (+ bias)

A rule is the choice of the s_jk, the contributions: x_j w_jk itself (epsilon), with positive ones counted more (gamma), positive
ones alone (z-plus), both kinds with weights of their own (alpha-beta); or, for the first layer, whose inputs may be anything,
contributions that don't ask what x was (flat, w-square), or ask where in its range it lies (z-box).

**One line a rule.** With relevance written as R = x g, g a modified gradient that is carried back like any gradient, a rule is a
surrogate s(x), linear in x, whose own gradient makes the shares; the layer's value stays what it was:

    y = z + (s(x) - [s(x)]) [z / s]         [.]: held constant        g_j = sum_k ds_k/dx_j (z_k / s_k) g_k,   x_j g_j = R_j

Relevance that a rule hands to a constant, c_j say, is written as the share of c_j x_j / [x_j]: its value is c_j, its gradient
such that x_j g_j = R_j. An input that is exactly 0 can carry none.

Denominators are kept away from 0 by epsilon times their sign, where 0 counts as positive. A bias takes part in s and keeps its
share: it is no place in the sound. In w-square, flat and z-box it has none. An output without contributions of one sign is shared
out by those of the other, so that nothing is lost where a rule finds nobody to give to.

Source: Bach et al. (2015), epsilon and alpha-beta; Montavon et al. (2017), z-plus, z-box and w-square; Montavon et al. (2019),
gamma, and Andéol et al. (2021), gamma for inputs of either sign; Lapuschkin et al. (2019), flat.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from earwitness.errors import UsageError, positive, unknown

ATTENTION = ("shared", "held")
TINY = 1e-20  # what is nearer to 0 counts as 0: nothing is divided by it

Layer = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # of input, weight and bias; linear in each
Parts = tuple[tuple[float, Tensor], ...]  # surrogates, and how much of the relevance each shares out


@dataclass(frozen=True)
class Rules:
    """Which rule for which layer, and the numbers in them.

    convolution, dense: the rule of convolutions, and of all other linear layers.  first: that of the layers that stand at the
        input; None for the same as elsewhere.
    epsilon: of denominators.  gamma: how much more positive contributions count.
    alpha, beta: the weights of positive and negative contributions, alpha - beta = 1.
    low, high: the range of what the first layer gets, for z-box; None for each row's own least and largest.
    attention: "shared" takes a softmax for what it is; "held" for a constant.
    """

    convolution: str = "epsilon"
    dense: str = "epsilon"
    first: str | None = None
    epsilon: float = 1e-6
    gamma: float = 0.25
    alpha: float = 2.0
    beta: float = 1.0
    low: float | None = None
    high: float | None = None
    attention: str = "shared"

    def __post_init__(self) -> None:
        for place, rule in {"convolutions": self.convolution, "dense layers": self.dense}.items():
            if rule not in ANYWHERE:
                raise unknown(f"rule for {place}", rule, ANYWHERE)
        if self.first is not None and self.first not in RULES:
            raise unknown("rule for the first layer", self.first, RULES)
        if self.attention not in ATTENTION:
            raise unknown("way through attention", self.attention, ATTENTION)
        positive(epsilon=self.epsilon, gamma=self.gamma, alpha=self.alpha)
        if abs(self.alpha - self.beta - 1) > 1e-9 or self.beta < 0:
            raise UsageError(f"alpha - beta must be 1, and beta 0 or more, not {self.alpha} and {self.beta}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise UsageError(f"the range of z-box must go from low to high, not from {self.low} to {self.high}")


def shared(rules: Rules, rule: str, layer: Layer, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The layer's value; its gradient is what the rule makes of it."""
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    z = layer(x, weight, bias)
    if rule == "zero":
        return z
    y = z.detach()
    for part, s in RULES[rule](rules, z, layer, x, weight, bias):
        y = y + (s - s.detach()) * (part * z / stabilised(s, rules.epsilon)).detach()
    return y


def stabilised(s: Tensor, epsilon: float) -> Tensor:
    """Away from 0 by epsilon, to the side on which it is; 0 counts as positive."""
    return s + torch.where(s < 0, -epsilon, epsilon)


def constant(x: Tensor, value: Tensor | float) -> Tensor:
    """`value` wherever x isn't 0, written as a multiple of x so that relevance handed to it rests on x."""
    there = x.detach().abs() > TINY
    return x * torch.where(there, value / torch.where(there, x.detach(), 1.0), 0.0)


def merged(weight: Tensor, bias: Tensor | None, scale: Tensor, shift: Tensor, outputs: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer with `scale * y + shift` behind each output; dimension `outputs` of the weight is theirs."""
    shape = [1] * weight.ndim
    shape[outputs] = -1
    return weight * scale.reshape(shape), shift if bias is None else bias * scale + shift


def _up(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.clamp(min=0)


def _down(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.clamp(max=0)


def _by_sign(layer: Layer, x: Tensor, above: Tensor, below: Tensor, bias: Tensor | None) -> Tensor:
    """One weight for inputs above 0, another for those below."""
    s = layer(x.clamp(min=0), above, bias)
    return s + layer(x.clamp(max=0), below, None) if (x < 0).any() else s


def _epsilon(rules: Rules, z: Tensor, layer: Layer, x: Tensor, w: Tensor, b: Tensor | None) -> Parts:
    return ((1.0, z),)


def _gamma(rules: Rules, z: Tensor, layer: Layer, x: Tensor, w: Tensor, b: Tensor | None) -> Parts:
    """Contributions of the output's own sign count 1 + gamma times."""
    up, down = w + rules.gamma * w.clamp(min=0), w + rules.gamma * w.clamp(max=0)
    above = _by_sign(layer, x, up, down, None if b is None else b + rules.gamma * b.clamp(min=0))
    below = _by_sign(layer, x, down, up, None if b is None else b + rules.gamma * b.clamp(max=0))
    return ((1.0, torch.where(z >= 0, above, below)),)


def _z_plus(rules: Rules, z: Tensor, layer: Layer, x: Tensor, w: Tensor, b: Tensor | None) -> Parts:
    favour = _by_sign(layer, x, w.clamp(min=0), w.clamp(max=0), _up(b))
    return ((1.0, torch.where(favour > 0, favour, z)),)


def _alpha_beta(rules: Rules, z: Tensor, layer: Layer, x: Tensor, w: Tensor, b: Tensor | None) -> Parts:
    favour = _by_sign(layer, x, w.clamp(min=0), w.clamp(max=0), _up(b))
    against = _by_sign(layer, x, w.clamp(max=0), w.clamp(min=0), _down(b))
    both = (favour > 0) & (against < 0)
    return (
        (rules.alpha, torch.where(both, favour, 0.0)),
        (-rules.beta, torch.where(both, against, 0.0)),
        (1.0, torch.where(both, 0.0, z)),
    )


def _flat(rules: Rules, z: Tensor, layer: Layer, x: Tensor, w: Tensor, b: Tensor | None) -> Parts:
    return ((1.0, layer(constant(x, 1.0), torch.ones_like(w), None)),)


def _w_square(rules: Rules, z: Tensor, layer: Layer, x: Tensor, w: Tensor, b: Tensor | None) -> Parts:
    return ((1.0, layer(constant(x, 1.0), w**2, None)),)


def _z_box(rules: Rules, z: Tensor, layer: Layer, x: Tensor, w: Tensor, b: Tensor | None) -> Parts:
    each = tuple(range(1, x.ndim))
    low = x.detach().amin(each, keepdim=True) if rules.low is None else rules.low
    high = x.detach().amax(each, keepdim=True) if rules.high is None else rules.high
    ends = layer(constant(x, low), w.clamp(min=0), None) + layer(constant(x, high), w.clamp(max=0), None)
    return ((1.0, layer(x, w, None) - ends),)


ANYWHERE = {
    "zero": _epsilon,
    "epsilon": _epsilon,
    "gamma": _gamma,
    "z-plus": _z_plus,
    "alpha-beta": _alpha_beta,
}
RULES = ANYWHERE | {"flat": _flat, "w-square": _w_square, "z-box": _z_box}
ON_PLACES = ("flat", "w-square", "z-box")  # which hand relevance to a place whatever stands there
