"""How fast does the score rise when the components that matter most come first?

area of   value( only the k most important )   over   k / size, 0 to 1               in units of the score; higher is better
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.metrics.base import Curve


@dataclass(frozen=True)
class Insertion(Curve):
    """The area below the score while components come back, from the baseline alone, the largest values first.

    steps, of, seed, random: as in `Deletion`, whose mirror this is; areas of scores compare methods on one clip here, too.

    The curve is the score's `shares` (of components restored, 0 to 1) and `values`; both ends are in it.
    Cost: steps + 1 evaluations for each baseline, (random + 1) times. Raises `UsageError` as `Deletion`.
    Source: Petsiuk et al. (2018), "RISE"; its curves are those of="probability".
    Differs: the score by default, not the probability; components, not pixels; it starts from the question's baseline, not
        always from a blurred input; equal values come in a random order, not in that of the array.
    Cannot see: what is redundant: of two components either of which is enough, the second may have any value; whether the
        model knows clips that are mostly baseline; how large values are, only their order; direction, where values have none.
    """

    better: ClassVar[str] = "higher"

    def kept(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        return order < count
