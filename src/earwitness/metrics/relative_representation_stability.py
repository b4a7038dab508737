"""Does the explanation change more than what the model makes of the clip?

RRS = max over noise e of  change / ( | h(clip + e) - h | / | h | ),
                           change = | explanation(clip + e) - explanation(clip) | / | explanation(clip) |

h is what stands behind a layer of the network.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from earwitness.classifiers.base import evaluating, stage_of
from earwitness.classifiers.forgetting import layers
from earwitness.errors import positive, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, moved, noisy
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import AudioQuestion, Question

LEAST = 1e-6  # relative change of the representation that is told from none


@dataclass(frozen=True)
class RelativeRepresentationStability(Metric):
    """The largest relative change of the explanation, for each relative change of a hidden layer's answer.

    radius: level of the noise as a share of the clip's rms, above 0.  samples: how many noises.  seed: of the noises.
    layer: its path in the network, such as "features.3"; None for the last but one of the layers with weights, the
        one below the output.

    Cost: `samples` times the method's, and `samples` + 1 evaluations. Raises `UsageError` for a game, a network without weights
    where no layer is given, where the method isn't known, where the explanation is zero everywhere, and where the noisy clip
    has other components.
    Source: Agarwal et al. (2022), "Rethinking stability for attribution-based explanations".
    Differs: relative by norms, not element by element: one value near 0 would decide everything; neighbours that the model
        labels otherwise count as well; a relative change of the layer below 1e-6 counts as 1e-6, as published.
    Cannot see: whether the score depends on what changed in the layer. The maximum grows with `samples`.
    """

    radius: float = 0.1
    samples: int = 10
    seed: int = 0
    layer: str | None = None

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, None)
    family: ClassVar[str] = "stability"

    def __post_init__(self) -> None:
        positive(radius=self.radius)
        whole(samples=self.samples)
        whole(least=0, seed=self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values_of(question, explanation)
        asked = about_a_classifier(question, "clip that could be a little noisier")
        own, ratios = self._behind(asked), []
        for other in noisy(asked, self.radius, self.samples, self.seed):
            change, size = moved(explanation, other)
            seen = float((self._behind(other) - own).norm() / own.norm().clamp(min=1e-30))
            ratios.append(change / size / max(seen, LEAST))
        return Score(max(ratios))

    def _behind(self, asked: AudioQuestion) -> torch.Tensor:
        """What stands behind the layer for the question's clip."""
        names = layers(asked.classifier) if self.layer is None else []
        stage = stage_of(self.layer or names[min(1, len(names) - 1)])
        with evaluating(asked.classifier), torch.no_grad():
            return asked.classifier.at(stage, asked.given[None])
