"""A classifier: front end, network and labels, asked at any stage of the way from the waveform to the scores.

    logits = network(frontend(waveform))            logits = onward(stage, at(stage, waveform), waveform)

A stage is named by a word: `waveform`, `features` (what the network eats), `frontend.spectrum` (behind a step of the front
end), or `network.<module path>` (behind a layer).
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from earwitness.axes import Axis
from earwitness.errors import ModelError, unknown
from earwitness.frontends import FrontEnd, Waveform

PROBABILITIES = {"logits": partial(torch.softmax, dim=1), "multi-label logits": torch.sigmoid}
OUTPUTS = (*PROBABILITIES, "probabilities")


class Classifier(nn.Module):
    """Any audio classifier.

    network: a module from features to logits `[B, classes]`. Spectral features reach it as `[B, 1, frequency, time]`, lowest
        frequency first; those of `Waveform` as `[B, time]`.
    frontend: a `FrontEnd`, or None for a network that is asked about ready features `[1, F, T]` (it can't be heard).
    labels: a name for each class.
    duration: the longest clip, in seconds, that the model takes; None for the front end's, or any.
    outputs: what the network answers: "logits" (of one label among all), "multi-label logits" (each label by itself), or
        "probabilities".
    notes: what one should know of it, one line each; they stand in the provenance of every explanation.
    baseline: what is put in the place of a removed component where a question doesn't say: "silence" but for few models.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        network: nn.Module,
        frontend: FrontEnd | None,
        labels: Sequence[str],
        duration: float | None = None,
        outputs: str = "logits",
        baseline: str = "silence",
    ) -> None:
        super().__init__()
        if outputs not in OUTPUTS:
            raise unknown("kind of outputs", outputs, OUTPUTS)
        self.network, self.frontend, self.outputs, self.baseline = network, frontend, outputs, baseline
        self.labels, self.duration = _distinct(labels), duration or getattr(frontend, "duration", None)
        if frontend is not None:
            frontend.to(self.device)

    @property
    def sample_rate(self) -> int | None:
        """Hertz; None without a front end."""
        return None if self.frontend is None else self.frontend.sample_rate

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((p.device for p in chain(self.network.parameters(), self.network.buffers())), torch.device("cpu"))

    @property
    def unit(self) -> str:
        """The unit of a score: "logit" or "probability"."""
        return "probability" if self.outputs == "probabilities" else "logit"

    def forward(self, waveform: Float[Tensor, "batch *x"]) -> Float[Tensor, "batch classes"]:
        """`[B, time]` (without a front end: features) to logits `[B, classes]`."""
        return self.onward("waveform" if self.frontend is not None else "features", waveform)

    def at(
        self, stage: str, waveform: Float[Tensor, "batch *x"], clip: Float[Tensor, "1 *clip"] | None = None
    ) -> Float[Tensor, "batch *y"]:
        """What stands at a stage for a waveform `[B, time]`; statistics of a whole clip are `clip`'s, if given."""
        if stage == "waveform":
            return waveform
        if stage.startswith("frontend.") and self.frontend is not None:
            return self.frontend.advance(waveform, "", stage.removeprefix("frontend."), clip)
        features = waveform if self.frontend is None else self.frontend(waveform, clip)
        return features if stage == "features" else _seen(self, stage, features)

    def onward(
        self, stage: str, x: Float[Tensor, "batch *x"], waveform: Float[Tensor, "1 *clip"] | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Logits from what stands at a stage. `waveform` `[1, time]`: the clip whose statistics hold behind that stage."""
        if stage == "features":
            return _answer(self, x)
        if stage == "waveform":
            return _answer(self, x if self.frontend is None else self.frontend(x))
        if stage.startswith("frontend.") and self.frontend is not None:
            return _answer(self, self.frontend.advance(x, stage.removeprefix("frontend."), "", waveform))
        if waveform is None:
            raise ModelError(f"going on from {stage} needs the waveform (or features) of the clip")
        clip = waveform if self.frontend is None else self.frontend(waveform)
        with _hook(_layer(self, stage), lambda output: _instead(output, x.clone())):  # what follows may work in place
            return _answer(self, clip.expand(len(x), *clip.shape[1:]))

    def axes(self, stage: str, n_samples: int) -> tuple[Axis, ...]:
        """The axes at "waveform" or "features" for a clip of `n_samples`, in seconds and hertz."""
        if self.frontend is None:
            raise ModelError("without a front end the axes of the features are not known")
        return (Waveform(self.frontend.sample_rate) if stage == "waveform" else self.frontend).axes(n_samples)

    def frames(self, n_samples: int) -> Axis | None:
        """The time axis of the answers; None where the model gives one answer a clip."""
        return None

    def probabilities(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """`[B, classes]`: softmax of logits, sigmoid of multi-label logits; probabilities as they are."""
        return logits if self.outputs == "probabilities" else PROBABILITIES[self.outputs](logits)


def _distinct(labels: Sequence[str]) -> tuple[str, ...]:
    names = tuple(str(label) for label in labels)
    if len(set(names)) < len(names):
        raise ModelError(f"each label needs a name of its own: {', '.join(names)}")
    return names


def _layer(classifier: Classifier, stage: str) -> nn.Module:
    modules = dict(classifier.named_modules())
    if stage not in modules or not stage.startswith("network"):
        raise unknown("stage", stage, ("waveform", "features", *(name for name in modules if "." in name)))
    return modules[stage]


def _seen(classifier: Classifier, stage: str, features: Tensor) -> Tensor:
    """What stands behind a layer on the way; `ModelError` where no one thing does."""
    seen: list[Tensor | None] = []
    with _hook(_layer(classifier, stage), lambda output: seen.append(_own(output))):
        _answer(classifier, features)
    if not seen:
        raise ModelError(f"the network never uses {stage}: nothing stands there")
    if len(seen) > 1:
        raise ModelError(
            f"the network uses {stage} {len(seen)} times: which is meant? Ask about a layer in front or behind"
        )
    if seen[0] is None or len(seen[0]) != len(features):
        raise ModelError(f"{stage} does not answer each clip with numbers of its own: ask about a layer around it")
    return seen[0]


def _answer(classifier: Classifier, features: Tensor) -> Tensor:
    """The network's logits, or a `ModelError` that says why there are none."""
    try:
        logits = classifier.network(features)
    except torch.OutOfMemoryError as error:
        raise ModelError('out of memory: ask with a smaller batch, or on device="cpu"') from error
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"the network cannot take features of shape {list(features.shape)} ({reason}). "
            "Is the clip too short for it, or is this the wrong front end?"
        ) from error
    wanted = [len(features), len(classifier.labels)]
    came = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if came != wanted:
        raise ModelError(
            f"the network answers {came} to {wanted[0]} inputs, but there are {wanted[1]} labels: it must answer {wanted}"
        )
    return logits


class BlackBox(Classifier):
    """Any function of a numpy array; it can be asked, but has no gradient.

    function: float32 `[B, time]` to scores `[B, classes]`; with `batched=False`, `[time]` to `[classes]`.
    sample_rate: hertz.  labels: a name for each class.  outputs: "logits" or "probabilities".
    """

    def __init__(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        sample_rate: int,
        labels: Sequence[str],
        duration: float | None = None,
        outputs: str = "logits",
        batched: bool = True,
    ) -> None:
        super().__init__(_Asked(function, batched), Waveform(sample_rate), labels, duration, outputs)


class _Asked(nn.Module):
    def __init__(self, function: Callable[[np.ndarray], np.ndarray], batched: bool) -> None:
        super().__init__()
        self.function, self.batched = function, batched

    def forward(self, waveform: Tensor) -> Tensor:
        if waveform.requires_grad:
            raise ModelError("a black box has no gradient: choose a method that only asks, such as Sobol")
        x = waveform.detach().cpu().numpy().copy()  # its own: the function may write into it
        try:
            scores = self.function(x) if self.batched else [self.function(row) for row in x]
        except Exception as error:
            raise ModelError(f"the black box failed on {list(x.shape)}: {type(error).__name__}: {error}") from error
        scores = torch.as_tensor(np.asarray(scores, dtype=np.float32))
        if scores.ndim == 0 or len(scores) != len(x):
            raise ModelError(
                f"the function answered {list(scores.shape)} to {list(x.shape)}: it must take [B, time] and answer "
                "[B, classes]. If it takes one clip, say BlackBox(..., batched=False)"
            )
        return scores


def first_tensor(output: Any) -> Tensor | None:
    """What a layer answers: its output, or the first tensor of a tuple or of a mapping; None where there is none."""
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple) else (output,)
    return next((part for part in parts if isinstance(part, Tensor)), None)


def _own(output: Any) -> Tensor | None:
    """What a layer answers, safe from whatever works in place behind it."""
    found = first_tensor(output)
    return None if found is None else found.clone()


def _instead(output: Any, x: Tensor) -> Any:
    """The same output with x in place of its first tensor."""
    if isinstance(output, Tensor):
        return x
    old = first_tensor(output)
    if isinstance(output, Mapping):
        return type(output)(**{name: x if part is old else part for name, part in output.items()})
    return tuple(x if part is old else part for part in output)


@contextmanager
def _hook(module: nn.Module, change: Callable) -> Iterator[None]:
    handle = module.register_forward_hook(lambda _, __, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def copied(classifier: Classifier) -> Classifier:
    """A copy that may be changed; `ModelError` where it can't be made."""
    try:
        return copy.deepcopy(classifier)
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"the classifier cannot be copied, and itself must not change: {error}") from error


def stage_of(layer: str) -> str:
    """The stage behind a layer, given by its path with or without "network" in front."""
    return layer if layer == "network" or layer.startswith("network.") else f"network.{layer}"


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; every part back in its own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
