"""Does the explanation change when the model forgets, when what noise alone does to it is averaged away?

similarity = mean over steps of  Spearman( |mean explanation of the model| , |mean explanation with randomised layers| ),
                                                                          means over the same noisy versions of the clip
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from earwitness.classifiers.base import Classifier
from earwitness.classifiers.forgetting import ORDERS, passes
from earwitness.errors import positive, unknown, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, noisy, values_again
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import AudioQuestion, Question
from earwitness.statistics import rank_stability


@dataclass(frozen=True)
class SmoothRandomisation(Metric):
    """`ParameterRandomisation` of explanations that are averaged over noisy clips: sMPRT. 0: nothing is left.

    order, steps: as in `ParameterRandomisation`.  radius: level of the noise as a share of the clip's rms, above 0.
    samples: how many noises.  seed: of the noises, and of the randomised weights.

    A gradient is rough: it may change with the weights only because it changes with everything. Averaged, it can be told from a
    method that has forgotten. The score's `shares` and `values` are the steps, as in `ParameterRandomisation`.
    Cost: (steps + 1) `samples` times the method's. Raises `UsageError` for a game, a black box, and where the method isn't known.
    Source: Hedström et al. (2023), "Sanity checks revisited: an exploration to repair the model parameter randomisation test".
    Differs: Spearman with absolute values of the means, not the similarity of pictures (SSIM); permuted weights; the same noises
        for the model and its copies; the level follows the clip's rms, not its range.
    Cannot see: whether the explanation is right; whether the unaveraged one, which people look at, is any good.
    """

    order: str = "cascading"
    steps: int | None = None
    radius: float = 0.1
    samples: int = 10
    seed: int = 0

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)
    family: ClassVar[str] = "stability"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise unknown("order of layers", self.order, ORDERS)
        positive(radius=self.radius)
        whole(steps=self.steps, samples=self.samples)
        whole(least=0, seed=self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values_of(question, explanation)
        asked = about_a_classifier(question, "weights that could be randomised")
        copies = list(self._smooth(explanation, asked, passes(asked.classifier, self.order, self.steps, self.seed)))
        ((_, own),) = self._smooth(explanation, asked, iter([(0.0, asked.classifier)]))
        similar = np.array([rank_stability([own, other]) for _, other in copies])
        return Score(float(similar.mean()), np.array([share for share, _ in copies]), similar)

    def _smooth(
        self, explanation: Explanation, asked: AudioQuestion, models: Iterator[tuple[float, Classifier]]
    ) -> Iterator[tuple[float, np.ndarray]]:
        """The absolute mean explanation `[*shape]` of each model, beside what it comes with."""
        for share, model in models:
            about = replace(asked, classifier=model, target=asked.resolved)
            maps = [values_again(explanation, other) for other in noisy(about, self.radius, self.samples, self.seed)]
            yield share, np.abs(np.mean(maps, axis=0))
