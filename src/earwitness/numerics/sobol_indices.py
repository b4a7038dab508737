"""Sobol' indices from pairs of evaluations that differ in one input.

y is a function of d independent inputs, uniform on [0, 1]; V its variance. A design is a base point x with value a = y(x) and,
for each input i, the point in which x_i is exchanged for z_i, with value c_i. Then

    total order    T_i = D_i / V,  D_i = E[(a - c_i)^2] / 2        (Jansen; Janon, Saltelli and Glen: other forms of the same)
    first order    S_i = sum_k <y, phi_k>^2 / V,  <y, phi_k> = E[(c_i - a)(phi_k(z_i) - phi_k(x_i))] / 2
    slope          B_i = 6 E[(c_i - a)(z_i - x_i)]                 the least-squares slope of y on x_i

with phi_k = sqrt(2) cos(k pi x), k = 1 to 6. One set of evaluations gives all three, and the second matrix of the classical
design is never evaluated.

**Importance-sampled pairs.** Pairs that are close tell little. Draw x uniform, and z with density (x - z)^2 / w(x), where
w(x) = x^2 - x + 1/3 is the integral of (x - z)^2 over z; give the pair the weight w(x) / (x - z)^2. Density times weight is 1:
every expectation above stays what it was, for every square-integrable y. But where y is linear in x_i, the weighted square is
B_i^2 w(x): the size of the step has cancelled. The distribution function ((z - x)^3 + x^3) / 3w is inverted by
z = x + cbrt(3 w u - x^3), u uniform.

**The variance below the fraction.** V would come from the N base points alone, with a relative error near sqrt(2 / N): most of
the error of the values (ranks do not notice). The slopes are known far better, from all N d pairs, so they serve as a control
variate: for any vector B' of slopes that does not depend on the data below it, and L(x) = sum B'_i (x_i - 1/2),

    V = sum_i B'_i (2 B_i - B'_i) / 12 + Var(y - L)

and only the second term, what is left of y, is at the mercy of the base points. Besides, whatever y is,

    max_i D_i <= V <= sum_i D_i        (no index exceeds 1; Efron and Stein)

Rms error of V and of the values (L2, relative), 64 inputs, 32 designs, 60 seeds: linear y, 31 % and 36 % become 2.5 % and 4 %;
a sum of ReLUs, 33 % and 35 % become 14 % and 21 %; a sigmoid, where the control variate does not help V, 35 % become 26 %.

**What is kept.** Sums over the pairs of a block are enough, but for the last term: the slopes of L are known only at the end. It
takes the inner products of the columns 1, x - 1/2 and a. A QR factorisation keeps those and leaves d + 2 rows of however many;
unlike sums of products, it loses no digits to a large mean.

Source: Jansen (1999), Homma and Saltelli (1996), Saltelli et al. (2010), Janon et al. (2014), Glen and Isaacs (2012), Efron and
Stein (1981). The importance sampling, the cosine form of the first order and the control variate are derived here.
Differs: Janon, Glen and Saltelli with the same 1/N in both moments, and Saltelli centred: the well-known image implementation
mixes the denominators (Janon then misses by up to 0.4 at N = 32). All are written through a - c_i, so that an input without any
effect gets exactly 0. First order: what lies beyond the sixth cosine is missing (of S_i, 0.07 % for a slope, 0.5 % for
a full period of a sine, 8 % for a jump).
"""

from collections.abc import Callable

import numpy as np

from earwitness.numerics.blocks import Sums

COSINES = 6
SHORTEST = 1e-3  # of the steps x -> z
FLAT = 1e-14  # of the mean: a spread that double precision cannot tell from none
WIDE = 2**0.25  # by how much the jackknife's error of the first order is too large, see `first_order`


def partners(x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Partners z of x in [0, 1], drawn with density (x - z)^2 / w(x) by u uniform; and the weights w(x) / (x - z)^2.

    Steps shorter than a thousandth (less than one in 10^8) are made a thousandth, away from the nearer end: weights stay
    below 4e5, the rounding of single precision is never blown up, and weight (a - c)^2 is at most w(x) times the square of the
    steepest slope, as everywhere.
    """
    w = x**2 - x + 1 / 3
    step = np.cbrt(3 * w * u - x**3)
    step = np.where(np.abs(step) < SHORTEST, np.where(x < 0.5, SHORTEST, -SHORTEST), step)
    return np.clip(x + step, 0, 1), w / step**2


def pair_sums(x: np.ndarray, z: np.ndarray, a: np.ndarray, c: np.ndarray, weight: np.ndarray) -> Sums:
    """What is kept of designs of one block. x, z, c, weight: `[N, d]`; a: `[N]`.

    rows: 1, x - 1/2 and a, `[rows, d + 2]`, or fewer with the same inner products; reach: the maxima of -a, a, -y and y, where
    y is all a and c. The others are sums over designs.
    """
    change, frequencies = c - a[:, None], np.pi * np.arange(1, COSINES + 1)
    weighted = weight * change
    ends = [-a.min(), a.max()]
    return {
        "designs": np.array(float(len(a))),
        "half_squares": np.sum(weighted * change, 0) / 2,
        "slopes": 6 * np.sum(weighted * (z - x), 0),
        "projections": np.stack([np.sum(weighted * (np.cos(k * z) - np.cos(k * x)), 0) for k in frequencies])
        / np.sqrt(2),
        "changes": change.sum(0),
        "products": np.sum(a[:, None] * change, 0),
        "rows": _squeezed(np.column_stack([np.ones_like(a), x - 0.5, a])),
        "reach": np.array([*ends, *np.maximum(ends, [-c.min(), c.max()])]),
    }


def combined(one: Sums, other: Sums) -> Sums:
    """What is kept of both."""
    sums = {name: one[name] + other[name] for name in one if name not in ("rows", "reach")}
    rows = _squeezed(np.concatenate([one["rows"], other["rows"]]))
    return sums | {"rows": rows, "reach": np.maximum(one["reach"], other["reach"])}


def levelled(blocks: list[Sums]) -> list[Sums]:
    """The same blocks with equally many rows, so that they can be stacked: rows of zeros change no inner product."""
    most = max(len(block["rows"]) for block in blocks)
    return [block | {"rows": np.pad(block["rows"], ((0, most - len(block["rows"])), (0, 0)))} for block in blocks]


# Below, sums are of several blocks: `[blocks, ...]`.


def importance(s: Sums) -> np.ndarray:
    """Total order by weighted pairs over `variance`; in [0, 1]."""
    return _share(_half_squares(s), variance(s))


def jansen(s: Sums) -> np.ndarray:
    """Total order as published: never negative, can exceed 1."""
    return _share(_half_squares(s), _spread(s) / (s["designs"].sum() - 1))


def saltelli(s: Sums) -> np.ndarray:
    """Total order by the product of centred outputs, E[a (a - c_i)] / V (Homma's form is algebraically the same)."""
    return _share(-_products(s), _spread(s))


def janon(s: Sums) -> np.ndarray:
    """Total order as Jansen's, its mean and variance pooled over both sides of the pair."""
    squares = (_spread(s) + _products(s)) / s["designs"].sum() + _half_squares(s)
    return _share(_half_squares(s), squares - (_mean(s, "changes") / 2) ** 2)


def glen(s: Sums) -> np.ndarray:
    """Total order as one minus the correlation of both sides: half the squared distance of the sides, standardised."""
    a, product = np.broadcast_to(_spread(s), s["changes"].shape[1:]), _products(s)
    change = 2 * s["half_squares"].sum(0) - s["changes"].sum(0) ** 2 / s["designs"].sum()
    one = np.ones_like(a)
    p, q = _share(one, np.sqrt(a)), _share(one, np.sqrt(np.maximum(a + 2 * product + change, 0)))
    return np.maximum((p - q) ** 2 * a - 2 * (p - q) * q * product + q**2 * change, 0) / 2


# All but "importance" are for pairs without weights (z uniform, weight 1); "importance" is right for both.
ESTIMATORS: dict[str, Callable[[Sums], np.ndarray]] = {
    "importance": importance,
    "jansen": jansen,
    "saltelli": saltelli,
    "homma": saltelli,
    "janon": janon,
    "glen": glen,
}


def variance(s: Sums) -> float:
    """V, with the slopes of the other blocks as control variate for each block, kept within its bounds (see above).

    Unbiased up to terms of order 1/N^2 before it is bounded. A single block has no others: its base points alone are used.
    """
    sizes, rows, parts = s["designs"], s["rows"], _half_squares(s)
    if len(sizes) == 1:
        found = _spread(s) / (sizes.sum() - 1)
    else:
        own = s["slopes"] / sizes[:, None]
        others = (s["slopes"].sum(0) - s["slopes"]) / (sizes.sum() - sizes)[:, None]
        known = sizes @ np.sum(others * (2 * own - others), 1) / 12
        left = _centred(s) - (rows[..., 1:-1] @ others[..., None])[..., 0]
        found = (known + np.sum(left**2)) / sizes.sum() - _squared_mean(np.sum(rows[..., 0] * left, 1), sizes)
    return float(np.clip(found, parts.max(), parts.sum()))


def first_order(s: Sums) -> np.ndarray:
    """First order: squared projections on cosines over `variance`.

    Each squared mean is the product of means of different blocks: unbiased, so that it can come out slightly below 0. A
    single block can only be squared, which is biased upwards.

    Its jackknife's error is to be divided by `WIDE`, the fourth root of 2. Where a squared mean is large beside its noise the
    jackknife is right; where it is nothing but noise the jackknife reports twice the variance (4 se^4 for 2 se^4). The middle is
    at most a fifth off in either case.
    """
    return _share(np.sum(_squared_mean(s["projections"], s["designs"]), 0), variance(s))


def slopes(s: Sums) -> np.ndarray:
    """Least-squares slope of the output on each input, in units of the output over the input's whole range."""
    return _mean(s, "slopes")


def _mean(s: Sums, name: str) -> np.ndarray:
    """`[d]`: over all designs."""
    return s[name].sum(0) / s["designs"].sum()


def _half_squares(s: Sums) -> np.ndarray:
    """`[d]`: D_i, the variance that is left when all inputs but i are known."""
    return _mean(s, "half_squares")


def _products(s: Sums) -> np.ndarray:
    """`[d]`: the sum of (a - mean) (c_i - a)."""
    mean = np.sum(s["rows"][..., 0] * s["rows"][..., -1]) / s["designs"].sum()
    return s["products"].sum(0) - mean * s["changes"].sum(0)


def _centred(s: Sums) -> np.ndarray:
    """`[blocks, rows]`: a - mean."""
    ones, a = s["rows"][..., 0], s["rows"][..., -1]
    return a - ones * np.sum(ones * a) / s["designs"].sum()


def _spread(s: Sums) -> float:
    """The sum of (a - mean)^2; 0 where that is rounding."""
    spread = float(np.sum(_centred(s) ** 2))
    return spread if spread > FLAT**2 * np.sum(s["rows"][..., -1] ** 2) else 0.0


def _squeezed(rows: np.ndarray) -> np.ndarray:
    """As many rows as columns, with the same inner products of columns, where there are more than twice as many."""
    return np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > 2 * rows.shape[1] else rows


def _squared_mean(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The square of a mean, from the sums `[blocks, ...]` of independent blocks: products of different blocks only."""
    if len(sizes) == 1:
        return (sums[0] / sizes[0]) ** 2
    return (sums.sum(0) ** 2 - (sums**2).sum(0)) / (sizes.sum() ** 2 - (sizes**2).sum())


def _share(part: np.ndarray, whole: np.ndarray | float) -> np.ndarray:
    """part / whole, and 0 of nothing."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
