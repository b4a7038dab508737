"""Does the decision hang on the best components?

remove    1 if decision( all but the best k ) differs from decision( clip ), else 0
keep      1 if decision( only the best k ) is decision( clip ), else 0

A decision is a label, not a score: what a user of the model sees.
"""

from dataclasses import dataclass
from typing import ClassVar

from earwitness.errors import unknown, whole
from earwitness.explanations import Explanation
from earwitness.explanations.places import directed
from earwitness.metrics.base import Metric, Score, check_score, check_share, values_of
from earwitness.numerics.curves import best, ranks
from earwitness.questions import Question, decision, decisions

HOW = ("remove", "keep")


@dataclass(frozen=True)
class FlipTest(Metric):
    """1 if the best components decide, 0 if not; its mean over clips is the share of decisions that hang on them.

    how: "remove", whether the decision changes without them; "keep", whether they alone, with the baseline around
        them, have it.
    share: how many they are, of all components, above 0 and up to 1; at least one.
    count: how many they are, in numbers; instead of the share.
    seed: of the order among equal values.

    The best are as in `Explanation.mask`: for importances with `signed`, those that argue for the target.
    The decision is the label of the largest logit, averaged over the baselines; for a margin the larger of its two.
    How many it takes is told by `Explanation.flip`.
    Cost: two evaluations for each baseline. Raises `UsageError` for a game, and where the model gives the clip another label
    than the explained one: then there is no decision to flip.
    Source: Nguyen (2018), "Comparing Automatic and Human Evaluation of Local Explanations": words go until the label changes.
    Differs: at one size of "the best", given beforehand; the second way, by keeping.
    Cannot see: how near a decision is to changing; whether the model knows clips with holes: a flip may be surprise, and a
        baseline that has the decision by itself passes "keep" and fails "remove" with any map.
    """

    how: str = "remove"
    share: float = 0.2
    count: int | None = None
    seed: int = 0

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        if self.how not in HOW:
            raise unknown("way to test a decision", self.how, HOW)
        check_share(share=self.share)
        whole(count=self.count, least=1)
        check_score("score", self.seed)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values_of(question, explanation)
        order = ranks(directed(explanation, against=False), self.seed)
        top = order < (self.count or best(self.share, question.size))
        own = decision(question)
        (left,) = decisions(question, (top if self.how == "keep" else ~top)[None])
        return Score(float((left == own) == (self.how == "keep")))
