"""Pieces of sound: time segments, frequency bands, and cells of both.

At the waveform stage a clip is split into bands by a partition of unity on its STFT and each band into segments by
raised-cosine cross-fades, so the pieces add up to the clip and nothing clicks. At the features stage each row and column of
what the network eats goes to the band and segment that its centre lies in. A network that eats samples is given the same
pieces at both; at the features they are standardised by what the whole clip is, however little of it is left.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.carrying import RAMP, analyse, partition, synthesise, window_length
from earwitness.classifiers.base import Classifier
from earwitness.components.base import Components, Factorization, Regions, features_of
from earwitness.components.baselines import baseline_features, baseline_sounds
from earwitness.components.pieces import Pieces
from earwitness.errors import UsageError, positive, unknown, whole
from earwitness.frontends import Waveform
from earwitness.frontends.scales import spaced


def _split(
    samples: Float[Tensor, "*many time"], sample_rate: int, frequency: Axis | None
) -> Float[Tensor, "*many bands time"]:
    """`[..., bands, time]` of `[..., time]`; the bands sum to the samples."""
    if frequency is None:
        return samples.unsqueeze(-2)
    n_fft = window_length(sample_rate)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    weights = torch.from_numpy(partition(np.asarray(frequency.edges), bins, RAMP["frequency"])).to(samples.device)
    z = analyse(samples, n_fft).unsqueeze(-3)
    return synthesise(z * weights[:, :, None], n_fft, samples.shape[-1])


def _filled(sample_rate: int, frequency: Axis) -> bool:
    """Whether every band holds a bin of the STFT."""
    bins = np.arange(window_length(sample_rate) // 2 + 1) * sample_rate / window_length(sample_rate)
    return bool(np.histogram(bins, frequency.edges)[0].all())


def _regions(factorization, classifier, clip, frequency: Axis | None, time: Axis | None) -> Regions:
    """Rows and columns of the features, by the bands and segments that their centres lie in."""
    x, places = features_of(classifier, clip)
    wanted = {"frequency": frequency, "time": time}
    if frequency is not None and "frequency" not in [axis.name for axis in places]:
        raise UsageError('the features of this model are samples, without frequencies: use stage="waveform"')
    axes, groups = [], []
    for place in places:
        along = wanted[place.name]
        if along is None:
            groups.append(None)
            continue
        axis, group = _assign(place, along)
        axes.append(axis)
        groups.append(torch.from_numpy(group).to(x.device))
    columns = places[-1].size
    baselines, note = baseline_features(factorization.baseline, classifier, clip, "features", x, columns)
    return Regions("features", x, baselines, tuple(axes), tuple(groups), note, columns)


def _assign(places: Axis, wanted: Axis) -> tuple[Axis, np.ndarray]:
    """Each place to the wanted place in which its centre lies; wanted places that get none go to the one below.

    So do their names: "a+b".
    """
    edges = np.asarray(wanted.edges)
    group = np.clip(np.searchsorted(edges, places.centers, "right") - 1, 0, wanted.size - 1)
    used, group = np.unique(group, return_inverse=True)
    bounds = [*edges[used], edges[-1]]
    bounds[0] = edges[0]
    parts = np.split(np.array(wanted.names, object), used[1:]) if wanted.names else []
    return Axis(wanted.name, wanted.unit, tuple(bounds), tuple("+".join(part) for part in parts)), group


@dataclass(frozen=True, eq=False)
class OfSound(Factorization):
    """A cut into pieces of sound; what the network is given of them stands at its `stage`, "waveform" or "features"."""

    stage: str = field(default="waveform", kw_only=True)

    def checked(self, clip: Audio | Tensor) -> Audio:
        """The clip, if it is a sound; `UsageError` otherwise, and for an unknown stage."""
        if self.stage not in ("waveform", "features"):
            raise unknown("stage for time and frequency", self.stage, ("waveform", "features"))
        if not isinstance(clip, Audio):
            raise UsageError("seconds and hertz need a front end: cut ready features with Grid or Bins")
        return clip

    def pieces(
        self,
        classifier: Classifier,
        clip: Audio,
        frequency: Axis | None,
        time: Axis | None,
        windows: Sequence[tuple[int, np.ndarray]] | None = None,
    ) -> Pieces:
        """Bands times segments of sound, as they are, or as a network on samples is given them. windows: see `Pieces`."""
        baselines, note = baseline_sounds(self.baseline, classifier, clip)
        sounds, grounds = (_split(samples, clip.sample_rate, frequency) for samples in (clip.samples, baselines))
        found = Pieces(clip, sounds, baselines, grounds, frequency, time, note, windows=windows)
        if self.stage == "waveform":
            return found
        x, eaten = (
            classifier.at("features", samples, clip.samples[None]) for samples in (clip.samples[None], baselines)
        )
        parts, grounds = (_split(samples, clip.sample_rate, frequency) for samples in (x[0], eaten))
        return found.standardised(x[0], eaten, parts, grounds)


@dataclass(frozen=True, eq=False)
class Cut(OfSound):
    """A cut along time or frequency or both, of the waveform or of what the network eats."""

    @abstractmethod
    def _axes(self, audio: Audio) -> tuple[Axis | None, Axis | None]:
        """The frequency and the time axis to cut along; None for one that is not cut."""

    def __call__(self, classifier: Classifier, clip: Audio | Tensor) -> Components:
        audio = self.checked(clip)
        frequency, time = self._axes(audio)
        if self.stage == "features" and not isinstance(classifier.frontend, Waveform):
            return _regions(self, classifier, audio, frequency, time)
        if frequency is not None and not _filled(audio.sample_rate, frequency):
            raise UsageError(f"some of {frequency.size} bands are narrower than the STFT can tell apart: ask for fewer")
        return self.pieces(classifier, audio, frequency, time)


def segments(audio: Audio, seconds: float | None, count: int | None, edges: Sequence[float] | None) -> Axis:
    """The time axis of a clip in segments: between edges, so many, or of about so many seconds."""
    if edges is not None:
        inner = [float(e) for e in edges]
        bounds = [audio.start, *(e for e in inner if audio.start < e < audio.end), audio.end]
    else:
        if count is None:  # one of the three is always given
            count = max(1, round(audio.duration / cast(float, seconds)))
        if count > len(audio.samples):
            raise UsageError(f"{len(audio.samples)} samples cannot be cut into {count} segments: make them longer")
        bounds = np.linspace(audio.start, audio.end, count + 1)
    return Axis("time", "s", tuple(bounds))


def _ascending(edges: Sequence[float]) -> bool:
    try:
        return np.ndim(edges) == 1 and bool(np.isfinite(edges).all() and (np.diff(np.asarray(edges, float)) > 0).all())
    except (TypeError, ValueError):
        return False


def _bands(sample_rate: int, bands: int, scale: str) -> Axis:
    return Axis("frequency", "Hz", tuple(spaced(scale, 0.0, sample_rate / 2, bands + 1)))


@dataclass(frozen=True, eq=False)
class Segments(Cut):
    """Time segments: of about `seconds` (the clip is cut evenly), `count` of them, or between given `edges` (seconds of
    the recording; the clip's start and end are added). Give one of the three; 0.1 s is the default.

    Shape: `[segments]`. stage: "waveform" or "features".
    """

    seconds: float | None = None
    count: int | None = None
    edges: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.edges is not None and not _ascending(self.edges):
            raise UsageError(f"edges must be ascending seconds, such as (0.1, 0.25), not {self.edges!r}")
        given = sum(value is not None for value in (self.seconds, self.count, self.edges))
        if given > 1:
            raise UsageError("give Segments one of seconds, count and edges")
        if given == 0:
            object.__setattr__(self, "seconds", 0.1)
        positive(seconds=self.seconds)
        whole(count=self.count)

    def _axes(self, audio: Audio) -> tuple[Axis | None, Axis | None]:
        return None, segments(audio, self.seconds, self.count, self.edges)


@dataclass(frozen=True, eq=False)
class Bands(Cut):
    """Frequency bands from 0 Hz to Nyquist, `bands` of them, equally wide on a `scale`: "erb", "mel", "htk" or "linear".

    Shape: `[bands]`, lowest first. stage: "waveform" or "features".
    """

    bands: int = 24
    scale: str = "erb"

    def __post_init__(self) -> None:
        whole(bands=self.bands)

    def _axes(self, audio: Audio) -> tuple[Axis | None, Axis | None]:
        return _bands(audio.sample_rate, self.bands, self.scale), None


@dataclass(frozen=True, eq=False)
class Cells(Cut):
    """Bands times segments: `bands` as in `Bands`, segments of about `seconds`.

    Shape: `[bands, segments]`, lowest band first. stage: "waveform" or "features".
    """

    bands: int = 24
    seconds: float = 0.1
    scale: str = "erb"

    def __post_init__(self) -> None:
        whole(bands=self.bands)
        positive(seconds=self.seconds)

    def _axes(self, audio: Audio) -> tuple[Axis | None, Axis | None]:
        return _bands(audio.sample_rate, self.bands, self.scale), segments(audio, self.seconds, None, None)
