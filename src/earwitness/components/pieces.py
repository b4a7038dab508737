"""Sounds that add up to a clip, and each of them cut into segments that nothing clicks between.

    c(s, t) = sounds[s] * windows[t]            sum over s of sounds = clip, sum over t of windows = 1

The sounds may be frequency bands, stems, atoms: whoever makes them sees to it that they add up. The windows are a partition of
unity with raised-cosine cross-fades of 20 ms.
"""

import copy

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
    ) -> None:
        self.x, self.baselines, self.note, self.done = audio.samples, baselines, note, done
        self.axes = tuple(axis for axis in (source, time) if axis is not None)
        self.source, self.sounds, self.parts, self.differences = source, sounds, sounds, sounds - grounds
        positions = audio.start + (np.arange(len(audio.samples)) + 0.5) / audio.sample_rate
        windows = np.ones((1, len(positions))) if time is None else partition(time.edges, positions, RAMP["time"])
        if not windows.any(1).all():
            raise UsageError("the clip cannot be cut into segments that hold no sample: make them longer")
        self.spans = [(int(w.nonzero()[0][0]), int(w.nonzero()[0][-1]) + 1) for w in windows]
        self.windows = torch.from_numpy(windows).float().to(audio.samples.device)

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
                f"a map over the samples of a waveform says nothing about {what}: use components=Segments(...), "
                'or stage="features"'
            )
        return self.windows @ values

    def gathered(self, slope: Float[Tensor, "time"]) -> Float[Tensor, "*shape"]:
        """`[*shape]`: the sum over time of each piece times a slope."""
        spans = enumerate(self.spans)
        found = [self.parts[:, a:b] @ (self.windows[index, a:b] * slope[a:b]) for index, (a, b) in spans]
        return torch.stack(found, 1).reshape(self.shape)

    def sound(self, mask: Float[Tensor, "*shape"]) -> Float[Tensor, "time"]:
        return self._weigh(mask[None], self.sounds)[0]

    def _weigh(
        self, masks: Float[Tensor, "batch *shape"], sounds: Float[Tensor, "sounds time"]
    ) -> Float[Tensor, "batch time"]:
        """Segment by segment, since each reaches over a small part of the clip."""
        masks = masks.reshape(len(masks), len(sounds), len(self.windows))
        mixed = sounds.new_zeros(len(masks), sounds.shape[-1])
        for index, (first, last) in enumerate(self.spans):
            segment = sounds[:, first:last] * self.windows[index, first:last]
            mixed[:, first:last] += masks[:, :, index] @ segment
        return mixed
