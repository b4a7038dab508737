"""How many of the best components does the score need?

effective complexity = k / n,      k the smallest number from which on

    | value(1) - value(the k best) | <= tolerance | value(1) - value(0) |
"""

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from earwitness.errors import UsageError, positive, whole
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, curve, values_of
from earwitness.numerics.curves import ranks
from earwitness.questions import Question


@dataclass(frozen=True)
class EffectiveComplexity(Metric):
    """The share of the components, largest absolute values first, that is enough for the score: the fewer, the simpler.

    tolerance: how far from the clip's score is near enough, as a share of what it is above the baseline's; above 0, below 1.
    steps: how many sizes are tried, nearly equal in components; None for each one, or 64 where there are more.
    seed: of the order among equal values.

    "From which on": a curve that passes the clip's score on its way has not arrived. The curve is the score's `shares` and
    `values`. Cost: steps + 1 evaluations for each baseline. Raises `UsageError` where value(1) equals value(0).
    Source: Nguyen and Martinez (2020), "On quantitative aspects of model interpretability".
    Differs: what isn't among the best is at the question's baseline, where the paper takes an expectation; the well-known
        implementation counts values above 1e-5 of the largest, and never asks the model.
    Cannot see: whether fewer, other components would have been enough: the explanation may be simple because the model is.
    """

    tolerance: float = 0.1
    steps: int | None = None
    seed: int = 0

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    family: ClassVar[str] = "complexity"

    def __post_init__(self) -> None:
        positive(tolerance=self.tolerance)
        if self.tolerance is None or self.tolerance >= 1:
            raise UsageError(f"tolerance is a share of the score's change, above 0 and below 1, not {self.tolerance!r}")
        whole(steps=self.steps)
        whole(least=0, seed=self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        order = ranks(np.abs(values_of(question, explanation)), self.seed)
        found = curve(question, self.steps, "score", lambda count: order < count)
        shares, values = cast(np.ndarray, found.shares), cast(np.ndarray, found.values)
        if values[0] == values[-1]:
            raise UsageError("the score with nothing equals that with everything: nothing is needed for it")
        far = np.abs(values - values[-1]) > self.tolerance * abs(values[-1] - values[0])
        return Score(float(shares[np.flatnonzero(far)[-1] + 1]), shares, values)
