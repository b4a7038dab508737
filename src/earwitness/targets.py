"""Which number is explained: the score of a label, or the margin between two.

| target | number |
|---|---|
| None | the score of the label that the model gives the clip |
| "dog" or 3 | the score of that label |
| "dog - cat" | the score of dog minus that of cat |
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from earwitness.errors import UsageError, unknown


@dataclass(frozen=True)
class Target:
    """One number out of the logits `[B, classes]`: that of class `index`, minus that of class `against` if given."""

    index: int
    against: int | None = None

    def __call__(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch"]:
        score = logits[:, self.index]
        return score if self.against is None else score - logits[:, self.against]

    def name(self, labels: Sequence[str]) -> str:
        """As a user would write it."""
        return labels[self.index] + ("" if self.against is None else f" - {labels[self.against]}")


def find_target(asked: "str | int | Target", labels: Sequence[str]) -> Target:
    """The target that a name, a number or a pair "a - b" stands for; `UsageError` if there is no such label."""
    if isinstance(asked, Target):
        return asked
    if isinstance(asked, int | np.integer) and not isinstance(asked, bool):
        if not 0 <= asked < len(labels):
            raise UsageError(f"no label number {asked}: there are {len(labels)}, counted from 0 ({', '.join(labels)})")
        return Target(int(asked))
    if isinstance(asked, str) and asked in labels:
        return Target(list(labels).index(asked))
    if isinstance(asked, str) and asked.isdigit():
        return find_target(int(asked), labels)
    if isinstance(asked, str) and " - " in asked:
        first, second = (part.strip() for part in asked.split(" - ", 1))
        if first == second:
            raise UsageError(f"the margin {asked!r} is always 0: name two different labels")
        return Target(find_target(first, labels).index, find_target(second, labels).index)
    raise unknown("label", asked, labels)
