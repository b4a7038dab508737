"""How much does each component add, on average over all orders in which they could come?

    share_i = E[ value(those before i and i) - value(those before i) ]                 over random orders of the components

Shapley's value: the only way to share value(1) - value(0) out that adds up, treats equal components equally, gives nothing to a
component without effect, and is additive over games.
"""

from dataclasses import dataclass
from math import comb
from typing import ClassVar

import numpy as np

from earwitness.errors import whole
from earwitness.explainers.base import Attribution, Budget, Sampled
from earwitness.numerics.blocks import FIRST, Sums
from earwitness.questions import Question

NUMBERS = 2**21  # levels in the masks that are made at once: 8 MB


@dataclass(frozen=True)
class Shapley(Sampled):
    """Shapley values by antithetic permutations: each random order is walked forwards and backwards.

    permutations: pairs of orders, 1 or more.  seed: of the orders.  until: a `Budget` in place of `permutations`.

    Where all 2^components masks cost no more than that, they are all asked: the answer is exact.
    Values add up to value(1) - value(0), whatever the number of permutations; standard errors are a jackknife over blocks of
    orders, and 0 where the answer is exact.
    Cost: permutations x 2 x (components - 1) evaluations; exact: 2^components - 2.
    Source: Shapley (1953); Castro et al. (2009) for random orders; Mitchell et al. (2022) for antithetic ones.
    """

    permutations: int = 32
    seed: int = 0
    until: Budget | None = None

    kind: ClassVar[str] = "share"
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry", "completeness")

    def __post_init__(self) -> None:
        whole(permutations=self.permutations)
        whole(least=0, seed=self.seed)

    def points(self, size: int) -> int:
        return self.permutations

    def price(self, size: int) -> int:
        return 2 * (size - 1)

    def cost(self, size: int) -> int:
        return min(super().cost(size), 2**size - 2)

    def attribute(self, question: Question) -> Attribution:
        if self.until is None:
            allowed = super().cost(question.size) + 2
        else:
            least = FIRST * self.price(question.size) + 2  # before sampling could stop
            allowed = (self.until.evaluations or least) // len(question.baselines)
        return self._exact(question) if 2**question.size <= allowed else super().attribute(question)

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        """The number of orders, and the sum over them of what each component adds."""
        added = np.zeros(question.size)
        for _ in range(points):
            order = rng.permutation(question.size)
            for each in (order, order[::-1]):
                added[each] += np.diff(_walk(question, each))
        return {"orders": np.array(2.0 * points), "added": added}

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        return {"values": sums["added"].sum(0) / sums["orders"].sum()}

    def _exact(self, question: Question) -> Attribution:
        """From the values of all 2^n masks."""
        size = question.size
        masks = np.arange(2**size)[:, None] >> np.arange(size) & 1
        full, empty = question.ends()
        asked = masks[1:-1].reshape(-1, *question.shape).astype(np.float32)
        between = question.value(asked).numpy() if len(asked) else ()  # a single component has the ends alone
        value, chosen = np.array([empty, *between, full]), masks.sum(1)
        weight = 1 / (size * np.array([comb(size - 1, k) for k in range(size)]))
        values = [
            weight[chosen[without]] @ (value[without + 2**i] - value[without])
            for i in range(size)
            for without in [np.flatnonzero(masks[:, i] == 0)]
        ]
        return Attribution(np.reshape(values, question.shape), np.zeros(question.shape), stopped="exact")


def _walk(question: Question, order: np.ndarray) -> np.ndarray:
    """`[n + 1]`: the value of nothing, of the first in the order, of the first two, ..., of everything."""
    place, size = np.argsort(order), len(order)
    at_once = max(question.batch, NUMBERS // size)
    full, empty = question.ends()
    values = [np.array([empty])]
    for first in range(1, size, at_once):
        masks = place < np.arange(first, min(first + at_once, size))[:, None]
        values.append(question.value(masks.reshape(-1, *question.shape).astype(np.float32)).numpy())
    return np.concatenate([*values, [full]])
