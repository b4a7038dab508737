"""What an explanation points at, made audible, and the model's answer to that very sound.

At the waveform stage what is kept is the very components that the model was given; deeper, the mask is carried to the clip's
own spectrogram. What is removed is the clip minus what is kept: nothing is invented.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from earwitness.audio import Audio
from earwitness.carrying import carry_mask
from earwitness.errors import UsageError
from earwitness.questions import AudioQuestion

if TYPE_CHECKING:
    from earwitness.explanations.explanation import Explanation

LOUDER = 18.0  # dB that a quiet part may be raised by
HEADROOM = 1.0  # dB below full scale that its peak must stay


@dataclass(frozen=True)
class Prediction:
    """A label and its probability."""

    label: str
    probability: float


@dataclass(frozen=True, eq=False)
class Heard:
    """A part of a clip, and what the model says to it.

    audio: the sound.  score: of the target.  prediction: the model's own label.  mask: what was kept, `[*shape]`.
    gain_db: how much louder the sound was made for listening; 0 at true level. The answers are those at true level.
    """

    audio: Audio
    score: float
    prediction: Prediction
    mask: np.ndarray
    gain_db: float = 0.0

    def save(self, path: str | os.PathLike) -> float:
        """Write the sound; see `Audio.save`."""
        return self.audio.save(path)

    def __str__(self) -> str:
        if self.audio.peak == 0:
            return "silence: " + ("what is kept makes no sound" if self.mask.any() else "no component is kept")
        louder = f", level changed by {self.gain_db:+.1f} dB" if self.gain_db else ""
        said = f"{self.prediction.label} ({self.prediction.probability:.2f})"
        return f"{said}, target score {self.score:.2f}, level {self.audio.rms_db:.1f} dB{louder}"


def predict(question: AudioQuestion, logits: torch.Tensor) -> Prediction:
    """The label with the highest probability, from logits `[classes]`."""
    probabilities = question.classifier.probabilities(logits[None])[0]
    best = int(probabilities.argmax())
    return Prediction(question.classifier.labels[best], float(probabilities[best]))


def listen(explanation: "Explanation", mask: np.ndarray, remove: bool, match_level: bool) -> Heard:
    """See `Explanation.hear`."""
    question, clip = _asked(explanation)
    kept = question.components.sound(torch.as_tensor(mask, dtype=torch.float32, device=clip.samples.device))
    if kept is None:
        kept = carry_mask(*question.components.laid_out(mask), clip).samples
    audio = clip.with_samples(clip.samples - kept if remove else kept, "removed" if remove else "kept")
    logits = question.answer(audio)
    gain = _matching_gain(audio, clip) if match_level else 0.0
    if gain:
        audio = audio.with_samples(audio.samples * 10 ** (gain / 20), f"level changed by {gain:+.1f} dB")
    score = float(question.resolved(logits)[0])
    return Heard(audio, score, predict(question, logits[0]), 1 - mask if remove else mask, gain)


def _asked(explanation: "Explanation") -> tuple[AudioQuestion, Audio]:
    question = explanation.question
    if question is None:
        raise UsageError("this explanation was loaded from a file and has no question: ask again to hear it")
    if not isinstance(question, AudioQuestion) or not isinstance(question.audio, Audio):
        raise UsageError("there is no sound behind this explanation (a game, or ready features): it cannot be heard")
    return question, question.audio


def _matching_gain(audio: Audio, clip: Audio) -> float:
    if audio.peak == 0:
        return 0.0
    return min(clip.rms_db - audio.rms_db, LOUDER, -HEADROOM - 20 * float(np.log10(audio.peak)))
