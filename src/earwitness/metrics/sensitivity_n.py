"""Do the values add up, for sets of few components and for sets of many?

sensitivity-n = Pearson correlation, over random sets r of n components, of  sum of values in r  and  value(1) - value(1 - r)

The score is the mean over several n.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, whole
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, check_score, check_share, spread, subset_drops, values_of
from earwitness.numerics.curves import best, correlation
from earwitness.questions import Question


@dataclass(frozen=True)
class SensitivityN(Metric):
    """The correlation of what values say of random sets with what the model says, for small sets and large ones, -1 to 1.

    shares: the sizes n, as shares of the components, above 0 and up to 1; at least one component each. Sizes that come
        out equal are taken once, and the set of all components, of which there is but one, not at all.
    subsets: how many sets of each size, 2 or more.
    of: "score", the very number that was explained, in its unit; "probability", the target's, 0 to 1.
    seed: of the sets.

    The correlations stand in the score's `values`, the sizes in `shares`: which kinds of sets the explanation is right about.
    A size for whose sets the score falls alike, or the map says the same, counts 0.
    Cost: sizes (subsets + 1) evaluations for each baseline. Raises `UsageError` where the score falls alike for all sets of
    every size, and for the probability of a game.
    Source: Ancona et al. (2018), "Towards Better Understanding of Gradient-based Attribution Methods for Deep Neural Networks".
    Differs: theirs is a curve over n; the mean is ours. The score by default; components, not pixels.
    Cannot see: the scale of values, or a constant added to all of them; for large sets all methods fall, since the model is
        far from any clip that it knows.
    """

    shares: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
    subsets: int = 100
    of: str = "score"
    seed: int = 0

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", tuple(check_share(shares=share) for share in self.shares))
        whole(least=2, subsets=self.subsets)
        check_score(self.of, self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = values_of(question, explanation)
        sizes = sorted({best(share, question.size) for share in self.shares} - {question.size})
        if not sizes:
            raise UsageError(
                f"shares {self.shares} of {question.size} components leave no sets to compare: name smaller ones"
            )
        found, falls = [], []
        for size in sizes:
            members = np.full(self.subsets, size)
            sums, drops = subset_drops(question, self.of, values - values.min(), members, (self.seed, size))
            found.append(correlation(sums, drops))
            falls.append(np.ptp(drops))
        spread(max(falls))
        return Score(float(np.mean(found)), np.array(sizes) / question.size, np.array(found))
