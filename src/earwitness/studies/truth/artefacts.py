"""Causes that are planted into a recording, and where they are: a watermark tone, clipping, a silent gap, a drawn stroke.

A classifier that has to tell clips with such a mark from clips without has nothing else to go by, so the mark is the cause of
its answer, and its place is known to the sample. Levels are relative to the root-mean-square level of the clip: the tone and
the stroke lie below it, clipping leaves it as it is, and the gap is an absence.

| mark | sound | truth |
|---|---|---|
| tone | a sine of 3.0 to 3.2 kHz, 12 dB below the clip, for 0.5 to 0.8 s | its time span x its main lobe |
| clipping | 1 s cut off at the level that 10 % of its samples stay below, then as loud as before | the time span |
| gap | 0.15 to 0.3 s of digital silence | the time span |
| stroke | a sine that glides along 7 corners for 1.4 s, 6 dB below the clip | the cells that it crosses |
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.axes import Axis
from earwitness.data.synthetic import Range, draw

RATE = 8000  # hertz, of all clips that are marked
LOBE = 2 * RATE / 512  # hertz: half the main lobe of the front end's Hann window
FADE = 0.02  # seconds
Rng = np.random.Generator
Truth = tuple[np.ndarray, tuple[Axis, Axis]]


@dataclass(frozen=True, eq=False)
class Mark:
    """A marked clip.  samples: `[time]`.  truth: where the mark is, `[frequency, time]` with its axes."""

    samples: np.ndarray
    truth: Truth


@dataclass(frozen=True)
class Tone:
    """A watermark: a quiet tone in one band, for a part of the clip.

    hertz, seconds: ranges.  level_db: of the tone, relative to the clip.
    """

    hertz: Range = (3000.0, 3200.0)
    seconds: Range = (0.5, 0.8)
    level_db: float = -12.0

    name: ClassVar[str] = "tone"

    def __call__(self, samples: np.ndarray, cells: tuple[Axis, Axis], rng: Rng) -> Mark:
        span, hertz = placed(draw(self.seconds, rng), len(samples), rng), draw(self.hertz, rng)
        sine = gliding(np.full(span.stop - span.start, hertz), rng)
        band = (0.0, hertz - LOBE, hertz + LOBE, RATE / 2)
        where = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], float)
        return Mark(
            _laid_over(samples, sine, span, self.level_db),
            (where, (Axis("frequency", "Hz", band), times(span, samples))),
        )


@dataclass(frozen=True)
class Clipping:
    """An overdriven stretch: samples are cut off at a level, and the stretch is brought back to its loudness.

    seconds: how long.  below: the share of the samples that stay as they are.
    """

    seconds: float = 1.0
    below: float = 0.1

    name: ClassVar[str] = "clipping"

    def __call__(self, samples: np.ndarray, cells: tuple[Axis, Axis], rng: Rng) -> Mark:
        span, marked = placed(self.seconds, len(samples), rng), samples.copy()
        limit = np.quantile(np.abs(samples[span]), self.below)
        cut = np.clip(samples[span], -limit, limit)
        marked[span] = cut * np.sqrt(np.mean(samples[span] ** 2) / np.mean(cut**2))
        return Mark(marked, all_bands(span, samples))


@dataclass(frozen=True)
class Gap:
    """Digital silence.  seconds: how long."""

    seconds: Range = (0.15, 0.3)

    name: ClassVar[str] = "gap"

    def __call__(self, samples: np.ndarray, cells: tuple[Axis, Axis], rng: Rng) -> Mark:
        span, marked = placed(draw(self.seconds, rng), len(samples), rng), samples.copy()
        marked[span] = 0
        return Mark(marked, all_bands(span, samples))


@dataclass(frozen=True)
class Stroke:
    """A scribble on the spectrogram: straight lines between corners, evenly in time, by chance in pitch.

    corners, seconds: how many, and of the whole.  hertz: range, even in octaves.  level_db: relative to the clip.
    stay: seconds that it has to spend in a cell to cross it: one hop of the front end.
    """

    corners: int = 7
    seconds: float = 1.4
    hertz: tuple[float, float] = (300.0, 3500.0)
    level_db: float = -6.0
    stay: float = 0.032

    name: ClassVar[str] = "stroke"

    def __call__(self, samples: np.ndarray, cells: tuple[Axis, Axis], rng: Rng) -> Mark:
        span = placed(self.seconds, len(samples), rng)
        length, pitches = (
            span.stop - span.start,
            rng.uniform(np.log(self.hertz[0]), np.log(self.hertz[1]), self.corners),
        )
        path = np.exp(np.interp(np.linspace(0, self.corners - 1, length), np.arange(self.corners), pitches))
        seconds = np.arange(span.start, span.stop) / RATE
        stays = np.histogram2d(path, seconds, (np.array(cells[0].edges), np.array(cells[1].edges)))[0] / RATE
        marked = _laid_over(samples, gliding(path, rng), span, self.level_db)
        return Mark(marked, ((stays >= self.stay).astype(float), cells))


Artefact = Tone | Clipping | Gap | Stroke


def placed(seconds: float, length: int, rng: Rng) -> slice:
    """A span of so many seconds somewhere in a clip of `length` samples."""
    count = round(seconds * RATE)
    first = int(rng.integers(length - count + 1))
    return slice(first, first + count)


def gliding(hertz: np.ndarray, rng: Rng) -> np.ndarray:
    """A sine whose frequency is given sample by sample, of root-mean-square 1, faded in and out."""
    count = np.arange(len(hertz))
    ramp = np.minimum(1, (np.minimum(count, count[::-1]) + 0.5) / (FADE * RATE))
    return ramp * np.sqrt(2) * np.sin(2 * np.pi * (np.cumsum(hertz) / RATE + rng.random()))


def times(span: slice, samples: np.ndarray) -> Axis:
    """Before, during and after a span. One at the very start or end of the clip keeps a sample on that side."""
    last = len(samples) / RATE
    return Axis("time", "s", (0.0, max(span.start, 1) / RATE, min(span.stop / RATE, last - 1 / RATE), last))


def all_bands(span: slice, samples: np.ndarray) -> Truth:
    """A time span, at all frequencies."""
    return np.array([[0.0, 1.0, 0.0]]), (Axis("frequency", "Hz", (0.0, RATE / 2)), times(span, samples))


def _laid_over(samples: np.ndarray, sound: np.ndarray, span: slice, level_db: float) -> np.ndarray:
    """A sound of level 1 over a part of the clip, so many dB above the clip's level."""
    marked = samples.copy()
    marked[span] += sound * np.sqrt(np.mean(samples**2)) * 10 ** (level_db / 20)
    return marked
