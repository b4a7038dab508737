"""Blocks of samples: sums, joins, jackknife errors that cover what they claim, and the expected rank correlation."""

import numpy as np
import pytest
from scipy import stats

from earwitness.numerics.blocks import MOST, jackknife, joined, rank_reliability, shared_out, stacked, widening


def means(sums):
    return {"values": sums["y"].sum(0) / sums["n"].sum()}


def blocks_of(rng, count, points, size=5):
    return [{"n": np.array(float(points)), "y": rng.standard_normal((points, size)).sum(0)} for _ in range(count)]


@pytest.mark.parametrize("points, blocks", [(1, 16), (15, 16), (16, 16), (100, 16), (7, 3)])
def test_points_are_shared_out(points, blocks):
    sizes = shared_out(points, blocks)
    assert (
        sum(sizes) == points and min(sizes) >= 1 and max(sizes) - min(sizes) <= 1 and len(sizes) == min(points, blocks)
    )


def test_joining_keeps_the_sums():
    blocks = blocks_of(np.random.default_rng(0), 5, 3)
    halves = joined(blocks)
    assert len(halves) == 3
    for name in ("n", "y"):
        np.testing.assert_allclose(stacked(halves)[name].sum(0), stacked(blocks)[name].sum(0))
    np.testing.assert_allclose(halves[0]["y"], blocks[0]["y"] + blocks[1]["y"])


def test_the_jackknife_of_a_mean_is_its_standard_error():
    sums = stacked(blocks_of(np.random.default_rng(1), 16, 4))
    each = sums["y"] / sums["n"][:, None]
    expected = stats.t.ppf(0.975, 15) / stats.norm.ppf(0.975) * each.std(0, ddof=1) / 4
    np.testing.assert_allclose(jackknife(sums, means)["values"], expected)


def test_two_blocks_know_no_error():
    assert jackknife(stacked(blocks_of(np.random.default_rng(2), 2, 4)), means) == {}


@pytest.mark.parametrize("count", [3, 8, 16, MOST])
def test_intervals_cover(count):
    """95 % of 1000 x 5 intervals, to within four of their standard errors; without the widening 3 blocks cover 81 %."""
    rng, covered = np.random.default_rng(count), []
    for _ in range(1000):
        sums = stacked(blocks_of(rng, count, 2))
        error = jackknife(sums, means)["values"]
        covered.append(np.abs(means(sums)["values"]) < 1.96 * error)
    assert abs(np.mean(covered) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 5000)
    assert widening(count) > 1


@pytest.mark.parametrize("noise", [0.1, 0.3, 1.0, 3.0])
def test_the_expected_rank_correlation_is_the_real_one(noise):
    """Judged from one noisy estimate and its errors, against what it is; mean over 200 estimates of 64 values."""
    rng, judged, real = np.random.default_rng(5), [], []
    for _ in range(200):
        true = rng.standard_normal(64)
        seen = true + noise * rng.standard_normal(64)
        judged.append(rank_reliability(seen, np.full(64, noise)))
        real.append(stats.spearmanr(true, seen)[0])
    assert -0.08 < np.mean(judged) - np.mean(real) < 0.03  # too careful, if anything, where little is known


def test_rank_correlation_at_the_ends():
    assert rank_reliability(np.arange(8.0), np.zeros(8)) == pytest.approx(1)
    assert rank_reliability(np.zeros(8), np.zeros(8)) == 1
    assert rank_reliability(np.full(8, 2.0), np.ones(8)) == 0
