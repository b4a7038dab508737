"""Does the explanation change more than what the model is given?

RIS = max over noise e of  change / ( | x(clip + e) - x | / | x | ),
                           change = | explanation(clip + e) - explanation(clip) | / | explanation(clip) |

x is what stands at the question's stage: the samples, or the features that the network eats.
"""

from dataclasses import dataclass

from earwitness.explanations.asking_again import distance
from earwitness.metrics.base import Noisy
from earwitness.questions import AudioQuestion


@dataclass(frozen=True)
class RelativeInputStability(Noisy):
    """The largest relative change of the explanation, for each relative change of the input; below 1: it is the steadier one.

    radius: level of the noise as a share of the clip's rms, above 0.  samples: how many noises.  seed: of the noises.

    At the waveform stage the input changes by exactly `radius`: then this is `MaxSensitivity` / radius.
    Cost: `samples` times the method's. Raises `UsageError` for a game, where the method isn't known, where the explanation is
    zero everywhere, where the noisy clip has other components, and where nothing changes at the question's stage.
    Source: Agarwal et al. (2022), "Rethinking stability for attribution-based explanations".
    Differs: relative by norms, not element by element: one value near 0 would decide everything; neighbours that the model
        labels otherwise count as well, since the label that is explained is held fixed.
    Cannot see: whether the model itself changes: see `RelativeOutputStability`. The maximum grows with `samples`.
    """

    def ratio(self, asked: AudioQuestion, other: AudioQuestion, change: float, size: float) -> float:
        return change / size * float(asked.x.norm()) / distance(asked, other)
