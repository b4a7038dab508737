"""Synthetic clips whose true cause is known: tones in noise.

An explanation can be checked only where the answer is known. Here the label is put into the clip by us, as one sound among
others, so the clip minus that sound holds nothing of the label. The lab's scene is one of two tones with

    clip = gain * ( level * (1 + depth sin(2 pi f_m t + phase_m)) sin(2 pi f t + phase) + interferer + noise ),   t = n / rate,

where f is 220 Hz ("low") or 880 Hz ("high"), the interferer is a tone of 300-1500 Hz at amplitude 0.3, and the white noise
lies `snr_db` below the tone. More tones make a problem of more classes; events in noise are in `earwitness.data.events`.

An ingredient is a number (frozen) or a pair (drawn uniformly from this range). Each draws from its own place in the
generator's sequence whether it is frozen or not: freeze one, and with the same seed all others stay what they were.

Differs: the lab's time axis was linspace(0, 0.5, 4000), which includes the end and so plays 8000 Hz at 7998.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.data.truth import truth_of
from earwitness.errors import UsageError, unknown

Range = float | tuple[float, float]
Seed = int | Sequence[int]


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip, its label, and why it has that label.

    truth: `[frequency, time]` in [0, 1] with its axes, as `ew.ask(..., truth=scene.truth)` takes it.
    cause: the sound of the label alone, sample by sample; everything else in the clip is `audio - cause`.
    """

    audio: Audio
    label: str
    truth: tuple[np.ndarray, tuple[Axis, Axis]]
    cause: Audio


class Recipe(Protocol):
    """What makes scenes: `labels`, and a call with a seed and (by default: by chance) a label."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def __call__(self, seed: Seed, label: str | None = None) -> Scene: ...


@dataclass(frozen=True)
class Tones:
    """Scenes of one tone whose frequency is the label; by default the lab's.

    labels, frequencies: a name and hertz for each class.  sample_rate: hertz.  seconds: length.
    snr_db: level of the tone over the white noise, both over the whole clip; None for no noise.
    level: amplitude of the tone (before `peak`).  phase: radians.
    modulation: hertz, and depth: of the amplitude modulation (0: none).
    interferer: amplitude of a further tone (0: none), with `interferer_hz` and a random phase.
    peak: the clip is scaled to this peak; None leaves it.
    """

    labels: tuple[str, ...] = ("low", "high")
    frequencies: tuple[float, ...] = (220.0, 880.0)
    sample_rate: int = 8000
    seconds: float = 0.5
    snr_db: Range | None = (0.0, 20.0)
    level: Range = (0.5, 1.0)
    phase: Range = (0.0, 2 * np.pi)
    modulation: Range = (2.0, 6.0)
    depth: Range = 0.3
    interferer: Range = 0.3
    interferer_hz: Range = (300.0, 1500.0)
    peak: float | None = 1.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.labels) == len(self.frequencies) == len(set(self.labels)):
            raise UsageError(f"each frequency needs a name of its own: {len(self.frequencies)} for {self.labels}")
        if not all(0 < f < self.sample_rate / 2 for f in (*self.frequencies, *_pair(self.interferer_hz))):
            raise UsageError(f"frequencies must lie between 0 and {self.sample_rate / 2:g} Hz (half the sample rate)")

    def __call__(self, seed: Seed, label: str | None = None) -> Scene:
        """The scene of a seed. Same seed, same bits."""
        rng, noises = np.random.default_rng(seed).spawn(2)
        label = choose(self.labels, label, rng)
        t = np.arange(round(self.seconds * self.sample_rate)) / self.sample_rate
        modulation, depth = draw(self.modulation, rng), draw(self.depth, rng)
        swell = 1 + depth * np.sin(2 * np.pi * (modulation * t + rng.random()))
        frequency = self.frequencies[self.labels.index(label)]
        cause = draw(self.level, rng) * swell * np.sin(2 * np.pi * frequency * t + draw(self.phase, rng))
        amplitude, other = draw(self.interferer, rng), draw(self.interferer_hz, rng)
        rest = amplitude * np.sin(2 * np.pi * (other * t + rng.random()))
        return compose(cause, rest + noise_at(cause, self.snr_db, rng, noises), self.sample_rate, label, self.peak)


def several_tones(frequencies: Sequence[float], **ingredients) -> Tones:
    """Scenes of as many classes as there are frequencies (hertz), labelled "220 Hz" and so on; else as `Tones`."""
    return Tones(tuple(f"{f:g} Hz" for f in frequencies), tuple(float(f) for f in frequencies), **ingredients)


def scenes(recipe: Recipe, count: int, seed: Seed) -> Iterator[Scene]:
    """`count` different scenes with the labels in turn; scene i has the seed (*seed, i)."""
    seeds = (seed,) if isinstance(seed, int) else tuple(seed)
    for index in range(count):
        yield recipe((*seeds, index), recipe.labels[index % len(recipe.labels)])


def draw(values: Range, rng: np.random.Generator) -> float:
    """A number from a range, or the number itself; takes one step of the generator either way."""
    low, high = _pair(values)
    return low + (high - low) * rng.random()


def choose(labels: Sequence[str], label: str | None, rng: np.random.Generator) -> str:
    """The label that was asked for, or one by chance; takes one step of the generator either way."""
    by_chance = labels[int(rng.random() * len(labels))]
    if label is not None and label not in labels:
        raise unknown("label of a scene", label, labels)
    return by_chance if label is None else label


def noise_at(
    cause: np.ndarray, snr_db: Range | None, rng: np.random.Generator, noises: np.random.Generator,
    span: slice = slice(None),
) -> np.ndarray:  # fmt: skip
    """White noise whose power over `span` lies exactly `snr_db` below the cause's."""
    wanted = draw(0.0 if snr_db is None else snr_db, rng)
    noise = noises.standard_normal(len(cause))
    if snr_db is None:
        return 0 * noise
    return noise * np.sqrt(np.mean(cause[span] ** 2) / np.mean(noise[span] ** 2)) * 10 ** (-wanted / 20)


def compose(cause: np.ndarray, rest: np.ndarray, sample_rate: int, label: str, peak: float | None) -> Scene:
    """The scene of a cause and the rest of its clip, scaled together to a peak."""
    clip = cause + rest
    gain = 1.0 if peak is None else peak / np.abs(clip).max()
    made = f"synthetic: {label}"
    audio = Audio(torch.from_numpy(gain * clip), sample_rate, (made,))
    alone = Audio(torch.from_numpy(gain * cause), sample_rate, (made, "the cause alone"))
    return Scene(audio, label, truth_of(alone, audio), alone)


def _pair(values: Range) -> tuple[float, float]:
    return values if isinstance(values, tuple) else (values, values)
