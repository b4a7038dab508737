"""How much confidence goes with what the explanation points at?

mask-out   FF = p( clip ) - p( 1 - mask )      higher is better
mask-in    FF = p( clip ) - p( mask )          lower is better                                  p: the target's probability
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import unknown
from earwitness.metrics.base import Masked

CONVENTIONS = ("mask-out", "mask-in")


@dataclass(frozen=True)
class FaithfulnessFF(Masked):
    """The fall of the target's probability when the mask is taken out of the clip, published as FF; -1 to 1.

    keep: a share of the components for a mask of zeros and ones; None for the soft mask: see `Explanation.mask`.
    convention: "mask-out", of L-MAC and its successors; "mask-in", of AMT and of early figures for PIQ, under the same name: the
        fall when only the mask is left. There lower is better, and `better` of such a metric says so. The two
        families of figures must not be compared.

    Cost: two evaluations for each baseline. Raises `UsageError` for a game, and for a margin.
    Source: Parekh et al. (2022), "Listen to Interpret"; Paissan et al. (2024), "Listenable Maps for Audio Classifiers"; for
        mask-in "Focal Modulation Networks for Interpretable Sound Classification" (2024).
    Differs: the class is the target of the question, by default the predicted one; the mask comes from any explanation, at
        the question's stage; what it takes away becomes the question's baseline, not always zeros.
    Cannot see: how much is masked: the mask of everything takes out everything; a second cause that keeps the probability up;
        whether the model knows clips with holes.
    """

    convention: str = "mask-out"

    bounds: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.convention not in CONVENTIONS:
            raise unknown("convention", self.convention, CONVENTIONS)
        if self.convention == "mask-in":
            object.__setattr__(self, "better", "lower")

    @property
    def takes_out(self) -> bool:
        return self.convention == "mask-out"

    def compared(self, clip: np.ndarray, masked: np.ndarray, label: int) -> float:
        return clip[label] - masked[label]
