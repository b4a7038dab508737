"""Where is the clip loud?

    loudness_i = energy of component i                                               the model is never asked

The control that is embarrassingly hard to beat: what is loud is often what matters. A method that does not do better has told
nothing that a level meter does not know.
"""

from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import ClassVar

import numpy as np
import torch

from earwitness.audio import Audio
from earwitness.axes import Axis, carry
from earwitness.carrying import window_length
from earwitness.errors import UsageError
from earwitness.explainers.base import Attribution, Explainer
from earwitness.frontends import LogSTFT
from earwitness.questions import AudioQuestion, Question


@dataclass(frozen=True)
class Loudness(Explainer):
    """The energy of the clip in each component: a control, which knows nothing of the model.

    Where components are sounds, the sum of squares of each one's samples. Elsewhere the clip's power spectrogram (64 ms Hann
    windows, a quarter hop) is carried to the places of what stands there and summed over each component.
    Values are 0 or more, in squared full scale; only their proportions mean something. What silence, noise or another clip
    would put in a component's place does not count.
    Cost: none. Raises `UsageError` where there is no sound: for a bare game, and for ready features.
    """

    kind: ClassVar[str] = "importance"

    def cost(self, size: int) -> int:
        return 0

    def attribute(self, question: Question) -> Attribution:
        if not isinstance(question, AudioQuestion) or not isinstance(question.audio, Audio):
            what = "ready features" if isinstance(question, AudioQuestion) else "a bare game"
            raise UsageError(f"{what} cannot be loud: Loudness needs a recording, ew.ask(classifier, audio, ...)")
        return Attribution(_of_sounds(question) if _sounds(question) else _of_places(question, question.audio))


def _sounds(question: AudioQuestion) -> bool:
    return question.components.sound(question.ones[0]) is not None


def _of_sounds(question: AudioQuestion) -> np.ndarray:
    """The sum of squares of each component's samples."""
    energies = []
    for index in range(question.size):
        alone = torch.zeros(question.size, device=question.x.device)
        alone[index] = 1
        sound = question.components.sound(alone.reshape(question.shape))
        assert sound is not None  # `_sounds` has asked
        energies.append(float(sound.double().square().sum()))
    return np.reshape(energies, question.shape)


def _of_places(question: AudioQuestion, audio: Audio) -> np.ndarray:
    """The clip's power, at the places of what stands at the stage, summed over each component."""
    n_fft = window_length(audio.sample_rate)
    spectrum = LogSTFT(audio.sample_rate, n_fft, n_fft // 4, level="linear")
    power = spectrum(audio.samples[None].cpu())[0, 0].double().square().numpy()
    sources = spectrum.axes(len(audio.samples))
    stage = question.components.stage
    if stage.startswith("network."):
        return _on(power, sources, _of_the_clip(question.axes, audio))
    places = question.classifier.axes(stage, len(audio.samples))
    energy = _on(power, sources, places)
    copies = prod(question.x.shape) // energy.size  # channels
    energy = torch.from_numpy(energy / copies).expand(question.x.shape)
    return question.collect(energy.to(question.x)).double().cpu().numpy()


def _on(power: np.ndarray, sources: tuple[Axis, ...], places: tuple[Axis, ...]) -> np.ndarray:
    """The energy in each place."""
    return carry(power, sources, places) * reduce(np.multiply.outer, [np.diff(axis.edges) for axis in places])


def _of_the_clip(axes: tuple[Axis, ...], audio: Audio) -> tuple[Axis, ...]:
    """Axes of a layer, counted from the beginning of the clip; `UsageError` where they are no places of the sound."""
    if any(axis.name not in ("frequency", "time") for axis in axes):
        raise UsageError("channels and units of a layer have no place in the sound, and so no loudness")
    return tuple(axis.shifted(-audio.start) if axis.name == "time" else axis for axis in axes)
