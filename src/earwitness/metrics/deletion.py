"""How fast does the score fall when the components that matter most go first?

area of   value( all but the k most important )   over   k / size, 0 to 1            in units of the score; lower is better
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.metrics.base import Curve


@dataclass(frozen=True)
class Deletion(Curve):
    """The area below the score while components give way to the baseline, the largest values first.

    steps: how many, nearly equal in components; None removes them one by one, or in 64 steps where there are more.
    of: "score", the very number that was explained, in its unit; "probability", the target's, 0 to 1 (for a margin a - b the
        difference of the two). A softmax also moves when other classes do, and hardly moves where the model is sure: hence
        the default. Areas of scores compare methods on one clip; across clips take `random`.
    seed: of the order among equal values, and of the random orders.
    random: how many random orders to compare with; 0 for the plain area. Then the score is (area - mean area of the random
        orders) / |value(1) - value(0)|: without unit, about 0 for a map that knows nothing, below 0 for a good one, and free of
        what any clip with holes does to the model. `parts` holds both areas, "area" and "random".

    The curve is the score's `shares` (of components removed, 0 to 1) and `values`; both ends are in it.
    Cost: steps + 1 evaluations for each baseline, (random + 1) times. Raises `UsageError` for the probability of a game, and,
    compared with random orders, where value(1) is value(0).
    Source: Petsiuk et al. (2018), "RISE"; its curves are those of="probability".
    Differs: the score by default; components, not pixels; removed is what the question's baseline says, not always zeros, and
        the mean over baselines where there are several; equal values go in a random order, not in that of the array.
    Cannot see: whether the model knows clips with holes, so a fall may be surprise; how large values are, only their order;
        direction, where values have none: an important component that argues against the target lifts the curve
        (`Explanation.of(question, values * np.sign(signed), "effect")` ranks by direction).
    """

    better: ClassVar[str] = "lower"

    def kept(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        return order >= count
