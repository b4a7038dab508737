"""Does the explanation change more than what the model is given?

RIS = max over noise e of  change / ( | x(clip + e) - x | / | x | ),
                           change = | explanation(clip + e) - explanation(clip) | / | explanation(clip) |

x is what stands at the question's stage: the samples, or the features that the network eats.
"""

from dataclasses import dataclass
from typing import ClassVar

from earwitness.errors import positive, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, distance, moved, noisy
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import Question


@dataclass(frozen=True)
class RelativeInputStability(Metric):
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
            ratios.append(change / size * float(asked.x.norm()) / distance(asked, other))
        return Score(max(ratios))
