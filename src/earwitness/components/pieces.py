"""Sounds that add up to a clip, and each of them cut into segments that nothing clicks between.

    c(s, t) = sounds[s] * windows[t]            sum over s of sounds = clip, sum over t of windows = 1

The sounds may be frequency bands, stems, atoms: whoever makes them sees to it that they add up. The windows are a partition of
unity with raised-cosine cross-fades of 20 ms.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.carrying import RAMP, partition
from earwitness.components.base import Components
from earwitness.errors import UsageError


class Pieces(Components):
    """Sounds times segments of a waveform.

    sounds: `[sounds, time]`, adding up to the clip.  grounds: `[K, sounds, time]`, each baseline shared out in the same way.
    source: the axis of the sounds; None for the whole clip as one.  time: the axis of the segments; None for one.
    done: what was done to get the sounds, for the provenance.
    windows: of the segments, each its first sample and its weights from there on; by default cross-fades between them.
    """

    stage = "waveform"

    def __init__(
        self,
        audio: Audio,
        sounds: Float[Tensor, "sounds time"],
        baselines: Float[Tensor, "baselines time"],
        grounds: Float[Tensor, "baselines sounds time"],
        source: Axis | None,
        time: Axis | None,
        note: str,
        done: tuple[str, ...] = (),
        windows: Sequence[tuple[int, np.ndarray]] | None = None,
    ) -> None:
        self.x, self.baselines, self.note, self.done = audio.samples, baselines, note, done
        self.axes = tuple(axis for axis in (source, time) if axis is not None)
        self.source, self.sounds, self.parts, self.differences = source, sounds, sounds, sounds - grounds
        windows = _faded(audio, time) if windows is None else windows
        self.spans = [(first, first + len(window)) for first, window in windows]
        self.windows = [torch.from_numpy(window).float().to(audio.samples.device) for _, window in windows]

    def standardised(
        self,
        x: Float[Tensor, "time"],
        baselines: Float[Tensor, "baselines time"],
        parts: Float[Tensor, "sounds time"],
        grounds: Float[Tensor, "baselines sounds time"],
    ) -> "Pieces":
        """The same pieces as a network on samples is given them: x and its baselines, shared out; what is heard is the same."""
        found = copy.copy(self)
        found.stage, found.x, found.baselines, found.parts, found.differences = (
            "features", x, baselines, parts, parts - grounds,
        )  # fmt: skip
        return found

    def mix(self, masks: Float[Tensor, "batch *shape"], baseline: int = 0) -> Float[Tensor, "batch time"]:
        return self.baselines[baseline] + self._weigh(masks, self.differences[baseline])

    def collect(self, values: Float[Tensor, "time"]) -> Float[Tensor, "segments"]:
        if self.source is not None:
            what = "frequency bands" if self.source.name == "frequency" else "sounds that are heard at the same time"
            raise UsageError(
                f"a map over the samples of a waveform says nothing about {what}: use components=Segments(...), or, in front of "
                'a spectrogram, stage="features"'
            )
        return torch.stack([w @ values[a:b] for w, (a, b) in zip(self.windows, self.spans, strict=True)])

    def gathered(self, slope: Float[Tensor, "time"]) -> Float[Tensor, "*shape"]:
        """`[*shape]`: the sum over time of each piece times a slope."""
        spans = zip(self.windows, self.spans, strict=True)
        found = [self.parts[:, a:b] @ (window * slope[a:b]) for window, (a, b) in spans]
        return torch.stack(found, 1).reshape(self.shape)

    def sound(self, mask: Float[Tensor, "*shape"]) -> Float[Tensor, "time"]:
        return self._weigh(mask[None], self.sounds)[0]

    def _weigh(
        self, masks: Float[Tensor, "batch *shape"], sounds: Float[Tensor, "sounds time"]
    ) -> Float[Tensor, "batch time"]:
        """Segment by segment, since each reaches over a small part of the clip."""
        masks = masks.reshape(len(masks), len(sounds), len(self.windows))
        mixed = sounds.new_zeros(len(masks), sounds.shape[-1])
        for index, (window, (first, last)) in enumerate(zip(self.windows, self.spans, strict=True)):
            segment = sounds[:, first:last] * window
            mixed[:, first:last] += masks[:, :, index] @ segment
        return mixed


def _faded(audio: Audio, time: Axis | None) -> list[tuple[int, np.ndarray]]:
    """Windows of segments: their first samples, and their weights; of all samples they sum to 1."""
    positions = audio.start + (np.arange(len(audio.samples)) + 0.5) / audio.sample_rate
    windows = np.ones((1, len(positions))) if time is None else partition(time.edges, positions, RAMP["time"])
    if not windows.any(1).all():
        raise UsageError("the clip cannot be cut into segments that hold no sample: make them longer")
    places = [np.flatnonzero(window) for window in windows]
    return [(int(at[0]), window[at[0] : at[-1] + 1]) for at, window in zip(places, windows, strict=True)]
