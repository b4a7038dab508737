"""Masks made audible: what is kept and what is removed are the clip, each sound goes where its mask says, nothing clicks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.carrying import analyse, carry_mask, partition, synthesise, window_length

RATE = 8000


def axes(rows, columns, start=0.0, seconds=1.0):
    frequency = ew.Axis("frequency", "Hz", tuple(np.linspace(0, RATE / 2, rows + 1)))
    return frequency, ew.Axis("time", "s", tuple(np.linspace(start, start + seconds, columns + 1)))


def sine(hertz, span=(0, 1), level=0.3):
    t = np.arange(RATE) / RATE
    return level * np.sin(2 * np.pi * hertz * t) * ((t >= span[0]) & (t < span[1]))


def db(found, true):
    """How far below `true` the error lies."""
    found, true = np.asarray(found, float), np.asarray(true, float)
    return 10 * np.log10((true @ true) / ((found - true) @ (found - true)))


@given(
    seed=st.integers(0, 2**31),
    places=st.integers(1, 8),
    ramp=st.floats(0.001, 2.0),
    closed=st.booleans(),
)
def test_a_partition_shares_everything_out(seed, places, ramp, closed):
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.uniform(0.05, 1, places + 1))
    positions = np.linspace(edges[0] - 1, edges[-1] + 1, 301)
    shares = partition(edges, positions, ramp, closed)
    assert shares.shape == (places, 301)
    assert np.all(shares >= -1e-12)
    inside = (positions >= edges[0]) & (positions <= edges[-1])
    np.testing.assert_allclose(shares.sum(0), inside if closed else np.ones(301), atol=1e-12)
    for place in range(places):  # a place has its own middle to itself
        middle = (edges[place] + edges[place + 1]) / 2
        np.testing.assert_allclose(partition(edges, np.array([middle]), ramp, closed)[place], 1, atol=1e-12)


def test_a_ramp_by_hand():
    """Raised cosine, 0.2 wide: halves meet at the edge, sin(pi/8)^2 a quarter of the ramp before it."""
    shares = partition(np.array([0, 1, 2]), np.array([0.85, 0.95, 1.0, 1.05, 1.15]), 0.2)
    np.testing.assert_allclose(shares[1], [0, np.sin(np.pi / 8) ** 2, 0.5, np.cos(np.pi / 8) ** 2, 1], atol=1e-12)


@given(samples=st.integers(1, 9000), seed=st.integers(0, 2**31))
def test_analysis_and_synthesis_are_inverse(samples, seed):
    x = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, samples)).float()
    n_fft = window_length(RATE)
    assert torch.max((synthesise(analyse(x, n_fft), n_fft, samples) - x).abs()) < 1e-6


@pytest.mark.parametrize(
    ("rate", "expected"), [(8000, 512), (16000, 1024), (22050, 1024), (44100, 2048), (48000, 4096)]
)
def test_the_window_is_near_64_ms(rate, expected):
    assert window_length(rate) in (expected, expected // 2)
    assert 0.043 <= window_length(rate) / rate <= 0.091


@given(seed=st.integers(0, 2**31), rows=st.integers(1, 9), columns=st.integers(1, 9), samples=st.integers(200, 9000))
def test_kept_and_removed_are_the_clip(seed, rows, columns, samples):
    """Both are carried here; nothing is made by subtraction."""
    rng = np.random.default_rng(seed)
    clip = ew.Audio(rng.uniform(-1, 1, samples), RATE, start=3.2)
    where = axes(rows, columns, 3.2, clip.duration)
    mask = rng.random((rows, columns))
    both = carry_mask(mask, where, clip).samples + carry_mask(1 - mask, where, clip).samples
    assert torch.max((both - clip.samples).abs()) < 1e-6


@pytest.mark.parametrize("start", [0.0, 12.5])
def test_each_sound_goes_where_its_mask_says(start):
    """Two tones, low first and high second: each of the four cells holds what it should."""
    low, high = sine(500, (0, 0.5)), sine(3000, (0.5, 1))
    clip = ew.Audio(low + high, RATE, start=start)
    for (row, column), expected in {(0, 0): low, (1, 1): high}.items():
        mask = np.zeros((2, 2))
        mask[row, column] = 1
        assert db(carry_mask(mask, axes(2, 2, start), clip).samples, expected) > 15
    for row, column in ((0, 1), (1, 0)):
        mask = np.zeros((2, 2))
        mask[row, column] = 1
        assert carry_mask(mask, axes(2, 2, start), clip).rms_db < clip.rms_db - 20


@pytest.mark.parametrize("order", [("frequency", "time"), ("time", "frequency")])
def test_axes_are_known_by_name_not_by_place(order):
    clip = ew.Audio(sine(500) + sine(3000), RATE)
    by_name = {axis.name: axis for axis in axes(2, 4)}
    mask = np.zeros((2, 4))
    mask[1] = 1
    mask = mask if order[0] == "frequency" else mask.T
    assert db(carry_mask(mask, tuple(by_name[name] for name in order), clip).samples, sine(3000)) > 30


def test_one_axis_is_enough():
    clip = ew.Audio(sine(500) + sine(3000), RATE)
    frequency, time = axes(2, 4)
    assert db(carry_mask(np.array([1, 0]), (frequency,), clip).samples, sine(500)) > 30
    first = carry_mask(np.array([1, 0, 0, 0]), (time,), clip).samples
    assert db(first[:1800], clip.samples[:1800]) > 30
    assert torch.max(first[2600:].abs()) < 1e-6


def test_what_lies_outside_the_axes_is_removed():
    clip = ew.Audio(sine(100) + sine(1000) + sine(3500), RATE)
    middle = (ew.Axis("frequency", "Hz", (500, 1500, 2500)),)
    assert db(carry_mask(np.ones(2), middle, clip).samples, sine(1000)) > 30


def test_a_cut_does_not_click():
    """A tone cut in two: what is kept has no energy far from the tone, as a bare cut would have."""
    clip = ew.Audio(sine(400, level=1.0), RATE)
    kept = carry_mask(np.array([1.0, 0]), (axes(1, 2)[1],), clip).samples.numpy()
    bare = np.where(np.arange(RATE) < RATE // 2, clip.samples.numpy(), 0)
    bare[RATE // 2 - 5 : RATE // 2] = clip.samples.numpy()[5:10]  # cut at a crest
    far = [np.abs(np.fft.rfft(x * np.hanning(RATE)))[2000:].max() for x in (kept, bare)]
    assert 20 * np.log10(far[0] / far[1]) < -30


@pytest.mark.parametrize(
    "where", [(), (ew.Axis("component", "index", (0, 1, 2)),), (ew.Axis("time", "index", (0, 1, 2)),)]
)
def test_masks_that_have_no_place_in_the_sound(where):
    with pytest.raises(ew.InputError, match="cannot be heard"):
        carry_mask(np.ones(2 if where else ()), where, ew.Audio(sine(400), RATE))
