"""What stands behind a layer of the network: its places, its channels, or every single unit.

A question about a layer is a question like any other: masks mix what the layer answers to the clip with what it answers to the
baseline sound, and the network goes on from there. The CAM family asks at the places of the last convolution.

Where the places of a layer stand is what the network says (`layout_of`): exactly, for frames and patches of a Hugging
Face model; those of any other convolution are spread evenly over the features, place k of n over the k-th n-th part of each
axis. What a place really sees (its receptive field) may be larger, and reach beyond it on both sides.

Tokens that stand for no place (AST's first two), and those of what an extractor padded, belong to no component: they stay as they
are in the clip.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from earwitness.audio import Audio
from earwitness.axes import Axis, counted
from earwitness.classifiers.base import Classifier, stage_of
from earwitness.classifiers.layouts import Layout, layout_of
from earwitness.components.base import Components, Factorization, Indexed, features_of
from earwitness.components.baselines import baseline_features
from earwitness.errors import UsageError, unknown

CUTS = ("places", "channels", "units")


class LayerParts(Indexed):
    """The output of a layer, cut. layout: where its numbers stand.  by: the cut, as in `Units`."""

    def __init__(
        self,
        stage: str,
        x: Float[Tensor, "*x"],
        baselines: Float[Tensor, "baselines *x"],
        layout: Layout,
        by: str,
        note: str,
    ) -> None:
        self.layout, self.by = layout, by
        channels, places = counted("channel", x.shape[layout.channels]), tuple(row.axis for row in layout.along)
        axes = {"places": places, "channels": (channels,), "units": (channels, *places)}[by]
        super().__init__(stage, x, baselines, axes, _index(x, layout, by).to(x.device), note)

    @property
    def special(self) -> int:
        """How many tokens in front of all others stand for no place."""
        return self.layout.special

    def pictures(self, values: Float[Tensor, "*x"]) -> Float[Tensor, "channels *places"]:
        """A map over the layer's output as one picture a channel, of the places inside the clip."""
        rows = values.movedim(self.layout.channels, 0).flatten(1)[:, self.layout.special :]
        grid = rows.reshape(-1, *self.layout.grid)
        return grid[:, *(slice(len(row.spans)) for row in self.layout.along)]

    def laid_out(self, values: np.ndarray) -> tuple[np.ndarray, tuple[Axis, ...]]:
        """Where places overlap, each point of the clip has the mean of those that look at it."""
        if self.by != "places":
            return values, self.axes
        axes = []
        for number, row in enumerate(self.layout.along):
            axis, weights = row.overlapped()
            values = np.moveaxis(np.tensordot(weights, values, (1, number)), 0, number)
            axes.append(axis)
        return values, tuple(axes)


def _index(x: Tensor, layout: Layout, by: str) -> Int[Tensor, "*index"]:
    """The number of each place, channel or unit, as `Indexed` takes it."""
    wide = layout.channels % x.ndim
    channels = torch.arange(x.shape[wide]).reshape([-1 if i == wide else 1 for i in range(x.ndim)])
    if by == "channels":
        return channels
    inside = tuple(len(row.spans) for row in layout.along)
    grid = torch.full(layout.grid, -1)
    grid[tuple(slice(size) for size in inside)] = torch.arange(math.prod(inside)).reshape(inside)
    rows = torch.cat([torch.full((layout.special,), -1), grid.flatten()])
    places = rows.reshape([1 if i == wide else size for i, size in enumerate(x.shape)])
    return places if by == "places" else torch.where(places < 0, -1, channels * math.prod(inside) + places)


@dataclass(frozen=True, eq=False)
class Units(Factorization):
    """The output of a layer, `[channels, *places]` or `[tokens, channels]`, cut into its places, channels or units.

    layer: its path in the network, "features.8" or "network.features.8"; `earwitness layers` lists them.
    by: "places" (all channels of a place are one component; axes of frequency and time), "channels" (all places of a channel), or
        "units" (each number; the axis of the channels comes first).
    Stage: "network.<layer>". Places can be heard, channels and units cannot: they have no place in the sound.
    Raises `UsageError` for a layer that is not there, or whose output has no channels and places.
    """

    layer: str
    by: str = "places"

    def __post_init__(self) -> None:
        if self.by not in CUTS:
            raise unknown("cut of a layer", self.by, CUTS)

    def __call__(self, classifier: Classifier, clip: Audio | Tensor) -> Components:
        stage = stage_of(self.layer)
        _, axes = features_of(classifier, clip)
        with torch.no_grad():
            x = classifier.at(stage, (clip.samples if isinstance(clip, Audio) else clip)[None])[0]
        layout = layout_of(classifier.network, stage.removeprefix("network."), x.shape, axes)
        if layout is None:
            raise UsageError(
                f"{stage} answers {list(x.shape)}: a layer is cut by its channels and places, [channels, frequency, time], "
                "[channels, time] or, of a Hugging Face model, [tokens, channels]"
            )
        baselines, note = baseline_features(self.baseline, classifier, clip, stage, x)
        return LayerParts(stage, x, baselines, layout, self.by, note)
