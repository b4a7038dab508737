"""Masks made audible: a mask with axes, laid on the clip's own spectrogram.

A mask over time and frequency, of whatever resolution, is spread over the bins of the clip's STFT (64 ms windows, a quarter
hop) and multiplied; the phase is the clip's own. The STFT is linear and the mask of what is removed is one minus the mask of
what is kept, so kept + removed = clip. What lies outside the mask's axes (frequencies that the model cannot hear) is removed.

Edges are raised-cosine ramps (20 ms, 40 Hz, or less where the places are narrower), so that nothing clicks.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.errors import InputError

RAMP = {"time": 0.020, "frequency": 40.0}


def partition(
    edges: Sequence[float] | np.ndarray, positions: np.ndarray, ramp: float, closed: bool = False
) -> Float[np.ndarray, "places positions"]:
    """`[places, positions]`: how much each place holds of each position; the places of a position sum to 1.

    Neighbours cross-fade over `ramp` (at most the narrower of the two) with raised cosines.
    closed: positions outside the edges belong to nobody and sum to 0; else they belong to the outer places.
    """
    edges, positions = np.asarray(edges, float), np.asarray(positions, float)
    widths = np.diff(edges)
    above = [(positions >= edges[0]) if closed else np.ones(len(positions))]
    for index in range(1, len(edges) - 1):
        width = min(ramp, widths[index - 1], widths[index])
        rise = np.clip((positions - edges[index]) / width + 0.5, 0, 1)
        above.append(np.sin(np.pi / 2 * rise) ** 2)
    above.append((positions > edges[-1]) if closed else np.zeros(len(positions)))
    return -np.diff(np.array(above, float), axis=0)


def window_length(sample_rate: int) -> int:
    """The power of two nearest to 64 ms."""
    return 2 ** max(4, round(np.log2(0.064 * sample_rate)))


@lru_cache(4)
def _hann(n_fft: int) -> Tensor:
    return torch.hann_window(n_fft, dtype=torch.float64)


def analyse(samples: Float[Tensor, "*many time"], n_fft: int) -> Complex[Tensor, "*many bins frames"]:
    """STFT `[..., bins, frames]` of `[..., time]`, in double precision, with a quarter hop."""
    hop = n_fft // 4
    tail = -samples.shape[-1] % hop + n_fft // 2  # so that every sample lies in as many frames as any other
    x = torch.nn.functional.pad(samples.double().reshape(-1, samples.shape[-1]), (0, tail))
    z = torch.stft(x, n_fft, hop, window=_hann(n_fft).to(x.device), pad_mode="constant", return_complex=True)
    return z.reshape(*samples.shape[:-1], *z.shape[-2:])


def synthesise(z: Complex[Tensor, "*many bins frames"], n_fft: int, length: int) -> Float[Tensor, "*many time"]:
    """The inverse of `analyse`: float32 `[..., length]`."""
    flat = z.reshape(-1, *z.shape[-2:])
    x = torch.istft(flat, n_fft, n_fft // 4, window=_hann(n_fft).to(z.device), length=length)
    return x.reshape(*z.shape[:-2], length).float()


def spread(mask: np.ndarray, axes: tuple[Axis, ...], frequencies: np.ndarray, times: np.ndarray) -> np.ndarray:
    """A mask on its axes (time, frequency, or both) at given hertz and seconds: `[frequencies, times]`."""
    names = [axis.name for axis in axes]
    if not names or any(name not in RAMP for name in names) or any(axis.unit == "index" for axis in axes):
        raise InputError(f"a mask over {names or 'nothing'} has no place in time or frequency: it cannot be heard")
    weights = {
        axis.name: partition(
            np.asarray(axis.edges), times if axis.name == "time" else frequencies, RAMP[axis.name], closed=True
        )
        for axis in axes
    }
    over_time = weights.get("time", np.ones((1, len(times))))
    over_frequency = weights.get("frequency", np.ones((1, len(frequencies))))
    full = np.transpose(mask, [names.index(n) for n in ("frequency", "time") if n in names])
    return over_frequency.T @ full.reshape(len(over_frequency), len(over_time)) @ over_time


def carry_mask(mask: np.ndarray, axes: tuple[Axis, ...], audio: Audio) -> Audio:
    """The part of a clip that a mask keeps. Times are those of the recording (`audio.start` onward)."""
    n_fft = window_length(audio.sample_rate)
    z = analyse(audio.samples, n_fft)
    frequencies = np.arange(z.shape[-2]) * audio.sample_rate / n_fft
    # half a sample inside, so that the frame at the very end of the clip belongs to its last place
    times = np.clip(
        np.arange(z.shape[-1]) * (n_fft // 4) / audio.sample_rate, 0, audio.duration - 0.5 / audio.sample_rate
    )
    gains = torch.from_numpy(spread(np.asarray(mask, float), axes, frequencies, audio.start + times))
    samples = synthesise(z * gains.to(z.device), n_fft, len(audio.samples))
    return audio.with_samples(samples, "masked on its spectrogram")
