"""How steep is the explanation at the clip?

Lipschitz estimate = max over noise e of  | explanation(clip + e) - explanation(clip) | / | x(clip + e) - x(clip) |

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
class LocalLipschitz(Metric):
    """The largest change of the explanation for each unit by which its input changes, in the neighbourhood of the clip.

    radius: level of the noise as a share of the clip's rms, above 0.  samples: how many noises.  seed: of the noises.

    In units of the values for one unit of the input: only explanations of one kind, of one model and stage, are comparable;
    `RelativeInputStability` has no unit.
    Cost: `samples` times the method's. Raises `UsageError` for a game, where the method isn't known, where the explanation is
    zero everywhere, where the noisy clip has other components, and where nothing changes at the question's stage.
    Source: Alvarez-Melis and Jaakkola (2018), "On the robustness of interpretability methods".
    Differs: noise of one level on the clip, measured behind the front end; the paper searches for the worst neighbour.
    Cannot see: whether the model is as steep there: an explanation that is true to it then ought to be. The maximum grows with
        `samples`.
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
        others = noisy(asked, self.radius, self.samples, self.seed)
        return Score(max(moved(explanation, other)[0] / distance(asked, other) for other in others))
