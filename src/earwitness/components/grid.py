"""Rectangles of what the network eats: a coarse grid, or every single bin.

The literature's cut (Sobol, RISE, LIME on spectrograms): cheap, since the front end runs once; what is heard is the mask,
carried to the clip's own spectrogram.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from earwitness.audio import Audio
from earwitness.classifiers.base import Classifier
from earwitness.components.base import Components, Factorization, Regions, features_of
from earwitness.components.baselines import baseline_features
from earwitness.errors import UsageError, unknown, whole


@dataclass(frozen=True, eq=False)
class Bins(Factorization):
    """Every bin of what the network eats, each a component of its own. Shape: `[frequency, time]`; stage: "features"."""

    def __call__(self, classifier: Classifier, clip: Audio | Tensor) -> Components:
        x, places = features_of(classifier, clip)
        return self._regions(classifier, clip, x, [axis.coarser(axis.size) for axis in places])

    def _regions(self, classifier, clip, x: Tensor, cut: list) -> Regions:
        groups = tuple(torch.from_numpy(group).to(x.device) for _, group in cut)
        columns = len(groups[-1])
        baselines, note = baseline_features(self.baseline, classifier, clip, "features", x, columns)
        return Regions("features", x, baselines, tuple(axis for axis, _ in cut), groups, note, columns)


@dataclass(frozen=True, eq=False)
class Grid(Bins):
    """`frequency` x `time` rectangles of nearly equal numbers of bins. Row 0 is the lowest band; stage: "features"."""

    frequency: int = 8
    time: int = 8
    stage: str = "features"

    def __post_init__(self) -> None:
        whole(frequency=self.frequency, time=self.time)
        if self.stage != "features":
            raise unknown("stage for Grid", self.stage, ("features",))

    def __call__(self, classifier: Classifier, clip: Audio | Tensor) -> Components:
        x, places = features_of(classifier, clip)
        if len(places) < 2:
            raise UsageError(
                "a grid needs features over frequency and time; use Segments or Cells for a waveform model"
            )
        wanted = {"frequency": self.frequency, "time": self.time}
        return self._regions(classifier, clip, x, [axis.coarser(wanted[axis.name]) for axis in places])
