"""Where does a layer see what the label wants?

cam = relu( sum over channels c of w_c A_c ),      w_c = mean over places of d score / d A_c
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.explainers.base import Attribution, Explainer, of_a_layer
from earwitness.questions import Question


@dataclass(frozen=True)
class GradCAM(Explainer):
    """Channels of a layer, weighted by their mean gradient and added up: what is above 0.

    Needs a question about the places of a layer, usually the last convolution: `ew.Units("features.12")`.
    `signed` is the same before what is below 0 is cut off.
    Cost: one evaluation with its backward pass. Raises `UsageError` for another question, `ModelError`
        where there is no gradient.
    Source: Selvaraju et al. (2017).
    Differs: the map stays at the layer's own places; it is not stretched over the spectrogram before it is judged.
    Cannot see: details finer than the layer's places (the last layer of a small network has few). The mean over places smears
        what matters here and not there; `HiResCAM` does not take it.
    """

    kind: ClassVar[str] = "importance"
    per_baseline: ClassVar[bool] = False  # the slope is asked at the clip alone

    def cost(self, size: int) -> int:
        return 1

    def attribute(self, question: Question) -> Attribution:
        pictures = of_a_layer(question).pictures
        x, slope = pictures(question.x), pictures(question.slope(question.x[None])[0])
        weights = slope.mean(tuple(range(1, x.ndim)), keepdim=True)
        signed = (weights * x).sum(0).double().cpu().numpy()
        return Attribution(np.maximum(signed, 0), signed=signed)
