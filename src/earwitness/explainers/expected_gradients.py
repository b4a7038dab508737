"""Integrated gradients, without choosing a baseline: on average over many, and over random points of the way.

share_i = E[ d value / d m_i  at m = (a, a, ..., a) ],      a uniform on [0, 1], the baseline any of the question's
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import whole
from earwitness.explainers.base import Budget, Sampled, along, known_path, natural_path
from earwitness.numerics.blocks import Sums
from earwitness.questions import Question


@dataclass(frozen=True)
class ExpectedGradients(Sampled):
    """Gradients at random points between random baselines and the clip.

    samples: points, 2 or more.  seed: of the points and the baselines.  until: a `Budget` in place of `samples`.
    path: as in `IntegratedGradients`; in level down to -100 dB, and a few points below.

    Give the question a set of clips as baselines, `Grid(8, 8, baseline=clips)`: each point draws one of them. Points of a block
    are spread evenly over the way. Shares add up to value(1) - value(0) on average; standard errors are a jackknife over blocks.
    Cost: one evaluation with its backward pass for each sample, however many baselines there are. Raises `ModelError` where
        there is no gradient (a black box).
    Source: Erion et al. (2021), "Improving performance of deep learning models with axiomatic attribution priors and expected
        gradients"; with one baseline, integrated gradients by Monte Carlo.
    Cannot see: as `IntegratedGradients`, what happens beside the lines.
    """

    samples: int = 200
    seed: int = 0
    until: Budget | None = None
    path: str | None = None

    kind: ClassVar[str] = "share"
    per_baseline: ClassVar[bool] = False
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry", "completeness")

    def __post_init__(self) -> None:
        whole(least=2, samples=self.samples)
        whole(least=0, seed=self.seed)
        known_path(self.path)

    def points(self, size: int) -> int:
        return self.samples

    def price(self, size: int) -> int:
        return 1

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        way, weights = along(self.path or natural_path(question), points, rng)
        which = rng.integers(len(question.baselines), size=points)
        total = np.zeros(question.shape)
        for number in np.unique(which):
            mine = np.flatnonzero(which == number)
            for part in np.split(mine, range(question.batch, len(mine), question.batch)):
                masks = way[part].reshape(-1, *[1] * len(question.shape)) * np.ones((1, *question.shape))
                total += np.tensordot(weights[part], question.gradient(masks, int(number)).numpy(), 1)
        return {"gradient": total.ravel(), "points": np.array(points)}

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        return {"values": sums["gradient"].sum(0) / sums["points"].sum()}
