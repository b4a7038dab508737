"""GradientSHAP: expected gradients from references to noisy copies of the clip.

    share_i = sum over component i of E[ slope( r + a (x + n - r) ) x (x + n - r) ],     a uniform on [0, 1]

r is a reference, n noise. It is weighted by the difference to the reference: the gradient times the input, which goes by the
same name in places, adds up to nothing.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from earwitness.errors import UsageError, unknown, whole
from earwitness.explainers.base import Budget, Sampled, along, known_path, natural_path
from earwitness.numerics.blocks import Sums
from earwitness.questions import Question

REFERENCES = ("baselines", "gaussian")
WEIGHTS = ("difference", "input")
NUMBERS = 2**20  # of noise that are drawn at once: 8 MB


@dataclass(frozen=True)
class GradientSHAP(Sampled):
    """Gradients at random points between random references and noisy copies of the clip, times their difference.

    samples: points, 2 or more.  seed: of everything random.  until: a `Budget` in place of `samples`.
    noise: standard deviation of the noise on the clip, as a share of the clip's own standard deviation; 0 for none.
    references: "baselines", those of the question, one drawn for each point; "gaussian": noise with the clip's mean and standard
        deviation, as in a published study of WavLM.
    weight: "difference" to the reference; "input", as in that study: the gradient times the input, which adds up to nothing.
    path: as in `IntegratedGradients`; in level down to -100 dB, and a few points below. From Gaussian references always linear.

    With the question's baselines, shares add up to value(1) - value(0), on average (and with noise nearly). With "gaussian"
    references they add up to the score's mean distance from them, which is no total of this question: values are then effects.
    Standard errors are a jackknife over blocks of points; points of a block are spread evenly over the way.
    Cost: one evaluation with its backward pass for each sample, however many baselines there are. Raises `ModelError` where
        there is no gradient (a black box).
    Source: Lundberg & Lee (2017) and the shap library (GradientExplainer); captum's GradientShap, which draws as we do.
    Differs: captum gives noise in the input's unit, and shap smooths locally by the same; points are spread evenly.
    Cannot see: as `IntegratedGradients`, what happens beside the lines; the features are taken to be independent.
    """

    samples: int = 50
    seed: int = 0
    noise: float = 0.0
    references: str = "baselines"
    weight: str = "difference"
    path: str | None = None
    until: Budget | None = None

    kind: ClassVar[str] = "share"
    per_baseline: ClassVar[bool] = False
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry", "completeness")

    def __post_init__(self) -> None:
        whole(least=2, samples=self.samples)
        whole(least=0, seed=self.seed)
        if not self.noise >= 0:
            raise UsageError(f"noise is a share of the clip's standard deviation, 0 or more, not {self.noise!r}")
        if self.references not in REFERENCES:
            raise unknown("kind of references", self.references, REFERENCES)
        if self.weight not in WEIGHTS:
            raise unknown("weight of a gradient", self.weight, WEIGHTS)
        known_path(self.path)
        if self.references == "gaussian" or self.weight == "input":
            object.__setattr__(self, "kind", "effect")
            object.__setattr__(self, "axioms", ("dummy",))

    @classmethod
    def published(cls, seed: int = 0) -> "GradientSHAP":
        """The form of the study of WavLM: 50 Gaussian references, the gradient times the input."""
        return cls(seed=seed, references="gaussian", weight="input")

    def points(self, size: int) -> int:
        return self.samples

    def price(self, size: int) -> int:
        return 1

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        """Sum of the weighted slopes, gathered by component; a bounded number of points at a time."""
        path = "linear" if self.references == "gaussian" else self.path or natural_path(question)
        steps, total = np.stack(along(path, points, rng)), torch.zeros_like(question.x)
        at_once = max(1, NUMBERS // question.x.numel())
        for part in np.split(steps, range(at_once, points, at_once), 1):
            references = self._references(question, part.shape[1], rng)
            way = self._noisy(question.x, part.shape[1], rng) - references
            a, weights = torch.from_numpy(part).to(way).reshape(2, -1, *[1] * question.x.ndim)
            times = way if self.weight == "difference" else question.x
            total += (weights * question.slope(references + a * way) * times).sum(0)
        return {"share": question.collect(total).double().cpu().numpy().ravel(), "points": np.array(points)}

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        return {"values": sums["share"].sum(0) / sums["points"].sum()}

    def _references(self, question: Question, count: int, rng: np.random.Generator) -> torch.Tensor:
        """`[count, *x]`."""
        x = question.x
        if self.references == "baselines":
            return question.baselines[torch.from_numpy(rng.integers(len(question.baselines), size=count)).to(x.device)]
        return x.mean() + x.std(correction=0) * torch.from_numpy(rng.standard_normal((count, *x.shape))).to(x)

    def _noisy(self, x: torch.Tensor, count: int, rng: np.random.Generator) -> torch.Tensor:
        """`[count, *x]`: copies of the clip, with noise."""
        copies = x.expand(count, *x.shape)
        if self.noise == 0:
            return copies
        return copies + self.noise * x.std(correction=0) * torch.from_numpy(rng.standard_normal(copies.shape)).to(x)
