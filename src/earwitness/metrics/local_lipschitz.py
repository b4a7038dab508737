"""How steep is the explanation at the clip?

Lipschitz estimate = max over noise e of  | explanation(clip + e) - explanation(clip) | / | x(clip + e) - x(clip) |

x is what stands at the question's stage: the samples, or the features that the network eats.
"""

from dataclasses import dataclass

from earwitness.explanations.asking_again import distance
from earwitness.metrics.base import Noisy
from earwitness.questions import AudioQuestion


@dataclass(frozen=True)
class LocalLipschitz(Noisy):
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

    def ratio(self, asked: AudioQuestion, other: AudioQuestion, change: float, size: float) -> float:
        return change / distance(asked, other)
