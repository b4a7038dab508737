"""What an explainer is: hyper-parameters, and one idea of how to ask.

`attribute(question)` is the idea. Calling the explainer checks the question, counts what it costs, and writes down where the
numbers come from: the result is an `Explanation`.
"""

import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, final

import numpy as np

from earwitness.components.units import LayerParts
from earwitness.errors import UsageError, positive, unknown, whole
from earwitness.explanations import Explanation
from earwitness.naming import kebab
from earwitness.numerics.blocks import (
    ENOUGH,
    FIRST,
    MOST,
    Sums,
    jackknife,
    joined,
    rank_reliability,
    shared_out,
    stacked,
)
from earwitness.numerics.paths import by_level
from earwitness.questions import AudioQuestion, Question, counting, remembering_ends

PATHS = ("linear", "level")
FLOOR = -100.0  # dB below the clip, where points that are even in level begin
SILENT = 1e-3  # a baseline is silence where it is so far below the clip
VAGUE = 1 / 3  # a standard error that is too large a part of its value


@dataclass(frozen=True)
class Attribution:
    """What `attribute` found. values, stderr, signed and each of `others`: `[*shape]`.  stopped: why sampling did."""

    values: np.ndarray
    stderr: np.ndarray | None = None
    signed: np.ndarray | None = None
    others: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    stopped: str = ""


class Explainer(ABC):
    """A method, as a frozen dataclass of its hyper-parameters.

    kind: of its numbers: "share", "effect", "importance" or "mask".
    stage: the stage it needs ("features", say), "input" if it looks at the input itself, or None.
    per_baseline: whether its cost is paid for each baseline again.
    axioms: which laws it claims: "dummy" (no effect: 0), "symmetry" (equal components: equal values), "completeness".
    """

    kind: ClassVar[str]
    stage: ClassVar[str | None] = None
    per_baseline: ClassVar[bool] = True
    axioms: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def attribute(self, question: Question) -> Attribution:
        """The method itself."""

    @abstractmethod
    def cost(self, size: int) -> int:
        """How many evaluations `attribute` takes for `size` components (and each baseline)."""

    def expected(self, question: Question) -> int | None:
        """How many evaluations an answer takes in all, for whoever watches; None where nobody knows."""
        baselines = len(question.baselines)
        return self.cost(question.size) * (baselines if self.per_baseline else 1) + 2 * baselines

    @final
    def __call__(self, question: Question) -> Explanation:
        """Answer a question. Cost: `cost(question.size)` evaluations, and one each for the clip and its baseline."""
        if self.stage not in (None, "input"):
            cut = getattr(question, "components", None)
            if cut is not None and cut.stage != self.stage:
                raise UsageError(
                    f"{type(self).__name__} works at the stage {self.stage!r}, and the clip is cut at {cut.stage!r}"
                )
        seed = getattr(self, "seed", None)
        start = time.perf_counter()
        with counting(self.expected(question)) as asked, remembering_ends():
            found = self.attribute(question)
            score, baseline = question.ends()
        return Explanation.of(
            question,
            found.values,
            kind=self.kind,
            explainer=self,
            method=kebab(type(self)),
            settings=repr(self),
            seed=None if seed is None else int(seed),
            stderr=found.stderr,
            signed=found.signed,
            others=found.others,
            numbers=found.numbers,
            score=score,
            baseline=baseline,
            warnings=(*found.warnings, *_doubts(found)),
            stopped=found.stopped,
            evaluations=asked.evaluations,
            seconds=time.perf_counter() - start,
        )


def of_a_layer(question: Question) -> LayerParts:
    """The places of the layer that is asked about, whose maps are `pictures`; `UsageError` for any other question."""
    parts = question.components if isinstance(question, AudioQuestion) else None
    if not isinstance(parts, LayerParts) or parts.by != "places":
        raise UsageError(
            "this method answers questions about the places of a layer: ask one, ew.ask(classifier, audio, ew.Units(layer)), or "
            "--components units:LAYER; `earwitness layers` lists what there is"
        )
    return parts


def known_path(path: str | None) -> None:
    """`UsageError` for a way from the baseline to the clip that there is not."""
    if path is not None and path not in PATHS:
        raise unknown("path", path, PATHS)


def natural_path(question: Question) -> str:
    """How a gradient is best added up: sound that comes up out of silence is heard by its level, all else by its amplitude."""
    if (
        not isinstance(question, AudioQuestion)
        or question.x.ndim > 1
        or question.components.stage.startswith("network.")
    ):
        return "linear"
    return "level" if float(question.baselines.std(-1).max()) < SILENT * float(question.x.std()) else "linear"


def along(path: str, points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`[points]` of the way, spread evenly but for chance, and the weight of each: their mean is the integral."""
    u = (np.arange(points) + rng.random(points)) / points
    return (u, np.ones(points)) if path == "linear" else by_level(u, FLOOR)


@dataclass(frozen=True)
class Budget:
    """When to stop sampling: as soon as one of these is reached. At least one must be given.

    evaluations: of the model, in all; never exceeded.
    seconds: on the clock, looked at after each block of samples; the answer then depends on the machine.
    rank: the expected Spearman correlation of the values with the true ones, judged from the standard errors; 0 to 1.
    precision: the largest standard error, as a share of the largest absolute value; above 0.

    `rank` and `precision` are looked at after 16 blocks and then after every 8: the fewer the looks, the less does stopping at a
    lucky moment bias the answer. A `KeyboardInterrupt` while sampling is a stop as well: the answer so far is returned.
    """

    evaluations: int | None = None
    seconds: float | None = None
    rank: float | None = None
    precision: float | None = None

    def __post_init__(self) -> None:
        whole(evaluations=self.evaluations)
        positive(seconds=self.seconds, precision=self.precision)
        if self.rank is not None and not 0 < self.rank < 1:
            raise UsageError(f"the rank correlation to be reached lies between 0 and 1, not at {self.rank}")
        if all(limit is None for limit in vars(self).values()):
            raise UsageError("a budget needs a limit: evaluations, seconds, rank or precision")

    def reached(self, found: Attribution) -> str:
        """Which aim an answer has reached, in words; empty if none."""
        if found.stderr is None:
            return ""
        largest = float(np.abs(found.values).max())
        if self.precision is not None and found.stderr.max() <= self.precision * largest:
            return f"the largest standard error is {found.stderr.max() / (largest or 1):.2g} of the largest value"
        if self.rank is None or (found_rank := rank_reliability(found.values, found.stderr)) < self.rank:
            return ""
        return f"the expected rank correlation with the true values is {found_rank:.3f}"


class Sampled(Explainer):
    """A method that asks at points drawn by chance, and estimates from sums over them.

    A subclass has a `seed`, and `until` (a `Budget`, or None for a fixed number of points); it says how many `points` it takes,
    what one costs (`price`), how to `draw` a block of them, and how to `estimate` from the sums. Blocks, standard errors and
    stopping are done here: see `numerics.blocks`.
    """

    seed: int
    until: Budget | None

    @abstractmethod
    def points(self, size: int) -> int:
        """How many points are drawn where there is no budget."""

    @abstractmethod
    def price(self, size: int) -> int:
        """The evaluations of one point (for each baseline)."""

    @abstractmethod
    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        """Ask at one block of points, independent of all others; sums over them."""

    @abstractmethod
    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        """From sums `[blocks, ...]` to "values", and whatever else ("signed", ...), each `[components]`."""

    def allowed(self, question: Question) -> int:
        """How many evaluations may be spent on each baseline beside its ends; 0 where a budget does not say."""
        if self.until is None:
            return self.points(question.size) * self.price(question.size)
        paid = len(question.baselines) if self.per_baseline else 1
        return ((self.until.evaluations or 0) - 2 * len(question.baselines)) // paid

    def needed(self, size: int) -> int:
        """How many points there are to be before the first look at an answer."""
        return FIRST

    def cost(self, size: int) -> int:
        return self.points(size) * self.price(size)

    def expected(self, question: Question) -> int | None:
        return super().expected(question) if self.until is None else self.until.evaluations

    def attribute(self, question: Question) -> Attribution:
        if self.until is not None:
            return self._until(question, self.until)
        rng = np.random.default_rng(self.seed)
        sizes = self.block_sizes(self.points(question.size))
        return self.answer(question, [self.draw(question, size, rng) for size in sizes])

    def block_sizes(self, points: int) -> list[int]:
        """How many points each block has where their number is fixed."""
        return shared_out(points)

    def join(self, blocks: list) -> list:
        """Half as many blocks, of the same points."""
        return joined(blocks)

    def answer(self, question: Question, blocks: list[Sums]) -> Attribution:
        """The answer from the sums of some blocks, with its standard errors."""
        sums = stacked(blocks)
        found, errors = self.estimate(question, sums), jackknife(sums, partial(self.estimate, question))
        maps = {name: values.reshape(question.shape) for name, values in found.items()}
        maps |= {f"{name}_stderr": values.reshape(question.shape) for name, values in errors.items()}
        return Attribution(maps.pop("values"), maps.pop("values_stderr", None), maps.pop("signed", None), maps)

    def _until(self, question: Question, budget: Budget) -> Attribution:
        """Sample block after block until the budget says stop; as many again in each when there are too many to keep."""
        start, rng = time.monotonic(), np.random.default_rng(self.seed)
        paid = len(question.baselines) if self.per_baseline else 1
        left = _affordable(budget, self.price(question.size) * paid, question)
        size = max(1, min(self.needed(question.size), left) // FIRST)
        blocks: list[Sums] = []
        while True:
            try:
                blocks.append(self.draw(question, min(size, left), rng))
            except KeyboardInterrupt:
                if len(blocks) < ENOUGH:
                    raise
                return self._stopped(question, blocks, "interrupted")
            left -= size
            if left <= 0:
                return self._stopped(question, blocks, f"the budget of {budget.evaluations:,} evaluations is spent")
            if budget.seconds is not None and len(blocks) >= ENOUGH and time.monotonic() - start >= budget.seconds:
                return self._stopped(question, blocks, f"the budget of {budget.seconds:g} s is spent")
            if len(blocks) >= FIRST and len(blocks) % (FIRST // 2) == 0:
                found = self.answer(question, blocks)
                if aim := budget.reached(found):
                    return replace(found, stopped=aim)
            if len(blocks) == MOST:
                blocks, size = self.join(blocks), 2 * size

    def _stopped(self, question: Question, blocks: list[Sums], why: str) -> Attribution:
        return replace(self.answer(question, blocks), stopped=why)


def _affordable(budget: Budget, price: int, question: Question) -> int:
    """How many points the budget pays for, when the clip and its baselines have been asked."""
    if budget.evaluations is None:
        return sys.maxsize
    points = (budget.evaluations - 2 * len(question.baselines)) // price
    if points < ENOUGH:
        least = ENOUGH * price + 2 * len(question.baselines)
        raise UsageError(
            f"{budget.evaluations} evaluations are too few for {question.size} components: give {least:,} or more"
        )
    return points


def _doubts(found: Attribution) -> tuple[str, ...]:
    """What to say where even the largest value is not known well."""
    if found.stderr is None:
        return ()
    best = np.argmax(found.values)
    value, error = abs(found.values.flat[best]), found.stderr.flat[best]
    if error <= VAGUE * value:
        return ()
    return (f"the largest value, {value:.2g} ± {error:.2g}, is uncertain: take more samples before trusting the order",)
