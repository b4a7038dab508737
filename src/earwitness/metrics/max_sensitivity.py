"""Does the explanation stay the same when the clip hardly changes?

max sensitivity = max over noise e of  | explanation(clip + e) - explanation(clip) | / | explanation(clip) |,
                                                                        rms(e) = radius rms(clip);  | | is the Euclidean norm
"""

from dataclasses import dataclass

from earwitness.metrics.base import Noisy
from earwitness.questions import AudioQuestion


@dataclass(frozen=True)
class MaxSensitivity(Noisy):
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

    def ratio(self, asked: AudioQuestion, other: AudioQuestion, change: float, size: float) -> float:
        return change / size
