"""Synthetic clips whose true cause is known: events in noise, beside other events that are as loud.

Loudness alone finds a lone event. Here a second event of the same level stands in the clip, a *distractor*, and only what a
listener knows tells them apart: the labels (chirp, call, knock) and the distractors (siren, hum) are disjoint sets, so a
classifier has to hear the one and ignore the other. Whoever points at the distractor is wrong.

| kind | sound |
|---|---|
| chirp | a tone that sweeps up two to three times its frequency |
| call | ten harmonics of a voice with vibrato |
| knock | three to five decaying bursts of noise |
| siren | a tone that slides up and down |
| hum | odd harmonics of a mains-like fundamental |

Events may overlap. Levels are root-mean-square over an event's own span, and so is the signal-to-noise ratio.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from earwitness.data.synthetic import Range, Scene, Seed, choose, compose, draw, noise_at
from earwitness.errors import UsageError, unknown

Rng = np.random.Generator


def chirp(rng: Rng, sample_rate: int) -> np.ndarray:
    """0.2 to 0.4 s; from 700-1200 Hz up to two or three times as much, evenly in octaves."""
    t, frequency, octaves = _times(draw((0.2, 0.4), rng), sample_rate), draw((700, 1200), rng), draw((1.0, 1.58), rng)
    return _tapered(_gliding(frequency * 2 ** (octaves * t / t[-1]), rng, sample_rate), sample_rate)


def call(rng: Rng, sample_rate: int) -> np.ndarray:
    """0.4 to 0.7 s; harmonics 1/k of 250-450 Hz with a vibrato of 5-7 Hz, +- 3-6 %."""
    t, pitch = _times(draw((0.4, 0.7), rng), sample_rate), draw((250, 450), rng)
    rate, width = draw((5, 7), rng), draw((0.03, 0.06), rng)
    f0 = pitch * (1 + width * np.sin(2 * np.pi * (rate * t + rng.random())))
    audible = [k for k in range(1, 11) if k * f0.max() < sample_rate / 2]
    return _tapered(np.sum([_gliding(k * f0, rng, sample_rate) / k for k in audible], 0), sample_rate)


def knock(rng: Rng, sample_rate: int) -> np.ndarray:
    """3 to 5 bursts, 0.1 to 0.18 s apart, each decaying by 60 dB in 0.1 to 0.17 s (time constant 15-25 ms)."""
    bursts, gap, decay = 3 + int(3 * rng.random()), draw((0.1, 0.18), rng), draw((0.015, 0.025), rng)
    t = _times(bursts * gap, sample_rate)
    return rng.standard_normal(len(t)) * np.exp(-(t % gap) / decay)


def siren(rng: Rng, sample_rate: int) -> np.ndarray:
    """0.6 to 0.9 s; slides between 500-700 Hz and twice that, 1.5 to 3 times a second."""
    t, low, rate = _times(draw((0.6, 0.9), rng), sample_rate), draw((500, 700), rng), draw((1.5, 3), rng)
    slide = 0.5 - 0.5 * np.cos(2 * np.pi * (rate * t + rng.random()))
    return _tapered(_gliding(low * 2**slide, rng, sample_rate), sample_rate)


def hum(rng: Rng, sample_rate: int) -> np.ndarray:
    """0.6 to 0.9 s; the odd harmonics of 90-130 Hz up to the ninth."""
    t, pitch = _times(draw((0.6, 0.9), rng), sample_rate), draw((90, 130), rng)
    odd = [_gliding(np.full(len(t), k * pitch), rng, sample_rate) / k for k in (1, 3, 5, 7, 9)]
    return _tapered(np.sum(odd, 0), sample_rate)


KINDS: dict[str, Callable[[Rng, int], np.ndarray]] = {
    sound.__name__: sound for sound in (chirp, call, knock, siren, hum)
}


@dataclass(frozen=True)
class Events:
    """Scenes of one event that is the label, and one that isn't, in white noise.

    labels, distractors: kinds of events (see the module's table), without a kind in common; no distractors for none.
    sample_rate: hertz, 8000 or more.  seconds: length, 1 or more.
    snr_db: level of the cause over the noise beneath it; None for no noise.
    distractor_db: level of the distractor over the cause's.
    peak: the clip is scaled to this peak; None leaves it.
    """

    labels: tuple[str, ...] = ("chirp", "call", "knock")
    distractors: tuple[str, ...] = ("siren", "hum")
    sample_rate: int = 16000
    seconds: float = 2.0
    snr_db: Range | None = (6.0, 20.0)
    distractor_db: Range = 0.0
    peak: float | None = 1.0

    def __post_init__(self) -> None:
        for kind in (*self.labels, *self.distractors):
            if kind not in KINDS:
                raise unknown("kind of event", kind, KINDS)
        both = sorted(set(self.labels) & set(self.distractors))
        if both or not self.labels:
            raise UsageError(
                f"labels and distractors need different kinds; {', '.join(both) or 'no label'} can't be both"
            )
        if self.sample_rate < 8000 or self.seconds < 1:
            raise UsageError(f"events need 8000 Hz and 1 s or more, not {self.sample_rate} Hz and {self.seconds:g} s")

    def __call__(self, seed: Seed, label: str | None = None) -> Scene:
        """The scene of a seed. Same seed, same bits."""
        rng, own, other, noises = np.random.default_rng(seed).spawn(4)
        label, decibel = choose(self.labels, label, rng), draw(self.distractor_db, rng)
        cause, span = self._placed(label, own)
        rest = noise_at(cause, self.snr_db, rng, noises, span)
        if self.distractors:
            rest = rest + 10 ** (decibel / 20) * self._placed(choose(self.distractors, None, rng), other)[0]
        return compose(cause, rest, self.sample_rate, label, self.peak)

    def _placed(self, kind: str, rng: Rng) -> tuple[np.ndarray, slice]:
        """An event of root-mean-square 1 at a random place in silence, and its span."""
        event = KINDS[kind](rng, self.sample_rate)
        clip = np.zeros(round(self.seconds * self.sample_rate))
        first = int(rng.integers(len(clip) - len(event) + 1))
        span = slice(first, first + len(event))
        clip[span] = event / np.sqrt(np.mean(event**2))
        return clip, span


def _times(seconds: float, sample_rate: int) -> np.ndarray:
    return np.arange(round(seconds * sample_rate)) / sample_rate


def _gliding(frequency: np.ndarray, rng: Rng, sample_rate: int) -> np.ndarray:
    """A tone whose frequency (hertz) is given sample by sample, from a random phase."""
    return np.sin(2 * np.pi * (np.cumsum(frequency) / sample_rate + rng.random()))


def _tapered(sound: np.ndarray, sample_rate: int, seconds: float = 0.02) -> np.ndarray:
    """Faded in and out by raised cosines, so that nothing clicks."""
    ramp = np.sin(np.pi / 2 * np.clip((np.arange(len(sound)) + 0.5) / (seconds * sample_rate), 0, 1)) ** 2
    return sound * ramp * ramp[::-1]
