"""Where is a layer most active?

    map  = norm over channels of the layer at each place             (of a convolution, or a modulator)
           mean over heads of the last block's attention             (of a transformer: to each place, from what is read)
    mask = 1 at the places with the largest values, 0 elsewhere

Activation map thresholding takes the classifier itself for its own interpreter: nothing is trained. A gradient is asked for in
transformers alone, and only to find which tokens are read at the end: ViT's first, AST's first two, the patches of BEiT.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from torch import Tensor

from earwitness.classifiers.layer_answers import attended_and_read
from earwitness.components.units import LayerParts
from earwitness.errors import UsageError
from earwitness.explainers.base import Attribution, Explainer, of_a_layer
from earwitness.questions import AudioQuestion, Question


@dataclass(frozen=True)
class ActivationMap(Explainer):
    """A mask of the places where a layer is most active: AMT.

    quantile: how much is left out, 0 to below 1. The mask keeps exactly the (1 - quantile) share of the places, rounded, at least
        one; of equal ones the first in their order.

    Needs a question about the places of a layer, `ew.Units("features.12")`. At a layer `[channels, *places]` the map is the L2
    norm over channels. At one of tokens it is the attention of the last block, mean over heads, that places get from the tokens
    that are read, each as much as the score depends on it behind the last layer of tokens (the length of its gradient there);
    where nothing attends to these tokens, the norm again.
    `others["map"]` is the map.
    Cost: none at a layer `[channels, *places]`, one evaluation with its backward pass at one of tokens. Raises `UsageError` for
        another question.
    Source: Della Libera, Subakan, Ravanelli (2024), "Focal modulation networks for interpretable sound classification": the
        modulator of FocalNet's last stage (`projection_context`), or ViT's attention.
    Differs: the map stays at the layer's own places; the published one is stretched over the spectrogram (bilinear), and then the
        quantile is taken. Equal values at the threshold are all kept there, and may be more.
    Cannot see: the label (every class has the same map, unless other tokens are read for it); whether what is active argues for
        or against anything.
    """

    quantile: float = 0.9

    kind: ClassVar[str] = "mask"
    per_baseline: ClassVar[bool] = False  # the clip alone is looked at

    def __post_init__(self) -> None:
        if isinstance(self.quantile, bool) or not 0 <= self.quantile < 1:
            raise UsageError(
                f"the quantile that is left out lies between 0 and 1 (not 1 itself), not at {self.quantile!r}"
            )

    def cost(self, size: int) -> int:
        return 1

    def expected(self, question: Question) -> int | None:
        return int(_of_tokens(of_a_layer(question))) + 2 * len(question.baselines)

    def attribute(self, question: Question) -> Attribution:
        parts = of_a_layer(question)
        found = _attended(question, parts) if _of_tokens(parts) else None
        found = parts.pictures(parts.x).norm(dim=0) if found is None else found
        level = found.double().cpu().numpy()
        mask = np.zeros(level.size)
        mask[np.argsort(-level, axis=None, kind="stable")[: max(1, round((1 - self.quantile) * level.size))]] = 1
        return Attribution(mask.reshape(level.shape), others={"map": level})


def _of_tokens(parts: LayerParts) -> bool:
    return parts.x.ndim == 2 and parts.layout.channels == -1


def _attended(question: Question, parts: LayerParts) -> Tensor | None:
    """`[*shape]`: what attention each place gets in the last block; None where nothing attends."""
    network = cast(AudioQuestion, question).classifier.network
    maps, read = attended_and_read(network, lambda: question.slope(parts.x[None])[0], len(parts.x))
    return question.collect((read @ maps[-1])[:, None]) if maps else None
