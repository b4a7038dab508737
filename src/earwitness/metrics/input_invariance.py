"""Does the explanation stay the same when the features are counted from another zero?

change = | explanation of g - explanation of f | / | explanation of f |,       g: front end + s, then network( features - s )

g answers to every sound exactly what f does, for the same reasons; only the zero of its features is elsewhere.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from earwitness.classifiers.base import copied
from earwitness.errors import UsageError, positive
from earwitness.explanations import Explanation
from earwitness.explanations.asking_again import about_a_classifier, moved
from earwitness.metrics.base import Metric, Score, values_of
from earwitness.questions import AudioQuestion, Question


@dataclass(frozen=True)
class InputInvariance(Metric):
    """The relative change of the explanation when a constant is added to the features and taken off again in the network.

    shift: s, in standard deviations of the clip's features, above 0.

    Methods that measure from the question's baseline are invariant, as that is what the front end answers to a baseline sound;
    those that measure from a zero of their own (gradient x input) are not. Nor is any where there is no front end and the
    baseline is silence, which then is zero itself.
    Cost: that of the method, and one evaluation. Raises `UsageError` for a game, where the method isn't known, and where the
    explanation is zero everywhere.
    Source: Kindermans et al. (2019), "The (un)reliability of saliency methods".
    Differs: the shift is between front end and network, where it changes nothing, padding included; a change, not true or false.
    Cannot see: a zero that is moved elsewhere than at the features; cuts of the waveform, where nothing moves. The answers of g
        are those of f up to rounding, which sets how near to 0 a score can come.
    """

    shift: float = 1.0

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, None)
    family: ClassVar[str] = "axioms"

    def __post_init__(self) -> None:
        positive(shift=self.shift)
        if self.shift is None:
            raise UsageError("shift is a number of standard deviations above 0, not None")

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values_of(question, explanation)
        asked = about_a_classifier(question, "features that could be shifted")
        change, size = moved(explanation, _shifted(asked, self.shift))
        return Score(change / size)


class _Shift(nn.Module):
    """x + by."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


def _shifted(asked: AudioQuestion, deviations: float) -> AudioQuestion:
    """The same question about a copy of the classifier whose features are shifted."""
    twin = copied(asked.classifier)
    with torch.no_grad():
        by = deviations * float(asked.classifier.at("features", asked.given[None]).std())
    twin.network.register_forward_pre_hook(lambda _, given: (given[0] - by, *given[1:]))
    if twin.frontend is None:
        return replace(asked, classifier=twin, audio=asked.given + by, target=asked.resolved)
    twin.frontend.add_module("shift", _Shift(by))
    return replace(asked, classifier=twin, target=asked.resolved)
