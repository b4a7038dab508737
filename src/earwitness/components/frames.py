"""Frames: what a network on samples hears at once, 25 ms every 20 ms, say.

    w(k, n) = 1 / (how many frames hear sample n)   where frame k hears it

A sample that two frames hear belongs to both by halves; what no frame hears any more, at most 20 ms at the end of a clip, belongs
to the last. So the frames share out the clip: their weights sum to 1 at every sample.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from earwitness.audio import Audio
from earwitness.classifiers.base import Classifier
from earwitness.classifiers.layouts import Spans, frames_of, strided
from earwitness.components.base import Components
from earwitness.components.cells import OfSound
from earwitness.errors import UsageError, positive
from earwitness.frontends import Waveform


@dataclass(frozen=True, eq=False)
class Frames(OfSound):
    """The frames of a network on samples. Shape: `[frames]`; stage: "waveform" or "features".

    seconds, every: how long a frame is, and the distance from one to the next; by default the network's own (wav2vec2, HuBERT,
        WavLM and their kin: 0.025 and 0.02).
    The place of a frame reaches to the middle of what it shares with the next. Frames can be heard.
    Raises `UsageError` for a network that doesn't eat samples, or whose frames are neither known nor given.
    """

    seconds: float | None = None
    every: float | None = None

    def __post_init__(self) -> None:
        positive(seconds=self.seconds, every=self.every)
        if (self.seconds is None) != (self.every is None):
            raise UsageError("frames have a length and a distance: give both, seconds=0.025 and every=0.02, or neither")

    def __call__(self, classifier: Classifier, clip: Audio | Tensor) -> Components:
        clip = self.checked(clip)
        if not isinstance(classifier.frontend, Waveform):
            raise UsageError(
                "frames are cut from samples, for a network that eats them: use Segments, or Units of a layer"
            )
        spans = self._spans(classifier, clip)
        samples = np.round((spans.spans - clip.start) * clip.sample_rate).astype(int)
        samples[-1, 1] = len(clip.samples)
        hearing = np.zeros(len(clip.samples))
        for first, last in samples:
            hearing[first:last] += 1
        windows = [(int(first), 1 / hearing[first:last]) for first, last in samples]
        return self.pieces(classifier, clip, None, spans.axis, windows)

    def _spans(self, classifier: Classifier, clip: Audio) -> Spans:
        """What each hears, in seconds of the recording; the last ends with the clip."""
        axis = classifier.axes("waveform", len(clip.samples))[0].shifted(clip.start)
        if self.seconds is None or self.every is None:
            spans = frames_of(classifier.network, (axis,))
            if spans is None:
                raise UsageError("nobody knows the frames of this network: say Frames(seconds=0.025, every=0.02)")
        else:
            length, step = (max(1, round(x * clip.sample_rate)) for x in (self.seconds, self.every))
            if step > length:
                raise UsageError("between frames there must be nothing that none hears: every is at most seconds")
            count = max(1, 1 + (len(clip.samples) - length) // step)
            spans = strided(axis, 0, length, step, count)
        if not len(spans.spans):
            raise UsageError(f"the clip, {clip.duration:.3f} s, is shorter than a frame")
        ends = spans.spans.copy()
        ends[-1, 1] = axis.edges[-1]
        return Spans(spans.name, spans.unit, ends)
