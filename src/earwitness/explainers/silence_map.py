"""Where is there silence for the model: which parts of the clip contribute least to the score?

    contribution_i(x) = sum over component i of | slope(x) x (x - baseline) |
    silence_i         = share of noisy copies of the clip in which contribution_i is among the smallest `percentile` %
    value_i           = 1 - silence_i

What the model is deaf to may well be loud, and what is quiet may matter to it: `LevelSilenceMap` is about quiet, this about
deaf. Absolute values are taken before they are summed: a component whose parts pull both ways is not silent, and when it goes,
they do not cancel, because the model bends. In one copy the order of small contributions is chance; the share of many copies
tells how sure it is.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from earwitness.errors import UsageError, positive, whole
from earwitness.explainers.base import Attribution, Budget, Sampled
from earwitness.numerics.blocks import Sums
from earwitness.questions import Question

NUMBERS = 2**20  # of noise that are drawn at once: 8 MB


@dataclass(frozen=True)
class SilenceMap(Sampled):
    """One minus the probability that a component is among those that contribute least, over noisy copies of the clip.

    samples: noisy copies, 2 or more.  seed: of the noise.  until: a `Budget` in place of `samples`.
    noise: its standard deviation, as a share of the range of numbers in the clip and its baselines, at the question's stage.
    percentile: how many of the components are marked in each copy, in percent; at least one is. Where several are equal at the
        limit (contributions of exactly 0, behind dead rectifiers), they share the marks that are left.

    `others["silence"]` is the probability itself. `signed` is the mean of the contributions with their signs, in units of the
    score. Values lie in [0, 1], and their mean is 1 minus the share that is marked. Standard errors are a jackknife over
    blocks of copies.
    A loud place without slope is silent for the model, and so, but for the noise, is a place that equals its baseline.
    Cost: one evaluation with its backward pass for each sample. Raises `ModelError` where there is no gradient (a black box).
    Source: derived here, from the idea of the "smooth silence map" of an emotion classifier (`LevelSilenceMap`), which never asks
        the model; the contribution is gradient x input of Shrikumar et al. (2016), with a baseline, and without
        its sign.
    Cannot see: an order among what matters, for nearly all of it has the value 1; anything beyond the straight line (a score
        that is saturated contributes nowhere); more silence than `percentile` says, however much of the clip has no effect.
    """

    samples: int = 30
    noise: float = 0.03
    percentile: float = 25.0
    seed: int = 0
    until: Budget | None = None

    kind: ClassVar[str] = "importance"
    per_baseline: ClassVar[bool] = False
    stage: ClassVar[str | None] = "input"
    axioms: ClassVar[tuple[str, ...]] = ("symmetry",)

    def __post_init__(self) -> None:
        whole(least=2, samples=self.samples)
        whole(least=0, seed=self.seed)
        positive(noise=self.noise, percentile=self.percentile)
        if self.percentile >= 100:
            raise UsageError(f"the percentile of components that count as silent is below 100, not {self.percentile!r}")

    def points(self, size: int) -> int:
        return self.samples

    def price(self, size: int) -> int:
        return 1

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        """Sums over noisy copies of the marks and of the contributions `[components]`, a bounded number of copies at a time."""
        x, at_once, ground = question.x, max(1, NUMBERS // question.x.numel()), question.baselines.mean(0)
        everything = torch.cat([x[None], question.baselines])
        width, marks, signed = self.noise * float(everything.max() - everything.min()), 0.0, 0.0
        least = max(1, round(question.size * self.percentile / 100))
        for start in range(0, points, at_once):
            noise = rng.standard_normal((min(at_once, points - start), *x.shape))
            copies = x + width * torch.from_numpy(noise).to(x)
            gains = question.slope(copies) * (copies - ground)
            sizes, sums = (torch.stack([question.collect(g).flatten() for g in part]) for part in (gains.abs(), gains))
            marks = marks + _smallest(sizes.double().cpu().numpy(), least).sum(0)
            signed = signed + sums.double().cpu().numpy().sum(0)
        return {"marks": np.asarray(marks), "signed": np.asarray(signed), "points": np.array(points)}

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        copies = sums["points"].sum()
        silence = sums["marks"].sum(0) / copies
        return {"values": 1 - silence, "silence": silence, "signed": sums["signed"].sum(0) / copies}

    def answer(self, question: Question, blocks: list[Sums]) -> Attribution:
        found = super().answer(question, blocks)
        flat = ("no component contributes anything in any copy: the score is flat (saturated) around this clip",)
        return replace(found, warnings=() if np.any(found.signed) else flat)


def _smallest(sizes: np.ndarray, count: int) -> np.ndarray:
    """`[rows, n]`: 1 for the `count` smallest of each row, 0 for the others; equals at the limit share what is left."""
    limit = np.partition(sizes, count - 1, axis=1)[:, count - 1 : count]
    below, equal = sizes < limit, sizes == limit
    return below + equal * (count - below.sum(1, keepdims=True)) / equal.sum(1, keepdims=True)
