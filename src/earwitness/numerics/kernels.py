"""How strongly does one thing depend on another? The Hilbert-Schmidt independence criterion.

    HSIC(x, y) = E[k_c(x, x') l_c(y, y')]                              two independent draws, kernels centred in both places

It is 0 where x and y are independent and, for characteristic kernels, only there. A binary x, as s = +1 or -1, has one kernel
only, k = s s' / 2 (up to constants, which centring takes away); so HSIC is a quadratic form, s' L s, and one product of
matrices gives it for all components.

From n draws the plain estimate tr(K H L H) / (n - 1)^2 is above 0 even for independent x and y. The unbiased one takes only
pairs of different draws:

    [ tr(K L) + 1'K1 1'L1 / ((n - 1)(n - 2)) - 2 / (n - 2) 1'KL1 ] / (n (n - 3))           K and L with zeros on the diagonal

Source: Gretton et al. (2005) for the plain estimate; Song et al. (2012), "Feature Selection via Dependence Maximization".
"""

import numpy as np

ROWS = 512  # of a kernel matrix, at once


def gaussian(y: np.ndarray, others: np.ndarray, width: float) -> np.ndarray:
    """`[n, m]`: exp(-(y - y')^2 / (2 width^2))."""
    return np.exp(-0.5 * ((y[:, None] - others) / width) ** 2)


def unbiased_hsic(signs: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, float]:
    """HSIC of each component with y, `[components]`, and of y with itself.

    signs: `[n, components]`, each +1 or -1; n is 4 or more.  kernel: `[n, n]`, of y.
    """
    n = len(kernel)
    kernel = kernel * (1 - np.eye(n))
    rows = kernel.sum(1)
    whole, s = rows.sum(), signs.sum(0)
    own = (kernel**2).sum() + whole**2 / ((n - 1) * (n - 2)) - 2 * rows @ rows / (n - 2)
    pairs = (signs * (kernel @ signs)).sum(0) + (s**2 - n) * whole / ((n - 1) * (n - 2))
    return (pairs - 2 * (s * (rows @ signs) - whole) / (n - 2)) / (2 * n * (n - 3)), own / (n * (n - 3))


def plain_hsic(signs: np.ndarray, y: np.ndarray, width: float) -> np.ndarray:
    """`[components]`: tr(K H L H) / (n - 1)^2, which is never below 0. The kernel matrix is never held as a whole."""
    centred = signs - signs.mean(0)
    starts = range(0, len(y), ROWS)
    parts = [centred[i : i + ROWS] * (gaussian(y[i : i + ROWS], y, width) @ centred) for i in starts]
    return sum(part.sum(0) for part in parts) / (2 * (len(y) - 1) ** 2)  # type: ignore[return-value]
