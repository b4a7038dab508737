"""Does the explanation change when the model forgets what it has learnt?

similarity = mean over steps of  Spearman( |explanation of the model|, |explanation of the model with randomised layers| )

From the output down to the input, one layer after the other loses what it had learnt. An explanation that stays the same is one
of the clip, an edge detector, and not of the model.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from earwitness.classifiers.forgetting import ORDERS, passes
from earwitness.errors import unknown, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, values_again
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import Question
from earwitness.statistics import rank_stability


@dataclass(frozen=True)
class ParameterRandomisation(Metric):
    """How similar the explanation stays while the network's layers are randomised, the last one first; 0: nothing is left.

    order: "cascading", each step adds the next layers to those that are randomised already; "independent", each step
        randomises its own layers and leaves all others as they were trained.
    steps: how many, nearly equal in layers; None for one a layer.  seed: of the randomised weights.

    A layer is a module of the network with weights of its own; their entries are permuted, in a copy: see
    `classifiers.forgetting`. The label that was explained stays. The score's `shares` say which part of the layers has been
    passed, from the output down, and `values` how similar the explanation is there.
    Equal values share their mean rank; a map whose values are all equal is similar to none.
    Cost: steps times the method's. Raises `UsageError` for a game, a black box, and where the method isn't known.
    Source: Adebayo et al. (2018), "Sanity checks for saliency maps": Spearman with absolute values, both orders.
    Differs: permuted weights, not drawn anew; the last value is not the score, the mean over all steps is.
    Cannot see: whether the explanation is right: one of nothing but sampling noise scores well. What the architecture alone
        makes of a clip (what is loud moves any network) stays similar, rightly. A randomised network that is flat on the clip
        gives a map of zeros or noise, which counts as forgotten. Weights that are nearly equal, as those of many batch norms,
        forget nothing when permuted: "independent" counts their layers as steps at which the explanation stayed the same.
    """

    order: str = "cascading"
    steps: int | None = None
    seed: int = 0

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)
    family: ClassVar[str] = "stability"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise unknown("order of layers", self.order, ORDERS)
        whole(steps=self.steps)
        whole(least=0, seed=self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = np.abs(values_of(question, explanation))
        asked = about_a_classifier(question, "weights that could be randomised")
        shares, similar = [], []
        for share, forgetful in passes(asked.classifier, self.order, self.steps, self.seed):
            other = values_again(explanation, replace(asked, classifier=forgetful, target=asked.resolved))
            shares.append(share)
            similar.append(rank_stability([values, np.abs(other)]))
        return Score(float(np.mean(similar)), np.array(shares), np.array(similar))
