"""How steep is the score at the clip itself?

    saliency = | d score / d input |                   summed over each component

The slope at one point: it sees what an infinitely small change would do, not what removal does.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.explainers.base import Attribution, Explainer
from earwitness.questions import Question


@dataclass(frozen=True)
class Saliency(Explainer):
    """Absolute gradient of the score with respect to what stands at the question's stage.

    `signed` is the slope on each component's mask at the clip, gradient x (input - baseline), in units of the score.
    Cost: one evaluation with its backward pass. Raises `ModelError` where there is no gradient (a black box).
    Source: Simonyan et al. (2013).
    """

    kind: ClassVar[str] = "importance"
    per_baseline: ClassVar[bool] = False  # the slope is asked at the clip alone
    stage: ClassVar[str | None] = "input"
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry")

    def cost(self, size: int) -> int:
        return 1

    def attribute(self, question: Question) -> Attribution:
        slope = question.slope(question.x[None])[0]
        on_masks = slope * (question.x - question.baselines.mean(0))
        values, signed = (question.collect(part).double().cpu().numpy() for part in (slope.abs(), on_masks))
        flat = ("the gradient is zero everywhere: the score is flat (saturated) at this clip",)
        return Attribution(values, signed=signed, warnings=() if np.any(values) else flat)
