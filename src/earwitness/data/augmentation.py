"""Augmentations of spectrograms `[B, 1, frequency, time]` in training; all chance comes from the generator that is given.

Those that add sounds work on power (powers of independent sounds add up), `spec_augment` on whatever the network eats.

Source: Zhang et al. (2018) for mixup; Park et al. (2019) for SpecAugment.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


def time_shift(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn each item around in time by a random number of frames."""
    return torch.stack([item.roll(int(rng.integers(item.shape[-1])), -1) for item in x])


def gain(power: Tensor, rng: np.random.Generator, decibel: float = 10.0) -> Tensor:
    """Change each item's level by up to +- `decibel`."""
    change = torch.from_numpy(10 ** (rng.uniform(-decibel, decibel, len(power)) / 10)).float()
    return power * change[:, None, None, None]


def mixup(
    x: Tensor, targets: Tensor, rng: np.random.Generator, alpha: float = 0.4, share: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Blend a share of the items with others of the batch, targets `[B, classes]` alike."""
    weight = torch.from_numpy(np.where(rng.random(len(x)) < share, rng.beta(alpha, alpha, len(x)), 1.0)).float()
    other = torch.from_numpy(rng.permutation(len(x)))
    w = weight[:, None, None, None]
    return w * x + (1 - w) * x[other], weight[:, None] * targets + (1 - weight[:, None]) * targets[other]


def spec_augment(x: Tensor, rng: np.random.Generator, masks: int = 2, bands: int = 8, frames: int = 30) -> Tensor:
    """Set `masks` stripes of up to `bands` rows and of up to `frames` columns to each item's mean."""
    x = x.clone()
    for item in x:
        fill = item.mean()
        for _ in range(masks):
            for axis, most in ((1, bands), (2, frames)):
                width = int(rng.integers(min(most, item.shape[axis]) + 1))
                first = int(rng.integers(item.shape[axis] - width + 1))
                item.narrow(axis, first, width).fill_(fill)
    return x


def strongest_burst(power: Tensor, frames: int, range_db: float = 30.0) -> tuple[int, int]:
    """The frames (from, to) around the loudest one of `[1, F, T]` that stay within `range_db` of it, `frames` at most."""
    level = power.sum((0, 1))
    peak = int(level.argmax())
    loud = level > level[peak] * 10 ** (-range_db / 10)
    first = last = peak
    while last - first + 1 < frames:
        left = first > 0 and bool(loud[first - 1])
        right = last + 1 < len(level) and bool(loud[last + 1])
        if not (left or right):
            break
        if right and (not left or level[last + 1] >= level[first - 1]):
            last += 1
        else:
            first -= 1
    return first, last + 1


@dataclass(frozen=True, eq=False)
class EventMixing:
    """Put events into backgrounds: for hearing an event in front of something louder.

    events, backgrounds: power spectrograms `[N, 1, F, T]`.  event_targets: `[N, classes]`.
    frames: the longest burst.  snr_db: range of the burst's level against the background beneath it.
    """

    events: Tensor
    event_targets: Tensor
    backgrounds: Tensor
    frames: int
    snr_db: tuple[float, float] = (-3.0, 15.0)

    @cached_property
    def bursts(self) -> list[Tensor]:
        """`[1, F, t]`: the strongest burst of each event."""
        spans = [strongest_burst(event, self.frames) for event in self.events]
        return [event[..., first:last] for event, (first, last) in zip(self.events, spans, strict=True)]

    def __call__(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """`count` mixtures `[count, 1, F, T]` and the events' targets."""
        chosen = rng.integers(len(self.events), size=count)
        mixtures = []
        for burst in (self.bursts[index] for index in chosen):
            ground = self.backgrounds[rng.integers(len(self.backgrounds))]
            ground = ground.roll(int(rng.integers(ground.shape[-1])), -1).clone()
            at = int(rng.integers(ground.shape[-1] - burst.shape[-1] + 1))
            beneath = ground[..., at : at + burst.shape[-1]]
            wanted = 10 ** (rng.uniform(*self.snr_db) / 10)
            beneath += burst * wanted * beneath.sum() / burst.sum().clamp(min=1e-20)
            mixtures.append(ground)
        return torch.stack(mixtures), self.event_targets[chosen]
