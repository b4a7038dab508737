"""Random maps of one shape: the same values, in other places, and only as the order of an axis allows."""

import numpy as np
import pytest

from earwitness.numerics.rearranging import rearranged

RNG = np.random.default_rng(3)


def turned(values):
    return {np.roll(values, (i, j), (0, 1)).tobytes() for i in range(values.shape[0]) for j in range(values.shape[1])}


def test_all_turns_and_no_others_where_they_are_enough():
    values = RNG.standard_normal((8, 8))
    found = rearranged(values, (True, True), 60, 99, 0)
    assert {row.tobytes() for row in found} == turned(values) - {values.tobytes()}
    assert len(rearranged(values, (True, True), 20, 40, 0)) == 40


def test_torn_maps_fill_up():
    """Six places have five turns; what fills up keeps the values, and where there are more than 8, neighbours together."""
    values = np.arange(16.0)
    found = rearranged(values, (True,), 60, 99, 0)
    assert len(found) == len({row.tobytes() for row in found}) == 60
    assert {np.roll(values, k).tobytes() for k in range(1, 16)} - {row.tobytes() for row in found} <= {
        np.roll(values, k).tobytes()
        for k in range(1, 16)
        if np.corrcoef(values, np.roll(values, k))[0, 1] > 0.7  # says nearly the same
    }
    for row in found:
        np.testing.assert_array_equal(np.sort(row), values)
        neighbours = np.sum(np.diff(np.append(row, row[0])) == 1)
        assert neighbours >= 16 - 9  # cut at 8 places at most, and where the turn meets its end


@pytest.mark.parametrize("ordered", [(False,), (True,)])
def test_few_places_have_few_arrangements(ordered):
    assert len(rearranged(np.array([1.0, 0, 0, 0]), ordered, 60, 99, 0)) == 3
    assert rearranged(np.zeros(16), ordered, 60, 99, 0).shape == (0, 16)


def test_axes_without_order_are_exchanged_freely():
    """Sources over time: sources in any order, columns turned or torn in blocks; a row keeps its company."""
    values = np.add.outer(100 * np.arange(3.0), RNG.uniform(-0.4, 0.4, 24))
    for row in rearranged(values, (False, True), 60, 99, 0):
        assert sorted((row[:, 0] / 100).round()) == [0, 1, 2]
        np.testing.assert_allclose(row - row[:1], (row - row[:1])[:, :1] * np.ones(24))


def test_maps_that_say_the_same_are_left_out():
    """Stripes along time: to turn them in time changes nothing, and a shift by one of a broad hill hardly anything."""
    stripes = np.outer(RNG.standard_normal(8), np.ones(8))
    assert len(rearranged(stripes, (True, True), 0, 99, 0)) == 7
    hill = np.exp(-((np.arange(64) - 32) ** 2) / 200)
    steps = [np.argmax(row) - 32 for row in rearranged(hill, (True,), 0, 99, 0)]
    alike = [k for k in range(-31, 33) if np.corrcoef(hill, np.roll(hill, k))[0, 1] > 0.7]
    assert sorted(steps) == [k for k in range(-32, 32) if k not in alike]
    assert len(alike) > 3


def test_the_seed_decides():
    values = RNG.standard_normal((5, 30))
    first, again, other = (rearranged(values, (True, True), 60, 99, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
