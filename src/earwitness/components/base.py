"""A clip, cut into components that add up to it.

    x(m) = b + sum_i m_i (c_i - b_i)

`Components` are one clip, cut: they mix masks into inputs (`mix`) and gather maps over the input into numbers per component
(`collect`). A `Factorization` is the way to cut, a frozen dataclass of hyper-parameters; called, it cuts.
"""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from earwitness.audio import Audio
from earwitness.axes import Axis, carry, counted
from earwitness.classifiers.base import Classifier
from earwitness.errors import UsageError


@dataclass(frozen=True, eq=False)
class DatasetMean:
    """The baseline "an average clip": the mean of each frequency over clips and their time. At the features only.

    clips: recordings, paths, or ready features where the classifier has no front end. Where a front end uses the statistics of a
    whole clip, it uses those of the explained one, as with every baseline.
    """

    clips: Sequence[Audio | Tensor | str | os.PathLike] = field(repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.clips, str | os.PathLike | Audio) or not len(self.clips):
            raise UsageError("DatasetMean takes a list of one or more clips")


Baseline = str | Audio | DatasetMean | tuple | None


class Components(ABC):
    """One clip, cut.

    stage: where.  axes: of the components.  x: `[*x]`, what stands there for the clip.
    baselines: `[K, *x]`, what is put in a component's place.  note: what that baseline is, in words.
    done: what was done to get the components, one line each; nothing for most.
    """

    stage: str
    axes: tuple[Axis, ...]
    x: Float[Tensor, "*x"]
    baselines: Float[Tensor, "baselines *x"]
    note: str
    done: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of places along each axis."""
        return tuple(axis.size for axis in self.axes)

    @abstractmethod
    def mix(self, masks: Float[Tensor, "batch *shape"], baseline: int = 0) -> Float[Tensor, "batch *x"]:
        """`[B, *x]` for masks `[B, *shape]`: 1 keeps a component, 0 puts baseline number `baseline` in its place."""

    @abstractmethod
    def collect(self, values: Float[Tensor, "*x"]) -> Float[Tensor, "*shape"]:
        """`[*shape]`: the sum over each component of a map `[*x]` over the input."""

    def sound(self, mask: Float[Tensor, "*shape"]) -> Float[Tensor, "time"] | None:
        """`[time]`: the components that `mask` `[*shape]` keeps, added up; None where they are not sounds."""
        return None

    def place(self, index: tuple[int, ...]) -> dict[str, list[float] | str]:
        """Where a component lies: `[from, to]`, or a name, along each axis."""
        return {axis.name: axis.place(i) for axis, i in zip(self.axes, index, strict=True)}

    def laid_out(self, values: np.ndarray) -> tuple[np.ndarray, tuple[Axis, ...]]:
        """Numbers `[*shape]` as a map, and its axes: how they are seen, and heard where components are no sounds."""
        return values, self.axes

    def averaged(self, values: np.ndarray, axes: tuple[Axis, ...]) -> np.ndarray:
        """`[*shape]`: a map with axes, a true cause say, averaged over each component. `InputError` where it can't be."""
        return carry(values, axes, self.axes)


class Regions(Components):
    """Components that share out the places of the input by its rows and columns.

    x: `[..., *places]`.  groups: for each of the places' dimensions the component of each place, or None where that
    dimension is not cut.  axes: of the dimensions that are cut.
    columns: how many of the last dimension's places lie in the clip; those behind stay as they are in it. None for all.
    """

    def __init__(
        self,
        stage: str,
        x: Float[Tensor, "*x"],
        baselines: Float[Tensor, "baselines *x"],
        axes: tuple[Axis, ...],
        groups: tuple[Tensor | None, ...],
        note: str,
        columns: int | None = None,
    ) -> None:
        self.stage, self.x, self.axes, self.groups, self.note = stage, x, axes, groups, note
        self.columns = x.shape[-1] if columns is None else columns
        self.baselines = torch.cat([baselines[..., : self.columns], self._behind(len(baselines))], -1)

    def _behind(self, rows: int) -> Float[Tensor, "rows *x"]:
        """What lies behind the clip, once for each row."""
        return self.x[..., self.columns :].expand(rows, *[-1] * self.x.ndim)

    def mix(self, masks: Float[Tensor, "batch *shape"], baseline: int = 0) -> Float[Tensor, "batch *x"]:
        for axis, group in enumerate(group for group in self.groups if group is not None):
            masks = masks.index_select(axis + 1, group)
        places = [1 if group is None else len(group) for group in self.groups]
        masks = masks.reshape(len(masks), *[1] * (self.x.ndim - len(places)), *places)
        ground, x = self.baselines[baseline][..., : self.columns], self.x[..., : self.columns]
        mixed = torch.addcmul(ground, masks, x - ground)
        return mixed if self.columns == self.x.shape[-1] else torch.cat([mixed, self._behind(len(mixed))], -1)

    def collect(self, values: Float[Tensor, "*x"]) -> Float[Tensor, "*shape"]:
        values = values[..., : self.columns]
        values = values.reshape(-1, *values.shape[-len(self.groups) :]).sum(0)
        cut = {i: group for i, group in enumerate(self.groups) if group is not None}
        for axis, (dimension, group) in zip(self.axes, cut.items(), strict=True):
            size = list(values.shape)
            size[dimension] = axis.size
            values = values.new_zeros(size).index_add_(dimension, group, values)
        return values.sum([i for i in range(values.ndim) if i not in cut]) if len(cut) < values.ndim else values


class Indexed(Components):
    """Components that share out the numbers of the input in any way.

    index: the number of each one's component (in the order of `axes`), shaped like x but for 1 where a dimension is not cut;
    -1 for what belongs to none, and stays as it is in the clip.
    """

    def __init__(
        self,
        stage: str,
        x: Float[Tensor, "*x"],
        baselines: Float[Tensor, "baselines *x"],
        axes: tuple[Axis, ...],
        index: Int[Tensor, "*index"],
        note: str,
    ) -> None:
        self.stage, self.x, self.axes, self.index, self.note = stage, x, axes, index, note
        self.baselines = torch.where(index < 0, x, baselines)

    def mix(self, masks: Float[Tensor, "batch *shape"], baseline: int = 0) -> Float[Tensor, "batch *x"]:
        kept = torch.nn.functional.pad(masks.flatten(1), (0, 1), value=1.0)  # so that -1 is kept
        ground = self.baselines[baseline]
        return torch.addcmul(ground, kept[:, self.index], self.x - ground)

    def collect(self, values: Float[Tensor, "*x"]) -> Float[Tensor, "*shape"]:
        summed, size = values.sum_to_size(self.index.shape).flatten(), math.prod(self.shape)
        found = summed.new_zeros(size + 1).index_add_(0, self.index.flatten() % (size + 1), summed)
        return found[:-1].reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Factorization(ABC):
    """A way to cut a clip.

    baseline: what is put in a component's place.
        None (default): what suits the model: silence, but for networks that normalise each channel over the whole clip, which are
            far from all that they know in silence: for those "shaped".
        "silence": what the stage answers to digital silence, with the clip's own statistics.
        "shaped": noise (seeded) with the clip's own spectrum and level.
        "noise": the clip's noise floor: noise (seeded) with the 10 % quantile over time of each frequency's level.
        an `Audio`: another clip, repeated or cut to the length.  A tuple of these: the score is averaged over them.
        "zero": bare zeros (of a waveform, silence).
        "uniform": numbers drawn (seeded) between the least and the largest of what stands at the stage.
        "shuffle": the numbers that stand there, in another order (seeded).
        At the features also "mean" and "minimum" (of each frequency over time), "flat" (the mean of all, everywhere), "blur", and
        a `DatasetMean`.
    """

    baseline: Baseline = field(default=None, kw_only=True)

    follows_the_sound: ClassVar[bool] = False  # so that the components of another sound are others

    @abstractmethod
    def __call__(self, classifier: Classifier, clip: Audio | Tensor) -> Components:
        """Cut a clip (or ready features, where the classifier has no front end)."""


def features_of(classifier: Classifier, clip: Audio | Tensor) -> tuple[Tensor, tuple[Axis, ...]]:
    """What the network eats, and the axes of its last dimensions."""
    if not isinstance(clip, Audio):
        names = ("frequency", "time")[-min(2, clip.ndim) :]
        return clip, tuple(counted(name, clip.shape[name_at - len(names)]) for name_at, name in enumerate(names))
    with torch.no_grad():
        x = classifier.at("features", clip.samples[None])[0]
    axes = classifier.axes("features", len(clip.samples))
    return x, tuple(axis.shifted(clip.start) if axis.name == "time" else axis for axis in axes)
