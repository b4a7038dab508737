"""Fits from sums against the same fits with all rows at hand, written out slowly; forward selection against trying everything."""

import numpy as np
import pytest

from earwitness.numerics.blocks import stacked
from earwitness.numerics.surrogates import (
    constrained_fit,
    fidelity,
    forward_selection,
    highest_weights,
    moments,
    regression_sums,
    restricted,
    ridge_fit,
    solved,
    steadied,
)

ROWS, SIZE = 400, 7


@pytest.fixture
def data(seed=3):
    """Masks of which two are nearly the same, weights, answers with interactions."""
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 2, (ROWS, SIZE)).astype(float)
    masks[:380, 6] = masks[:380, 5]
    y = masks @ rng.normal(size=SIZE) + 3 * masks[:, 0] * masks[:, 1] + rng.normal(size=ROWS) + 50
    return masks, rng.random(ROWS) + 0.1, y


def summed(masks, w, y, chunks=1):
    """The sums, as if asked in so many chunks."""
    known = {m.tobytes(): (a, b) for m, a, b in zip(np.array_split(masks, chunks), *split(w, y, chunks), strict=True)}
    return regression_sums(
        np.array_split(masks, chunks), lambda m: known[m.tobytes()][1], lambda m: known[m.tobytes()][0]
    )


def split(w, y, chunks):
    return np.array_split(w, chunks), np.array_split(y, chunks)


def of(masks, w, y):
    return moments(stacked([summed(masks, w, y)]))


def dense(masks, w, y, ridge=0.0):
    """Weighted ridge by least squares on rows: an intercept, and a row for each penalised coefficient."""
    share = w / w.sum()
    variance = np.mean([share @ (m - share @ m) ** 2 for m in masks.T])
    size = masks.shape[1]
    penalties = np.column_stack([np.zeros(size), np.sqrt(ridge * variance) * np.eye(size)])
    rows = np.vstack([np.sqrt(share)[:, None] * np.column_stack([np.ones(len(y)), masks]), penalties])
    found = np.linalg.lstsq(rows, np.concatenate([np.sqrt(share) * y, np.zeros(size)]), rcond=None)[0]
    left = y - found[0] - masks @ found[1:]
    return found[1:], 1 - share @ left**2 / (share @ (y - share @ y) ** 2)


def test_sums_are_the_same_in_chunks(data):
    whole, parts = summed(*data), summed(*data, chunks=9)
    assert whole["rows"] == ROWS
    for name, part in parts.items():
        np.testing.assert_allclose(part, whole[name], rtol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.1, 3.0])
def test_the_ridge_is_that_of_all_rows(data, ridge):
    found = of(*data)
    expected, r2 = dense(*data, ridge)
    np.testing.assert_allclose(ridge_fit(found, ridge), expected, rtol=1e-8)
    assert fidelity(found, ridge_fit(found, ridge)) == pytest.approx(r2, rel=1e-8)


def test_the_penalty_has_no_scale(data):
    """Ten times the rows, another unit of the score or of the weights: the same shrinkage."""
    masks, w, y = data
    once = ridge_fit(of(masks, w, y), 0.3)
    np.testing.assert_allclose(ridge_fit(of(*(np.concatenate([part] * 10) for part in data)), 0.3), once, rtol=1e-9)
    np.testing.assert_allclose(ridge_fit(of(masks, 7 * w, 1e-3 * y), 0.3), 1e-3 * once, rtol=1e-8)


def test_independent_masks_shrink_by_one_plus_the_ridge():
    masks = np.arange(2**SIZE)[:, None] >> np.arange(SIZE) & 1
    weights = np.arange(1.0, SIZE + 1)
    found = ridge_fit(of(masks.astype(float), np.ones(len(masks)), masks @ weights), 0.25)
    np.testing.assert_allclose(found, weights / 1.25, rtol=1e-12)


@pytest.mark.parametrize("features", range(1, SIZE + 1))
def test_forward_selection_is_trying_everything_in_turn(data, features):
    masks, w, y = data
    chosen: list[int] = []
    for _ in range(features):
        rest = [i for i in range(SIZE) if i not in chosen]
        chosen.append(max(rest, key=lambda i: dense(masks[:, [*chosen, i]], w, y)[1]))
    assert forward_selection(of(*data), features).tolist() == chosen
    fit = restricted(of(*data), np.array(chosen), 0.2)
    np.testing.assert_allclose(fit[chosen], dense(masks[:, chosen], w, y, 0.2)[0], rtol=1e-8)
    assert (np.delete(fit, chosen) == 0).all()


def test_a_copy_of_what_was_chosen_explains_nothing_more(data):
    masks, w, y = data
    masks[:, 6], masks[:, 4] = masks[:, 5], 1
    assert set(forward_selection(of(masks, w, y), SIZE).tolist()) | {5, 6} == {0, 1, 2, 3, 5, 6}
    assert len(forward_selection(of(masks, w, y), SIZE)) == 5


def test_highest_weights(data):
    size = np.abs(dense(*data)[0])
    chosen = highest_weights(of(*data), 3)
    assert sorted(size)[-3:] == pytest.approx(size[chosen][::-1])


def test_the_constrained_fit_is_that_of_lagrange(data):
    masks, w, y = data
    gram, products = (masks.T * w) @ masks, (masks.T * w) @ y
    system = np.block([[gram, np.ones((SIZE, 1))], [np.ones((1, SIZE)), np.zeros((1, 1))]])
    expected = np.linalg.solve(system, [*products, 5.0])[:SIZE]
    found = constrained_fit(gram, products, 5.0, ROWS)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert found.sum() == pytest.approx(5, rel=1e-12)


def test_many_masks_are_left_alone_and_few_are_drawn_to_the_mean(data):
    gram = of(*data).masks
    assert np.array_equal(steadied(gram, 4 * SIZE), gram)
    drawn = steadied(gram, 2 * SIZE)
    off = ~np.eye(SIZE, dtype=bool)
    assert np.trace(drawn) == pytest.approx(np.trace(gram)) and drawn[off].sum() == pytest.approx(gram[off].sum())
    expected = 0.95 * gram[off] + 0.05 * gram[off].mean()
    np.testing.assert_allclose(drawn[off], expected)


def test_a_singular_system_has_its_shortest_solution():
    half = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(solved(half, np.array([2.0, 2.0, 0.0])), [1, 1, 0], atol=1e-12)
    np.testing.assert_allclose(solved(half + 1e-13 * np.eye(3), np.array([2.0, 2.0, 0.0])), [1, 1, 0], atol=1e-9)
