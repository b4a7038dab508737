"""How far does the score fall, on average on the way, when regions go one after the other?

AOPC = 1 / (L + 1) * sum over k = 0 ... L of  value(1) - value( all but the first k )             in units of the score
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import unknown, whole
from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, answers, check_score, values_of
from earwitness.numerics.curves import ranks
from earwitness.questions import Question

ORDERS = ("morf", "lerf")
MOST = 100  # steps, where there are more components


@dataclass(frozen=True)
class RegionPerturbation(Metric):
    """The mean fall of the score over the first steps of a removal, one component at a time.

    steps: L, how many components go; None for all, or for 100 where there are more, as published.
    order: "morf", the most relevant first: higher is better; "lerf", the least relevant first: lower is better, and `better` of
        such a metric says so.
    of: "score", the very number that was explained, in its unit; "probability", the target's, 0 to 1.
    seed: of the order among equal values.

    The regions are the components of the question: with `Bins`, this is pixel flipping. The scores on the way stand in the
    score's `values`, the shares of components removed in `shares`.
    Cost: steps + 1 evaluations for each baseline. Raises `UsageError` for the probability of a game.
    Source: Samek et al. (2017), "Evaluating the Visualization of What a Deep Neural Network Has Learned"; Bach et al. (2015) for
        pixel flipping.
    Differs: what goes becomes the question's baseline, not uniform noise; components, not squares of 9 pixels.
    Cannot see: what comes after L steps; whether the model knows clips with holes; how large values are, only their order;
        direction, where values have none.
    """

    steps: int | None = None
    order: str = "morf"
    of: str = "score"
    seed: int = 0

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (None, None)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        whole(steps=self.steps)
        if self.order not in ORDERS:
            raise unknown("order of removal", self.order, ORDERS)
        check_score(self.of, self.seed)
        if self.order == "lerf":
            object.__setattr__(self, "better", "lower")

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values = values_of(question, explanation)
        order = ranks(values if self.order == "morf" else -values, self.seed)
        counts = np.arange(1 + min(self.steps or MOST, question.size))
        values = answers(question, self.of, order >= counts.reshape(-1, *[1] * order.ndim))
        return Score(np.mean(values[0] - values), counts / question.size, values)
