"""Sampling designs: independent blocks, points in the unit cube, exchanged rows."""

import threading

import numpy as np
import pytest
from scipy.stats import qmc

from earwitness.errors import UsageError
from earwitness.numerics import designs
from earwitness.numerics.designs import SAMPLERS, block_sizes, exchanges, some_points, unit_points

RANDOM = [sampler for sampler in SAMPLERS if sampler != "sobol-plain"]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("points", [1, 2, 3, 4, 7, 32, 33, 100])
def test_blocks_share_the_points_evenly(sampler, points):
    sizes = block_sizes(sampler, points)
    assert sum(sizes) == points
    assert max(sizes) - min(sizes) <= 1
    if sampler != "sobol-plain":
        assert len(sizes) >= min(points, 3)  # what a jackknife needs


def test_how_many_blocks():
    assert block_sizes("sobol", 32) == [4] * 8
    assert block_sizes("sobol-plain", 32) == [32]
    assert block_sizes("monte-carlo", 64) == [4] * 16
    assert block_sizes("lhs", 9) == [3, 2, 2, 2]


@pytest.mark.parametrize("sampler", RANDOM)
def test_points_are_uniform(sampler):
    """Each coordinate's mean is 1/2 and its variance 1/12, over 400 seeds of a block of 5."""
    x = np.stack([unit_points(sampler, 5, 3, np.random.default_rng(seed)) for seed in range(400)])
    assert x.shape == (400, 5, 3) and x.min() >= 0 and x.max() < 1
    for value, expected, spread in ((x, 1 / 2, np.sqrt(1 / 12)), ((x - 0.5) ** 2, 1 / 12, np.sqrt(1 / 180))):
        assert np.abs(value.mean(0) - expected).max() < 4.5 * spread / np.sqrt(400)  # of 15 means


def test_points_of_one_block_are_even():
    """In each of 8 equal intervals lies one of 8 points: Latin hypercubes, and scrambled Sobol' sequences, in every dimension."""
    for sampler in ("lhs", "sobol"):
        x = unit_points(sampler, 8, 20, np.random.default_rng(0))
        assert (np.sort(np.floor(8 * x), 0) == np.arange(8)[:, None]).all()


def test_the_plain_sequence_is_scipys():
    expected = qmc.Sobol(6, scramble=False).random_base2(4)
    np.testing.assert_array_equal(unit_points("sobol-plain", 13, 6, np.random.default_rng(5)), expected[:13])


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("points", [1, 3, 8, 9, 21])
def test_a_block_drawn_in_parts_is_the_same_block(sampler, points, monkeypatch):
    """Never more than 4 points of 6 dimensions at once, and the stream of chance moves on alike; hypercubes are of 4 points."""
    one, other = np.random.default_rng(2), np.random.default_rng(2)
    whole = unit_points(sampler, points, 6, one)
    monkeypatch.setattr(designs, "NUMBERS", 30)
    parts = list(some_points(sampler, points, 6, other))
    assert [len(part) for part in parts] == [4] * (points // 4) + [points % 4] * (points % 4 > 0)
    if sampler == "lhs":
        for part in parts:
            assert (np.sort(np.floor(len(part) * part), 0) == np.arange(len(part))[:, None]).all()
    else:
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        assert one.random() == other.random()


@pytest.mark.parametrize("at_once", [1, 3, 10, 1000])
def test_exchanges_one_at_a_time(at_once):
    x, z = np.random.default_rng(0).random((2, 5, 3))
    expected = []
    for n in range(5):
        expected.append(x[n].copy())
        for i in range(3):
            row = x[n].copy()
            row[i] = z[n, i]
            expected.append(row)
    parts = list(exchanges(x, z, at_once))
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert max(map(len, parts)) <= at_once


def test_what_cannot_be_drawn():
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match=r"21201 dimensions .* 21202 are needed"):
        unit_points("sobol", 4, 21202, rng)
    with pytest.raises(UsageError, match="1000 dimensions"):
        unit_points("halton", 4, 1002, rng)
    with pytest.raises(UsageError, match=r"unknown sampler 'sobl'.*sobol"):
        block_sizes("sobl", 4)
    with pytest.raises(UsageError, match="at least one design"):
        block_sizes("sobol", 0)
    assert unit_points("monte-carlo", 2, 30000, rng).shape == (2, 30000)


def test_scipys_table_is_read_where_no_ctrl_c_arrives(monkeypatch):
    """In the main thread scipy ignores it while it reads, and draws from half a table."""
    threads = []
    plain = qmc.Sobol
    monkeypatch.setattr(
        designs.qmc, "Sobol", lambda *args, **how: threads.append(threading.current_thread()) or plain(*args, **how)
    )
    designs._read_direction_numbers.cache_clear()
    unit_points("sobol", 4, 2, np.random.default_rng(0))
    assert threads[0] is not threading.main_thread() and threads[1] is threading.main_thread()
