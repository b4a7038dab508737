"""A method asked about its own components, its answer carried to those of the question.

Every bin of the spectrogram is a component of the study's questions, so that all methods are judged by the same removals. LIME
has rectangles, Grad-CAM the places of a layer: they are asked about these, and a bin gets the value of the rectangle that it lies
in, or what lies between the four nearest places (bilinear, as a picture is enlarged).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from earwitness.axes import carry
from earwitness.components import Factorization, Units
from earwitness.errors import UsageError
from earwitness.explainers.base import Attribution, Explainer
from earwitness.questions import AudioQuestion, Question


@dataclass(frozen=True)
class Carried(Explainer):
    """An explainer with components of its own, for questions about finer ones.

    explainer: the method.  components: what it is asked about, with their baseline.  places: how many they are, for the cost.

    The classifier, the clip and the target are the question's. Shares become effects: they no longer add up.
    Cost: what the method costs for its own components. Raises `UsageError` for a game, and whatever the method raises.
    """

    explainer: Explainer
    components: Factorization
    places: int = 96

    kind = "effect"  # replaced by the method's own

    def __post_init__(self) -> None:
        own = self.explainer.kind
        object.__setattr__(self, "kind", "effect" if own == "share" else own)

    def cost(self, size: int) -> int:
        return self.explainer.cost(self.places)

    def expected(self, question: Question) -> int | None:
        return None

    def attribute(self, question: Question) -> Attribution:
        if not isinstance(question, AudioQuestion):
            raise UsageError("a game has no other components to be asked about: ask about a classifier and its clip")
        found = self.explainer(replace(question, factorization=self.components, target=question.resolved))
        if isinstance(self.components, Units):
            values = enlarged(found.values, question.shape)
        else:
            values = carry(found.values, found.axes, question.axes)
        return Attribution(values, warnings=found.warnings, stopped=found.stopped)


def enlarged(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`[rows, columns]` to `[*shape]`, bilinear between the middles of the places; beyond the outer ones as they are."""
    picture = torch.from_numpy(np.ascontiguousarray(values))[None, None]
    return torch.nn.functional.interpolate(picture, shape, mode="bilinear", align_corners=False)[0, 0].numpy()
