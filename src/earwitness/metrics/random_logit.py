"""Is another label explained by something else?

similarity = Spearman( explanation of the label, explanation of another label )
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, values_again
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import Question
from earwitness.statistics import rank_stability


@dataclass(frozen=True)
class RandomLogit(Metric):
    """How similar the explanation is to that of another label, drawn by chance: 1 for a method that does not look which.

    seed: of the label.

    Values are compared with their signs: where one label's evidence is the other's counter-evidence, shares and effects of the
    two are opposites, and the score is -1. Of a margin a - b, the other label is neither a nor b.
    Equal values share their mean rank; a map whose values are all equal is similar to none.
    Cost: that of the method. Raises `UsageError` for a game, where there is no other label, and where the method isn't known.
    Source: Sixt et al. (2020), "When explanations lie".
    Differs: Spearman, not the similarity of pictures (SSIM), which maps of a few components are not; with signs.
    Cannot see: whether the labels do rest on the same: what is loud may move both, and with two labels, importances are
        alike by rights, as what speaks for one speaks against the other. Components that neither rests on are alike in that.
    """

    seed: int = 0

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)
    family: ClassVar[str] = "stability"

    def __post_init__(self) -> None:
        whole(least=0, seed=self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = values_of(question, explanation)
        asked = about_a_classifier(question, "labels")
        target, labels = asked.resolved, asked.classifier.labels
        others = [index for index in range(len(labels)) if index not in (target.index, target.against)]
        if not others:
            raise UsageError(
                f"{target.name(labels)!r} uses all labels of this model: there is no other to compare with"
            )
        other = int(np.random.default_rng(self.seed).choice(others))
        return Score(rank_stability([values, values_again(explanation, replace(asked, target=other))]))
