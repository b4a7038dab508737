"""What sounds at the same time, told apart: named sounds that add up to the clip.

    clip = sum of sounds            a component is one of them; with `seconds`, one of them during one segment

Here the sounds come from the clip alone: each gets a part of every bin of its STFT, and the parts of a bin add up to all of it.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.carrying import analyse, synthesise, window_length
from earwitness.classifiers.base import Classifier
from earwitness.components.base import Components, Factorization
from earwitness.components.baselines import baseline_sounds
from earwitness.components.cells import segments
from earwitness.components.pieces import Pieces
from earwitness.errors import UsageError, positive, unknown, whole
from earwitness.numerics.hpss import hpss_masks
from earwitness.numerics.nmf import DIVERGENCES, factorise


@dataclass(frozen=True, eq=False)
class Sources(Factorization):
    """Named sounds that add up to the clip.

    seconds: cut each sound into segments of about this length as well; None for the sounds as they are.
    Shape: `[sources]`, or `[sources, segments]`; stage: "waveform". A baseline is shared out among the sounds, in each bin of the
    STFT in proportion to their magnitudes.
    """

    seconds: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        positive(seconds=self.seconds)

    @abstractmethod
    def split(self, audio: Audio) -> tuple[tuple[str, ...], Float[Tensor, "sounds time"], tuple[str, ...]]:
        """Names, sounds `[sounds, time]` that add up to the clip, and what was done to get them."""

    def __call__(self, classifier: Classifier, clip: Audio | Tensor) -> Components:
        if not isinstance(clip, Audio):
            raise UsageError("sources are sounds, and ready features have none: cut them with Grid or Bins")
        names, sounds, done = self.split(clip)
        baselines, note = baseline_sounds(self.baseline, classifier, clip)
        grounds = shared_out(baselines, sounds, window_length(clip.sample_rate))
        time = None if self.seconds is None else segments(clip, self.seconds, None, None)
        return Pieces(clip, sounds, baselines, grounds, Axis("source", "", names), time, note, done)


@dataclass(frozen=True, eq=False)
class HarmonicPercussive(Sources):
    """What lasts and what strikes: "harmonic", "percussive", and with a `margin` above 1 a "residual" that is neither.

    smooth_seconds, smooth_hertz: lengths of the median filters along time and along frequency.
    margin: how many times stronger one must be to be told from the other, 1 or more.  power: sharpness of the soft masks.
    Source: Fitzgerald (2010); Driedger et al. (2014) for the margin.
    Differs: filters have lengths in seconds and hertz, not in frames; windows are those that masks are heard with, 64 ms.
    """

    margin: float = 1.0
    smooth_seconds: float = 0.5
    smooth_hertz: float = 500.0
    power: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(smooth_seconds=self.smooth_seconds, smooth_hertz=self.smooth_hertz, power=self.power)
        positive(margin=self.margin)
        if self.margin < 1:
            raise UsageError(f"margin must be 1 or more, not {self.margin!r}: below 1 the parts would overlap")

    def split(self, audio: Audio) -> tuple[tuple[str, ...], Tensor, tuple[str, ...]]:
        n_fft = window_length(audio.sample_rate)
        frames = _odd(self.smooth_seconds * audio.sample_rate / (n_fft // 4))
        bins = _odd(self.smooth_hertz * n_fft / audio.sample_rate)
        z = analyse(audio.samples, n_fft)
        masks = hpss_masks(z.abs().cpu().numpy(), frames, bins, self.margin, self.power)
        names = ("harmonic", "percussive")
        if self.margin > 1:
            masks, names = np.concatenate([masks, 1 - masks.sum(0, keepdims=True)]), (*names, "residual")
        return names, synthesise(z * torch.from_numpy(masks).to(z.device), n_fft, len(audio.samples)), ()


@dataclass(frozen=True, eq=False)
class NMFAtoms(Sources):
    """Sounds with a fixed spectrum and a changing level, found in the clip: "atom 1", "atom 2", ..., lowest centre first.

    The magnitude of the clip's STFT as a sum of `atoms` products of a spectrum and a level; each atom gets its part of every bin.
    divergence: "kl" or "frobenius", lowered in `iterations` multiplicative updates from a start drawn with `seed`.
    Source: Lee and Seung (2001); Smaragdis and Brown (2003) for sound.
    """

    follows_the_sound: ClassVar[bool] = True

    atoms: int = 8
    iterations: int = 200
    divergence: str = "kl"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(atoms=self.atoms, iterations=self.iterations)
        whole(least=0, seed=self.seed)
        if self.divergence not in DIVERGENCES:
            raise unknown("divergence", self.divergence, DIVERGENCES)

    def split(self, audio: Audio) -> tuple[tuple[str, ...], Tensor, tuple[str, ...]]:
        n_fft = window_length(audio.sample_rate)
        z = analyse(audio.samples, n_fft)
        w, h = factorise(z.abs().cpu().numpy(), self.atoms, self.iterations, self.divergence, self.seed)
        order = np.argsort(np.arange(len(w)) @ w, kind="stable")
        parts = torch.from_numpy(w.T[order, :, None] * h[order, None]).to(z.device)
        sounds = synthesise(z * _shares(parts), n_fft, len(audio.samples))
        return tuple(f"atom {number + 1}" for number in range(self.atoms)), sounds, ()


def shared_out(
    baselines: Float[Tensor, "baselines time"], sounds: Float[Tensor, "sounds time"], n_fft: int
) -> Float[Tensor, "baselines sounds time"]:
    """`[K, sounds, time]`: each baseline in parts, in every bin of the STFT in proportion to the sounds' magnitudes."""
    if not baselines.any():
        return baselines[:, None].expand(-1, len(sounds), -1)
    parts = _shares(analyse(sounds, n_fft).abs())
    return synthesise(analyse(baselines, n_fft)[:, None] * parts, n_fft, baselines.shape[-1])


def _shares(parts: Float[Tensor, "sounds *bins"]) -> Float[Tensor, "sounds *bins"]:
    """Parts of their sum over the first dimension; equal parts where that is 0."""
    total = parts.sum(0)
    return torch.where(total > 0, parts / torch.where(total > 0, total, 1), 1 / len(parts))


def _odd(number: float) -> int:
    """The odd number nearest to a length, 1 or more."""
    return 2 * max(0, round((number - 1) / 2)) + 1
