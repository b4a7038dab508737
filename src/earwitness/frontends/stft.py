"""Spectrograms: the step that all spectral front ends begin with, and the plain log-magnitude STFT.

|X[f, t]| of Hann windows of `n_fft` samples every `hop_length`, centred on multiples of the hop (zeros outside the clip):
1 + n_fft/2 rows of sample_rate/n_fft hertz, lowest first, and 1 + samples // hop_length columns.

Source: librosa's conventions (`librosa.stft` with its defaults).
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from earwitness.axes import Axis
from earwitness.errors import UsageError, positive, unknown
from earwitness.frontends.base import FrontEnd, PerClip, Standardise


class Spectrum(nn.Module):
    """`[B, time]` to |STFT|^power, `[B, 1, frequency, time]`."""

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int, power: float) -> None:
        super().__init__()
        if n_fft < 2 or hop_length < 1:
            raise UsageError(f"n_fft must be 2 or more and hop_length 1 or more, not {n_fft} and {hop_length}")
        self.n_fft, self.hop_length, self.power = n_fft, hop_length, power
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, waveform: Float[Tensor, "batch time"]) -> Float[Tensor, "batch 1 bins frames"]:
        z = torch.stft(
            waveform, self.n_fft, self.hop_length, window=self.window, pad_mode="constant", return_complex=True
        ).unsqueeze(1)
        return z.real.square() + z.imag.square() if self.power == 2 else z.abs() ** self.power


class Log1p(nn.Module):
    """log(1 + x): near 0 it is x itself, so digital silence stays 0."""

    def forward(self, x: Float[Tensor, "*x"]) -> Float[Tensor, "*x"]:
        return torch.log1p(x)


class Decibel(PerClip):
    """10 log10(max(x, amin) / ref) of a power (20 of a magnitude), with a floor `top_db` below the clip's maximum.

    ref: a number, or "max" for the clip's own maximum.
    Source: librosa's `power_to_db` and `amplitude_to_db`.
    """

    def __init__(self, amin: float = 1e-10, ref: float | str = 1.0, top_db: float | None = None, factor: float = 10):
        super().__init__()
        if ref != "max" and isinstance(ref, str):
            raise UsageError(f'ref must be a number or "max", not {ref!r}')
        positive(amin=amin, top_db=top_db, ref=None if ref == "max" else ref)
        self.amin, self.ref, self.top_db, self.factor = amin, ref, top_db, factor

    def forward(
        self, x: Float[Tensor, "batch 1 rows frames"], like: Float[Tensor, "#batch 1 rows other"] | None = None
    ) -> Float[Tensor, "batch 1 rows frames"]:
        top = (x if like is None else like).amax((1, 2, 3), keepdim=True).clamp(min=self.amin)
        ref = top if self.ref == "max" else torch.full_like(top, max(float(self.ref), self.amin))
        floor = torch.full_like(top, self.amin)
        if self.top_db is not None:
            floor = torch.maximum(floor, top * 10 ** (-self.top_db / self.factor))
        return self.factor * torch.log10(torch.maximum(x, floor) / ref)


def level_step(level: str, power: float, amin: float, ref: float | str, top_db: float | None) -> nn.Module:
    """The step named by `level`: "linear", "log1p" or "db"."""
    steps = {
        "linear": nn.Identity,
        "log1p": Log1p,
        "db": lambda: Decibel(amin, ref, top_db, factor=20 / power),
    }
    if level not in steps:
        raise unknown("level", level, steps)
    return steps[level]()


def frame_axis(n_samples: int, sample_rate: int, hop_length: int) -> Axis:
    """Time of centred frames: each place reaches half a hop either side, the first from 0, the last to the clip's end."""
    frames = 1 + n_samples // hop_length
    inner = (np.arange(1, frames) - 0.5) * hop_length / sample_rate
    return Axis("time", "s", (0.0, *inner, n_samples / sample_rate))


class LogSTFT(FrontEnd):
    """log(1 + |X|), `[B, 1, 1 + n_fft/2, frames]`; with `standardise=True` each clip to zero mean, unit variance.

    sample_rate: hertz.  n_fft, hop_length: samples.  level: "log1p", "db" (20 log10) or "linear".
    Source: the lab's front end is n_fft=256, hop_length=64 at 8 kHz.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        hop_length: int = 256,
        level: str = "log1p",
        standardise: bool = False,
    ) -> None:
        steps = {
            "spectrum": Spectrum(n_fft, hop_length, 1.0),
            "logarithm": level_step(level, 1.0, 1e-5, 1.0, None),
            "normalisation": Standardise() if standardise else nn.Identity(),
        }
        super().__init__(sample_rate, steps)
        self.n_fft, self.hop_length, self.level, self.standardise = n_fft, hop_length, level, standardise

    def axes(self, n_samples: int) -> tuple[Axis, ...]:
        """Frequency (bins reach half a bin either side, within 0 to Nyquist) and time."""
        bins = (np.arange(self.n_fft // 2 + 2) - 0.5) * self.sample_rate / self.n_fft
        edges = np.clip(bins, 0, self.sample_rate / 2)
        return Axis("frequency", "Hz", tuple(edges)), frame_axis(n_samples, self.sample_rate, self.hop_length)
