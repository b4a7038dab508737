"""What lasts and what strikes: two masks over a spectrogram, by median filters.

    H = median of S along time,  P = median of S along frequency            a strike is no median of a line, and the reverse
    harmonic = H^p / (H^p + (margin P)^p),  percussive = P^p / (P^p + (margin H)^p),  and what is left

Source: Fitzgerald (2010), "Harmonic/percussive separation using median filtering"; Driedger et al. (2014) for the margin.
"""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import median_filter

TINY = 1e-300  # below this there is nothing to be shared out


def hpss_masks(
    magnitude: Float[np.ndarray, "bins frames"], frames: int, bins: int, margin: float = 1.0, power: float = 2.0
) -> Float[np.ndarray, "2 bins frames"]:
    """`[2, bins, frames]` in [0, 1]: the harmonic and the percussive mask; they add up to 1 where `margin` is 1, to less above.

    frames, bins: lengths of the two median filters; beyond the edges the spectrogram is mirrored.
    margin: how many times stronger one must be than the other to be told from it, 1 or more.  power: sharpness of the masks.
    """
    lasting = median_filter(magnitude, (1, frames), mode="reflect")
    striking = median_filter(magnitude, (bins, 1), mode="reflect")
    even = 0.5 if margin == 1 else 0.0
    return np.stack([
        soft_mask(lasting, margin * striking, power, even), soft_mask(striking, margin * lasting, power, even)
    ])  # fmt: skip


def soft_mask(one: np.ndarray, other: np.ndarray, power: float, even: float) -> np.ndarray:
    """one^p / (one^p + other^p), and `even` where both are 0."""
    top = np.maximum(one, other)
    silent = top <= TINY
    one, other = (np.divide(part, top, where=~silent, out=np.zeros_like(part)) ** power for part in (one, other))
    return np.where(silent, even, one / np.where(silent, 1, one + other))
