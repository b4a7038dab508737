"""The control: an explanation that knows nothing. Whatever does not beat it has explained nothing."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import whole
from earwitness.explainers.base import Attribution, Explainer
from earwitness.questions import Question


@dataclass(frozen=True)
class Random(Explainer):
    """Independent uniform numbers in [0, 1]. Cost: none."""

    seed: int = 0

    kind: ClassVar[str] = "importance"

    def __post_init__(self) -> None:
        whole(least=0, seed=self.seed)

    def cost(self, size: int) -> int:
        return 0

    def attribute(self, question: Question) -> Attribution:
        return Attribution(np.random.default_rng(self.seed).random(question.shape))
