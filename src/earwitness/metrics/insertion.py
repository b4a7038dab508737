"""How fast does the score rise when the components that matter most come first?

area of   value( only the k most important )   over   k / size, 0 to 1               in units of the score; higher is better
"""

from dataclasses import dataclass
from typing import ClassVar

from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, check_curve, curve, values_of
from earwitness.numerics.curves import ranks
from earwitness.questions import Question


@dataclass(frozen=True)
class Insertion(Metric):
    """The area below the score while components come back, from the baseline alone, the largest values first.

    steps, of, seed: as in `Deletion`, whose mirror this is; areas of scores compare methods on one clip here, too.

    The curve is the score's `shares` (of components restored, 0 to 1) and `values`; both ends are in it.
    Cost: steps + 1 evaluations for each baseline. Raises `UsageError` for the probability of a game.
    Source: Petsiuk et al. (2018), "RISE"; its curves are those of="probability".
    Differs: the score by default, not the probability; components, not pixels; it starts from the question's baseline, not
        always from a blurred input; equal values come in a random order, not in that of the array.
    Cannot see: what is redundant: of two components either of which is enough, the second may have any value; whether the
        model knows clips that are mostly baseline; how large values are, only their order; direction, where values have none.
    """

    steps: int | None = None
    of: str = "score"
    seed: int = 0

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (None, None)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        check_curve(self.steps, self.of, self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        order = ranks(values_of(question, explanation), self.seed)
        return curve(question, self.steps, self.of, lambda restored: order < restored)
