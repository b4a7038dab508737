"""Clips without one accidental quantity, clips of which only a part with little of the sound is left, and quiet cells.

A change takes a clip at the model's rate and returns samples. What all clips share is given to it beforehand: the median level,
a length that nearly all have, the band up to which nearly all reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.audio import Audio
from earwitness.axes import Axis, carry
from earwitness.carrying import window_length
from earwitness.frontends import LogSTFT
from earwitness.studies.own_lab.listening_through import FRAME, STEP, Change

LOWEST, HUM = 80.0, 60.0  # Hz: below the first there is no speech, below the second hardly anything but hum
FAINT_DB = -60.0  # of the noise that is put into digital silence, below the clip's level
STRETCH = 0.1  # seconds


@dataclass(frozen=True)
class Shared:
    """What all clips share.

    level_db: their median level.  seconds: what 19 of 20 last, at least.
    band_hz: up to where 19 of 20 have energy, or as far as the model hears.  above_hz: from where 19 of 20 have none.
    """

    level_db: float
    seconds: float
    band_hz: float
    above_hz: float

    @classmethod
    def of(cls, survey: Any, sample_rate: int) -> "Shared":
        """Of the rows of a survey (a table), for a model that hears sound at a rate."""
        band, above = (min(float(survey["band_hz"].quantile(share)), sample_rate / 2) for share in (0.05, 0.95))
        seconds = float(survey["seconds"].quantile(0.05, interpolation="lower"))
        return cls(float(survey["level_db"].median()), seconds, band, above)


def equalised(shared: Shared) -> dict[str, Change]:
    """Changes that make a quantity the same in all clips, by name."""
    return {
        "level": lambda audio: audio.samples * 10 ** ((shared.level_db - audio.rms_db) / 20),
        "offset": lambda audio: audio.samples - audio.samples.mean(),
        "digital silence": filled,
        "silence at the ends": trimmed,
        "length": lambda audio: audio.samples[: round(shared.seconds * audio.sample_rate)],
        "band": lambda audio: passed(audio, LOWEST, shared.band_hz),
    }


def left_alone(shared: Shared, sample_rate: int) -> dict[str, Change]:
    """Changes that leave only a part with little of the sound, by name.

    In speech such a part should not tell the word. The quietest stretch of rain is rain.
    """
    found: dict[str, Change] = {
        f"the quietest {STRETCH * 1000:.0f} ms, again and again": quietest,
        f"below {HUM:.0f} Hz": lambda audio: passed(audio, 0.0, HUM),
    }
    if shared.above_hz < 0.98 * sample_rate / 2:
        found[f"above {shared.above_hz:.0f} Hz"] = lambda audio: passed(audio, shared.above_hz, float("inf"))
    return found


def passed(audio: Audio, low: float, high: float) -> Tensor:
    """What of the clip lies from `low` to `high` hertz, by its Fourier transform."""
    spectrum = torch.fft.rfft(audio.samples.double())
    hertz = torch.fft.rfftfreq(len(audio.samples), 1 / audio.sample_rate)
    return torch.fft.irfft(spectrum * ((hertz >= low) & (hertz <= high)), len(audio.samples)).float()


def filled(audio: Audio) -> Tensor:
    """With faint noise where there is digital silence for a millisecond or more."""
    silent = _silent(audio.samples, round(1e-3 * audio.sample_rate))
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(len(silent))).float()
    return audio.samples + silent * noise * 10 ** ((audio.rms_db + FAINT_DB) / 20)


def trimmed(audio: Audio) -> Tensor:
    """Without the digital silence before and behind the sound."""
    loud = torch.nonzero(audio.samples.abs() > STEP).reshape(-1)
    return audio.samples[int(loud[0]) : int(loud[-1]) + 1] if len(loud) else audio.samples


def quietest(audio: Audio) -> Tensor:
    """The quietest stretch that is no digital silence, repeated over the whole length."""
    size = min(len(audio.samples), round(STRETCH * audio.sample_rate))
    starts = range(0, len(audio.samples) - size + 1, max(1, round(FRAME * audio.sample_rate)))
    energies = [(float(audio.samples[at : at + size].square().mean()), at) for at in starts]
    at = min((pair for pair in energies if pair[0] > STEP**2), default=energies[0])[1]
    part = audio.samples[at : at + size]
    return part.repeat(-(-len(audio.samples) // size))[: len(audio.samples)]


def _silent(samples: Tensor, least: int) -> Tensor:
    """`[time]` of booleans: within a run of `least` or more samples that never leave one step of 16 bits."""
    quiet = (samples.abs() <= STEP).numpy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(int)))
    found = np.zeros(len(quiet), bool)
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        found[first:last] = last - first >= least
    return torch.from_numpy(found)


def cell_power(audio: Audio, axes: Sequence[Axis]) -> np.ndarray:
    """`[*cells]`: mean power of the clip's spectrogram over each cell, in squared full scale. axes: in seconds and hertz."""
    n_fft = window_length(audio.sample_rate)
    spectrum = LogSTFT(audio.sample_rate, n_fft, n_fft // 4, level="linear")
    power = spectrum(audio.samples[None].cpu())[0, 0].double().square().numpy()
    places = tuple(axis.shifted(-audio.start) if axis.name == "time" else axis for axis in axes)
    return carry(power, spectrum.axes(len(audio.samples)), places)
