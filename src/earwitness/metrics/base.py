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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast, final

import numpy as np
import torch

from earwitness.errors import UsageError, positive, unknown, whole
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, moved, noisy
from earwitness.numerics import curves
from earwitness.numerics.curves import best, ranks
from earwitness.questions import AudioQuestion, Question

FILLED = 0.25  # of the fullest component: how full of the cause one must be to belong to it
NUMBERS = 2**20  # levels in the masks that are made at once: 8 MB
STEPS = 64  # of a curve, where there are more components
SCORES = ("score", "probability")


class Score(float):
    """A number, and what it was made from: the curve that it is the area of, other numbers by name.

    shares, values: `[points]`, the share of the components at each point of the curve and the score there; else None.
    parts: the numbers; {} where there are none.
    """

    shares: np.ndarray | None
    values: np.ndarray | None
    parts: dict[str, float]

    def __new__(
        cls,
        score: float,
        shares: np.ndarray | None = None,
        values: np.ndarray | None = None,
        parts: Mapping[str, float] | None = None,
    ) -> "Score":
        made = super().__new__(cls, score)
        made.shares, made.values = shares, values
        made.parts = {name: float(number) for name, number in (parts or {}).items()}
        return made

    def __str__(self) -> str:
        return f"{float(self):.4g}"

    def __repr__(self) -> str:
        told = [] if self.values is None else [f"a curve of {len(self.values)} points"]
        told += [f"{name}={number:.4g}" for name, number in self.parts.items()]
        return f"Score({', '.join([str(self), *told])})"


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
    seed: of the order among equal values, and of the random orders.
    random: how many random orders to compare with; 0 for the plain area.
    """

    steps: int | None = None
    of: str = "score"
    seed: int = 0
    random: int = 0

    bounds: ClassVar[tuple[float | None, float | None]] = (None, None)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        whole(steps=self.steps)
        whole(least=0, random=self.random)
        check_score(self.of, self.seed)

    @abstractmethod
    def kept(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The masks `[B, *shape]` after `count` `[B, 1, ...]` components; order: `[*shape]`, 0 for the largest value."""

    @final
    def __call__(self, question: Question, explanation: Explanation) -> Score:
        found = self._along(question, ranks(values_of(question, explanation), self.seed))
        return self._beyond_chance(question, found) if self.random else found

    def _along(self, question: Question, order: np.ndarray) -> Score:
        return curve(question, self.steps, self.of, partial(self.kept, order))

    def _beyond_chance(self, question: Question, found: Score) -> Score:
        """The area less that of random orders, in units of |value(1) - value(0)|."""
        rng, flat = np.random.default_rng(self.seed), np.zeros(question.shape)
        orders = (ranks(flat, int(rng.integers(2**32))) for _ in range(self.random))
        chance = float(np.mean([self._along(question, order) for order in orders]))
        first, last = cast(np.ndarray, found.values)[[0, -1]]
        score = (float(found) - chance) / spread(abs(first - last))
        return Score(score, found.shares, found.values, {"area": found, "random": chance})


@dataclass(frozen=True)
class Rationale(Metric):
    """What comprehensiveness and sufficiency share: the fall of the score for a few sizes of the best, on average.

    shares: of the components, above 0 and up to 1; at least one component each.
    of, seed: as in `Curve`.
    """

    shares: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.5)
    of: str = "score"
    seed: int = 0

    bounds: ClassVar[tuple[float | None, float | None]] = (None, None)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", tuple(check_share(shares=share) for share in self.shares))
        if not self.shares:
            raise UsageError("shares names no share of the components: take one or more, such as (0.1, 0.2)")
        check_score(self.of, self.seed)

    @abstractmethod
    def kept(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The masks `[B, *shape]`; order: `[*shape]`, 0 for the largest value; count: `[B, 1, ...]` best ones."""

    @final
    def __call__(self, question: Question, explanation: Explanation) -> Score:
        order = ranks(values_of(question, explanation), self.seed)
        counts = np.array([best(share, question.size) for share in self.shares])
        masks = self.kept(order, counts.reshape(-1, *[1] * len(question.shape)))
        whole_clip, *values = answers(question, self.of, np.concatenate([question.ones.cpu(), masks]))
        return Score(whole_clip - np.mean(values), counts / question.size, np.array(values))


@dataclass(frozen=True)
class Masked(Metric):
    """What metrics share that compare a clip with what the explanation's mask leaves of it, in probabilities.

    keep: a share of the components for a mask of zeros and ones; None for the soft mask: see `Explanation.mask`.
    """

    keep: float | None = None

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        if self.keep is not None:
            check_share(keep=self.keep)

    @abstractmethod
    def compared(self, clip: np.ndarray, masked: np.ndarray, label: int) -> float:
        """From the probabilities `[classes]` of the clip and of the masked clip, and the label that was explained."""

    @final
    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values_of(question, explanation)
        mask = explanation.mask(self.keep)
        given = np.stack([np.ones(question.shape), 1 - mask if self.takes_out else mask])
        clip, masked = probabilities(question, given)
        return Score(self.compared(clip, masked, label_of(question)))

    @property
    def takes_out(self) -> bool:
        """Whether the mask is taken out of the clip, instead of all the rest."""
        return False


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


@dataclass(frozen=True)
class Noisy(Metric):
    """What metrics share that ask the method again about the clip with a little white noise: the largest ratio.

    radius: level of the noise as a share of the clip's rms, above 0.  samples: how many noises.  seed: of the noises.
    """

    radius: float = 0.1
    samples: int = 10
    seed: int = 0

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, None)
    family: ClassVar[str] = "stability"

    def __post_init__(self) -> None:
        positive(radius=self.radius)
        whole(samples=self.samples)
        whole(least=0, seed=self.seed)

    @abstractmethod
    def ratio(self, asked: AudioQuestion, other: AudioQuestion, change: float, size: float) -> float:
        """Of one noisy clip. change: how far the explanation moved.  size: how large it is."""

    @final
    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values_of(question, explanation)
        asked = about_a_classifier(question, "clip that could be a little noisier")
        others = noisy(asked, self.radius, self.samples, self.seed)
        ratios = [self.ratio(asked, other, *moved(explanation, other)) for other in others]
        return Score(max(ratios), parts={"mean": float(np.mean(ratios))})


def values_of(question: Question, explanation: Explanation) -> np.ndarray:
    """`[*shape]`: the values of an explanation; `UsageError` where it is one of other components."""
    if explanation.shape != question.shape:
        raise UsageError(
            f"the explanation has {list(explanation.shape)} components and the question {list(question.shape)}: "
            "cut the clip the same way for both"
        )
    return explanation.values


def check_score(of: str, seed: int) -> None:
    """Raise a `UsageError` for a score that there isn't, or a seed that is none."""
    if of not in SCORES:
        raise unknown("score", of, SCORES)
    whole(least=0, seed=seed)


def check_share(**options: float) -> float:
    """The one option given, a share of the components; `UsageError` where it is not above 0 and up to 1."""
    ((name, share),) = options.items()
    positive(**{name: share})
    if share is None or share > 1:
        raise UsageError(f"{name}: a share of the components lies above 0 and is at most 1, not {share!r}")
    return share


def spread(change: float) -> float:
    """The change of a score that others are measured by; `UsageError` where it is 0."""
    if not change > 0:
        raise UsageError("the score of this question does not change: there is nothing to measure by")
    return change


def curve(question: Question, steps: int | None, of: str, present: Callable[[np.ndarray], np.ndarray]) -> Score:
    """The score while components go or come: the area below it, and the curve itself.

    steps: how many, nearly equal; None for one a component, at most 64.  of: "score" or "probability".
    present: from numbers of components `[B, 1, ...]` to the masks `[B, *shape]` at those points.
    Cost: steps + 1 evaluations for each baseline.
    """
    counts = curves.counts(question.size, steps or STEPS)
    batches = np.split(counts, range(_at_once(question), len(counts), _at_once(question)))
    found = [answers(question, of, present(part.reshape(-1, *[1] * len(question.shape)))) for part in batches]
    shares, values = counts / question.size, np.concatenate(found)
    return Score(curves.area(shares, values), shares, values)


def answers(question: Question, of: str, masks: np.ndarray) -> np.ndarray:
    """`[B]`: the score, or the target's probability (a margin's: the difference of the two), mean of the baselines."""
    if of == "score":
        return question.value(masks).numpy()
    found = probabilities(question, masks)
    return cast(AudioQuestion, question).resolved(torch.from_numpy(found)).numpy()


def probabilities(question: Question, masks: np.ndarray) -> np.ndarray:
    """`[B, classes]`: of each label, mean of the baselines; `UsageError` for a game, which has none."""
    if not isinstance(question, AudioQuestion):
        raise UsageError('a game has a score and no probabilities: take of="score", where a metric lets you')
    each = [question.logits(masks, number).double() for number in range(len(question.baselines))]
    return np.mean([question.classifier.probabilities(logits).numpy() for logits in each], axis=0)


def label_of(question: Question) -> int:
    """The number of the label that was explained; `UsageError` for a margin between two, and for a game."""
    if not isinstance(question, AudioQuestion):
        raise UsageError("a game has a score and no labels: ask about a classifier")
    if question.resolved.against is not None:
        raise UsageError("a margin between two labels has no probability of its own: ask about one label")
    return question.resolved.index


def subset_drops(
    question: Question, of: str, values: np.ndarray, members: np.ndarray, seed: int | tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Random sets of components: what the values say of each, and what the model says.

    values: `[*shape]`.  members: `[sets]`, how many components are in each.
    Returns the sums of values in the sets, and the falls of the score without them, value(1) - value(1 - set); both `[sets]`.
    Cost: sets + 1 evaluations for each baseline.
    """
    rng, sums = np.random.default_rng(seed), []
    scores = [answers(question, of, question.ones.cpu().numpy())]
    for part in np.split(members, range(_at_once(question), len(members), _at_once(question))):
        sets = curves.random_subsets(part, question.size, rng)
        sums.append((sets * values.ravel()).sum(1))
        scores.append(answers(question, of, 1.0 - sets.reshape(-1, *question.shape)))
    values_there = np.concatenate(scores)
    return np.concatenate(sums), values_there[0] - values_there[1:]


def _at_once(question: Question) -> int:
    """How many masks are made at once."""
    return max(question.batch, NUMBERS // question.size)


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
