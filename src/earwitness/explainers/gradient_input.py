"""What would the score lose with each component, if it were the straight line that it looks like at the clip?

gradient x input_i = d value / d m_i  at m = 1  =  sum over component i of slope x (input - baseline)
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.explainers.base import Attribution, Explainer
from earwitness.questions import Question


@dataclass(frozen=True)
class GradientInput(Explainer):
    """The gradient at the clip, times what the clip has more than its baseline, summed over each component.

    published: multiply by the input itself, as if zeros were the baseline, whatever the question's is: see `paper`.

    Cost: one evaluation with its backward pass for each baseline; `published`: one in all. Raises `ModelError` where there is no
        gradient (a black box).
    Source: Shrikumar et al. (2016), "Not just a black box"; captum's InputXGradient is the published form, and about
        the units of a layer, `ew.Units(layer, by="units")`, its LayerGradientXActivation.
    Differs: the baseline. In a spectrogram in decibels, or one that is standardised, zero is no silence, and the published form
        counts loud and quiet from a level that means nothing.
    Cannot see: anything beyond the straight line. Where the score saturates, values are near 0 and say nothing of importance;
        they add up to value(1) - value(0) for a linear score only.
    """

    published: bool = False

    kind: ClassVar[str] = "effect"
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry")

    def __post_init__(self) -> None:
        object.__setattr__(self, "per_baseline", not self.published)

    @classmethod
    def paper(cls) -> "GradientInput":
        """The published form: the gradient times the input itself."""
        return cls(published=True)

    def cost(self, size: int) -> int:
        return 1

    def attribute(self, question: Question) -> Attribution:
        if self.published:
            found = question.collect(question.slope(question.x[None])[0] * question.x).double().cpu().numpy()
        else:
            found = question.gradient(question.ones)[0].numpy()
        flat = ("the gradient is zero everywhere: the score is flat (saturated) at this clip",)
        return Attribution(found, warnings=() if np.any(found) else flat)
