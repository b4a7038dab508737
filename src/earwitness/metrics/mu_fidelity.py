"""Does the score fall most for the sets of components that the explanation rates highest?

mu-fidelity = Spearman correlation, over random sets r of one size, of  sum of values in r  and  value(1) - value(1 - r)
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
from earwitness.numerics.curves import proper_part
from earwitness.questions import Question
from earwitness.statistics import rank_stability

EQUAL = 1e-6  # of their spread: how near numbers have one rank; a model rounds otherwise in other batches


@dataclass(frozen=True)
class MuFidelity(Metric):
    """The rank correlation of what values say of random sets of components with what the model says, -1 to 1.

    share: of the components in each set, above 0 and below 1; at least one component, and not all.
    subsets: how many sets, 2 or more. Their noise is about 1 / sqrt(subsets): 0.07 for 200.
    of: "score", the very number that was explained, in its unit; "probability", the target's, 0 to 1.
    seed: of the sets. Explanations of one question are judged on the same sets.

    A map whose values are all equal says the same of each set: it scores 0, as random maps do on average.
    Cost: subsets + 1 evaluations for each baseline. Raises `UsageError` where the score falls alike for all sets, and for the
    probability of a game.
    Source: Bhatt et al. (2020), "Evaluating and Aggregating Feature-based Model Explanations"; ranks as in Fel et al. (2021).
    Differs: from Bhatt: ranks, not numbers (`FaithfulnessCorrelation` takes numbers). From xplique, which draws each
        cell with that probability: sets are of one size, else large sets fall further and every positive map, even a
        flat one, correlates with the score. Components of the question, not a grid of its own.
    Cannot see: the scale of values, or a constant added to all of them; single components, since a set averages over many:
        with 64 components each stands among 12 others; interactions within a set count for no one.
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
        # in sets of one size what is added to all values says nothing; without it equal values sum to 0 exactly
        sums, drops = subset_drops(question, self.of, values - values.min(), members, self.seed)
        spread(float(np.ptp(drops)))
        steps = [np.round(numbers / (EQUAL * np.ptp(numbers) or 1)) for numbers in (sums, drops)]
        return Score(np.clip(rank_stability(steps), -1, 1))
