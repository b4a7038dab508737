"""Cuts by hand: where the pieces lie, what they hold, and cuts that make no sense."""

import dataclasses

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.checks import check_components

RATE = 8000


def sine(hertz, samples=RATE, level=0.3):
    return level * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)


@pytest.fixture
def clip():
    """A low tone and a high one, a second long, cut out of a recording at 12.5 s."""
    return ew.Audio(sine(300) + sine(3000), RATE, start=12.5)


def db(found, true):
    """How far below `true` the error lies."""
    found, true = np.asarray(found, float), np.asarray(true, float)
    return 10 * np.log10((true @ true) / ((found - true) @ (found - true)))


@pytest.mark.parametrize(
    ("cut", "edges"),
    [
        (ew.Segments(count=4), [12.5, 12.75, 13.0, 13.25, 13.5]),
        (ew.Segments(seconds=0.3), [12.5, 12.5 + 1 / 3, 12.5 + 2 / 3, 13.5]),
        (ew.Segments(), np.linspace(12.5, 13.5, 11)),
        (ew.Segments(edges=(0, 12.6, 13.0, 99)), [12.5, 12.6, 13.0, 13.5]),
        (ew.Segments(edges=(12.5, 13.0, 13.5)), [12.5, 13.0, 13.5]),
        (ew.Segments(edges=()), [12.5, 13.5]),
        (ew.Segments(seconds=60.0), [12.5, 13.5]),
    ],
)
def test_segments_are_in_the_recording_s_time(listener, clip, cut, edges):
    (axis,) = cut(listener, clip).axes
    assert (axis.name, axis.unit) == ("time", "s")
    np.testing.assert_allclose(axis.edges, edges, atol=1e-12)
    assert axis.edges[-1] == clip.end


@pytest.mark.parametrize(
    ("scale", "there"),
    [
        ("erb", lambda f: 21.4 * np.log10(1 + 0.00437 * f)),
        ("htk", lambda f: 2595 * np.log10(1 + f / 700)),
        ("linear", lambda f: f),
    ],
)
def test_bands_are_equally_wide_on_their_scale(listener, clip, scale, there):
    (axis,) = ew.Bands(bands=6, scale=scale)(listener, clip).axes
    assert (axis.name, axis.unit, axis.edges[0], axis.edges[-1]) == ("frequency", "Hz", 0.0, 4000.0)
    steps = np.diff(there(np.array(axis.edges)))
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-9)


def test_a_segment_fades_by_a_raised_cosine(listener):
    """Over 20 ms around the edge: a constant clip shows the fade itself."""
    cut = ew.Segments(count=2)(listener, ew.Audio(np.ones(RATE), RATE))
    kept = cut.sound(torch.tensor([1.0, 0.0])).double().numpy()
    t = (np.arange(RATE) + 0.5) / RATE
    expected = np.cos(np.pi / 2 * np.clip((t - 0.49) / 0.02, 0, 1)) ** 2
    np.testing.assert_allclose(kept, expected, atol=1e-6)


@pytest.mark.parametrize("stage", ["waveform", "features"])
def test_a_band_holds_its_tone(listener, clip, stage):
    """At the waveform stage the tone itself; among features the rows that hear it. Row 0 is the lowest."""
    cut = ew.Bands(bands=2, scale="linear", stage=stage)(listener, clip)
    low = cut.mix(torch.tensor([[1.0, 0.0]]))[0]
    if stage == "waveform":
        assert db(low, sine(300)) > 40
        assert db(cut.sound(torch.tensor([0.0, 1.0])), sine(3000)) > 40
    else:
        rows = listener.axes("features", RATE)[0].centers < 2000
        torch.testing.assert_close(low[:, rows], cut.x[:, rows])
        assert torch.all(low[:, ~rows] == 0)


def test_cells_hold_one_tone_for_one_time(listener, clip):
    cut = ew.Cells(bands=2, seconds=0.5, scale="linear")(listener, clip)
    assert cut.shape == (2, 2)
    mask = torch.zeros(2, 2)
    mask[1, 0] = 1
    kept = cut.sound(mask)
    assert db(kept[:3900], sine(3000)[:3900]) > 35
    assert torch.max(kept[4100:].abs()) == 0


def test_grid_rows_and_columns(listener, clip):
    """129 rows in 3 groups, 126 columns in 4: the mask 1, 2, 3, ... shows which cell each bin belongs to."""
    cut = ew.Grid(3, 4)(listener, clip)
    frequency, time = cut.axes
    np.testing.assert_allclose(frequency.edges, [0, 42.5 * 31.25, 85.5 * 31.25, 4000])
    assert (time.edges[0], time.edges[-1]) == (12.5, 13.5)
    cut.x, cut.baselines = torch.ones(1, 129, 126), torch.zeros(1, 1, 129, 126)
    shown = cut.mix(torch.arange(12.0).reshape(1, 3, 4))[0, 0]
    expected = 4 * np.repeat([0, 1, 2], 43)[:, None] + np.repeat([0, 1, 2, 3], [31, 32, 31, 32])
    np.testing.assert_array_equal(shown, expected)


def test_bins_are_the_features_one_by_one(listener, clip):
    cut = ew.Bins()(listener, clip)
    assert cut.shape == (129, 126)
    assert cut.axes[0] == listener.axes("features", RATE)[0]
    mask = torch.rand(1, 129, 126, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(cut.mix(mask)[0, 0], mask[0] * cut.x[0])


def test_collect_sums_over_each_component(listener, clip):
    v = torch.randn(1, 129, 126, generator=torch.Generator().manual_seed(0)).double()
    np.testing.assert_allclose(ew.Bins()(listener, clip).collect(v), v[0], rtol=1e-12)
    grid = ew.Grid(3, 1)(listener, clip).collect(v)
    np.testing.assert_allclose(grid[:, 0], [v[:, a : a + 43].sum() for a in (0, 43, 86)], rtol=1e-9)
    bands = ew.Bands(bands=2, scale="linear", stage="features")(listener, clip).collect(v)
    centres = listener.axes("features", RATE)[0].centers
    np.testing.assert_allclose(bands, [v[:, centres < 2000].sum(), v[:, centres >= 2000].sum()], rtol=1e-9)


def test_collect_of_samples(listener, clip):
    cut = ew.Segments(count=2)(listener, clip)
    np.testing.assert_allclose(cut.collect(torch.ones(RATE)), [RATE / 2, RATE / 2], rtol=1e-6)
    for banded in (ew.Bands(bands=2), ew.Cells(bands=2, seconds=0.5)):
        with pytest.raises(ew.UsageError, match="says nothing about frequency bands"):
            banded(listener, clip).collect(torch.ones(RATE))


def test_features_belong_where_their_centre_lies(listener, clip):
    """Segments narrower than a frame get merged, and the axis says so."""
    cut = ew.Segments(edges=(12.6, 12.6001, 13.0), stage="features")(listener, clip)
    np.testing.assert_allclose(cut.axes[0].edges, [12.5, 12.6, 13.0, 13.5], atol=2e-4)
    columns = listener.axes("features", RATE)[1].centers + 12.5
    first = cut.mix(torch.tensor([[1.0, 0.0, 0.0]]))[0, 0].abs().sum(0) > 0
    np.testing.assert_array_equal(first, columns < 12.6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ew.Segments(seconds=0.1, count=3), "one of seconds, count and edges"),
        (lambda: ew.Segments(seconds=0), "seconds must be a number above 0, not 0"),
        (lambda: ew.Segments(count=-2), "count must be a whole number above 0, not -2"),
        (lambda: ew.Segments(count=2.5), "count must be a whole number above 0, not 2.5"),
        (lambda: ew.Bands(bands=0), "bands must be a whole number above 0, not 0"),
        (lambda: ew.Bands(bands=2.5), "bands must be a whole number above 0, not 2.5"),
        (lambda: ew.Cells(bands=3, seconds=-1), "seconds must be a number above 0, not -1"),
        (lambda: ew.Grid(0, 2), "frequency must be a whole number above 0, not 0"),
        (lambda: ew.Grid(2, 2, stage="waveform"), "unknown stage for Grid 'waveform'"),
    ],
)
def test_settings_that_make_no_sense(make, said):
    with pytest.raises(ew.UsageError, match=said):
        make()


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (ew.Bands(bands=3, scale="bark"), "unknown frequency scale 'bark'"),
        (ew.Segments(count=2, stage="spectrum"), "unknown stage for time and frequency 'spectrum'"),
        (ew.Segments(count=RATE * 3), "8000 samples cannot be cut into 24000 segments"),
        (ew.Segments(edges=(12.60001, 12.60002)), "segments that hold no sample"),
        (ew.Segments(count=2, baseline="mean"), "the baseline 'mean' is a picture, not a sound"),
        (ew.Segments(count=2, baseline="quiet"), "unknown baseline 'quiet'"),
        (ew.Grid(2, 2, baseline="quiet"), "unknown baseline 'quiet'"),
        (ew.Grid(200, 2), "has 129 places, so it cannot be cut into 200"),
    ],
)
def test_cuts_that_make_no_sense(listener, clip, cut, said):
    with pytest.raises(ew.EarwitnessError, match=said):
        cut(listener, clip)


def test_networks_on_samples_have_no_rows(clip):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(RATE, 2))
    with pytest.raises(ew.UsageError, match="a grid needs features over frequency and time"):
        ew.Grid(2, 2)(ew.Classifier(network, ew.Waveform(RATE), ["a", "b"]), clip)


@pytest.mark.parametrize("cut", [ew.Cells(3, 0.25), ew.Bands(4), ew.Segments(count=4)])
@pytest.mark.parametrize("baseline", ["silence", "noise", ("silence", "shaped")])
def test_networks_on_samples_are_given_the_same_pieces_standardised(clip, cut, baseline):
    """By the clip's own mean and deviation, whatever is left of it; what is heard is the pieces themselves."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(RATE, 2))
    classifier = ew.Classifier(network, ew.Waveform(RATE, standardise=True), ["a", "b"])
    sound, eaten = (
        dataclasses.replace(cut, stage=stage, baseline=baseline)(classifier, clip) for stage in ("waveform", "features")
    )
    check_components(eaten)
    mean, deviation = clip.samples.mean(), (clip.samples.var(correction=0) + 1e-7).sqrt()
    masks = torch.from_numpy(np.random.default_rng(0).random((3, *sound.shape))).float()
    for number in range(len(sound.baselines)):
        expected = (sound.mix(masks, number) - mean) / deviation
        np.testing.assert_allclose(eaten.mix(masks, number), expected, atol=2e-5 * float(expected.abs().max()))
    np.testing.assert_array_equal(eaten.sound(masks[0]), sound.sound(masks[0]))
    assert eaten.axes == sound.axes and eaten.stage == "features"


def test_a_gradient_along_the_sound_needs_the_clip_s_own_deviation(clip):
    """What is standardised afresh answers the same at any level: integrated gradients from silence miss everything."""
    network = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, -1)), torch.nn.Conv1d(1, 4, 9), torch.nn.ReLU(), torch.nn.Flatten()
    )
    network.append(torch.nn.LazyLinear(2))
    classifier = ew.Classifier(network, ew.Waveform(RATE, standardise=True), ["a", "b"])
    network(clip.samples[None])
    gaps = {
        stage: ew.IntegratedGradients(16, "linear")(ew.ask(classifier, clip, ew.Segments(count=4, stage=stage))).gap
        for stage in ("waveform", "features")
    }
    assert gaps["waveform"] > 0.8 and gaps["features"] < 1e-3
    assert ew.ask(classifier, clip).components.stage == "features"
