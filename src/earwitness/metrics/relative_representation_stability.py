"""Does the explanation change more than what the model makes of the clip?

RRS = max over noise e of  change / ( | h(clip + e) - h | / | h | ),
                           change = | explanation(clip + e) - explanation(clip) | / | explanation(clip) |

h is what stands behind a layer of the network.
"""

from dataclasses import dataclass

import torch

from earwitness.classifiers.base import evaluating, stage_of
from earwitness.classifiers.forgetting import layers
from earwitness.metrics.base import Noisy
from earwitness.questions import AudioQuestion

LEAST = 1e-6  # relative change of the representation that is told from none


@dataclass(frozen=True)
class RelativeRepresentationStability(Noisy):
    """The largest relative change of the explanation, for each relative change of a hidden layer's answer.

    radius: level of the noise as a share of the clip's rms, above 0.  samples: how many noises.  seed: of the noises.
    layer: its path in the network, such as "features.3"; None for the last but one of the layers with weights, the
        one below the output.

    Cost: `samples` times the method's, and 2 `samples` evaluations. Raises `UsageError` for a game, a network without weights
    where no layer is given, where the method isn't known, where the explanation is zero everywhere, and where the noisy clip
    has other components.
    Source: Agarwal et al. (2022), "Rethinking stability for attribution-based explanations".
    Differs: relative by norms, not element by element: one value near 0 would decide everything; neighbours that the model
        labels otherwise count as well; a relative change of the layer below 1e-6 counts as 1e-6, as published.
    Cannot see: whether the score depends on what changed in the layer. The maximum grows with `samples`.
    """

    layer: str | None = None

    def ratio(self, asked: AudioQuestion, other: AudioQuestion, change: float, size: float) -> float:
        own = self._behind(asked)
        seen = float((self._behind(other) - own).norm() / own.norm().clamp(min=1e-30))
        return change / size / max(seen, LEAST)

    def _behind(self, asked: AudioQuestion) -> torch.Tensor:
        """What stands behind the layer for the question's clip."""
        names = layers(asked.classifier) if self.layer is None else []
        stage = stage_of(self.layer or names[min(1, len(names) - 1)])
        with evaluating(asked.classifier), torch.no_grad():
            return asked.classifier.at(stage, asked.given[None])
