"""Parity with librosa, to 1e-5 of the range of its features."""

import numpy as np
import pytest
import torch

import earwitness as ew

librosa = pytest.importorskip("librosa")
pytestmark = pytest.mark.reference
RATE = 8000


@pytest.fixture(scope="module")
def clip():
    t = np.arange(9000) / RATE
    rng = np.random.default_rng(0)
    return (0.5 * np.sin(2 * np.pi * (300 + 400 * t) * t) + 0.05 * rng.standard_normal(len(t))).astype(np.float32)


def near(frontend, clip, expected):
    features = frontend(torch.from_numpy(clip)[None])[0, 0].numpy()
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5 * np.ptp(expected))


@pytest.mark.parametrize(("n_fft", "hop"), [(256, 64), (512, 200), (1024, 256)])
def test_stft(clip, n_fft, hop):
    magnitude = np.abs(librosa.stft(clip, n_fft=n_fft, hop_length=hop))
    near(ew.LogSTFT(RATE, n_fft, hop), clip, np.log1p(magnitude))
    level = librosa.amplitude_to_db(magnitude, ref=1.0, top_db=None)
    found = ew.LogSTFT(RATE, n_fft, hop, level="db")(torch.from_numpy(clip)[None])[0, 0].numpy()
    # as magnitudes: 100 dB below the peak, decibels show the rounding of either float32 transform
    np.testing.assert_allclose(10 ** (found / 20), 10 ** (level / 20), rtol=0, atol=1e-5 * magnitude.max())


@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", None])
@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize(("fmin", "fmax"), [(0.0, None), (50.0, 3500.0)])
def test_mel(clip, mel_scale, norm, power, fmin, fmax):
    mel = librosa.feature.melspectrogram(
        y=clip, sr=RATE, n_fft=512, hop_length=128, n_mels=30, fmin=fmin, fmax=fmax,
        htk=mel_scale == "htk", norm=norm, power=power,
    )  # fmt: skip
    same = {"fmin": fmin, "fmax": fmax, "mel_scale": mel_scale, "norm": norm, "power": power}
    near(ew.LogMel(RATE, 512, 128, 30, level="linear", **same), clip, mel)
    near(ew.LogMel(RATE, 512, 128, 30, level="log1p", **same), clip, np.log1p(mel))
    to_db = librosa.power_to_db if power == 2 else librosa.amplitude_to_db
    for ref, top_db in [(1.0, None), (np.max, None), (np.max, 80.0), (1.0, 40.0)]:
        frontend = ew.LogMel(RATE, 512, 128, 30, ref="max" if ref is np.max else ref, top_db=top_db, amin=1e-5, **same)
        near(frontend, clip, to_db(mel, ref=ref, amin=1e-5, top_db=top_db))


def test_the_highest_octave_of_the_constant_q_transform(clip):
    """Where librosa resamples nothing it is the same transform: 1e-5 of the range, for windows well below half the rate."""
    theirs = librosa.cqt(clip, sr=RATE, hop_length=128, fmin=1100.0, n_bins=24, bins_per_octave=24, sparsity=0)
    near(ew.LogCQT(RATE, 128, 24, 24, 1100.0, level="linear"), clip, np.abs(theirs))


def test_lower_octaves_of_the_constant_q_transform(clip):
    """librosa resamples for each, and rounds its windows there: within 2.5 % of the maximum, and 1 dB of what is loud."""
    theirs = np.abs(librosa.cqt(clip, sr=RATE, hop_length=128, fmin=65.0, n_bins=68, sparsity=0))
    ours = ew.LogCQT(RATE, 128, 68, 12, 65.0, level="linear")(torch.from_numpy(clip)[None])[0, 0].numpy()
    assert np.abs(ours - theirs).max() < 0.025 * theirs.max()
    loud = theirs > 0.1 * theirs.max()
    assert np.abs(20 * np.log10(ours[loud] / theirs[loud])).max() < 1


def test_a_real_recording(real_clip):
    clip = real_clip.samples.numpy()
    mel = librosa.feature.melspectrogram(y=clip, sr=RATE, n_fft=512, hop_length=128, n_mels=40)
    near(ew.LogMel(RATE, 512, 128, 40), clip, librosa.power_to_db(mel, top_db=None))
