"""Frames of a network on samples: each by hand, and a click that lands in its own."""

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.checks import check_components, check_question
from earwitness.classifiers.layouts import strided

RATE = 16000


class Listener(torch.nn.Module):
    """Frames of 400 samples every 320; the score is the power of the loudest."""

    def frames(self, axes):
        return strided(axes[-1], 0, 400, 320, max(0, (axes[-1].size - 400) // 320 + 1))

    def forward(self, x):
        power = x.unfold(1, 400, 320).square().sum(2)
        return torch.stack([power.amax(1), power.mean(1)], 1)


@pytest.fixture
def classifier():
    return ew.Classifier(Listener(), ew.Waveform(RATE), ["loud", "mean"])


@pytest.fixture
def clip():
    return ew.Audio(0.1 * np.random.default_rng(0).standard_normal(2000), RATE, start=3.0)


def test_samples_belong_to_the_frames_that_hear_them(classifier, clip):
    """0-400, 320-720, 640-1040, 960-1360, 1280-1680 and 1600-2000: the 80 that two frames hear belong to both by halves."""
    parts = ew.Frames()(classifier, clip)
    assert parts.shape == (6,)
    weights = np.zeros((6, 2000))
    for k in range(6):
        weights[k, 320 * k : 320 * k + 400] = 1
    weights /= weights.sum(0)
    for k in range(6):
        alone = torch.zeros(6)
        alone[k] = 1
        np.testing.assert_allclose(parts.sound(alone), weights[k] * clip.samples.numpy(), atol=1e-7)
    np.testing.assert_allclose(parts.axes[0].edges, 3.0 + np.array([0, 360, 680, 1000, 1320, 1640, 2000]) / RATE)
    check_components(parts)
    check_question(ew.ask(classifier, clip, ew.Frames(), "mean"))


@pytest.mark.parametrize("samples", [400, 401, 719, 720, 1999])
def test_what_no_frame_hears_belongs_to_the_last(classifier, samples):
    clip = ew.Audio(np.random.default_rng(1).standard_normal(samples), RATE)
    parts = ew.Frames()(classifier, clip)
    assert parts.shape == ((samples - 400) // 320 + 1,)
    assert parts.axes[0].edges[-1] == pytest.approx(samples / RATE)
    check_components(parts)


def test_a_click_lands_in_its_frames(classifier):
    for sample in (100, 350, 700, 1700):
        samples = np.zeros(2000)
        samples[sample] = 0.5
        found = ew.GradientSHAP(samples=8)(ew.ask(classifier, ew.Audio(samples, RATE), ew.Frames(), "mean")).values
        expected = [k for k in range(6) if 320 * k <= sample < 320 * k + 400]
        assert np.flatnonzero(np.abs(found) > 1e-9).tolist() == expected


def test_frames_of_one_s_own(clip):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2000, 2))
    classifier = ew.Classifier(network, ew.Waveform(RATE, standardise=True), ["a", "b"])
    parts = ew.Frames(seconds=0.02, every=0.01, stage="features")(classifier, clip)
    assert parts.shape == (11,) and parts.axes[0].unit == "s"
    check_components(parts)
    with pytest.raises(ew.UsageError, match="nobody knows the frames of this network"):
        ew.Frames()(classifier, clip)
    with pytest.raises(ew.UsageError, match=r"both, seconds=0.025 and every=0.02, or neither"):
        ew.Frames(seconds=0.02)
    with pytest.raises(ew.UsageError, match="every is at most seconds"):
        ew.Frames(seconds=0.01, every=0.02)(classifier, clip)


def test_clips_and_networks_that_have_no_frames(classifier, rows, clip):
    with pytest.raises(ew.UsageError, match="is shorter than a frame"):
        ew.Frames()(classifier, ew.Audio(np.ones(399), RATE))
    with pytest.raises(ew.UsageError, match="for a network that eats them"):
        ew.Frames()(ew.Classifier(rows([(0, 2), (2, 4)]), ew.LogMel(RATE), ["a", "b"]), clip)
