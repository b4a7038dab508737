"""The notebook's verification, to the letter.

    efficiency = drop( important ) - drop( random )              drop( r ) = p(clip) - p(clip with r at the clip's mean)
    efficiency = drop( random ) - drop( silent )                 of the silence map

| map | what counts as important |
|---|---|
| LIME | of the 30 rectangles with the largest absolute weights those above 0; where there are none, all above 0 |
| Grad-CAM, gradient x input, any other | absolute values above their 80th percentile |
| silence map | a probability of silence above one half |

Random are as many single bins, drawn once. A flat map has nothing above a percentile: nothing is removed, and 0 comes out.

Source: toster3d/Audio-Emotion-Recognition (2025).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.components import Grid
from earwitness.explainers import LIME, LevelSilenceMap
from earwitness.explanations import Explanation
from earwitness.fingerprints import fingerprint
from earwitness.metrics import Metric
from earwitness.metrics.base import Score, answers, values_of
from earwitness.questions import Question
from earwitness.studies.emotion.carried import Carried

LARGEST, PERCENTILE, HALF = 30, 80.0, 0.5


@dataclass(frozen=True)
class AsInTheNotebook(Metric):
    """The efficiency of one map on one clip, in probability, by one random draw.

    seed: of the draw, another one for each clip.
    `parts`: "prob_drop_important" (of the silence map "prob_drop_silence"), "prob_drop_random" and "share", of the bins that
    were removed.
    Cost: 3 evaluations.
    Differs: the draw has a seed. LIME is asked about the very numbers that the network takes, where the notebook rescales them to
        0 to 1 first and so explains another clip.
    Cannot see: chance: of one draw nobody knows how far another would be.
    """

    seed: int = 0

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)
    family: ClassVar[str] = "faithfulness"

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values_of(question, explanation)
        region = marked(explanation)
        rng = np.random.default_rng((self.seed, int(fingerprint(question.x)[:8], 16)))
        other = (rng.permutation(region.size) < region.sum()).reshape(region.shape)
        kept = 1.0 - np.stack([np.zeros(region.shape), region, other])
        clip, without, scattered = answers(question, "probability", kept)
        silent = isinstance(explanation.explainer, LevelSilenceMap)
        score = (without - scattered if silent else scattered - without).item()
        name = "prob_drop_silence" if silent else "prob_drop_important"
        return Score(score, parts={name: clip - without, "prob_drop_random": clip - scattered, "share": region.mean()})


def marked(explanation: Explanation) -> np.ndarray:
    """`[*shape]` of booleans: what the notebook takes for important; of the silence map, for silent."""
    values, method = explanation.values, explanation.explainer
    if isinstance(method, LevelSilenceMap):
        return values < HALF
    if isinstance(method, Carried) and isinstance(method.explainer, LIME) and isinstance(method.components, Grid):
        return _of_rectangles(explanation, method.components)
    return np.abs(values) > np.percentile(np.abs(values), PERCENTILE)


def _of_rectangles(explanation: Explanation, grid: Grid) -> np.ndarray:
    """The bins of the positive ones among the rectangles with the largest weights."""
    rows, columns = (
        axis.coarser(size)[1] for axis, size in zip(explanation.axes, (grid.frequency, grid.time), strict=True)
    )
    corners = np.ix_(*(np.unique(groups, return_index=True)[1] for groups in (rows, columns)))
    weights = explanation.values[corners]
    limit = np.sort(np.abs(weights), axis=None)[-min(LARGEST, weights.size)]
    chosen = (np.abs(weights) >= limit) & (weights > 0)
    return (chosen if chosen.any() else weights > 0)[np.ix_(rows, columns)]
