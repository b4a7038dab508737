"""How much does the explanation ask one to look at?

complexity = - sum over i of P_i ln P_i,        P_i = |value_i| / sum of |values|                                     in nats
"""

from dataclasses import dataclass
from typing import ClassVar

from earwitness.errors import unknown
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.numerics.concentration import entropy
from earwitness.questions import Question

OF = ("values", "mask")


@dataclass(frozen=True)
class Complexity(Metric):
    """The entropy of the absolute values, in nats: 0 where one component has everything, ln n where all n are equal.

    of: "values", absolute; "mask", the explanation's soft mask, `explanation.mask(None)`, as the interpreters that learn masks
        are scored: values below 0 are 0 in it.

    exp(complexity) is the number of components of equal value that would be as much to look at. A map of zeros says nothing:
    it counts as one of equal values, ln n.
    Cost: none.
    Source: Bhatt et al. (2020), "Evaluating and aggregating feature-based model explanations". COMP in L-MAC's tables.
    Differs: no small number is added to P: 0 ln 0 is 0; over components: figures of cuts of different sizes are not comparable.
    Cannot see: whether it points at the right place; whether what it points at is in one place or scattered. Less is not always
        better: an explanation of a cause that fills half of the clip ought not to be small.
    """

    of: str = "values"

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, None)
    family: ClassVar[str] = "complexity"

    def __post_init__(self) -> None:
        if self.of not in OF:
            raise unknown("map to look at", self.of, OF)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = values_of(question, explanation)
        return Score(entropy(values if self.of == "values" else explanation.mask(None)))
