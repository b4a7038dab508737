"""Masks of zeros and ones: uniform one by one, balanced together, independent between calls."""

from math import comb

import numpy as np
import pytest

from earwitness.errors import UsageError
from earwitness.numerics import binary_designs
from earwitness.numerics.binary_designs import (
    DESIGNS,
    FOLDED,
    every_mask,
    full_set,
    random_coalitions,
    random_masks,
)


def drawn(design, points, size, seed=0):
    return np.concatenate(list(random_masks(design, points, size, np.random.default_rng(seed))))


@pytest.mark.parametrize("design", DESIGNS)
def test_a_mask_alone_is_uniform(design):
    """Over 4,000 seeds each of the 8 masks of three components comes equally often in each place (binomial, 4.5 sigma)."""
    size, seeds = 3, 4000
    codes = np.array([drawn(design, 2, size, seed) @ [1, 2, 4] for seed in range(seeds)]).astype(int)
    for place in codes.T:
        off = np.bincount(place, minlength=8) - seeds / 8
        assert np.abs(off).max() < 4.5 * np.sqrt(seeds / 8 * 7 / 8)


@pytest.mark.parametrize("design", FOLDED)
def test_opposites_come_along(design):
    masks = drawn(design, 40, 11)
    opposites = {tuple(row) for row in 1 - masks}
    assert len(masks) == 80 and {tuple(row) for row in masks} == opposites


@pytest.mark.parametrize("size", [1, 2, 5, 8, 20, 64])
def test_a_full_set_is_orthogonal(size):
    """Every pair of components: kept both, one, the other, none, equally often."""
    signs = 2 * drawn("hadamard", full_set(size), size, 5) - 1
    assert np.array_equal(signs.T @ signs, 2 * full_set(size) * np.eye(size))
    assert (signs.sum(0) == 0).all()


@pytest.mark.parametrize("size", [8, 20, 64])
def test_twice_as_many_sobol_points_are_orthogonal_too(size):
    signs = 2 * drawn("sobol", 4 * full_set(size), size, 5) - 1
    assert np.array_equal(signs.T @ signs, 4 * full_set(size) * np.eye(size))


def test_sets_are_independent():
    """Two sets of one call, and two calls, share rows no more often than chance: 16 of 2^8 rows (about 1) in each."""
    one, two = drawn("hadamard", 16, 8, 1).reshape(2, -1, 8)
    again = drawn("hadamard", 8, 8, 2)
    assert not np.array_equal(one, two) and not np.array_equal(one, again)


@pytest.mark.parametrize("design", DESIGNS)
def test_memory_is_bounded(design, monkeypatch):
    monkeypatch.setattr(binary_designs, "NUMBERS", 160)
    parts = list(random_masks(design, 100, 10, np.random.default_rng(0)))
    assert sum(map(len, parts)) == 100 * (2 if design in FOLDED else 1) and max(map(len, parts)) <= 32
    assert max(map(len, random_coalitions(np.full(9, 1 / 9), 100, 10, np.random.default_rng(0)))) <= 32


@pytest.mark.parametrize("ends", [True, False])
def test_every_mask_once(ends, monkeypatch):
    monkeypatch.setattr(binary_designs, "NUMBERS", 50)
    masks = np.concatenate(list(every_mask(6, ends)))
    assert len(np.unique(masks, axis=0)) == len(masks) == 2**6 - (0 if ends else 2)
    assert (0 in masks.sum(1)) == (6 in masks.sum(1)) == ends


def test_coalition_sizes_are_drawn_evenly():
    size, pairs, rng = 7, 101, np.random.default_rng(0)
    sizes = np.arange(1.0, size) / 21
    masks = np.concatenate(list(random_coalitions(sizes, pairs, size, rng)))
    counts = np.bincount(masks[:pairs].sum(1).astype(int), minlength=size)[1:size]
    assert (np.abs(counts - pairs * sizes) < 1).all()
    assert np.array_equal(masks[pairs:], 1 - masks[:pairs])


def test_coalitions_of_a_size_are_uniform():
    """All 10 pairs among 5 components equally often in 8,000 draws (binomial, 4.5 sigma)."""
    sizes = np.array([0.0, 1.0, 0.0, 0.0])
    masks = next(iter(random_coalitions(sizes, 8000, 5, np.random.default_rng(1))))[:8000]
    counts = np.unique(masks, axis=0, return_counts=True)[1]
    assert len(counts) == comb(5, 2) and np.abs(counts - 800).max() < 4.5 * np.sqrt(800 * 0.9)


def test_an_unknown_design_is_named():
    with pytest.raises(UsageError, match="Did you mean hadamard"):
        drawn("hadamar", 4, 3)
