"""Are the best components enough for the model?

sufficiency = mean over shares of  value(1) - value( only the best share )                  in units of the score; lower is better
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.metrics.base import Rationale


@dataclass(frozen=True)
class Sufficiency(Rationale):
    """How far the score falls when only the best components stay, on average over a few sizes of "the best".

    shares, of, seed: as in `Comprehensiveness`, whose mirror this is.

    Below 0 where the best alone score higher than the whole clip: what was left out argued against the target. The scores of
    the best stand in the score's `values`, their shares in `shares`.
    Cost: shares + 1 evaluations for each baseline. Raises `UsageError` for the probability of a game.
    Source: DeYoung et al. (2020), "ERASER", aggregate sufficiency (AOPC); of="probability" is theirs.
    Differs: as `Comprehensiveness`.
    Cannot see: whether the model knows clips that are mostly baseline; what is redundant; the order within each share;
        direction, where values have none.
    """

    better: ClassVar[str] = "lower"

    def kept(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        return order < count
