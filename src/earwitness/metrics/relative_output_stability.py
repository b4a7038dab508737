"""Does the explanation change more than what the model says?

ROS = max over noise e of  change / ( | z(clip + e) - z | / | z | ),
                           change = | explanation(clip + e) - explanation(clip) | / | explanation(clip) |

z are the logits of all labels.
"""

from dataclasses import dataclass

from earwitness.metrics.base import Noisy
from earwitness.questions import AudioQuestion

LEAST = 1e-6  # relative change of the logits that is told from none


@dataclass(frozen=True)
class RelativeOutputStability(Noisy):
    """The largest relative change of the explanation, for each relative change of the model's logits.

    radius: level of the noise as a share of the clip's rms, above 0.  samples: how many noises.  seed: of the noises.

    1 where both change alike. Large where the model hardly notices the noise and the explanation does.
    Cost: `samples` times the method's, and `samples` + 1 evaluations. Raises `UsageError` for a game, where the method isn't
    known, where the explanation is zero everywhere, and where the noisy clip has other components.
    Source: Agarwal et al. (2022), "Rethinking stability for attribution-based explanations".
    Differs: the change of the logits is relative to their norm, where the paper takes it as it is, in logits, so that it can be
        told from none (1e-6) whatever their scale. The explanation's is relative by norms, not element by element: one
        value near 0 would decide everything. Neighbours that the model labels otherwise count as well.
    Cannot see: on what the logits depend: adding one constant to all of them changes the score and no decision. The maximum
        grows with `samples`.
    """

    def ratio(self, asked: AudioQuestion, other: AudioQuestion, change: float, size: float) -> float:
        said = float((other.clip_logits - asked.clip_logits).norm() / asked.clip_logits.norm().clamp(min=1e-30))
        return change / size / max(said, LEAST)
