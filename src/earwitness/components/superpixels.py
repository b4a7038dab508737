"""Regions of the features that belong together: neighbours of like level, of whatever outline.

A superpixel is a number for each bin of what the network eats. It is seen and heard where its bins lie.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from earwitness.audio import Audio
from earwitness.axes import Axis, carry
from earwitness.classifiers.base import Classifier
from earwitness.components.base import Components, Factorization, Indexed, features_of
from earwitness.components.baselines import baseline_features
from earwitness.errors import UsageError, positive, unknown, whole
from earwitness.extras import need

UNITS = {"s": "{:.2f}–{:.2f} s", "Hz": "{:.0f}–{:.0f} Hz"}


class Labelled(Indexed):
    """Components that share out the bins of the features: `labels` `[*places]` holds the component of each.

    places: the axes of the last dimensions of x.
    """

    def __init__(
        self,
        x: Float[Tensor, "*x"],
        baselines: Float[Tensor, "baselines *x"],
        labels: Int[Tensor, "*places"],
        places: tuple[Axis, ...],
        note: str,
    ) -> None:
        self.labels, self.places = labels, places
        count = int(labels.max()) + 1
        self.extents = [_extent(labels == number, places) for number in range(count)]
        names = tuple(_words(extent, places) for extent in self.extents)
        axes = (Axis("component", "index", tuple(range(count + 1)), names),)
        index = torch.nn.functional.pad(labels, (0, x.shape[-1] - labels.shape[-1]), value=-1)  # behind the clip
        index = index.reshape(*[1] * (x.ndim - labels.ndim), *index.shape)
        super().__init__("features", x, baselines, axes, index, note)

    def place(self, index: tuple[int, ...]) -> dict[str, list[float] | str]:
        return super().place(index) | self.extents[index[0]]

    def laid_out(self, values: np.ndarray) -> tuple[np.ndarray, tuple[Axis, ...]]:
        return np.asarray(values)[self.labels.cpu().numpy()], self.places

    def averaged(self, values: np.ndarray, axes: tuple[Axis, ...]) -> np.ndarray:
        labels, carried = self.labels.cpu().numpy().ravel(), carry(values, axes, self.places)
        return np.bincount(labels, carried.ravel()) / np.bincount(labels)


@dataclass(frozen=True, eq=False)
class Superpixels(Factorization):
    """Superpixels of the features: neighbouring bins of like level. Shape: `[superpixels]`; stage: "features".

    count: about how many, for "slic".  algorithm: "slic" (compact, of like size) or "felzenszwalb" (along edges).
    compactness: of "slic", how much nearness counts against level; 0.1 for levels in [0, 1], as the features are scaled.
    scale, smallest: of "felzenszwalb": the larger, the larger they get; the number of bins that they have at least.
    The name of a component is its extent in time and frequency. Needs scikit-image: `pip install earwitness[superpixels]`.
    Source: Achanta et al. (2012); Felzenszwalb and Huttenlocher (2004); audioLIME for using them on spectrograms.
    Differs: from audioLIME, whose Felzenszwalb regions are switched by the wrong numbers: off by one.
    """

    follows_the_sound: ClassVar[bool] = True

    count: int = 64
    algorithm: str = "slic"
    compactness: float = 0.1
    scale: float = 25.0
    smallest: int = 40

    def __post_init__(self) -> None:
        whole(count=self.count, smallest=self.smallest)
        positive(compactness=self.compactness, scale=self.scale)
        if self.algorithm not in ("slic", "felzenszwalb"):
            raise unknown("algorithm for superpixels", self.algorithm, ("slic", "felzenszwalb"))

    def __call__(self, classifier: Classifier, clip: Audio | Tensor) -> Components:
        x, places = features_of(classifier, clip)
        if len(places) < 2:
            raise UsageError(
                "superpixels need features over frequency and time; use Segments or Cells for a waveform model"
            )
        columns = places[-1].size
        labels = self.segment(x.reshape(-1, *x.shape[-2:]).mean(0)[:, :columns].double().cpu().numpy())
        baselines, note = baseline_features(self.baseline, classifier, clip, "features", x, columns)
        return Labelled(x, baselines, torch.from_numpy(labels).to(x.device), places, note)

    def segment(self, picture: Float[np.ndarray, "frequency time"]) -> Int[np.ndarray, "frequency time"]:
        """The number of the superpixel of each bin, 0, 1, 2, ... without gaps."""
        segmentation = need("skimage.segmentation", "superpixels", "cutting a clip into superpixels")
        span = np.ptp(picture)
        levels = (picture - picture.min()) / (span if span > 0 else 1)
        if self.algorithm == "slic":
            found = segmentation.slic(levels, self.count, self.compactness, channel_axis=None, start_label=0)
        else:
            found = segmentation.felzenszwalb(levels, self.scale, min_size=self.smallest, channel_axis=None)
        return np.unique(found, return_inverse=True)[1].reshape(picture.shape)


def _extent(inside: Tensor, places: tuple[Axis, ...]) -> dict[str, list[float] | str]:
    """From where to where a region reaches along each axis."""
    found = {}
    for dimension, axis in enumerate(places):
        along = inside.movedim(dimension, 0).flatten(1).any(1).nonzero()
        found[axis.name] = [axis.edges[int(along.min())], axis.edges[int(along.max()) + 1]]
    return found


def _words(extent: dict, places: tuple[Axis, ...]) -> str:
    """Time first: "0.40–0.55 s, 400–900 Hz"."""
    said = [UNITS.get(axis.unit, axis.name + " {:.0f}–{:.0f}").format(*extent[axis.name]) for axis in places]
    return ", ".join(reversed(said))
