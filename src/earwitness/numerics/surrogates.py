"""Straight lines through a score, fitted from sums.

A linear surrogate  value(m) ~ a + sum_i b_i m_i  with weights w is the solution of its normal equations, and those need only

    sum w,  sum w m,  sum w m m',  sum w y,  sum w m y,  sum w y^2                              over masks m and answers y

So answers are added up and forgotten: memory doesn't grow with the number of masks, leaving out a block is a subtraction, and
features are selected without looking at a mask again.

Source: Ribeiro et al. (2016) for the weighted ridge; Lundberg & Lee (2017) and Covert & Lee (2021) for the constrained fit.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from earwitness.numerics.blocks import Sums

SINGULAR = 1e-10  # of the largest variance: what the others leave of a column, below which they determine it
NAMES = ("rows", "weight", "masks", "gram", "answers", "products", "squares")


def regression_sums(
    masks: Iterable[np.ndarray],
    ask: Callable[[np.ndarray], np.ndarray],
    weigh: Callable[[np.ndarray], np.ndarray],
) -> Sums:
    """The sums over masks `[rows, n]`, given a few at a time; `ask` and `weigh` answer `[rows]` to each."""
    found: Sums = {}
    for part in masks:
        products = zip(NAMES, _products(part, ask(part), weigh(part)), strict=True)
        found = {name: number + found.get(name, 0.0) for name, number in products}
    return found


def _products(masks: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple:
    m = masks.astype(np.float64)
    weighted = w[:, None] * m
    return np.array(float(len(m))), w.sum(), weighted.sum(0), weighted.T @ m, w @ y, weighted.T @ y, w @ y**2


class Moments(NamedTuple):
    """Weighted covariances of the masks `[n, n]`, of masks and answers `[n]`, the answers' variance; from how many rows."""

    masks: np.ndarray
    products: np.ndarray
    answers: float
    rows: float


def moments(sums: Sums) -> Moments:
    """From the sums of some blocks, `[blocks, ...]`."""
    rows, weight, m, gram, y, products, squares = (sums[name].sum(0) for name in NAMES)
    mean, level = m / weight, y / weight
    covariances = gram / weight - np.outer(mean, mean)
    return Moments(covariances, products / weight - mean * level, squares / weight - level**2, rows)


def ridge_fit(found: Moments, ridge: float = 0.0) -> np.ndarray:
    """`[n]`: the coefficients that minimise  mean (y - a - m b)^2 + ridge * (mean variance of a mask) * sum b^2.

    The mean is weighted. The intercept a is not penalised. Where masks are few, see `steadied`.
    """
    masks = steadied(found.masks, found.rows)
    penalty = ridge * np.trace(masks) / len(masks)
    return solved(masks + penalty * np.eye(len(masks)), found.products)


def fidelity(found: Moments, coefficients: np.ndarray) -> float:
    """R^2: the share of the answers' weighted variance that the surrogate explains."""
    left = found.answers - 2 * coefficients @ found.products + coefficients @ found.masks @ coefficients
    return float(1 - left / found.answers)


def forward_selection(found: Moments, features: int) -> np.ndarray:
    """Indices of `features` components, each the one that explains most of what those before it have left.

    The chosen one is swept out of all covariances, so a step is one outer product.
    """
    masks, products = found.masks.copy(), found.products.copy()
    free, chosen = SINGULAR * np.diag(masks).max(), []
    for _ in range(min(features, len(products))):
        variance = np.diag(masks)
        open_ = variance > free
        open_[chosen] = False
        if not open_.any():
            break
        best = int(np.argmax(np.where(open_, products**2 / np.where(open_, variance, 1), -1)))
        column = masks[:, best] / masks[best, best]
        products = products - column * products[best]
        masks = masks - np.outer(column, masks[best])
        chosen.append(best)
    return np.array(chosen, int)


def highest_weights(found: Moments, features: int) -> np.ndarray:
    """Indices of the `features` components with the largest coefficients in a fit of all, largest first."""
    return np.argsort(-np.abs(ridge_fit(found)), kind="stable")[:features]


def restricted(found: Moments, chosen: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """`[n]`: the fit of the chosen components alone; 0 for all others."""
    part = Moments(found.masks[np.ix_(chosen, chosen)], found.products[chosen], found.answers, found.rows)
    coefficients = np.zeros(len(found.products))
    coefficients[chosen] = ridge_fit(part, ridge)
    return coefficients


def constrained_fit(gram: np.ndarray, products: np.ndarray, total: float, rows: float) -> np.ndarray:
    """`[n]`: the b that minimises  b' gram b - 2 b' products  among those that sum to `total`.

    b is equal parts of the total and a rest that sums to 0; the rest solves the equations projected onto such vectors.
    rows: how many the sums are of; where they are few, see `steadied`.
    """
    size = len(products)
    equal = np.full(size, total / size)
    rest = projected(products - gram @ equal)
    flat = steadied(projected(projected(gram).T), rows)
    return equal + projected(solved(flat + np.trace(flat) / size / size, rest))


def enough(size: int) -> int:
    """How many masks so many components take: 4 for each."""
    return 4 * size


def few(rows: int, size: int) -> str:
    """What to say where there are fewer."""
    return f"{rows} masks are few for {size} components, and their errors are large: take {enough(size)} or more"


def steadied(gram: np.ndarray, rows: float) -> np.ndarray:
    """A Gram matrix of masks, drawn towards what it is on average where it comes from fewer than 4 rows a component.

    On average all components are alike, and so are all pairs of them: the mean is that of the diagonal, and that of the rest.
    Regression on n rows and their opposites is nearly singular at n = components, with errors many times the values; a
    twentieth of the mean makes it as good as its neighbours. The matrix alone is drawn, and its mean stays: nothing shrinks.
    """
    size = len(gram)
    share = max(0.0, 1 - rows / enough(size)) / 10
    own = np.trace(gram) / size
    other = (gram.sum() - np.trace(gram)) / max(1, size * (size - 1))
    return gram + share * (other + (own - other) * np.eye(size) - gram)


def projected(array: np.ndarray) -> np.ndarray:
    """Without its mean over the first axis."""
    return array - array.mean(0)


def solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a positive semidefinite system; the shortest one where it is singular."""
    try:
        factor = cho_factor(matrix, lower=True)
    except LinAlgError:
        return np.linalg.lstsq(matrix, right, rcond=SINGULAR)[0]
    if (np.diag(factor[0]) ** 2 <= SINGULAR * np.diag(matrix).max()).any():
        return np.linalg.lstsq(matrix, right, rcond=SINGULAR)[0]
    return cho_solve(factor, right)
