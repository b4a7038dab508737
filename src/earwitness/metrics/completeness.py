"""Do the shares add up to what they share out?

gap = | sum of the shares - (value(1) - value(0)) | / | value(1) - value(0) |
"""

from dataclasses import dataclass
from typing import ClassVar

from earwitness.errors import UsageError
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import Question


@dataclass(frozen=True)
class Completeness(Metric):
    """What the shares miss of their total, or exceed it by, relative to it; 0: nothing. Only shares promise a sum.

    Cost: none: the explanation knows its total. Raises `UsageError` for other kinds, and where the total is 0: not applicable.
    Source: Sundararajan et al. (2017), "Axiomatic attribution for deep networks"; Shapley (1953), efficiency.
    Differs: relative to the total, and a number, where the well-known implementation says true or false at a fixed tolerance.
    Cannot see: whether the shares are right: any numbers, rescaled, add up.
    """

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, None)
    family: ClassVar[str] = "axioms"

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values_of(question, explanation)
        if explanation.gap is None:
            why = (
                "value(1) equals value(0): there is nothing to share out"
                if explanation.kind == "share"
                else f"numbers of kind {explanation.kind!r} promise no sum"
            )
            raise UsageError(f"completeness is not applicable: {why}")
        return Score(explanation.gap)
