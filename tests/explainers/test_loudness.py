"""Loudness: the energy of sounds, and of places, where both are known."""

import numpy as np
import pytest
import torch

import earwitness as ew

RATE = 8000


@pytest.fixture
def bursts():
    """Two tones: 500 Hz in the first half of a second, 3 kHz at half its amplitude in the second half."""
    t = np.arange(RATE) / RATE
    low, high = 0.4 * np.sin(2 * np.pi * 500 * t) * (t < 0.5), 0.2 * np.sin(2 * np.pi * 3000 * t) * (t >= 0.5)
    return ew.Audio(low + high, RATE)


CUTS = {
    "sounds": ew.Cells(bands=2, scale="linear", seconds=0.5),
    "places": ew.Cells(bands=2, scale="linear", seconds=0.5, stage="features"),
    "grid": ew.Grid(2, 2),
}


@pytest.mark.parametrize("cut", CUTS)
def test_two_tones(listener, bursts, cut):
    """The 500 Hz cell has four times the energy of the 3 kHz cell, the other two have none."""
    found = ew.explain(listener, bursts, ew.Loudness(), "low", CUTS[cut])
    share = found.values / found.values.sum()
    np.testing.assert_allclose(share, [[0.8, 0], [0, 0.2]], atol=0.03)
    assert (found.kind, found.stderr, found.evaluations, ew.Loudness().cost(64)) == ("importance", None, 2, 0)


def test_segments_have_the_energy_of_their_samples(listener):
    samples = np.random.default_rng(0).standard_normal(RATE) * 0.1 * np.repeat([1, 2, 0, 3], RATE // 4)
    found = ew.explain(listener, ew.Audio(samples, RATE), ew.Loudness(), "low", ew.Segments(count=4)).values
    energy = (samples.reshape(4, -1) ** 2).sum(1)
    np.testing.assert_allclose(found, energy, rtol=0.1, atol=0.02 * energy.max())  # segments cross-fade over 20 ms


@pytest.mark.parametrize("frontend", [ew.LogMel(RATE, 256, 64, 20, amin=1e-6), ew.LogERB(RATE, 256, 64, 20)])
def test_white_noise_has_the_energy_of_its_width(rows, frontend):
    """Mel and ERB bands are as loud as they are wide, and a component as loud as its bands."""
    classifier = ew.Classifier(rows([(0, 10), (10, 20)]), frontend, ["a", "b"]).eval()
    noise = ew.Audio(0.1 * np.random.default_rng(0).standard_normal(4 * RATE), RATE)
    question = ew.ask(classifier, noise, ew.Grid(4, 3))
    found = ew.Loudness()(question).values
    widths = np.diff(question.axes[0].edges)
    np.testing.assert_allclose(found.sum(1) / found.sum(), widths / widths.sum(), rtol=0.1)
    bins = ew.Loudness()(ew.ask(classifier, noise, ew.Bins())).values
    np.testing.assert_allclose(bins[:5].sum(), found[0].sum(), rtol=1e-5)


def test_a_window_of_a_recording_has_its_own_loudness(listener, bursts):
    """Places are seconds of the recording, loudness that of the window."""
    longer = bursts.with_samples(torch.cat([torch.zeros(RATE), bursts.samples]), "led in")
    question = ew.ask(listener, longer.window(1.0, 1.0), ew.Grid(2, 2), "low")
    assert question.axes[1].edges[0] == 1.0
    np.testing.assert_allclose(
        ew.Loudness()(question).values, ew.explain(listener, bursts, ew.Loudness(), "low", ew.Grid(2, 2)).values
    )


def test_networks_on_samples(tone):
    classifier = ew.Classifier(torch.nn.Linear(RATE, 2), ew.Waveform(RATE), ["a", "b"])
    clip = tone(span=(0.5, 1.0), noise=0.0)[0]
    found = ew.explain(classifier, clip, ew.Loudness(), "b", ew.Segments(count=4, stage="features")).values
    np.testing.assert_allclose(found / found.sum(), [0, 0, 0.5, 0.5], atol=0.03)


def test_a_game_is_not_loud(cnn):
    with pytest.raises(ew.UsageError, match="a bare game cannot be loud"):
        ew.Loudness()(ew.Game(3, lambda m: m.sum(1)))
    with pytest.raises(ew.UsageError, match="ready features cannot be loud"):
        ew.explain(cnn(None), torch.randn(1, 16, 24), ew.Loudness(), "low", ew.Grid(2, 2))
