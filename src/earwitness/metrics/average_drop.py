"""How much of the model's confidence is lost when it hears only what the explanation keeps?

drop = max( 0, p( clip ) - p( mask ) ) / p( clip )                                    p: the target's probability; a share, 0 to 1
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from earwitness.errors import UsageError
from earwitness.metrics.base import Masked

LEAST = 1e-10  # added to a divisor, as published


@dataclass(frozen=True)
class AverageDrop(Masked):
    """The relative fall of the target's probability when only the masked clip is there; its mean over clips is published as AD.

    keep: a share of the components for a mask of zeros and ones; None for the soft mask: see `Explanation.mask`.
    softmaxes: 1, or 2 to repeat the published audio figures. Their code takes the softmax of what are probabilities
        already: with many classes all of these lie between 1 / (classes - 1 + e) and e / (classes - 1 + e), and no drop exceeds
        1 - 1 / e = 0.632. The two are not on one scale.

    A share, 0 to 1; published tables say 100 times that, in percent.
    Cost: two evaluations for each baseline. Raises `UsageError` for a game, and for a margin.
    Source: Chattopadhay et al. (2018), "Grad-CAM++"; with two softmaxes the code of Paissan et al. (2024), "Listenable Maps for
        Audio Classifiers", in SpeechBrain.
    Differs: one softmax by default; the class is the target of the question, by default the predicted one; what the mask
        takes away becomes the question's baseline, not always zeros.
    Cannot see: how little is kept: the mask that keeps everything loses nothing; gains, which count as 0 (`AverageGain`);
        whether the model knows masked clips.
    """

    softmaxes: int = 1

    better: ClassVar[str] = "lower"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.softmaxes not in (1, 2):
            raise UsageError(f"softmaxes is 1, or 2 as in the published audio figures, not {self.softmaxes!r}")

    def compared(self, clip: np.ndarray, masked: np.ndarray, label: int) -> float:
        before, after = ((softmax(p) if self.softmaxes == 2 else p)[label] for p in (clip, masked))
        return max(0.0, before - after) / (before + LEAST)
