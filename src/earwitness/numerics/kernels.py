"""How strongly does one thing depend on another? The Hilbert-Schmidt independence criterion.

    HSIC(x, y) = E[k_c(x, x') l_c(y, y')]                              two independent draws, kernels centred in both places

It is 0 where x and y are independent and, for characteristic kernels, only there. A binary x, as s = +1 or -1, has one kernel
only, k = s s' / 2 (up to constants, which centring takes away); so HSIC is a quadratic form, s' L s, and one product of
matrices gives it for all components.

From n draws the plain estimate tr(K H L H) / (n - 1)^2 is above 0 even for independent x and y. HSIC is the squared length of a
covariance, C = cov(s, phi(y)) with l(y, y') = phi(y) . phi(y'). So two halves of the draws, each with its own covariance, give
an estimate without that bias, C1 . C2, which lies about 0 as often above as below where x and y are independent.

Source: Gretton et al. (2005) for HSIC and the plain estimate.
"""

import numpy as np

ROWS = 512  # of a kernel matrix, at once


def gaussian(y: np.ndarray, others: np.ndarray, width: float) -> np.ndarray:
    """`[n, m]`: exp(-(y - y')^2 / (2 width^2))."""
    return np.exp(-0.5 * ((y[:, None] - others) / width) ** 2)


def halves_hsic(signs: np.ndarray, y: np.ndarray, width: float) -> tuple[np.ndarray, float]:
    """HSIC of each component with y, `[components]`, and of y with itself; both without bias, from two halves of the draws.

    signs: `[n, components]`, each +1 or -1; n is even, 4 or more.  y: `[n]`.  width: of the kernel of y.
    """
    half = len(y) // 2
    kernel = gaussian(y[:half], y[half:], width)
    kernel -= kernel.mean(0)
    kernel -= kernel.mean(1, keepdims=True)
    scale = 1 / (half - 1) ** 2
    found = (signs[:half] * (kernel @ signs[half:])).sum(0) * scale / 2
    return found, float((kernel**2).sum() * scale)


def plain_hsic(signs: np.ndarray, y: np.ndarray, width: float) -> np.ndarray:
    """`[components]`: tr(K H L H) / (n - 1)^2, which is never below 0. The kernel matrix is never held as a whole."""
    centred = signs - signs.mean(0)
    starts = range(0, len(y), ROWS)
    parts = [centred[i : i + ROWS] * (gaussian(y[i : i + ROWS], y, width) @ centred) for i in starts]
    return sum(part.sum(0) for part in parts) / (2 * (len(y) - 1) ** 2)  # type: ignore[return-value]
