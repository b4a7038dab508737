"""Axes: edges, places, groups; maps carried from one grid to another keep their averages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.axes import carry, counted, overlap

TIME = ew.Axis("time", "s", (0, 0.5, 2, 3))
FREQUENCY = ew.Axis("frequency", "Hz", (0, 100, 400))


def test_an_axis_knows_its_places():
    assert (TIME.size, TIME.named, TIME.edges) == (3, False, (0.0, 0.5, 2.0, 3.0))
    np.testing.assert_array_equal(TIME.centers, [0.25, 1.25, 2.5])
    assert [TIME.place(i) for i in range(3)] == [[0, 0.5], [0.5, 2], [2, 3]]
    assert TIME.shifted(12.5).edges == (12.5, 13.0, 14.5, 15.5)
    assert TIME.shifted(0) is TIME


def test_an_axis_of_names():
    stems = ew.Axis("stem", "", ("voice", "drums"))
    assert (stems.size, stems.named, stems.place(1)) == (2, True, "drums")
    np.testing.assert_array_equal(stems.centers, [0, 1])


def test_counted():
    assert counted("bin", 3) == ew.Axis("bin", "index", (0, 1, 2, 3))


@pytest.mark.parametrize("edges", [(1,), (), (0, 1, 1), (0, 2, 1), (0, float("nan"))])
def test_edges_must_ascend(edges):
    with pytest.raises(ew.InputError, match="the edges of the time axis must ascend"):
        ew.Axis("time", "s", edges)


@given(size=st.integers(1, 60), groups=st.integers(1, 60))
def test_groups_of_neighbours_are_nearly_equal(size, groups):
    axis = ew.Axis("time", "s", tuple(np.cumsum(np.arange(size + 1) + 1.0)))
    if groups > size:
        with pytest.raises(ew.InputError, match=f"the time axis has {size} places, so it cannot be cut into {groups}"):
            axis.coarser(groups)
        return
    coarse, group = axis.coarser(groups)
    counts = np.bincount(group, minlength=groups)
    assert counts.sum() == size
    assert counts.max() - counts.min() <= 1
    assert np.all(np.diff(group) >= 0)
    for g in range(groups):
        members = np.flatnonzero(group == g)
        assert coarse.place(g) == [axis.edges[members[0]], axis.edges[members[-1] + 1]]


def test_resized_places_share_out_those_there_were():
    """By their number: two thirds of the first, then a third of it with a third of the second, then the rest."""
    axis = ew.Axis("frequency", "Hz", (0, 30, 90))
    assert axis.resized(3) == ew.Axis("frequency", "Hz", (0, 20, 50, 90))
    assert axis.resized(1).edges == (0, 90) and axis.resized(2) == axis


def test_overlap_by_hand():
    target = ew.Axis("time", "s", (0, 1, 4))
    np.testing.assert_allclose(overlap(TIME, target), [[0.5, 0.5, 0], [0, 1 / 3, 1 / 3]])


def test_carry_by_hand():
    values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    axes = (FREQUENCY, TIME)
    np.testing.assert_array_equal(carry(values, axes, axes), values)
    np.testing.assert_array_equal(carry(values, axes, (TIME, FREQUENCY)), values.T)
    # averaged over time by its widths 0.5, 1.5, 1
    np.testing.assert_allclose(carry(values, axes, (FREQUENCY,)), [(0.5 + 3 + 3) / 3, (2 + 7.5 + 6) / 3])
    # averaged over frequency by its widths 100 and 300
    np.testing.assert_allclose(carry(values, axes, (TIME,)), [13 / 4, 17 / 4, 21 / 4])
    with pytest.raises(ew.InputError, match=r"over \['time'\] to an axis that it lacks: frequency"):
        carry(values[0], (TIME,), (FREQUENCY, TIME))


@given(seed=st.integers(0, 2**31), rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_carrying_keeps_the_mean_and_carries_constants_as_they_are(seed, rows, columns):
    rng = np.random.default_rng(seed)

    def axis(name, unit, places, end):
        return ew.Axis(name, unit, (0, *np.sort(rng.uniform(0.01, end - 0.01, places - 1)), end))

    source = (axis("frequency", "Hz", 5, 100), axis("time", "s", 7, 2.0))
    target = (axis("time", "s", columns, 2.0), axis("frequency", "Hz", rows, 100))
    values = rng.standard_normal((5, 7))
    carried = carry(values, source, target)
    before = np.diff(source[0].edges) @ values @ np.diff(source[1].edges)
    after = np.diff(target[0].edges) @ carried @ np.diff(target[1].edges)
    np.testing.assert_allclose(after, before, atol=1e-9)
    np.testing.assert_allclose(carry(np.ones((5, 7)), source, target), 1)


def test_a_map_that_ends_early_counts_as_0_beyond():
    late = ew.Axis("time", "s", (0, 4))
    np.testing.assert_allclose(carry(np.array([2.0, 2.0, 2.0]), (TIME,), (late,)), [2 * 3 / 4])
