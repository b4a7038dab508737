"""Orders, steps and areas, each against the plainest way to write it."""

import numpy as np
import pytest

from earwitness.numerics.curves import area, counts, ranks


def test_ranks_count_what_is_larger():
    values = np.random.default_rng(0).standard_normal((4, 5))
    np.testing.assert_array_equal(ranks(values, 0), [[(values > v).sum() for v in row] for row in values])


def test_equal_values_share_their_ranks_by_chance():
    values = np.array([2, 7, 2, 2, 1])
    found = np.array([ranks(values, seed) for seed in range(600)])
    assert {tuple(sorted(row)) for row in found} == {(0, 1, 2, 3, 4)}
    np.testing.assert_array_equal(found[:, [1, 4]], np.tile([0, 4], (600, 1)))
    assert len({tuple(row) for row in found}) == 6  # every order of the three
    np.testing.assert_allclose(found[:, [0, 2, 3]].mean(0), 2, atol=3 * np.sqrt(2 / 3 / 600))
    np.testing.assert_array_equal(ranks(values, 5), ranks(values, 5))


@pytest.mark.parametrize(("size", "steps"), [(10, 10), (10, 4), (10, 99), (1, 5), (16254, 64)])
def test_counts_are_nearly_equal_steps(size, steps):
    found = counts(size, steps)
    assert (found[0], found[-1], len(found)) == (0, size, min(steps, size) + 1)
    assert set(np.diff(found)) <= {size // min(steps, size), -(-size // min(steps, size))}


def test_the_area_of_straight_lines():
    x, y = np.array([0, 0.1, 0.5, 1]), np.array([3.0, 1, -2, 4])
    fine = np.linspace(0, 1, 100_001)
    np.testing.assert_allclose(area(x, y), np.interp(fine, x, y).mean(), atol=1e-4)
    assert area(x, 2 * x + 1) == pytest.approx(2)
