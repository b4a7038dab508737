"""Does the score fall in proportion to what the explanation says of a set of components?

correlation = Pearson, over random sets r of one size, of  sum of values in r  and  value(1) - value(1 - r)
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import whole
from earwitness.explanations import Explanation
from earwitness.metrics.base import (
    Metric,
    Score,
    check_score,
    check_share,
    spread,
    subset_drops,
    values_of,
)
from earwitness.numerics.curves import correlation, proper_part
from earwitness.questions import Question


@dataclass(frozen=True)
class FaithfulnessCorrelation(Metric):
    """The linear correlation of what values say of random sets of components with what the model says, -1 to 1.

    share: of the components in each set, above 0 and below 1; at least one component, and not all.
    subsets: how many sets, 2 or more.
    of: "score", the very number that was explained, in its unit; "probability", the target's, 0 to 1.
    seed: of the sets. Explanations of one question are judged on the same sets.

    As `MuFidelity`, which takes ranks: here how large values are counts, up to a factor and a constant. A map whose values are
    all equal scores 0.
    Cost: subsets + 1 evaluations for each baseline. Raises `UsageError` where the score falls alike for all sets, and for the
    probability of a game.
    Source: Bhatt et al. (2020), "Evaluating and Aggregating Feature-based Model Explanations".
    Differs: the score by default; components, not pixels, and a share of them, not a number of 224.
    Cannot see: single components, since a set averages over many; one extreme set may make the correlation by itself.
    """

    share: float = 0.2
    subsets: int = 200
    of: str = "score"
    seed: int = 0

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        check_share(share=self.share)
        whole(least=2, subsets=self.subsets)
        check_score(self.of, self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = values_of(question, explanation)
        members = np.full(self.subsets, proper_part(self.share, question.size))
        sums, drops = subset_drops(question, self.of, values - values.min(), members, self.seed)
        spread(float(np.ptp(drops)))
        return Score(correlation(sums, drops))
