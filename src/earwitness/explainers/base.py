"""What an explainer is: hyper-parameters, and one idea of how to ask.

`attribute(question)` is the idea. Calling the explainer checks the question, counts what it costs, and writes down where the
numbers come from: the result is an `Explanation`.
"""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from earwitness.errors import UsageError
from earwitness.explanations import Explanation
from earwitness.naming import kebab
from earwitness.questions import Question, counting

VAGUE = 1 / 3  # a standard error that is too large a part of its value


@dataclass(frozen=True)
class Attribution:
    """What `attribute` found. values, stderr, signed and each of `others`: `[*shape]`."""

    values: np.ndarray
    stderr: np.ndarray | None = None
    signed: np.ndarray | None = None
    others: dict[str, np.ndarray] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Explainer(ABC):
    """A method, as a frozen dataclass of its hyper-parameters.

    kind: of its numbers: "share", "effect", "importance" or "mask".
    stage: the stage it needs ("features", say), "input" if it looks at the input itself, or None.
    axioms: which laws it claims: "dummy" (no effect: 0), "symmetry" (equal components: equal values), "completeness".
    """

    kind: ClassVar[str]
    stage: ClassVar[str | None] = None
    axioms: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def attribute(self, question: Question) -> Attribution:
        """The method itself."""

    @abstractmethod
    def cost(self, size: int) -> int:
        """How many evaluations `attribute` takes for `size` components."""

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
        with counting((self.cost(question.size) + 2) * len(question.baselines)) as count:
            found = self.attribute(question)
            score, baseline = question.ends()
        return Explanation.of(
            question,
            found.values,
            kind=self.kind,
            method=kebab(type(self)),
            settings=repr(self),
            seed=None if seed is None else int(seed),
            stderr=found.stderr,
            signed=found.signed,
            others=found.others,
            score=score,
            baseline=baseline,
            warnings=(*found.warnings, *_doubts(found)),
            evaluations=count.evaluations,
            seconds=time.perf_counter() - start,
        )


def _doubts(found: Attribution) -> tuple[str, ...]:
    """What to say where even the largest value is not known well."""
    if found.stderr is None:
        return ()
    best = np.argmax(found.values)
    value, error = abs(found.values.flat[best]), found.stderr.flat[best]
    if error <= VAGUE * value:
        return ()
    return (f"the largest value, {value:.2g} ± {error:.2g}, is uncertain: take more samples before trusting the order",)
