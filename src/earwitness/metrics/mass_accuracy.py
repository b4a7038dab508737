"""How much of what the explanation says for the target lies in the true cause?

mass accuracy = sum of the values above 0 in the cause / sum of the values above 0
"""

from dataclasses import dataclass

import numpy as np

from earwitness.metrics.base import Truth


@dataclass(frozen=True)
class MassAccuracy(Truth):
    """The share of the positive attribution that lies on the components of the true cause.

    filled: how full of the cause a component must be to belong to it, as a share of the fullest one, above 0 and up to 1.

    0 where no value is above 0: such an explanation says nothing for the target.
    Cost: none. Raises `UsageError` where the cause is not known, or fills no component.
    Source: Arras et al. (2022), "CLEVR-XAI", relevance mass accuracy; Wang et al. (2020), "Score-CAM", calls it energy-based
        pointing game.
    Differs: values below 0 count nothing, not negatively (as in the energy-based game); components instead of pixels.
    Cannot see: how the mass is spread inside the cause: one component may have it all; what argues against the target; whether
        the model used the cause at all. A map that is right in order but nowhere near 0 scores little above chance.
    """

    def judged(self, cause: np.ndarray, values: np.ndarray) -> float:
        mass = np.maximum(values, 0)
        return mass[cause].sum() / mass.sum() if mass.any() else 0.0
