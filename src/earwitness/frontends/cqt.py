"""The constant-Q transform: a spectrogram whose rows are semitones, with a longer look at the lower ones.

    X[k, t] = sqrt(N_k) / sum(w_k) * | sum over n of  x[t * hop + n]  w_k[n]  exp(-2 pi i f_k n / sample_rate) |

f_k = fmin * 2^(k / bins_per_octave); w_k is a Hann window of N_k = Q * sample_rate / f_k samples about the frame's middle, and
Q is the same for all rows: Q = (r^2 + 1) / (r^2 - 1) with r = 2^(1 / bins_per_octave), which is 17.3 for semitones. A sine of
amplitude A at f_k has the level A * sqrt(N_k) / 2.

How it is computed: windows and clip are cut into blocks of one hop; every block of the clip times every block of the windows is
one matrix product for each octave, of which a frame adds up its own. It is the sum above and nothing less: no row is made from
a resampled clip, and a GPU does not round it to TF32, as it may round convolutions.

Source: Brown (1991), Calculation of a constant Q spectral transform; lengths, norm and scale are those of `librosa.cqt` with its
defaults (norm 1, scale).
Differs: librosa resamples the clip for each lower octave, rounds window lengths at that rate, and leaves out what a window sees
beyond half of it. How far that goes is measured in tests/frontends/test_librosa.py.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from earwitness.axes import Axis
from earwitness.errors import UsageError, positive, whole
from earwitness.frontends.base import FrontEnd, Standardise
from earwitness.frontends.stft import frame_axis, level_step

C1 = 32.70319566257483  # hertz
REACH = 1.5 / 2  # half the bandwidth of a Hann window, in bins of its own transform


class Octave(nn.Module):
    """`[B, time]` to the complex answers of some windows, `[B, rows, frames]`.

    kernels: `[rows, samples]`, complex, all laid out about sample `middle`.  hop_length: samples.
    """

    weights: Tensor

    def __init__(self, kernels: np.ndarray, middle: int, hop_length: int) -> None:
        super().__init__()
        self.middle, self.hop_length, self.blocks = middle, hop_length, -(-kernels.shape[1] // hop_length)
        both = np.concatenate([np.real(kernels), np.imag(kernels)])
        both = np.pad(both, ((0, 0), (0, self.blocks * hop_length - both.shape[1])))
        both = both.reshape(len(both), self.blocks, hop_length).transpose(2, 1, 0).reshape(hop_length, -1)
        self.register_buffer("weights", torch.tensor(both, dtype=torch.float32), persistent=False)

    def forward(self, waveform: Float[Tensor, "batch time"]) -> Float[Tensor, "batch rows frames"]:
        samples = waveform.shape[-1]
        frames = 1 + samples // self.hop_length
        behind = (frames + self.blocks - 1) * self.hop_length - samples - self.middle  # below 0: beyond the last window
        padded = F.pad(waveform, (self.middle, behind))
        parts = (padded.unflatten(1, (-1, self.hop_length)) @ self.weights).unflatten(2, (self.blocks, -1))
        answers = sum((parts[:, at : at + frames, at] for at in range(1, self.blocks)), parts[:, :frames, 0])
        real, imaginary = answers.transpose(1, 2).chunk(2, 1)
        return torch.complex(real, imaginary)


class ConstantQ(nn.Module):
    """`[B, time]` to the magnitudes of the constant-Q transform, `[B, 1, n_bins, frames]`, lowest first."""

    def __init__(self, sample_rate: int, centres: np.ndarray, lengths: np.ndarray, bins: int, hop_length: int) -> None:
        super().__init__()
        starts = range(len(centres) % bins or bins, len(centres) + 1, bins)
        groups = [slice(max(0, stop - bins), stop) for stop in starts]
        self.octaves = nn.ModuleList(_octave(sample_rate, centres[g], lengths[g], hop_length) for g in groups)

    def forward(self, waveform: Float[Tensor, "batch time"]) -> Float[Tensor, "batch 1 bins frames"]:
        return torch.cat([octave(waveform) for octave in self.octaves], 1).abs().unsqueeze(1)


def _octave(sample_rate: int, centres: np.ndarray, lengths: np.ndarray, hop_length: int) -> Octave:
    """The windowed exponentials of some rows."""
    middle = int(np.ceil(lengths.max() / 2))
    kernels = np.zeros((len(centres), 2 * middle), complex)
    for row, (hertz, length) in enumerate(zip(centres, lengths, strict=True)):
        samples = int(np.ceil(length / 2) + np.floor(length / 2))
        inside = np.arange(1, samples)  # where the periodic window is not 0
        n = inside - int(length // 2)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * inside / samples)
        wave = np.exp(-2j * np.pi * hertz / sample_rate * n)
        kernels[row, middle + n] = window * wave * np.sqrt(length) / window.sum()
    return Octave(kernels, middle, hop_length)


class LogCQT(FrontEnd):
    """A constant-Q spectrogram, `[B, 1, n_bins, frames]`, in dB (20 log10 of a magnitude) by default.

    sample_rate, fmin: hertz; fmin is the lowest row's middle, C1 by default.  hop_length: samples.
    n_bins: rows; 84 are seven octaves of semitones, up to 3951 Hz.  bins_per_octave: 12 for semitones.
    level: "db", "log1p" or "linear"; amin, ref ("max": the clip's maximum) and top_db as in `librosa.amplitude_to_db`.
    standardise: each clip to zero mean and unit variance.

    Windows are as long as their row is low: 0.53 s at C1. Of a clip that is shorter they see zeros around it.
    Cost: n_bins times the longest window of its octave, a frame: two to three times the seconds of a mel spectrogram.
    Raises `UsageError` where the highest row reaches beyond half the sample rate.
    """

    def __init__(
        self,
        sample_rate: int = 22050,
        hop_length: int = 512,
        n_bins: int = 84,
        bins_per_octave: int = 12,
        fmin: float = C1,
        level: str = "db",
        amin: float = 1e-5,
        ref: float | str = 1.0,
        top_db: float | None = None,
        standardise: bool = False,
    ) -> None:
        whole(sample_rate=sample_rate, hop_length=hop_length, n_bins=n_bins, bins_per_octave=bins_per_octave)
        positive(fmin=fmin)
        ratio = 4 ** (1 / bins_per_octave)
        quality = (ratio + 1) / (ratio - 1)
        centres = fmin * 2 ** (np.arange(n_bins) / bins_per_octave)
        top = centres[-1] * (1 + REACH / quality)
        if top > sample_rate / 2:
            raise UsageError(
                f"the highest of {n_bins} rows stands at {centres[-1]:.0f} Hz and reaches to {top:.0f} Hz, beyond "
                f"{sample_rate / 2:g} Hz, half the sample rate: ask for fewer n_bins, a lower fmin, or a higher sample_rate"
            )
        steps = {
            "spectrum": ConstantQ(sample_rate, centres, quality * sample_rate / centres, bins_per_octave, hop_length),
            "logarithm": level_step(level, 1.0, amin, ref, top_db),
            "normalisation": Standardise() if standardise else nn.Identity(),
        }
        super().__init__(sample_rate, steps)
        self.hop_length, self.n_bins, self.bins_per_octave, self.fmin = hop_length, n_bins, bins_per_octave, fmin
        self.level, self.amin, self.ref, self.top_db, self.standardise = level, amin, ref, top_db, standardise

    def axes(self, n_samples: int) -> tuple[Axis, ...]:
        """Frequency (a row reaches half a row either side, by ratio) and time."""
        edges = self.fmin * 2 ** ((np.arange(self.n_bins + 1) - 0.5) / self.bins_per_octave)
        return Axis("frequency", "Hz", tuple(edges)), frame_axis(n_samples, self.sample_rate, self.hop_length)
