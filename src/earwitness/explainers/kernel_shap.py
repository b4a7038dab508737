"""Shapley values by regression: which numbers, one for each component, are most like the game, coalition by coalition?

    minimise  sum_S w(|S|) (value(S) - value(0) - sum_{i in S} b_i)^2     such that  sum_i b_i = value(1) - value(0)
    w(s) = (n - 1) / (binomial(n, s) s (n - s))                                        over coalitions S, neither empty nor all

With these weights the answer is Shapley's value, exactly, if every coalition is asked; with a sample of them, nearly.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import comb
from typing import ClassVar

import numpy as np

from earwitness.errors import unknown, whole
from earwitness.explainers.base import Attribution, Budget, Sampled
from earwitness.numerics.binary_designs import every_mask, random_coalitions
from earwitness.numerics.blocks import FIRST, Sums
from earwitness.numerics.surrogates import constrained_fit, enough, few, regression_sums
from earwitness.questions import Question

SIZES = {"leverage": lambda s, n: np.ones(n - 1), "kernel": lambda s, n: 1 / (s * (n - s))}


@dataclass(frozen=True)
class KernelSHAP(Sampled):
    """Shapley values by a weighted regression over coalitions, each asked together with its opposite.

    samples: coalitions, 8 or more (an even number is taken).  seed: of the coalitions.  until: a `Budget` in place of `samples`.
    sizes: how coalition sizes are drawn: "leverage" (all equally often) or "kernel" (as the weights say: small and large ones).

    Where all 2^components - 2 coalitions are no more than `samples`, they are all asked: the answer is exact.
    Values add up to value(1) - value(0), whatever the number of samples. Standard errors are a jackknife over blocks of
    coalitions, about Shapley's values, to which the regression leads with samples (its bias falls as 1 / samples).
    Warns where there are fewer than 4 coalitions a component; the regression is then steadied, see `numerics.surrogates`.
    On a game of 64 components, with 2,048 coalitions: values 5 % off (permutations of the same cost: 8 %), ranks correlate 0.95
    with the true ones (0.95); with 256, 21 % and 0.72 (27 % and 0.82: few are better spent on
    permutations if ranks matter).
    Cost: samples evaluations for each baseline, or 2^components - 2.
    Source: Lundberg & Lee (2017); Covert & Lee (2021) for pairs; Musco & Witter (2025) for leverage scores.
    Differs: the constraint is solved in closed form, so the sum is exact (captum gives both ends a weight of a million
    instead, and draws without opposites); no lasso chooses features; sizes are drawn evenly, so that each has its share.
    """

    samples: int = 2048
    seed: int = 0
    sizes: str = "leverage"
    until: Budget | None = None

    kind: ClassVar[str] = "share"
    axioms: ClassVar[tuple[str, ...]] = ("symmetry", "completeness")

    def __post_init__(self) -> None:
        whole(least=8, samples=self.samples)
        whole(least=0, seed=self.seed)
        if self.sizes not in SIZES:
            raise unknown("way to draw sizes", self.sizes, SIZES)

    def points(self, size: int) -> int:
        return self.samples // 2

    def price(self, size: int) -> int:
        return 2

    def needed(self, size: int) -> int:
        return FIRST * -(-enough(size) // (2 * FIRST))

    def cost(self, size: int) -> int:
        return min(super().cost(size), 2**size - 2)

    def attribute(self, question: Question) -> Attribution:
        size = question.size
        if size == 1:
            return Attribution(
                np.full(question.shape, np.subtract(*question.ends())), np.zeros(question.shape), stopped="exact"
            )
        if 2**size - 2 > self.allowed(question):
            return super().attribute(question)
        found = self.answer(question, [_asked(question, every_mask(size, ends=False), _kernel)])
        return replace(found, stderr=np.zeros(question.shape), stopped="exact")

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        size = question.size
        members = np.arange(1, size)
        often = SIZES[self.sizes](members, size)
        weight = np.concatenate([[0], 1 / (members * (size - members)) / often])
        masks = random_coalitions(often / often.sum(), points, size, rng)
        return _asked(question, masks, lambda m: weight[m.sum(1).astype(int)])

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        gram, products, rows = (sums[name].sum(0) for name in ("gram", "products", "rows"))
        return {"values": constrained_fit(gram, products, float(np.subtract(*question.ends())), rows)}

    def answer(self, question: Question, blocks: list[Sums]) -> Attribution:
        found, rows = super().answer(question, blocks), int(sum(block["rows"] for block in blocks))
        plenty = rows >= min(enough(question.size), 2**question.size - 2)
        return found if plenty else replace(found, warnings=(few(rows, question.size),))


def _asked(question: Question, masks: Iterable[np.ndarray], weigh) -> Sums:
    _, empty = question.ends()
    return regression_sums(masks, lambda m: question.value(m.reshape(-1, *question.shape)).numpy() - empty, weigh)


def _kernel(masks: np.ndarray) -> np.ndarray:
    """`[rows]`: the weights of coalitions `[rows, components]`."""
    size, members = masks.shape[1], masks.sum(1).astype(int)
    weight = [0, *((size - 1) / (comb(size, s) * s * (size - s)) for s in range(1, size))]
    return np.array(weight)[members]
