"""Is everything that the model needs among the best components?

comprehensiveness = mean over shares of  value(1) - value( all but the best share )        in units of the score; higher is better
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.metrics.base import Rationale


@dataclass(frozen=True)
class Comprehensiveness(Rationale):
    """How far the score falls when the best components go, on average over a few sizes of "the best".

    shares: of the components, above 0 and up to 1; at least one component each, so that with 64 components the two
        smallest defaults, 1 % and 5 %, are one and three.
    of: "score", the very number that was explained, in its unit; "probability", the target's, 0 to 1.
    seed: of the order among equal values.

    The scores without the best stand in the score's `values`, their shares in `shares`.
    Cost: shares + 1 evaluations for each baseline. Raises `UsageError` for the probability of a game.
    Source: DeYoung et al. (2020), "ERASER", aggregate comprehensiveness (AOPC); of="probability" is theirs.
    Differs: the score by default; components, not words; removed is what the question's baseline says. Theirs divides by the
        number of bins plus one and counts the whole clip, whose fall is 0; here the mean is over the shares.
    Cannot see: whether the model knows clips with holes; what is redundant: a second cause, left in, keeps the score up; the
        order within each share; direction, where values have none.
    """

    better: ClassVar[str] = "higher"

    def kept(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        return order >= count
