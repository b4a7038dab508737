"""Is the model surer of the target when it hears only what the explanation keeps?

increase = 1 if p( mask ) > p( clip ), else 0           p: the target's probability; the mean over clips is a share
"""

from dataclasses import dataclass

import numpy as np

from earwitness.metrics.base import Masked


@dataclass(frozen=True)
class AverageIncrease(Masked):
    """1 if the target's probability rises when only the masked clip is there, 0 if not; its mean over clips is published as AI.

    keep: a share of the components for a mask of zeros and ones; None for the soft mask: see `Explanation.mask`.

    A share, 0 to 1, like all of these; published tables say 100 times that, in percent.
    Cost: two evaluations for each baseline. Raises `UsageError` for a game, and for a margin.
    Source: Chattopadhay et al. (2018), "Grad-CAM++"; for audio Paissan et al. (2024), "Listenable Maps for Audio Classifiers".
    Differs: the class is the target of the question, by default the predicted one, as theirs always is; what the mask takes
        away becomes the question's baseline, not always zeros.
    Cannot see: by how much (`AverageGain`); a mask that keeps everything is never an increase, one that removes a
        disturbing sound may be one without pointing at the cause; whether the model knows masked clips.
    """

    def compared(self, clip: np.ndarray, masked: np.ndarray, label: int) -> float:
        return float(masked[label] > clip[label])
