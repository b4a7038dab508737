"""How does the score go up and down with each component, when all others come and go by chance?

    value_i = cov(m_i, y) / var(m_i) = E[y | i is kept] - E[y | i is removed]                        over random masks

With every component kept in half of the masks that is Banzhaf's value: what i adds, on average over all groups of the others.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, whole
from earwitness.explainers.base import Budget, Sampled
from earwitness.numerics.blocks import FIRST, Sums
from earwitness.numerics.marginals import added, marginal_slopes, moments
from earwitness.questions import Question

NUMBERS = 2**21  # levels in the masks that are made at once: 8 MB


@dataclass(frozen=True)
class RISE(Sampled):
    """Random masks, and how the score goes with each component.

    samples: masks, 2 or more.  seed: of the masks.  keep: the chance that a component is kept, between 0 and 1.
    grid: None keeps or removes each component by itself. A number draws coarse grids instead, of so many cells along each axis,
        each kept or not, and spreads them linearly over the components, shifted by a random part of a cell: smooth masks, which
        find regions with fewer samples and blur them by about a cell.
    centred: see below.  until: a `Budget` in place of `samples`.

    On a linear game it gives the weights (with a grid: the weights smoothed). Masks are independent: pairs of opposite ones
    would not pay, since they repeat what the odd part of the score says, and that is most of it.
    centred=False: mean(y m_i) / keep, of kind "importance": the published map. It adds to every component the mean score under
    the masks that keep it, so its values lie about that mean, and their differences are (1 - keep) times the effects; the
    mean's sampling error, which falls on components unevenly, can hide them.
    `signed` is then the slope.

    Cost: one evaluation a mask.
    Source: Petsiuk et al. (2018); Banzhaf (1965).
    Differs: centred; masks by component (see `paper`); shifts are continuous, and masks have no edge.
    """

    samples: int = 2048
    seed: int = 0
    keep: float = 0.5
    grid: int | None = None
    centred: bool = True
    until: Budget | None = None

    kind: ClassVar[str] = "effect"
    axioms: ClassVar[tuple[str, ...]] = ("symmetry",)

    def __post_init__(self) -> None:
        whole(least=2, samples=self.samples)
        whole(least=0, seed=self.seed)
        whole(grid=self.grid)
        if not 0 < self.keep < 1:
            raise UsageError(f"keep is the chance that a component is kept, between 0 and 1, not {self.keep}")
        if not self.centred:
            object.__setattr__(self, "kind", "importance")
        if self.grid is not None:
            object.__setattr__(self, "axioms", ())  # neighbours share masks: what is equal need not come out equal

    @classmethod
    def paper(cls, samples: int = 4000, seed: int = 0) -> "RISE":
        """The published setting: smooth masks from 7 x 7 cells, half of them kept; not centred."""
        return cls(samples, seed, keep=0.5, grid=7, centred=False)

    def points(self, size: int) -> int:
        return self.samples

    def price(self, size: int) -> int:
        return 1

    def needed(self, size: int) -> int:
        return max(8 * FIRST, 2 * size)

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        """Moments of masks and scores (these measured from value(0), where only their changes count)."""
        offset = question.ends()[1] if self.centred else 0.0
        at_once = max(1, NUMBERS // question.size)
        sizes = [min(at_once, points - first) for first in range(0, points, at_once)]
        parts = (self._masks(question.shape, size, rng) for size in sizes)
        return added(moments(masks, question.value(masks).numpy() - offset) for masks in parts)

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        slopes = marginal_slopes(sums)
        if self.centred:
            return {"values": slopes}
        return {"values": sums["my"].sum(0) / (self.keep * sums["points"].sum()), "signed": slopes}

    def _masks(self, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> np.ndarray:
        """`[count, *shape]`."""
        if self.grid is None:
            return (rng.random((count, *shape)) < self.keep).astype(np.float32)
        if self.grid > min(shape):
            raise UsageError(f"grid={self.grid} has more cells than there are components along an axis: {shape}")
        nodes = np.arange(self.grid + 2)
        masks = (rng.random((count, *[len(nodes)] * len(shape))) < self.keep).astype(np.float32)
        for axis, size in enumerate(shape, 1):
            places = (np.arange(size) + 0.5) * self.grid / size + rng.random((count, 1))
            hats = np.clip(1 - np.abs(places[:, :, None] - nodes), 0, None).astype(np.float32)
            masks = np.moveaxis(masks, axis, 1)
            spread = hats @ masks.reshape(count, len(nodes), -1)
            masks = np.moveaxis(spread.reshape(count, size, *masks.shape[2:]), 1, axis)
        return masks
