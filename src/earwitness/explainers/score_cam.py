"""Which channels of a layer, shown to the model as masks, make it say the label?

    cam = relu( sum over channels c of w_c A_c ),      w = softmax over channels of value( A_c as a mask of the features )

Grad-CAM without a gradient: a channel's weight is the score of the clip, of which only what the channel sees is kept.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np
import torch

from earwitness.components import Bins
from earwitness.explainers.base import Attribution, Explainer, of_a_layer
from earwitness.questions import AudioQuestion, Question

NUMBERS = 2**22  # levels in the masks that are made at once: 16 MB


@dataclass(frozen=True)
class ScoreCAM(Explainer):
    """Channels of a layer, weighted by the score of the clip under each as a mask, and added up: what is above 0.

    Needs a question about the places of a layer, usually the last convolution: `ew.Units("features.12")`. A channel becomes a
    mask of the features, 0 at its least value and 1 at its largest; what it does not keep becomes the question's baseline. A
    channel that is the same everywhere has no mask, and no weight.
    `signed` is the same before what is below 0 is cut off.
    Cost: one evaluation for each channel and baseline. Raises `UsageError` for another question.
    Source: Wang et al. (2020), "Score-CAM".
    Differs: the baseline is what silence looks like, not zeros; the map stays at the layer's own places.
    Cannot see: details finer than the layer's places; channels are weighed one by one, never together.
    """

    kind: ClassVar[str] = "importance"

    def cost(self, size: int) -> int:
        """Of a layer with 64 channels; whatever the number of its places."""
        return 64

    def expected(self, question: Question) -> int | None:
        return (len(of_a_layer(question).pictures(question.x)) + 2) * len(question.baselines)

    def attribute(self, question: Question) -> Attribution:
        x = of_a_layer(question).pictures(question.x)
        asked = cast(AudioQuestion, question)
        everything = replace(asked, factorization=Bins(baseline=asked.factorization.baseline), target=asked.resolved)
        masks = _masks(x, everything.shape)
        scores = torch.cat([everything.value(part) for part in masks.split(max(1, NUMBERS // everything.size))])
        told = (x.flatten(1).amax(1) > x.flatten(1).amin(1)).cpu()
        weights = torch.where(told, scores, -torch.inf).softmax(0).to(x) if told.any() else torch.zeros(len(x)).to(x)
        signed = torch.tensordot(weights, x, 1).double().cpu().numpy()
        return Attribution(np.maximum(signed, 0), signed=signed)


def _masks(x: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """`[channels, *shape]`: each channel between 0 and 1, stretched over the features."""
    places = tuple(range(1, x.ndim))
    low, high = x.amin(places, keepdim=True), x.amax(places, keepdim=True)
    level = (x - low) / (high - low).clamp(min=torch.finfo(x.dtype).tiny)
    mode = "bilinear" if x.ndim == 3 else "linear"
    return torch.nn.functional.interpolate(level[None], size=shape, mode=mode, align_corners=False)[0]
