"""Would the method have said the same with other luck?

stability = mean over other seeds of  Spearman( explanation, the same method with that seed )
"""

from dataclasses import dataclass, is_dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np

from earwitness.errors import UsageError, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import answer, method_of
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import Question
from earwitness.statistics import rank_stability


@dataclass(frozen=True)
class RankStability(Metric):
    """How well the order of the components agrees with what the same method finds with other seeds; 1: always the same.

    repeats: how many other seeds, those that follow the method's own.

    Equal values share their mean rank; a map whose values are all equal has no order, and agrees 0 with any other.
    Cost: `repeats` times the method's. Raises `UsageError` where the method isn't known, or has no seed.
    Source: Spearman (1904); Visani et al. (2022), "Statistical stability indices for LIME", for the question.
    Differs: the whole order, not only whether the same components come first.
    Cannot see: whether the order is right: a method with a bias is stable, and one that ignores the model perfectly so. Where
        most components do nothing, their order is chance, and a good method scores low for it.
    """

    repeats: int = 5

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)
    family: ClassVar[str] = "stability"

    def __post_init__(self) -> None:
        whole(repeats=self.repeats)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values, method = values_of(question, explanation), method_of(explanation)
        first = getattr(method, "seed", None)
        if first is None or not is_dataclass(method):
            raise UsageError(f"{explanation.method} has no seed: asked twice, it says the same, so this does not apply")
        others = (replace(cast(Any, method), seed=first + 1 + number) for number in range(self.repeats))
        return Score(float(np.mean([rank_stability([values, answer(other, question).values]) for other in others])))
