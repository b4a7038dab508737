"""Where does a layer see what the label wants, place by place?

    cam = relu( sum over channels c of d score / d A_c x A_c )

Grad-CAM without the mean over places: what is shown is what the score's slope sees at that very place. Where the layer is
followed by a mean over places and a linear layer, both are the same, and add up to the score but for its bias.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.explainers.base import Attribution, Explainer, of_a_layer
from earwitness.questions import Question


@dataclass(frozen=True)
class HiResCAM(Explainer):
    """Gradient times activation of a layer, added up over its channels: what is above 0.

    Needs a question about the places of a layer, usually the last convolution: `ew.Units("features.12")`.
    `signed` is the same before what is below 0 is cut off.
    Cost: one evaluation with its backward pass. Raises `UsageError` for another question, `ModelError`
        where there is no gradient.
    Source: Draelos and Carin (2020), "Use HiResCAM instead of Grad-CAM for faithful explanations of CNNs".
    Cannot see: details finer than the layer's places.
    """

    kind: ClassVar[str] = "importance"
    per_baseline: ClassVar[bool] = False  # the slope is asked at the clip alone

    def cost(self, size: int) -> int:
        return 1

    def attribute(self, question: Question) -> Attribution:
        x = of_a_layer(question).x
        signed = question.collect(question.slope(x[None])[0] * x).double().cpu().numpy()
        return Attribution(np.maximum(signed, 0), signed=signed)
