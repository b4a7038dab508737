"""Does a component of the true cause have a larger value than one outside it?

area = P( value inside > value outside ) + P( value inside = value outside ) / 2         over all pairs, one from each side
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from earwitness.errors import UsageError
from earwitness.metrics.base import Truth


@dataclass(frozen=True)
class ROCArea(Truth):
    """The area below the curve of hits over false alarms, as a threshold falls through the values.

    filled: how full of the cause a component must be to belong to it, as a share of the fullest one, above 0 and up to 1.

    1 where every value in the cause exceeds every one outside; 0.5 by chance, whatever the size of the cause.
    Cost: none. Raises `UsageError` where the cause is not known, fills no component, or all of them.
    Source: Hanley and McNeil (1982), the area as a probability; Fawcett (2006), the curve.
    Differs: by mean ranks, so equal values count half: a map of equal values scores 0.5, not what the order of the array gives.
    Cannot see: whether errors are at the top or at the bottom: where the cause is small, a map can be wrong about all of its
        largest values and score 0.9; how large values are.
    """

    def judged(self, cause: np.ndarray, values: np.ndarray) -> float:
        inside, outside = int(cause.sum()), int((~cause).sum())
        if not outside:
            raise UsageError(
                "every component belongs to the cause: there is no outside. Cut the clip finer, or raise filled"
            )
        ranks = rankdata(values, axis=None).reshape(values.shape)
        return float(ranks[cause].sum() - inside * (inside + 1) / 2) / (inside * outside)
