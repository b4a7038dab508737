"""Where the numbers behind a layer stand in the clip.

A layer of a convolutional network answers `[channels, frequency, time]` or `[channels, time]`, one of a transformer
`[tokens, channels]`: a token for each frame or patch, in a row, with special ones in front that stand for no place. Each place
looks at a span of the clip, and spans of neighbours may overlap: frames of wav2vec2 hear 25 ms every 20 ms, patches of AST see
16 rows every 10.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from earwitness.axes import Axis


@dataclass(frozen=True, eq=False)
class Spans:
    """What each place along an axis looks at: `spans` `[places, 2]`, from and to, in `unit`; both ascending."""

    name: str
    unit: str
    spans: np.ndarray

    @property
    def axis(self) -> Axis:
        """The places side by side: where spans overlap, the border is in the middle of what they share."""
        inner = (self.spans[1:, 0] + self.spans[:-1, 1]) / 2
        return Axis(self.name, self.unit, (self.spans[0, 0], *inner, self.spans[-1, 1]))

    def overlapped(self) -> tuple[Axis, np.ndarray]:
        """Finer places, each inside the same spans all over, and `[finer, places]`: the mean over the spans it lies in.

        What no span looks at goes to the place before it.
        """
        edges = np.unique(self.spans)
        middles = (edges[1:] + edges[:-1]) / 2
        inside = (self.spans[:, 0] <= middles[:, None]) & (middles[:, None] < self.spans[:, 1])
        gaps = np.flatnonzero(~inside.any(1))
        inside[gaps, np.searchsorted(self.spans[:, 0], middles[gaps]) - 1] = True
        return Axis(self.name, self.unit, tuple(edges)), inside / inside.sum(1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Layout:
    """How a layer's output `[*x]` lies in the clip.

    along: for each axis of its places, what those inside the clip look at.
    grid: how many places it has along each axis; places beyond those in `along` are padding.
    channels: the dimension of x that holds the channels, 0 or -1.
    special: how many tokens in front of the places stand for none.
    """

    along: tuple[Spans, ...]
    grid: tuple[int, ...]
    channels: int = 0
    special: int = 0


def evenly(axis: Axis, size: int) -> Spans:
    """The extent of an axis in `size` parts, evenly by the number of its places."""
    edges = axis.resized(size).edges
    return Spans(axis.name, axis.unit, np.stack([edges[:-1], edges[1:]], 1))


def strided(axis: Axis, first: int, length: int, stride: int, size: int) -> Spans:
    """`size` windows of `length` places of an axis, every `stride`, from place `first` on; those that begin beyond it left out.

    Positions outside the axis are cut off.
    """
    starts = first + stride * np.arange(size)
    starts = starts[starts < axis.size]
    edges = np.stack([starts, starts + length], 1).clip(0, axis.size)
    return Spans(axis.name, axis.unit, np.interp(edges, np.arange(axis.size + 1), axis.edges))


def layout_of(network: nn.Module, layer: str, shape: Sequence[int], axes: tuple[Axis, ...]) -> Layout | None:
    """Where the output `[*shape]` of a layer stands in a clip whose features have these axes; None where nobody knows.

    A network may know, by a method `layout(layer, shape, axes)`. Any other is taken to answer `[channels, *places]`, its places
    spread evenly over the last axes of the features.
    """
    known: Callable | None = getattr(network, "layout", None)
    return channels_first(shape, axes) if known is None else known(layer, shape, axes)


def frames_of(network: nn.Module, axes: tuple[Axis, ...]) -> Spans | None:
    """What each frame of a network on samples hears, if it says so by a method `frames(axes)`."""
    known: Callable | None = getattr(network, "frames", None)
    return None if known is None else known(axes)


def channels_first(shape: Sequence[int], axes: tuple[Axis, ...]) -> Layout | None:
    """`[channels, *places]`, places spread evenly; None where there are more than axes, or none."""
    places = tuple(shape[1:])
    if not 1 <= len(places) <= len(axes):
        return None
    along = tuple(evenly(axis, size) for axis, size in zip(axes[-len(places) :], places, strict=True))
    return Layout(along, places)
