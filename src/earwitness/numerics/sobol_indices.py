"""Sobol' indices from pairs of evaluations that differ in one input.

y is a function of d independent inputs, uniform on [0, 1]; V its variance. A design is a base point x with value a = y(x) and,
for each input i, the point in which x_i is exchanged for z_i, with value c_i. Then

    total order    ST_i = E[(a - c_i)^2] / 2V           (Jansen; Janon, Saltelli and Glen are other forms of the same)
    first order    S_i  = sum_k <y, phi_k(x_i)>^2 / V,  <y, phi_k> = E[(c_i - a)(phi_k(z_i) - phi_k(x_i))] / 2
    slope          B_i  = 6 E[(c_i - a)(z_i - x_i)]     the least-squares slope of y on x_i

with phi_k the cosines sqrt(2) cos(k pi x), k = 1 to 6. So one set of evaluations gives all three, and the second matrix of the
classical design is never evaluated.

**Importance-sampled Jansen.** Pairs that are close tell little. Draw x uniform and z with density (x - z)^2 / w(x),
w(x) = x^2 - x + 1/3, and give every pair the weight w(x) / (x - z)^2: all three expectations stay what they were, for
every square-integrable y, and where y is linear in x_i its step (a - c_i)^2 / (x - z)^2 no longer varies with the size of the
step. The density is drawn from by z = x + cbrt(3 w(x) u - x^3), u uniform.

Source: Jansen (1999), Saltelli et al. (2010), Janon et al. (2014), Glen and Isaacs (2012). The importance sampling and the
cosine form of the first order are derived here.
Differs: Janon uses 1/N in both of its moments, Glen N - 1 throughout, and Saltelli centres the outputs; the well-known image
implementation mixes the denominators (Janon then misses by up to 0.4 at N = 32). First order: what lies beyond the sixth
cosine is missing (at most 2 % of S_i for a full period of a sine).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

COSINES = 6


@dataclass(frozen=True)
class Pairs:
    """Evaluated designs. x, z, c: `[N, d]`; a: `[N]`; weight: `[N, d]`; block: `[N]`, the independent block of each."""

    x: np.ndarray
    z: np.ndarray
    a: np.ndarray
    c: np.ndarray
    weight: np.ndarray
    block: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Pairs":
        return Pairs(self.x[rows], self.z[rows], self.a[rows], self.c[rows], self.weight[rows], self.block[rows])


def partners(x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Partners z of x drawn with density (x - z)^2 / w(x), and the weights w(x) / (x - z)^2."""
    w = x**2 - x + 1 / 3
    step = np.cbrt(3 * w * u - x**3)
    step = np.where(np.abs(step) < 1e-6, 1e-6, step)  # u at the very root: a step of nothing has no weight
    return x + step, w / step**2


def jansen(p: Pairs) -> np.ndarray:
    """Total order, never negative; the only form that takes weights."""
    return np.mean(p.weight * (p.a[:, None] - p.c) ** 2, 0) / (2 * np.var(p.a, ddof=1))


def saltelli(p: Pairs) -> np.ndarray:
    """Total order by the product of centred outputs (Homma's form is algebraically the same)."""
    a, c = p.a - p.a.mean(), p.c - p.a.mean()
    return 1 - np.mean(a[:, None] * c, 0) / np.var(p.a)


def janon(p: Pairs) -> np.ndarray:
    """Total order with mean and variance pooled over both sides of the pair."""
    a = p.a[:, None]
    mean = np.mean((a + p.c) / 2, 0)
    return 1 - (np.mean(a * p.c, 0) - mean**2) / (np.mean((a**2 + p.c**2) / 2, 0) - mean**2)


def glen(p: Pairs) -> np.ndarray:
    """Total order as one minus the correlation of both sides."""
    a, c = p.a - p.a.mean(), p.c - p.c.mean(0)
    return 1 - (a @ c) / np.sqrt((a @ a) * (c**2).sum(0))


ESTIMATORS: dict[str, Callable[[Pairs], np.ndarray]] = {
    "importance": jansen,
    "jansen": jansen,
    "saltelli": saltelli,
    "homma": saltelli,
    "janon": janon,
    "glen": glen,
}


def first_order(p: Pairs) -> np.ndarray:
    """First order; unbiased up to the truncation, so that it can come out slightly below 0.

    Squares of the projections are replaced by products of different blocks (where there are two or more).
    """
    k = np.pi * np.arange(1, COSINES + 1)[:, None, None]
    change = np.sqrt(2) * (np.cos(k * p.z) - np.cos(k * p.x)) * (p.weight * (p.c - p.a[:, None])) / 2
    blocks = np.unique(p.block)
    sums = np.stack([change[:, p.block == block].sum(1) for block in blocks])  # [blocks, cosines, d]
    total = sums.sum(0)
    if len(blocks) == 1:
        squares = (total / len(p.a)) ** 2
    else:
        counts = np.array([(p.block == block).sum() for block in blocks])
        squares = (total**2 - (sums**2).sum(0)) / (counts.sum() ** 2 - (counts**2).sum())
    return squares.sum(0) / np.var(p.a, ddof=1)


def slopes(p: Pairs) -> np.ndarray:
    """Least-squares slope of the output on each input, in units of the output."""
    return 6 * np.mean(p.weight * (p.c - p.a[:, None]) * (p.z - p.x), 0)


def jackknife(p: Pairs, estimate: Callable[[Pairs], np.ndarray]) -> np.ndarray | None:
    """Standard error of an estimate by leaving out one independent block at a time; None with fewer than two blocks."""
    blocks = np.unique(p.block)
    if len(blocks) < 2:
        return None
    left_out = np.stack([estimate(p[p.block != block]) for block in blocks])
    return np.sqrt((len(blocks) - 1) * left_out.var(0))
