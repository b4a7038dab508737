"""How steep is the score around the clip, on average over clips that differ from it by noise?

    smooth_i = sum over component i of | mean over noise n of slope(x + n) |,     n ~ Normal(0, (noise x range)^2)

The slope at one point jumps from kink to kink of a network; what remains of it on average over a neighbourhood is what the
network makes of the sound.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from earwitness.errors import positive, whole
from earwitness.explainers.base import Budget, Sampled
from earwitness.numerics.blocks import Sums
from earwitness.questions import Question

NUMBERS = 2**20  # of noise that are drawn at once: 8 MB


@dataclass(frozen=True)
class SmoothGrad(Sampled):
    """Absolute mean gradient over noisy copies of what stands at the question's stage.

    samples: noisy copies, 2 or more.  seed: of the noise.  until: a `Budget` in place of `samples`.
    noise: its standard deviation, as a share of the range of numbers in the clip and its baselines; the paper takes 0.1 to 0.2.

    `signed` is the mean slope times (input - baseline), in units of the score. Standard errors are a jackknife over blocks of
    noise. An absolute value of a noisy mean is too large by about its error: more samples make small values smaller.
    Cost: one evaluation with its backward pass for each sample. Raises `ModelError` where there is no gradient (a black box).
    Source: Smilkov et al. (2017).
    Differs: one mean over the noise, then the absolute value (the paper's figures; some libraries square first, or take absolute
        values first, and then noise alone makes values large); the range counts the baselines.
    Cannot see: as `Saliency`; noise at a spectrogram is no sound that the model could ever hear.
    """

    samples: int = 50
    seed: int = 0
    noise: float = 0.15
    until: Budget | None = None

    kind: ClassVar[str] = "importance"
    per_baseline: ClassVar[bool] = False
    stage: ClassVar[str | None] = "input"
    axioms: ClassVar[tuple[str, ...]] = ("dummy",)

    def __post_init__(self) -> None:
        whole(least=2, samples=self.samples)
        whole(least=0, seed=self.seed)
        positive(noise=self.noise)

    def points(self, size: int) -> int:
        return self.samples

    def price(self, size: int) -> int:
        return 1

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        """Sum of the slopes `[x]` at noisy copies, a bounded number at a time."""
        x, at_once = question.x, max(1, NUMBERS // question.x.numel())
        everything = torch.cat([x[None], question.baselines])
        width, slopes = self.noise * float(everything.max() - everything.min()), np.zeros(x.numel())
        for start in range(0, points, at_once):
            noise = rng.standard_normal((min(at_once, points - start), *x.shape))
            slopes += question.slope(x + width * torch.from_numpy(noise).to(x)).double().sum(0).flatten().cpu().numpy()
        return {"slope": slopes, "points": np.array(points)}

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        slope = torch.from_numpy(sums["slope"].sum(0) / sums["points"].sum()).to(question.x).reshape(question.x.shape)
        maps = {"values": slope.abs(), "signed": slope * (question.x - question.baselines.mean(0))}
        return {name: question.collect(part).double().cpu().numpy().ravel() for name, part in maps.items()}
