"""How does the score go up and down with each component, when all others come and go by chance?

    value_i = cov(m_i, y) / var(m_i) = E[y | i is kept] - E[y | i is removed]                        over random masks

With every component kept in half of the masks that is Banzhaf's value: what i adds, on average over all groups of the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, unknown, whole
from earwitness.explainers.base import Attribution, Budget, Sampled
from earwitness.numerics.binary_designs import DESIGNS, FOLDED, every_mask, full_set, random_masks
from earwitness.numerics.blocks import ENOUGH, FIRST, Sums, shared_out
from earwitness.numerics.marginals import added, marginal_slopes, moments
from earwitness.questions import Question

NUMBERS = 2**21  # levels in the masks that are made at once: 8 MB


@dataclass(frozen=True)
class RISE(Sampled):
    """Random masks, and how the score goes with each component.

    samples: masks, 8 or more (an even number is taken).  seed: of the masks.  until: a `Budget` in place of `samples`.
    keep: the chance that a component is kept, between 0 and 1; masks with another than 1/2 are independent ("iid").
    design: of the masks: "hadamard", "iid", "sobol" or "paired": see `numerics.binary_designs`.
    grid: None keeps or removes each component by itself. A number draws coarse grids instead, of so many cells along each axis,
        and spreads them linearly over the components, shifted by a random part of a cell: smooth masks, which find regions
        with fewer samples and blur them by about a cell.
    centred: False gives mean(y m_i) / keep, of kind "importance", the published map. It adds to every component the mean score
        under the masks that keep it, so its values lie about that mean, and their differences are (1 - keep) times ours; the
        mean's sampling error, which falls on components unevenly, can hide them. `signed` is then the slope.

    On a linear game it gives the weights (with a grid: smoothed). Where all 2^components masks are no more than `samples`, and
    there is no grid, they are all asked: the answer is exact.
    With 64 components, the values of 2048 balanced masks ("hadamard") are 5 % off on a game with interactions and 12 % on a
    clip of `models/esc10`, of independent ones 21 % and 23 %, of pairs of opposites 26 % and 28 %: pairs repeat what the odd
    part of the score says, which is most of it; balance keeps the effects of the others out.

    Cost: one evaluation a mask, or 2^components.
    Source: Petsiuk et al. (2018); Banzhaf (1965).
    Differs: centred; balanced; masks by component (see `paper`); shifts are continuous, and masks have no edge.
    """

    samples: int = 2048
    seed: int = 0
    keep: float = 0.5
    design: str = "hadamard"
    grid: int | None = None
    centred: bool = True
    until: Budget | None = None

    kind: ClassVar[str] = "effect"
    axioms: ClassVar[tuple[str, ...]] = ("symmetry",)

    def __post_init__(self) -> None:
        whole(least=8, samples=self.samples)
        whole(least=0, seed=self.seed)
        whole(grid=self.grid)
        if not 0 < self.keep < 1:
            raise UsageError(f"keep is the chance that a component is kept, between 0 and 1, not {self.keep}")
        if self.design not in DESIGNS:
            raise unknown("design", self.design, DESIGNS)
        if self.keep != 0.5:
            object.__setattr__(self, "design", "iid")
        if not self.centred:
            object.__setattr__(self, "kind", "importance")
        if self.grid is not None:
            object.__setattr__(self, "axioms", ())  # neighbours share masks: what is equal need not come out equal

    @classmethod
    def paper(cls, samples: int = 4000, seed: int = 0) -> "RISE":
        """The published setting: smooth independent masks from 7 x 7 cells, half of them kept; not centred."""
        return cls(samples, seed, design="iid", grid=7, centred=False)

    def points(self, size: int) -> int:
        return self.samples // self.price(size)

    def price(self, size: int) -> int:
        return 2 if self.design in FOLDED else 1

    def needed(self, size: int) -> int:
        return FIRST * full_set(size) if self.design == "hadamard" else max(8 * FIRST, 2 * size)

    def cost(self, size: int) -> int:
        most = self.points(size) * self.price(size)
        return most if self.grid is not None else min(most, 2**size)

    def attribute(self, question: Question) -> Attribution:
        if self._exact(question):
            found = self.answer(question, [self._asked(question, every_mask(question.size))])
            return replace(found, stderr=np.zeros(question.shape), stopped="exact")
        if self.until is not None:
            return super().attribute(question)
        rng = np.random.default_rng(self.seed)
        return self.answer(question, [self.draw(question, size, rng) for size in self._sizes(question)])

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        return self._asked(question, self._masks(question.shape, points, rng))

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        slopes = marginal_slopes(sums)
        if self.centred:
            return {"values": slopes}
        return {"values": sums["my"].sum(0) / (self.keep * sums["points"].sum()), "signed": slopes}

    def _exact(self, question: Question) -> bool:
        """Whether all masks can be asked."""
        if self.grid is not None:
            return False
        if self.until is None:
            return 2**question.size <= self.samples
        return (2**question.size + 2) * len(question.baselines) <= (self.until.evaluations or 0)

    def _asked(self, question: Question, blocks: Iterator[np.ndarray]) -> Sums:
        """Moments of masks and scores (these measured from value(0), where only their changes count)."""
        offset = question.ends()[1] if self.centred else 0.0
        weigh, parts = self._chance if self._exact(question) else _alike, []
        for masks in blocks:
            y = question.value(masks.reshape(-1, *question.shape)).numpy() - offset
            parts.append(moments(masks, y, weigh(masks)))
        return added(parts)

    def _chance(self, masks: np.ndarray) -> np.ndarray:
        """`[rows]`: how probable each mask is."""
        kept = masks.sum(1, dtype=float)
        return self.keep**kept * (1 - self.keep) ** (masks.shape[1] - kept)

    def _sizes(self, question: Question) -> list[int]:
        """The points of each block: full sets, or nearly, where sets matter."""
        points, free = self.points(question.size), self._free(question.shape)
        sets = points // full_set(free) if self.design == "hadamard" else FIRST
        return shared_out(points, int(np.clip(sets, ENOUGH, FIRST)))

    def _free(self, shape: tuple[int, ...]) -> int:
        """How many levels of a mask are drawn: those of the components, or of the corners of the coarse grid."""
        if self.grid is None:
            return int(np.prod(shape))
        if self.grid > min(shape):
            raise UsageError(f"grid={self.grid} has more cells than there are components along an axis: {shape}")
        return (self.grid + 2) ** len(shape)

    def _masks(self, shape: tuple[int, ...], points: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """`[rows, components]`, a bounded number at a time."""
        at_once = max(1, NUMBERS // int(np.prod(shape)))
        for levels in self._levels(points, self._free(shape), rng):
            for first in range(0, len(levels), at_once):
                rows = levels[first : first + at_once]
                yield rows if self.grid is None else _spread(rows, self.grid, shape, rng)

    def _levels(self, points: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """`[rows, size]` of zeros and ones."""
        if self.keep == 0.5:
            yield from random_masks(self.design, points, size, rng)
            return
        at_once = max(1, NUMBERS // size)
        for first in range(0, points, at_once):
            yield (rng.random((min(at_once, points - first), size)) < self.keep).astype(np.float32)


def _alike(masks: np.ndarray) -> np.ndarray:
    return np.ones(len(masks))


def _spread(levels: np.ndarray, cells: int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """`[rows, components]`: levels at the corners of a coarse grid, shifted at random and interpolated linearly."""
    corners = np.arange(cells + 2)
    masks = levels.reshape(-1, *[len(corners)] * len(shape))
    for axis, size in enumerate(shape, 1):
        places = (np.arange(size) + 0.5) * cells / size + rng.random((len(masks), 1))
        hats = np.clip(1 - np.abs(places[:, :, None] - corners), 0, None).astype(np.float32)
        masks = np.moveaxis(masks, axis, 1)
        spread = hats @ masks.reshape(len(masks), len(corners), -1)
        masks = np.moveaxis(spread.reshape(len(masks), size, *masks.shape[2:]), 1, axis)
    return masks.reshape(len(masks), -1)
