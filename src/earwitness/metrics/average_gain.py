"""How much of the confidence that was missing comes when the model hears only what the explanation keeps?

gain = max( 0, p( mask ) - p( clip ) ) / ( 1 - p( clip ) )                            p: the target's probability; a share, 0 to 1
"""

from dataclasses import dataclass

import numpy as np

from earwitness.metrics.base import Masked

LEAST = 1e-10  # added to a divisor, as published


@dataclass(frozen=True)
class AverageGain(Masked):
    """The relative rise of the target's probability when only the masked clip is there; its mean over clips is published as AG.

    keep: a share of the components for a mask of zeros and ones; None for the soft mask: see `Explanation.mask`.

    A share, 0 to 1; published tables say 100 times that, in percent.
    Cost: two evaluations for each baseline. Raises `UsageError` for a game, and for a margin.
    Source: Zhang et al. (2024), "Opti-CAM"; for audio Paissan et al. (2024), "Listenable Maps for Audio Classifiers".
    Differs: the class is the target of the question, by default the predicted one; what the mask takes away becomes the
        question's baseline, not always zeros.
    Cannot see: drops, which count as 0 (`AverageDrop`); where the model is sure of the clip already, gains of next to nothing
        over next to nothing; a mask that removes a disturbing sound gains without pointing at the cause.
    """

    def compared(self, clip: np.ndarray, masked: np.ndarray, label: int) -> float:
        return max(0.0, masked[label] - clip[label]) / (1 - clip[label] + LEAST)
