"""The method that made an explanation, put to another question: other noise, other weights, another label.

An explanation that was given, or loaded from a file, has no method: it cannot be asked again.
"""

from collections.abc import Callable

import numpy as np

from earwitness.errors import UsageError
from earwitness.explanations.record import Record
from earwitness.questions import AudioQuestion, Question


def method_of(explanation: Record) -> Callable[[Question], Record]:
    """What answered; `UsageError` where nobody knows."""
    if explanation.explainer is None:
        raise UsageError(
            f"this explanation ({explanation.method}) was given, or loaded: there is no method that could be asked again. "
            "Make it with an explainer, ew.Sobol()(question), or give it one, Explanation.of(..., explainer=function)"
        )
    return explanation.explainer


def values_again(explanation: Record, question: Question) -> np.ndarray:
    """`[*shape]`: what the same method answers to another question; `UsageError` where it has other components."""
    found = method_of(explanation)(question)
    if found.shape != explanation.shape:
        raise UsageError(
            f"asked again, the clip has {list(found.shape)} components instead of {list(explanation.shape)}: it is cut along "
            "the sound itself. Take a cut that does not depend on the sound, such as ew.Grid(8, 8)"
        )
    return found.values


def about_a_classifier(question: Question, what: str) -> AudioQuestion:
    """The question, which has to be about a classifier. what: in it that a bare game lacks ("weights", "labels")."""
    if not isinstance(question, AudioQuestion):
        raise UsageError(f"a bare game has no {what}: ask about a classifier, ew.ask(classifier, audio, ...)")
    return question
