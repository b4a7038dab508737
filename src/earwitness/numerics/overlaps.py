"""How many of the best components are the right ones, where equal values leave open which are the best?

Of the k largest values, those above the k-th are certain. The other places are drawn by lot among the values equal to it, so the
number of right ones among them is hypergeometric. A map of equal values leaves everything open: that is chance.
"""

import numpy as np
from scipy.stats import hypergeom


def top_overlap(values: np.ndarray, right: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """How many of the k largest values are right ones: the possible numbers, and the probability of each.

    values: any shape.  right: booleans of the same shape.  k: 1 to the number of values.
    """
    least = np.sort(values, axis=None)[-k]
    above, tied = values > least, values == least
    free = k - int(above.sum())
    possible = np.arange(free + 1)
    odds = hypergeom.pmf(possible, int(tied.sum()), int(right[tied].sum()), free)
    return int(right[above].sum()) + possible, odds
