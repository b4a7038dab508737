"""Does the score fall further without the best components than without as many others?

score = drop( the best k ) - mean of drop( random k )                      drop( r ) = value(1) - value(1 - r)
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, unknown, whole
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, answers, check_score, check_share, values_of
from earwitness.numerics.curves import best, random_subsets, ranks
from earwitness.questions import Question

REGIONS = ("shifted", "scattered")


@dataclass(frozen=True)
class ImportantAgainstRandom(Metric):
    """How much more the score falls without the best components than without equally many elsewhere.

    share: how many components are removed, of all; at least one, and fewer than all.
    regions: where else. "shifted": the very same set, shifted around each axis (what leaves at one end comes in at
        the other), so that holes are of one shape; "scattered": any components.
    draws: how many such regions. Shifts are drawn without repeats; where there are no more than that, all are taken.
    of: "probability", the target's, 0 to 1, as published; "score", the very number that was explained, in its unit, which also
        moves where the model is sure.
    seed: of the order among equal values, and of the regions.

    `parts`: "prob_drop_important", "prob_drop_random" (the mean; "score_drop_..." for of="score") and "p": how often a region
    drops at least as far as the best components, themselves counted: (1 + how many do) / (1 + how many there are).
    Cost: draws + 2 evaluations for each baseline. Raises `UsageError` for the probability of a game.
    Source: the occlusion test that notebooks on emotion recognition use for LIME, LRP and Grad-CAM, there with one draw.
    Differs: regions of the same shape: single pixels strewn at random surprise a network more, or less, than a block
        does; many draws with a seed and a p-value, not one; exactly k components, not those above a percentile, which are few or
        none where values are equal; what is removed becomes the question's baseline, not the mean of the picture.
    Cannot see: how values are ordered within the best; direction, where values have none. A set that a shift carries into itself
        (a full row) meets itself: such draws count against it.
    """

    share: float = 0.2
    regions: str = "shifted"
    draws: int = 50
    of: str = "probability"
    seed: int = 0

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (None, None)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        check_share(share=self.share)
        if self.regions not in REGIONS:
            raise unknown("kind of regions", self.regions, REGIONS)
        whole(draws=self.draws)
        check_score(self.of, self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        order, count = ranks(values_of(question, explanation), self.seed), best(self.share, question.size)
        if count == question.size:
            raise UsageError(
                f"{self.share:g} of {count} components are all of them: take a smaller share, or a finer cut"
            )
        important, others = order < count, self._elsewhere(order < count)
        kept = 1.0 - np.stack([np.zeros(question.shape), important, *others])
        clip, *left = answers(question, self.of, kept)
        drop, *random = clip - np.array(left)
        name = "prob_drop" if self.of == "probability" else "score_drop"
        p = (1 + np.sum(random >= drop)) / (1 + len(random))
        parts = {f"{name}_important": drop, f"{name}_random": np.mean(random), "p": p}
        return Score(drop - np.mean(random), parts=parts)

    def _elsewhere(self, top: np.ndarray) -> np.ndarray:
        """`[draws, *shape]` of booleans: regions as large as the best one."""
        rng, axes = np.random.default_rng((self.seed, 1)), tuple(range(top.ndim))
        if self.regions == "scattered":
            members = np.full(self.draws, top.sum())
            return random_subsets(members, top.size, rng).reshape(-1, *top.shape)
        shifts = 1 + rng.permutation(top.size - 1)[: self.draws]
        return np.stack([np.roll(top, np.unravel_index(shift, top.shape), axes) for shift in shifts])
