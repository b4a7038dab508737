"""Filterbanks on the power spectrum: mel triangles and gammatone (ERB) bands.

Each row of a filterbank sums the spectrum with its weights; the axis says which hertz a row stands for.

Source: librosa.filters.mel (triangles in hertz, Slaney's area normalisation); Glasberg and Moore (1990) for ERB. The
gammatone's power response is |1 + ((f - fc)/b)^2|^-4 with b = 1.019 ERB(fc).
Differs: the gammatone is applied to the STFT, not as a filter in time; rows have unit sum, so that white noise is flat.
"""

import warnings
from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from earwitness.axes import Axis
from earwitness.errors import UsageError, positive, unknown, whole
from earwitness.frontends.base import FrontEnd, Standardise
from earwitness.frontends.scales import SCALES, erb_bandwidth, spaced
from earwitness.frontends.stft import Spectrum, frame_axis, level_step


class Filterbank(nn.Module):
    """`[B, 1, bins, time]` to `[B, 1, bands, time]` by a fixed matrix `[bands, bins]`."""

    weights: Tensor

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32), persistent=False)

    def forward(self, x: Float[Tensor, "batch 1 bins frames"]) -> Float[Tensor, "batch 1 bands frames"]:
        return self.weights @ x


def mel_weights(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    fmin: float,
    fmax: float,
    mel_scale: str,
    norm: str | None,
    straight: str = "linear",
) -> np.ndarray:
    """`[n_mels, 1 + n_fft/2]` triangles between neighbours of n_mels + 2 points equally spaced in mel.

    straight: the scale on which the triangles' sides are straight lines, "linear" for hertz.
    """
    there, _ = SCALES[straight]
    bins = there(np.arange(n_fft // 2 + 1) * sample_rate / n_fft)
    low, centre, high = (there(spaced(mel_scale, fmin, fmax, n_mels + 2))[i : n_mels + i, None] for i in range(3))
    weights = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    return weights * 2 / (high - low) if norm == "slaney" else weights


def mel_edges(n_mels: int, fmin: float, fmax: float, mel_scale: str) -> np.ndarray:
    """Band edges in hertz, half-way between the centres in mel, the outer ones at fmin and fmax."""
    there, back = SCALES[mel_scale]
    low, high = there(fmin), there(fmax)
    inner = back(low + (np.arange(1, n_mels) + 0.5) * (high - low) / (n_mels + 1))
    return np.array([fmin, *inner, fmax])


def erb_weights(sample_rate: int, n_fft: int, centres: np.ndarray) -> np.ndarray:
    """`[bands, 1 + n_fft/2]` power responses of fourth-order gammatone filters, each row with unit sum."""
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    distance = (bins - centres[:, None]) / (1.019 * erb_bandwidth(centres)[:, None])
    weights = (1 + distance**2) ** -4.0
    return weights / weights.sum(1, keepdims=True)


class _Banked(FrontEnd):
    """What mel and ERB share: spectrum, filterbank, logarithm, normalisation; rows between `edges`."""

    def __init__(self, sample_rate, n_fft, hop_length, weights, power, level, amin, ref, top_db, standardise) -> None:
        empty = int((weights.sum(1) == 0).sum())
        if empty:
            warnings.warn(
                f"{empty} of {len(weights)} bands hold no bin of a {n_fft}-point spectrum: use fewer bands or a longer n_fft",
                stacklevel=3,
            )
        steps = {
            "spectrum": Spectrum(n_fft, hop_length, power),
            "filterbank": Filterbank(weights),
            "logarithm": level_step(level, power, amin, ref, top_db),
            "normalisation": Standardise() if standardise else nn.Identity(),
        }
        super().__init__(sample_rate, steps)
        self.n_fft, self.hop_length, self.power, self.level = n_fft, hop_length, power, level
        self.amin, self.ref, self.top_db, self.standardise = amin, ref, top_db, standardise

    @property
    @abstractmethod
    def edges(self) -> np.ndarray:
        """Band edges in hertz: half-way between centres on the scale, the outer ones at fmin and fmax."""

    def axes(self, n_samples: int) -> tuple[Axis, ...]:
        """Frequency (one place a band) and time."""
        return (
            Axis("frequency", "Hz", tuple(self.edges)),
            frame_axis(n_samples, self.sample_rate, self.hop_length),
        )


class LogMel(_Banked):
    """A mel spectrogram, `[B, 1, n_mels, frames]`, in dB by default.

    sample_rate, fmin, fmax: hertz (fmax: Nyquist by default).  n_fft, hop_length: samples.
    mel_scale: "slaney" or "htk".  norm: "slaney" (unit area) or None (unit peak).  power: 1 magnitude, 2 power.
    level: "db", "log1p" or "linear"; amin, ref ("max": the clip's maximum) and top_db as in `librosa.power_to_db`.
    standardise: each clip to zero mean and unit variance.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        hop_length: int = 256,
        n_mels: int = 64,
        fmin: float = 0.0,
        fmax: float | None = None,
        mel_scale: str = "slaney",
        norm: str | None = "slaney",
        power: float = 2.0,
        level: str = "db",
        amin: float = 1e-10,
        ref: float | str = 1.0,
        top_db: float | None = None,
        standardise: bool = False,
    ) -> None:
        high = sample_rate / 2 if fmax is None else fmax
        _check(fmin, high, sample_rate, n_mels, power)
        if norm not in ("slaney", None):
            raise unknown("norm of the filters", norm, ("slaney", None))
        weights = mel_weights(sample_rate, n_fft, n_mels, fmin, high, mel_scale, norm)
        super().__init__(sample_rate, n_fft, hop_length, weights, power, level, amin, ref, top_db, standardise)
        self.n_mels, self.fmin, self.fmax, self.mel_scale, self.norm = n_mels, fmin, high, mel_scale, norm

    @property
    def edges(self) -> np.ndarray:
        """Band edges in hertz, half-way between the centres in mel."""
        return mel_edges(self.n_mels, self.fmin, self.fmax, self.mel_scale)


class LogERB(_Banked):
    """A gammatone spectrogram on the ERB scale, `[B, 1, n_bands, frames]`, in dB by default.

    n_bands: centres equally spaced in ERB-rate, between the middles of the outer bands of `fmin` to `fmax` hertz.
    Everything else as in `LogMel`.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        hop_length: int = 256,
        n_bands: int = 48,
        fmin: float = 50.0,
        fmax: float | None = None,
        power: float = 2.0,
        level: str = "db",
        amin: float = 1e-10,
        ref: float | str = 1.0,
        top_db: float | None = None,
        standardise: bool = False,
    ) -> None:
        high = sample_rate / 2 if fmax is None else fmax
        _check(fmin, high, sample_rate, n_bands, power)
        edges = spaced("erb", fmin, high, 2 * n_bands + 1)
        weights = erb_weights(sample_rate, n_fft, edges[1::2])
        super().__init__(sample_rate, n_fft, hop_length, weights, power, level, amin, ref, top_db, standardise)
        self.n_bands, self.fmin, self.fmax = n_bands, fmin, high

    @property
    def edges(self) -> np.ndarray:
        """Band edges in hertz, equally spaced in ERB-rate."""
        return spaced("erb", self.fmin, self.fmax, self.n_bands + 1)


def _check(low: float, high: float, sample_rate: int, bands: int, power: float) -> None:
    whole(bands=bands)
    positive(power=power)
    if not 0 <= low < high <= sample_rate / 2:
        raise UsageError(
            f"need 0 <= fmin < fmax <= {sample_rate / 2:g} Hz (half the sample rate), not {low:g} and {high:g}"
        )
