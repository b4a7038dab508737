"""What stands behind a layer of the network: its places, its channels, or every single unit.

A question about a layer is a question like any other: masks mix what the layer answers to the clip with what it answers to the
baseline sound, and the network goes on from there. The CAM family asks at the places of the last convolution.

Places of a layer are spread evenly over the features: place k of n stands for the k-th n-th part of each axis. What a place
really sees (its receptive field) is larger, and reaches beyond it on both sides.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from earwitness.audio import Audio
from earwitness.axes import Axis, counted
from earwitness.classifiers.base import Classifier, stage_of
from earwitness.components.base import Components, Factorization, Regions, features_of
from earwitness.components.baselines import baseline_features
from earwitness.errors import UsageError, unknown

CUTS = ("places", "channels", "units")


@dataclass(frozen=True, eq=False)
class Units(Factorization):
    """The output of a layer, `[channels, *places]`, cut into its places, channels or units.

    layer: its path in the network, "features.8" or "network.features.8"; `earwitness layers` lists them.
    by: "places" (all channels of a place are one component; axes of frequency and time), "channels" (all places of a channel), or
        "units" (each number).
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
        if not 1 <= x.ndim - 1 <= len(axes):
            raise UsageError(
                f"{stage} answers {list(x.shape)}: a layer is cut by its channels and places, [channels, frequency, time] or "
                "[channels, time]"
            )
        places = [_evenly(axis, size) for axis, size in zip(axes[-(x.ndim - 1) :], x.shape[1:], strict=True)]
        cut = [counted("channel", x.shape[0]), *places]
        kept = {"places": cut[1:], "channels": cut[:1], "units": cut}[self.by]
        groups = tuple(torch.arange(axis.size, device=x.device) if axis in kept else None for axis in cut)
        baselines, note = baseline_features(self.baseline, classifier, clip, stage, x)
        return Regions(stage, x, baselines, tuple(kept), groups, note)


def _evenly(axis: Axis, size: int) -> Axis:
    """The extent of an axis in `size` parts, evenly by the number of its places."""
    edges = np.interp(np.linspace(0, axis.size, size + 1), np.arange(axis.size + 1), axis.edges)
    return Axis(axis.name, axis.unit, tuple(edges))
