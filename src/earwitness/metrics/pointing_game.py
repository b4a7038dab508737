"""Does the largest value lie in the true cause?

hit = 1 if argmax(values) is a component of the cause, else 0
"""

from dataclasses import dataclass

import numpy as np

from earwitness.metrics.base import Truth


@dataclass(frozen=True)
class PointingGame(Truth):
    """1 if the component with the largest value belongs to the true cause, 0 if not; the mean over clips is an accuracy.

    filled: how full of the cause a component must be to belong to it, as a share of the fullest one, above 0 and up to 1.

    Equal largest values share the hit: the score is the fraction of them that belongs to the cause.
    Cost: none. Raises `UsageError` where the cause is not known, or fills no component.
    Source: Zhang et al. (2016), "Top-down Neural Attention by Excitation Backprop".
    Differs: no tolerance around the object; components are coarse, and `filled` says how much of one it takes.
    Cannot see: anything but the top: how far ahead it is, and where the rest lies; whether the model used the cause at all.
    """

    def judged(self, cause: np.ndarray, values: np.ndarray) -> float:
        return float(cause[values == values.max()].mean())
