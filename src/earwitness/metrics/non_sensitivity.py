"""Is a value zero exactly where the model doesn't care?

non-sensitivity = share of components for which  [ value_i is 0 ]  differs from  [ value(1) = value(all but i) ]
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, positive
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import Question


@dataclass(frozen=True)
class NonSensitivity(Metric):
    """The share of components that are zero and do matter, or aren't zero and don't; 0: there are none.

    tolerance: what counts as zero, as a share of the largest absolute value, and of the largest change of the score; above 0,
        below 1.

    The score's `parts` tell the two mistakes apart: "missed", zero and does matter; "invented", not zero and doesn't.
    Cost: components + 1 evaluations for each baseline.
    Source: Nguyen and Martinez (2020), "On quantitative aspects of model interpretability"; Ancona et al. (2018), sensitivity-0.
    Differs: a share, not a number; zero is relative, as sampled values never are exactly 0; a component matters where taking it
        away, alone, changes the score.
    Cannot see: what matters only together: of two components either of which is enough, neither changes the score alone, and
        methods that know better are called inventive. Nor units: Sobol's indices are squares of effects, so an effect of a tenth
        of the largest is a hundredth there, and counts as missed.
    """

    tolerance: float = 0.01

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    family: ClassVar[str] = "axioms"

    def __post_init__(self) -> None:
        positive(tolerance=self.tolerance)
        if self.tolerance is None or self.tolerance >= 1:
            raise UsageError(f"tolerance is a share of the largest value, above 0 and below 1, not {self.tolerance!r}")

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = values_of(question, explanation).ravel()
        starts = range(0, question.size, question.batch)
        without = np.concatenate([question.value(_without(question, start)).numpy() for start in starts])
        changes = question.value(question.ones).numpy() - without
        zero, idle = (np.abs(each) <= self.tolerance * np.abs(each).max() for each in (values, changes))
        missed, invented = float((zero & ~idle).mean()), float((~zero & idle).mean())
        return Score(missed + invented, parts={"missed": missed, "invented": invented})


def _without(question: Question, start: int) -> np.ndarray:
    """A batch of masks `[B, *shape]`: everything but one component, from component `start` on."""
    gone = np.arange(start, min(start + question.batch, question.size))
    masks = np.ones((len(gone), question.size), np.float32)
    masks[np.arange(len(gone)), gone] = 0
    return masks.reshape(-1, *question.shape)
