"""Everything real: a classifier, a clip, a cut and a target.

The clip is brought to the model's rate when the question is put together, and what was done stands in its provenance. The
target is resolved when it is first asked for.
"""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from earwitness.audio import Audio, load
from earwitness.axes import Axis
from earwitness.classifiers.base import Classifier, evaluating
from earwitness.components import Bins, Cells, Components, Factorization, Grid, Segments
from earwitness.errors import InputError, ModelError, UsageError
from earwitness.frontends import Waveform
from earwitness.questions.base import Masks, Question
from earwitness.targets import Target, find_target

SLACK = 1.02  # how much longer than `duration` a clip may be: ESC's five seconds are 5.001


@dataclass(frozen=True, eq=False)
class AudioQuestion(Question):
    """How much each component of a clip matters to a classifier's target.

    classifier: what is asked.  audio: a clip, or ready features `[1, F, T]` where the classifier has no front end.
    factorization: how it is cut.  target: None (the predicted label), a label, its number, or "a - b".
    batch: rows that go through the model at once; on a CPU few are best, since their activations stay in its caches.
    truth: a map of the true cause with its axes, if known.
    """

    classifier: Classifier
    audio: Audio | Tensor
    factorization: Factorization
    target: str | int | Target | None = None
    batch: int = 8
    truth: tuple[np.ndarray, tuple[Axis, ...]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "audio", prepared(self.classifier, self.audio))

    @cached_property
    def components(self) -> Components:
        """The clip, cut."""
        with evaluating(self.classifier):
            return self.factorization(self.classifier, self.audio)

    @property
    def given(self) -> Tensor:
        """`[*clip]`: what the classifier takes, the samples or the ready features."""
        return self.audio.samples if isinstance(self.audio, Audio) else self.audio

    @cached_property
    def clip_logits(self) -> Float[Tensor, "classes"]:
        """`[classes]`: what the model answers to the clip itself."""
        with evaluating(self.classifier), torch.no_grad():
            return _finite(self.classifier(self.given[None])[0].cpu())

    @cached_property
    def resolved(self) -> Target:
        """The target; None has become the predicted label."""
        asked = int(self.clip_logits.argmax()) if self.target is None else self.target
        return find_target(asked, self.classifier.labels)

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.components.axes

    @property
    def unit(self) -> str:
        return self.classifier.unit

    @property
    def x(self) -> Float[Tensor, "*x"]:
        return self.components.x

    @property
    def baselines(self) -> Float[Tensor, "baselines *x"]:
        return self.components.baselines

    @cached_property
    def cause(self) -> np.ndarray | None:
        return None if self.truth is None else self.components.averaged(*self.truth)

    def mix(self, masks: Float[Tensor, "batch *shape"], baseline: int = 0) -> Float[Tensor, "batch *x"]:
        return self.components.mix(masks, baseline)

    def collect(self, values: Float[Tensor, "*x"]) -> Float[Tensor, "*shape"]:
        return self.components.collect(values)

    def score(self, x: Float[Tensor, "batch *x"]) -> Float[Tensor, "batch"]:
        return self.resolved(self.answers(x))

    def answers(self, x: Float[Tensor, "batch *x"]) -> Float[Tensor, "batch classes"]:
        return self.classifier.onward(self.components.stage, x, self.given[None])

    def answer(self, audio: Audio) -> Float[Tensor, "1 classes"]:
        """`[1, classes]`: what the model says to another sound, through its own front end."""
        with self._asking(), torch.no_grad():
            return _finite(self.classifier(audio.samples[None].to(self.classifier.device)).cpu())

    def _asking(self) -> AbstractContextManager:
        return evaluating(self.classifier)


def decision(question: Question) -> int:
    """The number of the label that the model decides for; `UsageError` where it is not the explained one, and for a game."""
    found, asked = int(decisions(question, question.ones)[0]), cast(AudioQuestion, question)
    target, labels = asked.resolved, asked.classifier.labels
    if found != target.index:
        other = labels[found] if target.against is None else f"{labels[found]} - {labels[target.index]}"
        raise UsageError(
            f"the model says {labels[found]!r}, and what is explained is {target.name(labels)!r}: there is no decision for it "
            f"that could flip. Explain {other!r}"
        )
    return found


def decisions(question: Question, masks: Masks) -> np.ndarray:
    """`[B]`, the label that the model gives to each mask `[B, *shape]`: the largest logit, mean of the baselines.

    For a margin the larger of its two. Cost: one evaluation a mask and baseline. Raises `UsageError` for a game.
    """
    if not isinstance(question, AudioQuestion):
        raise UsageError("a decision needs a classifier and its clip: a game has a score, and decides nothing")
    target = question.resolved
    logits = np.mean([question.logits(masks, number).numpy() for number in range(len(question.baselines))], axis=0)
    rivals = np.arange(logits.shape[1]) if target.against is None else np.array([target.index, target.against])
    return rivals[logits[:, rivals].argmax(1)]


def _finite(logits: Tensor) -> Tensor:
    if not torch.isfinite(logits).all():
        raise ModelError("the model answers NaN or infinity to this clip: it cannot be explained")
    return logits


def prepared(classifier: Classifier, audio: "Audio | Tensor | np.ndarray | str | os.PathLike") -> Audio | Tensor:
    """The clip as the classifier takes it: read, at its rate, on its device. Raises `InputError` where it can't be."""
    if classifier.frontend is None:
        return _features(classifier, audio)
    if isinstance(audio, str | Path | os.PathLike):
        audio = load(audio)
    if not isinstance(audio, Audio):
        raise InputError(
            f"expected a recording (ew.load(path), ew.Audio(samples, sample_rate) or a path), not {type(audio).__name__}"
        )
    audio = audio.resampled(classifier.frontend.sample_rate)
    if classifier.duration is not None and audio.duration > SLACK * classifier.duration:
        raise InputError(
            f"the recording lasts {audio.duration:.2f} s and the model takes {classifier.duration:g} s: explain a window of "
            f"it, audio.window(at, {classifier.duration:g}), or each of audio.windows({classifier.duration:g}); "
            "on the command line, --at SECONDS or --windows"
        )
    if audio.peak == 0:
        raise InputError("the clip is digital silence: there is nothing in it to explain")
    return replace(audio, samples=audio.samples.to(classifier.device))


def _features(classifier: Classifier, features) -> Tensor:
    if isinstance(features, Audio | str | os.PathLike):
        raise UsageError(
            "this classifier has no front end: give it ready features [1, F, T], or wrap it with one, "
            "ew.Classifier(network, ew.LogMel(...), labels)"
        )
    try:
        features = torch.as_tensor(features).to(classifier.device, torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the features must be numbers, [1, F, T]: {error}") from error
    if features.numel() == 0 or not torch.isfinite(features).all():
        raise InputError("the features are empty, or hold NaN or infinity")
    return features


def default_components(classifier: Classifier, audio: Audio | Tensor, stage: str | None) -> Factorization:
    """A sensible cut: an 8 x 8 grid of what the network eats (less where that is smaller); for networks on samples 8 bands x
    8 segments of sound.

    Behind a front end that standardises each clip they are cut at the features: what is left of the clip is not made louder for
    what is removed, and gradients do not vanish along the sound (an answer that no level changes has none in that direction).
    stage: "input" for methods that look at the input itself; they get every bin, or 64 segments of samples.
    """
    if isinstance(classifier.frontend, Waveform):
        where = "features" if classifier.frontend.standardise else "waveform"
        if stage == "input":
            return Segments(count=64, stage=where)
        return Cells(bands=8, seconds=cast(Audio, audio).duration / 8, stage=where)
    sizes = audio.shape if isinstance(audio, Tensor) else _sizes(classifier, audio)
    return Bins() if stage == "input" or len(sizes) < 2 else Grid(min(8, sizes[-2]), min(8, sizes[-1]))


def _sizes(classifier: Classifier, audio: Audio) -> list[int]:
    sizes = [axis.size for axis in classifier.axes("features", len(audio.samples))]
    if sizes[-1] < 2:
        raise InputError(
            f"the clip is too short: {audio.duration:.3f} s are one frame of the features. Take a longer clip"
        )
    return sizes


def ask(
    classifier: Classifier,
    audio: "Audio | Tensor | np.ndarray | str | os.PathLike",
    components: Factorization | None = None,
    target: str | int | Target | None = None,
    *,
    truth: tuple[np.ndarray, tuple[Axis, ...]] | None = None,
) -> AudioQuestion:
    """Put a question together: `explainer(question)` answers it.

    audio: a recording, a path to one, or ready features `[1, F, T]` for a classifier without front end.
    components: how to cut it; by default `Grid(8, 8)`, or 8 bands x 8 segments for networks on samples.
    target: a label, its number, "a - b", or None for the label that the model gives the clip.
    truth: the true cause, where it is known: a map and its axes.
    """
    clip = prepared(classifier, audio)
    if truth is not None and not (isinstance(truth, tuple) and len(truth) == 2 and isinstance(truth[0], np.ndarray)):
        raise UsageError(
            "the truth is a map and its axes: that of a synthetic scene is scene.truth; where the cause is known as a sound, "
            "earwitness.data.truth.truth_of(cause, clip)"
        )
    question = AudioQuestion(
        classifier, clip, components or default_components(classifier, clip, None), target, truth=truth
    )
    _ = question.resolved  # an unknown label should be told now, not in the middle of a run
    return question
