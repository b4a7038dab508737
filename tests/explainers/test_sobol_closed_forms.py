"""Sobol indices against closed forms, for every estimator and sampler.

Tolerance: 6 of the standard errors that the explanation itself reports (they come from 8 blocks: Student's t with 7 degrees of
freedom, beyond 6 once in 1,900), which are bounded too, so that it cannot pass by being vague. The plain sequence reports no
error, and on the third-order interaction it is still 0.48 off with 256 designs: it gets 4096 designs, and 0.1.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.numerics.designs import SAMPLERS
from earwitness.numerics.sobol_indices import ESTIMATORS

DESIGNS, PLAIN = 256, 4096
# No standard error may be larger: the largest is that of a jump between two levels, or of pure interaction (0.16, and widened
# by a fifth, as eight blocks know it badly).
VAGUE = 0.19


@dataclass(frozen=True)
class Known:
    """A function of masks `[B, size]`, with its total and first-order indices and its least-squares slopes."""

    size: int
    function: object
    total: list
    first: list
    slopes: list | None = None

    @property
    def game(self):
        return ew.Game(self.size, lambda m: self.function(m.double()))


def linear() -> Known:
    w = np.array([1.0, -2.0, 3.0, 0.0, 0.5])
    share = list(w**2 / np.sum(w**2))
    return Known(5, lambda m: m @ torch.tensor(w) + 7, share, share, list(w))


def additive() -> Known:
    """Marginals of different shape; variances in the order of the terms; slopes 12 Cov(term, x)."""

    def function(m):
        a, b, c, d, e = m.T
        return a + b**2 + 0.5 * torch.sin(2 * np.pi * c) - torch.cos(np.pi * d) / 2 + (e > 0.25)

    parts = np.array([1 / 12, 4 / 45, 1 / 8, 1 / 8, 3 / 16])
    share = list(parts / parts.sum())
    # Cov(x, sin 2 pi x) = -1/(2 pi), Cov(x, cos pi x) = -2/pi^2, Cov(x, [x > t]) = t (1 - t) / 2
    return Known(5, function, share, share, [1, 1, -3 / np.pi, 12 / np.pi**2, 12 * 3 / 32])


def ishigami() -> Known:
    """a = 7, b = 0.1; slopes of the first: 12 Cov = (1 + b pi^4 / 5) 12 / (2 pi) E[x sin x], of the others 0 by symmetry."""

    def function(m):
        x, y, z = (np.pi * (2 * m - 1)).T
        return torch.sin(x) + 7 * torch.sin(y) ** 2 + 0.1 * z**4 * torch.sin(x)

    slope = 12 / (2 * np.pi) * (1 + 0.1 * np.pi**4 / 5)  # E[x sin x] = 1 on (-pi, pi)
    return Known(3, function, [0.5576, 0.4424, 0.2437], [0.3139, 0.4424, 0], [slope, 0, 0])


def product() -> Known:
    """x0 x1 x2, with means 1/2 and second moments 1/3."""
    v = 1 / 27 - 1 / 64
    return Known(4, lambda m: m[:, :3].prod(1), [*[1 / 108 / v] * 3, 0], [*[1 / 192 / v] * 3, 0], [*[0.25] * 3, 0])


def third_order() -> Known:
    """Nothing but an interaction of three: each is needed for all of it, and does nothing alone."""
    return Known(4, lambda m: (2 * m[:, :3] - 1).prod(1), [1, 1, 1, 0], [0] * 4, [0] * 4)


def both() -> Known:
    """AND of x0 > 1/2 and x1 > 1/2: V = 3/16."""
    return Known(3, lambda m: (m[:, :2] > 0.5).all(1).double(), [2 / 3, 2 / 3, 0], [1 / 3, 1 / 3, 0], [0.75, 0.75, 0])


def largest() -> Known:
    """max(x0, x1): V = 1/18, E[Var(max | x1)] = 1/30, Var(E[max | x0]) = 1/45."""
    return Known(3, lambda m: m[:, :2].amax(1), [0.6, 0.6, 0], [0.4, 0.4, 0], [0.5, 0.5, 0])


def lone() -> Known:
    return Known(3, lambda m: torch.exp(m[:, 1]), [0, 1, 0], [0, 1, 0])


GAMES = {f.__name__: f for f in (linear, additive, ishigami, product, third_order, both, largest, lone)}


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_total_order(estimator, sampler, game):
    known = GAMES[game]()
    found = ew.Sobol(PLAIN if sampler == "sobol-plain" else DESIGNS, seed=1, estimator=estimator, sampler=sampler)(
        known.game
    )
    error = np.abs(found.values - known.total)
    if found.stderr is None:
        assert error.max() < 0.1
    else:
        assert (error <= 6 * found.stderr + 1 / DESIGNS).all()  # Jansen's variance divides by N - 1
        assert found.stderr.max() < VAGUE


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s != "sobol-plain"])
def test_first_order_and_slopes(sampler, game):
    known = GAMES[game]()
    found = ew.Sobol(DESIGNS, seed=2, sampler=sampler)(known.game)
    error = np.abs(found.others["first_order"] - known.first)
    # 0.08: of the variance of a jump, as much as 8 % lies beyond the sixth cosine; 1e-4: the digits of Ishigami's indices
    assert (error <= 6 * found.others["first_order_stderr"] + 0.08 * np.array(known.first) + 1e-4).all()
    assert found.others["first_order_stderr"].max() < VAGUE
    if known.slopes is not None:
        assert (np.abs(found.signed - known.slopes) <= 6 * found.others["signed_stderr"] + 1e-6).all()
        spread = np.ptp(known.game.value(np.random.default_rng(0).random((500, known.size))).numpy())
        assert found.others["signed_stderr"].max() < 0.08 * spread


def test_lone_component_is_exact():
    """The model hears one component: 1 there and 0 elsewhere, exactly, with as few designs as you like."""
    for designs in (2, 3, 8, 33):
        np.testing.assert_array_equal(ew.Sobol(designs)(lone().game).values, [0, 1, 0])


def test_excess_over_one_is_interaction():
    assert abs(ew.Sobol(64)(linear().game).values.sum() - 1) < 0.03
    assert ew.Sobol(64)(third_order().game).values.sum() > 2
