"""How does the score come about, while the clip comes up out of its baseline?

    share_i = integral over a, 0 to 1, of d value / d m_i  at m = (a, a, ..., a)

Shares add up to value(1) - value(0) (the fundamental theorem of calculus along the diagonal). An integral over few points is as
good as the score is smooth: the gap is in the explanation, and above a tenth of the total there is a warning.

**The path in level.** A sound that comes up evenly in amplitude is 6 dB below full after half the way: nearly everything that
a logarithm behind it makes of the sound happens in the first percent, which evenly spaced points never see. With
a = 10^(level / 20), points that are even in decibels see all of it; da = a ln(10) / 20 dlevel keeps the integral what it was.
So it is for networks on samples with normalised layers, which hear no level at all but just above silence.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, whole
from earwitness.explainers.base import Attribution, Explainer, known_path, natural_path
from earwitness.questions import Question


@dataclass(frozen=True)
class IntegratedGradients(Explainer):
    """Gradients along the straight line from the baseline to the clip, added up.

    steps: points of the integral, 2 or more (Gauss-Legendre).
    path: where they lie: "linear", even in amplitude; "level", even in decibels; None takes "level" for samples that come up
        out of silence, be it in front of a spectrogram that ends in a logarithm, or of a network on samples whose layers are
        normalised, and "linear" elsewhere. Both lead to the same shares.
    floor: where the path in level starts, in dB below the clip; what lies below it is one more point.

    With several baselines the mean over them. Cost: steps evaluations with their backward passes for each baseline ("level": one
        more). Raises `ModelError` where there is no gradient (a black box).
    Source: Sundararajan et al. (2017). The path in level is derived here; any path along the line has the same integral.
    Differs: captum's default baseline is zeros; ours is what silence looks like at the stage (the question's).
    Cannot see: what happens beside the line: all components come up together, and no other mixture is ever asked.
    """

    steps: int = 64
    path: str | None = None
    floor: float = -100.0

    kind: ClassVar[str] = "share"
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry", "completeness")

    def __post_init__(self) -> None:
        whole(least=2, steps=self.steps)
        known_path(self.path)
        if not self.floor < 0:
            raise UsageError(f"the floor of a path in level is in dB below the clip, less than 0, not {self.floor!r}")

    def cost(self, size: int) -> int:
        return self.steps

    def expected(self, question: Question) -> int:
        return (len(self._points(question)[0]) + 2) * len(question.baselines)

    def attribute(self, question: Question) -> Attribution:
        points, weights = self._points(question)
        masks = points.reshape(-1, *[1] * len(question.shape)) * np.ones((1, *question.shape))
        found = np.zeros(question.shape)
        for start in range(0, len(points), question.batch):
            part = slice(start, start + question.batch)
            found += np.tensordot(weights[part], question.gradient(masks[part]).numpy(), 1)
        return Attribution(found)

    def _points(self, question: Question) -> tuple[np.ndarray, np.ndarray]:
        """`[points]` in (0, 1), and the weight of each."""
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        if (self.path or natural_path(question)) == "linear":
            return (nodes + 1) / 2, weights / 2
        level, lowest = self.floor * (1 - nodes) / 2, 10 ** (self.floor / 20)
        amplitude = 10 ** (level / 20)
        slope = -self.floor / 2 * np.log(10) / 20 * amplitude
        return np.append(lowest / 2, amplitude), np.append(lowest, weights * slope)
