"""Do the values add up to what the model loses?

infidelity = E over sets r of  ( sum of values in r - [ value(1) - value(1 - r) ] )^2  /  E [ value(1) - value(1 - r) ]^2

0 for values that foretell the fall of the score for every set; 1 for a map of zeros, which foretells none. Without unit; the
numerator alone is in squared units of the score.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import whole
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, check_score, spread, subset_drops, values_of
from earwitness.questions import Question

IN_UNITS = ("share", "effect")  # the kinds whose values are in units of the score


@dataclass(frozen=True)
class Infidelity(Metric):
    """The mean squared error with which sums of values foretell the fall of the score when a random set of components goes.

    subsets: how many random sets. The size of each is drawn evenly from 1 to all components, then its members among
        all sets of that size, so that clips with few holes count as much as clips with many.
    relative: in units of the mean squared fall, so that clips and models compare; False for the plain error.
    scaled: multiply the sums of shares and effects by the best factor, too; otherwise only those without unit (see below).
    of: "score", the very number that was explained, in its unit; "probability", the target's, 0 to 1.
    seed: of the sets. Explanations of one question are judged on the same sets.

    Importances and masks have no unit: their sums are first multiplied by the one factor, 0 or more, that fits best. Shares
    and effects are taken at their word, but for of="probability", where they are in another unit and scaled as well. The
    factor is `parts["scale"]`. `parts["flat"]` is the score of a map of equal values with its best factor, which says no more
    than that the score falls as more goes: on real sounds that is most of it, and scaled maps that know nothing come near. So
    an explanation should be below `flat`, and explanations of different kinds compare with scaled=True only.
    Cost: subsets + 1 evaluations for each baseline. Raises `UsageError` where the score of no set differs from the clip's, and
    for the probability of a game.
    Source: Yeh et al. (2019), "On the (In)fidelity and Sensitivity of Explanations".
    Differs: no factor for values in the score's unit, where their experiments scale all maps. Perturbations in the space of
        masks: r is a set, r . values the sum in it; theirs are noise or squares of the input, times the gradient-like
        attribution. Relative by default: the plain number grows with the square of the unit.
    Cannot see: which of two components is right where the model needs either: sums cannot say so, and no map reaches 0 there;
        importances are worse off on clips in which some components argue against the target, as they have no direction.
    """

    subsets: int = 200
    relative: bool = True
    scaled: bool = False
    of: str = "score"
    seed: int = 0

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, None)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        whole(subsets=self.subsets)
        check_score(self.of, self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = values_of(question, explanation)
        members = np.random.default_rng((self.seed, 1)).integers(1, question.size, self.subsets, endpoint=True)
        sums, drops = subset_drops(question, self.of, values, members, self.seed)
        free = self.scaled or self.of != "score" or explanation.kind not in IN_UNITS
        scale = _factor(sums, drops) if free else 1.0
        unit = spread(float(np.mean(drops**2))) if self.relative else 1.0
        error, flat = (np.mean((a - drops) ** 2) / unit for a in (scale * sums, _factor(members, drops) * members))
        return Score(float(error), parts={"scale": scale, "flat": float(flat)})


def _factor(sums: np.ndarray, drops: np.ndarray) -> float:
    """0 or more: what the sums `[sets]` are to be multiplied by to be nearest to the falls `[sets]`."""
    return max(0.0, float(sums @ drops / (sums @ sums))) if sums.any() else 1.0
