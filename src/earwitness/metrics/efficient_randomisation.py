"""Does the explanation lose its shape when the model forgets everything?

rise = ( entropy of the explanation of the model with all layers randomised - entropy of the explanation ) / ln n
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from earwitness.classifiers.forgetting import layers, randomised
from earwitness.errors import UsageError, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, values_again
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.numerics.concentration import entropy
from earwitness.questions import Question


@dataclass(frozen=True)
class EfficientRandomisation(Metric):
    """How much more spread out the explanation is once all layers are randomised: eMPRT; 0 for what ignores the model.

    seed: of the randomised weights: see `classifiers.forgetting`.

    The entropy is that of `Complexity`, relative to its largest, ln n for n components. No map is compared with another, so
    there is no similarity to choose, and one randomised network is enough.
    Cost: that of the method. Raises `UsageError` for a game, a black box, a single component, and where the method isn't known.
    Source: Hedström et al. (2023), "Sanity checks revisited: an exploration to repair the model parameter randomisation test".
    Differs: entropy of the shares of the absolute values, not of their histogram, which for a few components is that of any
        numbers; relative to ln n, not to the explanation's own, which may be 0; permuted weights.
    Cannot see: a map that moves and keeps its shape. A clip whose energy is in one place gives sharp maps for any network.
    """

    seed: int = 0

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)
    family: ClassVar[str] = "stability"

    def __post_init__(self) -> None:
        whole(least=0, seed=self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = values_of(question, explanation)
        asked = about_a_classifier(question, "weights that could be randomised")
        if values.size < 2:
            raise UsageError("one component cannot be more or less spread out: cut the clip into several")
        forgetful = randomised(asked.classifier, layers(asked.classifier), self.seed)
        other = values_again(explanation, replace(asked, classifier=forgetful, target=asked.resolved))
        return Score((entropy(other) - entropy(values)) / float(np.log(values.size)))
