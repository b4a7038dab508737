"""Does the explanation stay the same when the clip hardly changes?

max sensitivity = max over noise e of  | explanation(clip + e) - explanation(clip) | / | explanation(clip) |,
                                                                        rms(e) = radius rms(clip);  | | is the Euclidean norm
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import positive, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, moved, noisy
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import Question


@dataclass(frozen=True)
class MaxSensitivity(Metric):
    """The largest relative change of an explanation under a little white noise on the clip; 0: none.

    radius: level of the noise as a share of the clip's rms, above 0; 0.1 is 20 dB below the clip.
    samples: how many different noises.  seed: of the noises.

    The label that was explained stays, whatever the model says to the noisy clip, and so does the method's seed: what changes
    is due to the clip. Where there is no front end, the noise is on the ready features.
    The score's `parts` hold the "mean" over the noises as well, the average sensitivity.
    Cost: `samples` times the method's. Raises `UsageError` for a game, where the method isn't known, where the explanation is
    zero everywhere, and where the noisy clip has other components.
    Source: Yeh et al. (2019), "On the (in)fidelity and sensitivity of explanations".
    Differs: relative, so that kinds and units are comparable; noise of one level, not at most that level: in as many
        dimensions as a clip has samples, nearly all of a ball is at its surface; the level follows the clip.
    Cannot see: whether the model itself reacts to the noise: then the explanation ought to change. A method that ignores the
        clip has 0. The maximum grows with `samples`: compare only scores of equally many.
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
        pairs = [moved(explanation, other) for other in noisy(asked, self.radius, self.samples, self.seed)]
        changes = [change / size for change, size in pairs]
        return Score(max(changes), parts={"mean": float(np.mean(changes))})
