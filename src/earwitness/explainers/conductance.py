"""How much of the score flows through each part of a layer, while the clip comes up out of its baseline?

    z(a) = b + a (x - b)                                            features on the straight way, a from 0 to 1
    share_i = sum over the numbers y of part i:  integral of  dF/dy at z(a)  dy(z(a))

Integrated gradients by the chain rule, stopped at a layer: what the features contribute by way of y. The shares of a layer that
everything has to pass add up to F(x) - F(b), whatever the layer (the theorem of calculus again). The integral is a sum over
steps: the gradient in the middle of each, times what y gains from border to border, where y at an inner border is taken for the
mean of y in the middles on both sides (so that each point is asked once for y), and at the two ends is itself.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from earwitness.axes import counted
from earwitness.classifiers.base import Classifier, evaluating
from earwitness.components.base import features_of
from earwitness.components.baselines import baseline_features
from earwitness.errors import UsageError, whole
from earwitness.explainers.base import Attribution, Explainer
from earwitness.questions import AudioQuestion, Question

MOST = 0.1  # how much of the network's total may be missing before it is said


@dataclass(frozen=True)
class Conductance(Explainer):
    """Shares of the score that pass through the places, channels or units of a layer.

    Needs a question about a layer, `ew.Units(layer, by=...)`.  steps: of the integral, 2 or more, evenly spaced.

    The way runs in what the network eats: baselines are the question's, at the features. `numbers["network"]` is F(x) - F(b)
    there, and `numbers["layer"]` what passes the layer, tokens without a place included. Where nothing goes past the layer both
    are equal, but for the steps, and equal to value(1) - value(0). Where something does (a layer inside a residual branch),
    shares add up to less or more, which is said; and value(0), which puts the baseline at the layer alone and leaves the clip in
    the rest of the network, is another number than F(b).
    With several baselines the mean over them.
    Cost: 2 steps + 3 evaluations for each baseline, `steps` of them with a backward pass. Raises `UsageError` for another
        question, `ModelError` where there is no gradient.
    Source: Dhamdhere, Sundararajan, Yan (2018), "How important is a neuron?"; Shrikumar et al. (2018), "Computationally efficient
        measures of internal neuron importance", for the sum over dy.
    Differs: captum's LayerConductance takes the gradient at the beginning of each step, and its steps lie between the nodes of a
        quadrature, so what is before the first and behind the last is missing. Behind `features.7` of a small network with a mean
        and a linear layer after it, where any steps are exact, 8 of captum's are 3 % off and ours 1e-9 (tests). Its default
        baseline is zeros. From the sum as it is written: y at the inner borders would cost `steps` evaluations more; with means
        of neighbouring middles the gains add up to the same y(x) - y(b), and each is another only where y bends.
    Cannot see: what happens beside the way. Shares of two layers may not be added up: the same score passes both.
    """

    steps: int = 32

    kind: ClassVar[str] = "share"

    def __post_init__(self) -> None:
        whole(least=2, steps=self.steps)

    def cost(self, size: int) -> int:
        return 2 * self.steps + 3

    def attribute(self, question: Question) -> Attribution:
        asked = _about_a_layer(question)
        clip = asked.audio
        x = features_of(asked.classifier, clip)[0]
        starts, _ = baseline_features(asked.factorization.baseline, asked.classifier, clip, "features", x)
        ways = [_Way(asked, start, x) for start in starts]
        flow = torch.stack([way.flow(self.steps) for way in ways]).mean(0)
        total = float(np.mean([asked.ends()[0] - float(way.value([[0.0]])) for way in ways]))
        values, layer = asked.collect(flow).double().cpu().numpy(), float(flow.double().sum())
        return Attribution(
            values, numbers={"network": total, "layer": layer}, warnings=_told(total, layer, values.sum())
        )


def _told(total: float, layer: float, placed: float) -> tuple[str, ...]:
    """What to say where shares cannot add up to F(x) - F(b)."""
    past, unplaced = (abs(gap) / max(abs(total), 1e-30) for gap in (total - layer, layer - placed))
    said = {
        f"{past:.0%} of F(x) - F(b) go past this layer, or between the steps: numbers['network'], ['layer']": past,
        f"{unplaced:.0%} of F(x) - F(b) pass the layer by tokens that stand for no place in the clip": unplaced,
    }
    return tuple(words for words, share in said.items() if share > MOST)


def _about_a_layer(question: Question) -> AudioQuestion:
    if not isinstance(question, AudioQuestion) or not question.components.stage.startswith("network."):
        raise UsageError(
            "conductance is what passes a layer: ask about one, ew.ask(classifier, audio, ew.Units(layer)), or "
            "--components units:LAYER; `earwitness layers` lists them"
        )
    return question


class _Way(Question):
    """The way of the features from a baseline to the clip: a mask of one component says how far, and answered is what then
    stands behind the layer."""

    def __init__(self, question: AudioQuestion, start: Tensor, end: Tensor) -> None:
        asked = question.classifier
        self.classifier = Classifier(asked.network, None, asked.labels, outputs=asked.outputs)
        self.stage, self.target, self.layer = question.components.stage, question.resolved, question.x
        self.axes, self.unit, self.batch = (counted("way", 1),), question.unit, question.batch
        self.x, self.baselines = end, start[None]

    def mix(self, masks: Tensor, baseline: int = 0) -> Tensor:
        return self.baselines + masks.reshape(-1, *[1] * self.x.ndim) * (self.x - self.baselines)

    def collect(self, values: Tensor) -> Tensor:
        return values.sum()[None]

    def score(self, x: Tensor) -> Tensor:
        return self.target(self.classifier(x))

    def answers(self, x: Tensor) -> Tensor:
        return self.classifier.at(self.stage, x).flatten(1)

    def _asking(self) -> AbstractContextManager:
        return evaluating(self.classifier)

    def flow(self, steps: int) -> Tensor:
        """The sum over the steps, shaped like the layer; two neighbours of each number are kept, no more."""
        middles = (np.arange(steps) + 0.5) / steps
        border, here, total = self._at(0.0), self._at(middles[0]), torch.zeros_like(self.layer)
        for step, after in enumerate([*middles[1:], 1.0]):
            there = self._at(after)
            end = there if step == steps - 1 else (here + there) / 2
            total += _Point(self, middles[step]).slope(here[None])[0] * (end - border)
            border, here = end, there
        return total

    def _at(self, along: float) -> Tensor:
        return self.logits([[along]]).to(self.layer).reshape(self.layer.shape)


class _Point(_Way):
    """The layer at one point of the way: what goes past it is at that point, too."""

    def __init__(self, way: _Way, along: float) -> None:
        vars(self).update(vars(way))
        self.features = way.mix(torch.tensor([[along]]).to(way.x))

    def score(self, x: Tensor) -> Tensor:
        return self.target(self.classifier.onward(self.stage, x, self.features))
