"""Does the explanation point at little?

Gini index = sum over i of (2 i - n - 1) a_i / ( n sum of a ),        a_1 <= ... <= a_n the absolute values, i from 1 to n
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import unknown
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import Question

OF = ("values", "mask")


@dataclass(frozen=True)
class Sparseness(Metric):
    """The Gini index of the absolute values: 0 where all are equal, 1 - 1/n where one of n components has everything.

    of: "values", absolute; "mask", the explanation's soft mask, `explanation.mask(None)`, as the interpreters that learn masks
        are scored: values below 0 are 0 in it.

    A map of zeros says nothing: it counts as one of equal values, 0.
    Cost: none.
    Source: Chalasani et al. (2020), "Concise explanations"; Hurley and Rickard (2009), why the Gini index. SPS in L-MAC's tables.
    Differs: no small number is added to the values; over components: figures of cuts of different sizes are not comparable.
    Cannot see: whether it points at the right place; whether the little is in one place or scattered. More is not always
        better: an explanation of a cause that fills half of the clip ought not to be sparse.
    """

    of: str = "values"

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    family: ClassVar[str] = "complexity"

    def __post_init__(self) -> None:
        if self.of not in OF:
            raise unknown("map to look at", self.of, OF)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = values_of(question, explanation)
        a = np.sort(np.abs(values if self.of == "values" else explanation.mask(None)), axis=None)
        n, i = a.size, np.arange(1, a.size + 1)
        gini = (2 * i - n - 1) @ a / (n * a.sum()) if a.any() else 0.0
        return Score(max(gini, 0.0))  # rounding may leave equal values a hair below 0
