"""How strongly does the score depend on whether a component is there, in whatever way?

Components are kept or removed by the toss of a coin. Where a slope asks whether the score goes up or down with a component,
HSIC asks whether its distribution changes at all:

    value_i = HSIC(m_i, y) / sqrt( HSIC(m_i, m_i) HSIC(y, y) )                                        0: not at all, 1: only i

It is an importance without a sign and without a unit; `signed` says for or against. See `numerics.kernels`.
"""

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, whole
from earwitness.explainers.base import Attribution, Budget, Sampled
from earwitness.numerics.blocks import FIRST, Sums
from earwitness.numerics.kernels import halves_hsic, plain_hsic
from earwitness.numerics.marginals import added, marginal_slopes, moments
from earwitness.questions import Question

BUNDLE = 64  # masks that are drawn together: dependence shows in pairs of them
MOST = 512  # masks that are compared with each other: a kernel of 2 MB
SAME = 4 * float(np.finfo(np.float32).eps)  # of the largest score: what single precision cannot tell apart


@dataclass(frozen=True)
class HSIC(Sampled):
    """Kernel dependence of the score on each component, over binary masks.

    samples: masks; whole bundles of 64 are taken.  seed: of the masks.  until: a `Budget` in place of `samples`.
    published: the published estimate in place of ours; see `paper`.

    The kernel of scores is Gaussian, as wide as their standard deviation. Masks are compared within blocks, one half with the
    other, which makes the estimate unbiased: a component without effect has mean 0, so values may be slightly below it. They are
    normalised to be comparable between clips: 1 where one component alone decides the score; where the score has two values only,
    the squared correlation. Standard errors are a jackknife over the blocks; 95 % intervals cover the value of all masks in 94 to
    96 % of 200 seeds, on five games.
    `signed` is the slope of the score on each component, in units of the score: for (+) or against (-).

    Cost: one evaluation a mask.
    Source: Novello et al. (2022), "Making Sense of Dependence"; the normalisation: Da Veiga (2015).
    Differs: the width was the median of the scores, which is no width (0 for a class that is always denied); the median
    distance of two scores, usual elsewhere, is 0 for a score that seldom changes. Each block has a width of its own, so
    blocks are independent. Binary kernels in closed form, without a matrix for each component.
    """

    samples: int = 2048
    seed: int = 0
    published: bool = False
    until: Budget | None = None

    kind: ClassVar[str] = "importance"
    axioms: ClassVar[tuple[str, ...]] = ("symmetry",)

    def __post_init__(self) -> None:
        whole(least=4, samples=self.samples)
        whole(least=0, seed=self.seed)
        if self.published and self.until is not None:
            raise UsageError("the published estimate takes a fixed number of samples: leave out until=")

    @classmethod
    def paper(cls, samples: int = 1500, seed: int = 0) -> "HSIC":
        """The published setting: tr(K H L H) / (n - 1)^2 of all masks, not normalised, without standard errors.

        Each component is kept in exactly half of the masks (a Latin hypercube); the kernel is as wide as the median score.
        """
        return cls(samples, seed, published=True)

    def points(self, size: int) -> int:
        return ceil(self.samples / BUNDLE)

    def price(self, size: int) -> int:
        return BUNDLE

    def needed(self, size: int) -> int:
        return 2 * FIRST

    def cost(self, size: int) -> int:
        return self.samples if self.published else super().cost(size)

    def attribute(self, question: Question) -> Attribution:
        return self._published(question) if self.published else super().attribute(question)

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        left, parts = points * BUNDLE, []
        while left:
            count = min(left, MOST)
            parts.append(self._dependence(question, rng.integers(0, 2, (count, question.size)).astype(np.float32)))
            left -= count
        return added(parts)

    def _dependence(self, question: Question, masks: np.ndarray) -> Sums:
        """The unbiased estimates among these masks, weighted with their number."""
        y = _scores(question, masks)
        width = max(y.std(), SAME * np.abs(y).max()) or 1.0
        found, own = halves_hsic(2.0 * masks - 1, y, width)
        return moments(masks, y) | {"found": len(y) * found, "own": np.array(len(y) * own)}

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        found, own = (sums[name].sum(0) / sums["points"].sum() for name in ("found", "own"))
        values = found / (0.5 * np.sqrt(own)) if own > 0 else np.zeros_like(found)
        return {"values": values, "signed": marginal_slopes(sums)}

    def _published(self, question: Question) -> Attribution:
        halves = np.repeat((np.arange(self.samples) % 2)[:, None], question.size, 1)
        masks = np.random.default_rng(self.seed).permuted(halves, axis=0).astype(np.float32)
        y = _scores(question, masks)
        values = plain_hsic(2.0 * masks - 1, y, max(abs(np.median(y)), SAME * np.abs(y).max()) or 1.0)
        signed = marginal_slopes({name: part[None] for name, part in moments(masks, y).items()})
        return Attribution(values.reshape(question.shape), signed=signed.reshape(question.shape))


def _scores(question: Question, masks: np.ndarray) -> np.ndarray:
    return question.value(masks.reshape(-1, *question.shape)).numpy()
