"""The method that made an explanation, put to another question: other noise, other weights, another label.

An explanation that was given, or loaded from a file, has no method: it cannot be asked again.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from earwitness.audio import Audio
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


def answer(method: Callable[[Question], Record], question: Question) -> Record:
    """What a method answers; an interruption, which a method with a budget takes as a reason to stop, stays one."""
    found = method(question)
    if found.stopped == "interrupted":
        raise KeyboardInterrupt
    return found


def values_again(explanation: Record, question: Question) -> np.ndarray:
    """`[*shape]`: what the same method answers to another question with the same components."""
    return answer(method_of(explanation), question).values


def about_a_classifier(question: Question, what: str) -> AudioQuestion:
    """The question, which has to be about a classifier. what: in it that a bare game lacks ("weights", "labels")."""
    if not isinstance(question, AudioQuestion):
        raise UsageError(f"a bare game has no {what}: ask about a classifier, ew.ask(classifier, audio, ...)")
    return question


def noisy(question: AudioQuestion, radius: float, samples: int, seed: int) -> Iterator[AudioQuestion]:
    """The same question about the clip with a little white noise, `samples` times; the label that is explained stays.

    `UsageError` for cuts that follow the sound.

    radius: level of the noise as a share of the clip's rms, exactly.  Without a front end it is on the ready features.
    """
    if question.factorization.follows_the_sound:
        raise UsageError(
            f"{type(question.factorization).__name__} cuts along the sound itself, so a noisy clip has other components: take a "
            "cut that does not depend on the sound, such as ew.Grid(8, 8)"
        )
    generator = torch.Generator().manual_seed(seed)
    clip = question.audio
    own = question.given
    for _ in range(samples):
        noise = torch.randn(own.shape, generator=generator).to(own)
        other = own + radius * noise * (own.norm() / noise.norm())
        other = clip.with_samples(other, f"noise of {radius:g} rms added") if isinstance(clip, Audio) else other
        yield replace(question, audio=other, target=question.resolved)


def distance(question: AudioQuestion, other: AudioQuestion) -> float:
    """How far what stands at the stage moved: a Euclidean norm; `UsageError` where it did not."""
    found = float((other.x - question.x).norm())
    if not found:
        raise UsageError(
            f"what stands at {question.components.stage} does not change under the noise: ask at another stage"
        )
    return found


def moved(explanation: Record, question: Question) -> tuple[float, float]:
    """How far the answer to another question lies from the explanation, and how large the explanation is: Euclidean norms.

    `UsageError` where the explanation is zero everywhere: a change is then relative to nothing.
    """
    size = float(np.linalg.norm(explanation.values))
    if not size:
        raise UsageError("the explanation is zero everywhere: a change has nothing to be relative to")
    return float(np.linalg.norm(values_again(explanation, question) - explanation.values)), size
