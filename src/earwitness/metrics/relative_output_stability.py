"""Does the explanation change more than what the model says?

ROS = max over noise e of  change / ( | z(clip + e) - z | / | z | ),
                           change = | explanation(clip + e) - explanation(clip) | / | explanation(clip) |

z are the logits of all labels.
"""

from dataclasses import dataclass
from typing import ClassVar

from earwitness.errors import positive, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, moved, noisy
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import Question

LEAST = 1e-6  # relative change of the logits that is told from none


@dataclass(frozen=True)
class RelativeOutputStability(Metric):
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

    radius: float = 0.1
    samples: int = 10
    seed: int = 0

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
        ratios = []
        for other in noisy(asked, self.radius, self.samples, self.seed):
            change, size = moved(explanation, other)
            said = float((other.clip_logits - asked.clip_logits).norm() / asked.clip_logits.norm().clamp(min=1e-30))
            ratios.append(change / size / max(said, LEAST))
        return Score(max(ratios))
