"""Small convolutional networks on spectrograms `[B, 1, frequency, time]`, any size of clip.

Constructor arguments are kept as attributes of the same names, so that a saved classifier can be built again.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class SmallSpecCNN(nn.Module):
    """The lab's network: blocks of conv 3x3, batch norm, ReLU, max pool 2x2; global average; linear.

    classes: number of labels.  channels: of each block.
    """

    def __init__(self, classes: int, channels: Sequence[int] = (16, 32, 64, 64)) -> None:
        super().__init__()
        self.classes, self.channels = classes, tuple(channels)
        blocks = []
        for inputs, outputs in zip((1, *channels[:-1]), channels, strict=True):
            blocks += [*_block(inputs, outputs), nn.MaxPool2d(2, ceil_mode=True)]
        self.features = nn.Sequential(*blocks)
        self.head = nn.Linear(channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 1, F, T]` to logits `[B, classes]`."""
        return self.head(self.features(x).mean((2, 3)))


class BandNorm(nn.Module):
    """(x - mean of the band) / deviation, with fixed numbers that `fit` takes from a training set."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(bands, 1))
        self.register_buffer("deviation", torch.ones(()))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Take the mean of each band and one deviation for all from `[N, 1, F, T]`."""
        self.mean.copy_(x.mean((0, 1, 3))[:, None])
        self.deviation.copy_((x - self.mean).std())

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


class EventCNN(nn.Module):
    """For events in longer clips: conv blocks, mean over frequency, mean plus maximum over time, dropout, linear.

    classes: number of labels.  bands: rows of the input.  channels: of each block (2x2 max pool between blocks).
    """

    def __init__(
        self, classes: int, bands: int = 64, channels: Sequence[int] = (16, 32, 64, 128, 192), dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.classes, self.bands, self.channels, self.dropout = classes, bands, tuple(channels), dropout
        self.normalise = BandNorm(bands)
        blocks = []
        for inputs, outputs in zip((1, *channels[:-1]), channels, strict=True):
            blocks += [*_block(inputs, outputs), nn.MaxPool2d(2, ceil_mode=True)]
        self.features = nn.Sequential(*blocks[:-1])
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 1, bands, T]` to logits `[B, classes]`."""
        frames = self.features(self.normalise(x)).mean(2)
        return self.head(frames.mean(2) + frames.amax(2))
