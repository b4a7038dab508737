"""What a metric is: one experiment that an explanation has to face, and the number that comes out.

A metric asks the question again, or knows the true cause, and holds the explanation against it. It is a frozen dataclass of
hyper-parameters, and pure: the same question, explanation and seed give the same score.

| family | what is held against what |
|---|---|
| "faithfulness" | the explanation against what the model does when components go |
| "truth" | the explanation against the known cause |
| "stability" | the explanation against explanations of nearly the same |
| "complexity" | how much there is to look at |
| "axioms" | the explanation against laws that it should obey |
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import numpy as np

from earwitness.errors import ModelError, UsageError, positive, unknown, whole
from earwitness.explanations import Explanation
from earwitness.numerics import curves
from earwitness.numerics.curves import ranks
from earwitness.questions import AudioQuestion, Question

FILLED = 0.25  # of the fullest component: how full of the cause one must be to belong to it
STEPS = 64  # of a curve, where there are more components
SCORES = ("score", "probability")


class Score(float):
    """A number, and the curve that it is the area of, where there is one.

    shares, values: `[points]`, the share of the components at each point of the curve and the score there; else None.
    """

    shares: np.ndarray | None
    values: np.ndarray | None

    def __new__(cls, score: float, shares: np.ndarray | None = None, values: np.ndarray | None = None) -> "Score":
        made = super().__new__(cls, score)
        made.shares, made.values = shares, values
        return made

    def __str__(self) -> str:
        return f"{float(self):.4g}"

    def __repr__(self) -> str:
        return f"Score({self}" + (")" if self.values is None else f", a curve of {len(self.values)} points)")


class Metric(ABC):
    """An experiment, as a frozen dataclass of its hyper-parameters.

    better: "higher" or "lower".  bounds: the lowest and the highest score there can be; None where there is no bound.
    family: see the module.
    """

    better: ClassVar[str]
    bounds: ClassVar[tuple[float | None, float | None]]
    family: ClassVar[str]

    @abstractmethod
    def __call__(self, question: Question, explanation: Explanation) -> Score:
        """The score of an explanation of this question."""


@dataclass(frozen=True)
class Curve(Metric):
    """What deletion and insertion share: the area below the score while components go or come, the largest values first.

    steps: how many, nearly equal in components; None for one a component, or 64 where there are more.
    of: "score", the very number that was explained, in its unit; "probability", the target's, 0 to 1.
    seed: of the order among equal values.
    """

    steps: int | None = None
    of: str = "score"
    seed: int = 0

    bounds: ClassVar[tuple[float | None, float | None]] = (None, None)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        whole(steps=self.steps)
        whole(least=0, seed=self.seed)
        if self.of not in SCORES:
            raise unknown("score of a curve", self.of, SCORES)

    @abstractmethod
    def kept(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The masks `[B, *shape]` after `count` `[B, 1, ...]` components; order: `[*shape]`, 0 for the largest value."""

    @final
    def __call__(self, question: Question, explanation: Explanation) -> Score:
        order = ranks(values_of(question, explanation), self.seed)
        return curve(question, self.steps, self.of, partial(self.kept, order))


@dataclass(frozen=True)
class Truth(Metric):
    """What metrics share that know the true cause of a clip. A subclass says how a map is `judged`.

    filled: how full of the cause a component must be to belong to it, as a share of the fullest one, above 0 and up to 1.
    """

    filled: float = FILLED

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    family: ClassVar[str] = "truth"

    def __post_init__(self) -> None:
        positive(filled=self.filled)
        if self.filled is None or self.filled > 1:
            raise UsageError(f"filled is a share of the fullest component, above 0 and up to 1, not {self.filled!r}")

    @abstractmethod
    def judged(self, cause: np.ndarray, values: np.ndarray) -> float:
        """The score of values `[*shape]`, given which components belong to the cause; where values are equal, its mean
        over all orders of them."""

    @final
    def __call__(self, question: Question, explanation: Explanation) -> Score:
        return Score(self.judged(cause_of(question, self.filled), values_of(question, explanation)))

    @final
    def chance(self, question: Question) -> float:
        """What a map scores on average when its components are shuffled: exactly what a map of equal values scores."""
        cause = cause_of(question, self.filled)
        return float(self.judged(cause, np.ones(cause.shape)))

    @final
    def lift(self, question: Question, score: float) -> float:
        """(score - chance) / (1 - chance): 0 for what chance gives, 1 for the perfect answer, below 0 for worse than chance.

        So clips whose causes are of different sizes can be averaged. `UsageError` where every component is in the cause.
        """
        chance = self.chance(question)
        if chance == 1:
            raise UsageError(
                "every component belongs to the cause: any map is right. Cut the clip finer, or raise filled"
            )
        return (float(score) - chance) / (1 - chance)


def values_of(question: Question, explanation: Explanation) -> np.ndarray:
    """`[*shape]`: the values of an explanation; `UsageError` where it is one of other components."""
    if explanation.shape != question.shape:
        raise UsageError(
            f"the explanation has {list(explanation.shape)} components and the question {list(question.shape)}: "
            "cut the clip the same way for both"
        )
    return explanation.values


def curve(question: Question, steps: int | None, of: str, present: Callable[[np.ndarray], np.ndarray]) -> Score:
    """The score while components go or come: the area below it, and the curve itself.

    steps: how many, nearly equal; None for one a component, at most 64.  of: "score" or "probability".
    present: from numbers of components `[B, 1, ...]` to the masks `[B, *shape]` at those points.
    Cost: steps + 1 evaluations for each baseline.
    """
    counts = curves.counts(question.size, steps or STEPS)
    batches = (counts[start : start + question.batch] for start in range(0, len(counts), question.batch))
    answers = [_answers(question, of, present(part.reshape(-1, *[1] * len(question.shape)))) for part in batches]
    shares, values = counts / question.size, np.concatenate(answers)
    return Score(curves.area(shares, values), shares, values)


def _answers(question: Question, of: str, masks: np.ndarray) -> np.ndarray:
    """`[B]`: the score, or the target's probability (a margin's: the difference of the two), mean of the baselines."""
    if of == "score":
        return question.value(masks).numpy()
    if not isinstance(question, AudioQuestion):
        raise UsageError('a game has a score and no probabilities: take of="score"')
    logits = [question.logits(masks, number).double() for number in range(len(question.baselines))]
    found = np.mean([question.resolved(question.classifier.probabilities(each)).numpy() for each in logits], axis=0)
    if not np.isfinite(found).all():
        raise ModelError("the model answers NaN or infinity to some of the masked inputs: there is no curve")
    return found


def on_cause(cause: np.ndarray, filled: float = FILLED) -> np.ndarray:
    """`[*shape]` of booleans: the components that belong to the cause.

    cause: `[*shape]`, how much of each component the cause fills, 0 to 1.
    filled: how full a component must be, as a share of the fullest one.
    """
    if not cause.max() > 0:
        raise UsageError("the cause fills none of the components: is it the truth of this clip?")
    return cause >= filled * cause.max()


def cause_of(question: Question, filled: float) -> np.ndarray:
    """`[*shape]` of booleans: `on_cause` of a question; `UsageError` where its cause is not known."""
    if question.cause is None:
        raise UsageError("the true cause is not known here: ask with it, ew.ask(..., truth=scene.truth)")
    return on_cause(question.cause, filled)
