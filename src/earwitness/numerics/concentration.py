"""How evenly is something shared out?

entropy = - sum over i of P_i ln P_i,        P_i = |value_i| / sum of |values|                                     in nats
"""

import numpy as np
from scipy.special import entr


def entropy(values: np.ndarray) -> float:
    """Of absolute values of any shape: 0 where one has everything, ln n where all n are equal, zeros included."""
    sizes = np.abs(values)
    return float(entr(sizes / sizes.sum()).sum() if sizes.any() else np.log(sizes.size))
