"""How much better is the explanation's order than its reverse?

gain = area of value( only the k most important ) - area of value( all but the k most important )     in units of the score

Over random orders both areas have the same mean, whatever the model makes of clips with holes: what is left is the order's.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

import numpy as np

from earwitness.errors import whole
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, check_score, curve, values_of
from earwitness.numerics.curves import ranks
from earwitness.questions import Question


@dataclass(frozen=True)
class SymmetricRelevanceGain(Metric):
    """The insertion area minus the deletion area, both along the same order, the largest values first.

    steps: how many, nearly equal in components; None takes them one by one, or in 64 steps where there are more.
    of: "score", the very number that was explained, in its unit; "probability", the target's, 0 to 1.
    seed: of the order among equal values.

    0 is what random orders get on average: with k components removed at random as many are left as with size - k restored, so the
    two areas cancel, and with them the surprise at the baseline. The curve is the difference at each share; `parts` holds the
    two areas, "insertion" and "deletion".
    Cost: 2 (steps + 1) evaluations for each baseline. Raises `UsageError` for the probability of a game.
    Source: Blücher et al. (2024), "Decoupling Pixel Flipping and Occlusion Strategy for Consistent XAI Benchmarks".
    Differs: the score by default; components, not superpixels; every baseline of the question, not one imputer.
    Cannot see: how large values are, only their order; direction, where values have none; on one clip, surprise that does not
        depend on the order alone: it cancels in the mean over orders, not in each.
    """

    steps: int | None = None
    of: str = "score"
    seed: int = 0

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (None, None)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        whole(steps=self.steps)
        check_score(self.of, self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        order = ranks(values_of(question, explanation), self.seed)
        insertion, deletion = (
            curve(question, self.steps, self.of, partial(present, order)) for present in (np.less, np.greater_equal)
        )
        gained = cast(np.ndarray, insertion.values) - cast(np.ndarray, deletion.values)
        return Score(insertion - deletion, insertion.shares, gained, {"insertion": insertion, "deletion": deletion})
