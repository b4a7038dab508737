"""How far do the best components and the true cause cover each other?

IoU = components in both / components in either                         the best: as many as the cause has, or a share of all
"""

from dataclasses import dataclass

import numpy as np

from earwitness.errors import UsageError, positive
from earwitness.metrics.base import Truth
from earwitness.numerics.overlaps import top_overlap


@dataclass(frozen=True)
class IntersectionOverUnion(Truth):
    """The components that are both among the best and in the cause, as a share of those that are either.

    filled: how full of the cause a component must be to belong to it, as a share of the fullest one, above 0 and up to 1.
    share: of the components, above 0 and up to 1, how many are the best, at least one; None for as many as the cause has. With
        a share that is not the cause's, 1 is out of reach: hearing the best 20 % is judged as it is heard.

    Where equal values leave open which are the best, the mean over all choices.
    Cost: none. Raises `UsageError` where the cause is not known, or fills no component.
    Source: Jaccard (1912); Bau et al. (2017), "Network dissection", with the best share of a map.
    Differs: by number, not by a threshold on the values, so maps of any kind are comparable; equal values are shared out.
    Cannot see: the order among the best, and among the rest; how large values are. With share=None it says of one clip what
        `RankAccuracy` r says, r / (2 - r); their means over clips differ.
    """

    share: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(share=self.share)
        if self.share is not None and self.share > 1:
            raise UsageError(f"share is a part of the components, above 0 and up to 1, or None, not {self.share!r}")

    def judged(self, cause: np.ndarray, values: np.ndarray) -> float:
        own = int(cause.sum())
        best = own if self.share is None else max(1, round(self.share * cause.size))
        hits, odds = top_overlap(values, cause, best)
        return float((hits / (own + best - hits)) @ odds)
