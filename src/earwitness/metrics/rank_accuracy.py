"""Are the largest values those of the true cause?

rank accuracy = number of components of the cause among the k largest values / k,     k = number of components in the cause
"""

from dataclasses import dataclass

import numpy as np

from earwitness.metrics.base import Truth
from earwitness.numerics.overlaps import top_overlap


@dataclass(frozen=True)
class RankAccuracy(Truth):
    """The share of the cause that is among as many of the largest values as the cause has components.

    filled: how full of the cause a component must be to belong to it, as a share of the fullest one, above 0 and up to 1.

    Where equal values leave open which are the largest, the mean over all choices.
    Cost: none. Raises `UsageError` where the cause is not known, or fills no component.
    Source: Arras et al. (2022), "CLEVR-XAI", relevance rank accuracy.
    Differs: components instead of pixels; equal values are shared out, not taken in the order of the array; values as they are:
        what argues against the target is not among the largest.
    Cannot see: the order inside the cause, and outside it; how large values are; a cause of which the model needs only a part,
        so that an explanation that is true of the model scores below 1.
    """

    def judged(self, cause: np.ndarray, values: np.ndarray) -> float:
        count = int(cause.sum())
        hits, odds = top_overlap(values, cause, count)
        return float(hits @ odds) / count
