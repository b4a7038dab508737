"""Front ends against slow replicas written from the definitions, and their axes against sounds of known place."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.errors import UsageError
from earwitness.frontends.filterbanks import erb_weights, mel_weights

RATE = 8000
EVERY = {
    "waveform": ew.Waveform(RATE),
    "waveform, standardised": ew.Waveform(RATE, standardise=True),
    "stft": ew.LogSTFT(RATE, n_fft=256, hop_length=64),
    "stft, dB, standardised": ew.LogSTFT(RATE, n_fft=256, hop_length=64, level="db", standardise=True),
    "mel": ew.LogMel(RATE, n_fft=512, hop_length=128, n_mels=24, amin=1e-6),
    "mel, ref max, top_db": ew.LogMel(RATE, n_fft=512, hop_length=128, n_mels=24, ref="max", top_db=80.0),
    "mel, log1p, standardised": ew.LogMel(RATE, n_fft=512, hop_length=128, n_mels=24, level="log1p", standardise=True),
    "htk, magnitude, linear": ew.LogMel(RATE, 512, 128, 24, mel_scale="htk", norm=None, power=1.0, level="linear"),
    "erb": ew.LogERB(RATE, n_fft=512, hop_length=128, n_bands=24, amin=1e-6),
    "cqt": ew.LogCQT(RATE, hop_length=64, n_bins=59, fmin=130.0),
    "cqt, ref max, top_db": ew.LogCQT(RATE, 128, 30, 6, 125.0, ref="max", top_db=80.0),
    "cqt, log1p, standardised": ew.LogCQT(RATE, 128, 118, 24, 130.0, level="log1p", standardise=True),
    "erb, standardised": ew.LogERB(RATE, n_fft=512, hop_length=128, n_bands=24, amin=1e-6, standardise=True),
}
SPECTRAL = [name for name in EVERY if not name.startswith("waveform")]


def noise(samples=3000, seed=0):
    return torch.from_numpy(0.1 * np.random.default_rng(seed).standard_normal(samples)).float()[None]


def slow_spectrum(x, n_fft, hop):
    """|STFT| from the definition: a periodic Hann window on each frame centred on a multiple of the hop."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    padded = np.pad(np.asarray(x, float), n_fft // 2)
    kernel = np.exp(-2j * np.pi * np.outer(np.arange(n_fft // 2 + 1), np.arange(n_fft)) / n_fft)
    frames = [padded[i * hop : i * hop + n_fft] * window for i in range(1 + len(x) // hop)]
    return np.abs(kernel @ np.array(frames).T)


def near(features, expected):
    """Within 1e-5 of the expected range."""
    assert features.shape == (1, 1, *expected.shape)
    np.testing.assert_allclose(features[0, 0].numpy(), expected, rtol=0, atol=1e-5 * np.ptp(expected))


def test_log_stft():
    near(EVERY["stft"](noise()), np.log1p(slow_spectrum(noise()[0], 256, 64)))


def slow_mel(sample_rate, n_fft, bands, low, high, there, back, unit_area):
    """Triangles, one weight at a time."""
    points = back(np.linspace(there(low), there(high), bands + 2))
    weights = np.zeros((bands, n_fft // 2 + 1))
    for m in range(bands):
        left, centre, right = points[m : m + 3]
        for k in range(n_fft // 2 + 1):
            f = k * sample_rate / n_fft
            if left < f <= centre:
                weights[m, k] = (f - left) / (centre - left)
            elif centre < f < right:
                weights[m, k] = (right - f) / (right - centre)
        weights[m] *= 2 / (right - left) if unit_area else 1
    return weights


def htk(f):
    return 2595 * np.log10(1 + f / 700)


def htk_hz(m):
    return 700 * (10 ** (m / 2595) - 1)


@pytest.mark.parametrize("norm", ["slaney", None])
def test_mel_triangles(norm):
    weights = mel_weights(RATE, 512, 20, 50.0, 3900.0, "htk", norm)
    slow = slow_mel(RATE, 512, 20, 50.0, 3900.0, htk, htk_hz, norm == "slaney")
    np.testing.assert_allclose(weights, slow, atol=1e-9)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_mel_in_decibels(power):
    mel = slow_mel(RATE, 512, 24, 0.0, 4000.0, htk, htk_hz, True) @ slow_spectrum(noise()[0], 512, 128) ** power
    for ref, top_db in [(1.0, None), ("max", None), ("max", 30.0), (0.5, 40.0)]:
        frontend = ew.LogMel(RATE, 512, 128, 24, mel_scale="htk", power=power, amin=1e-5, ref=ref, top_db=top_db)
        factor = 10 if power == 2 else 20
        expected = factor * np.log10(np.maximum(mel, 1e-5) / (mel.max() if ref == "max" else ref))
        expected = expected if top_db is None else np.maximum(expected, expected.max() - top_db)
        near(frontend(noise()), expected)


def test_gammatone_rows():
    """At its centre a gammatone passes everything; at 1.019 ERB from it, 1/16 of the power (fourth order); each row sums to 1."""
    centre = np.array([1000.0])
    weights = erb_weights(16000, 16000, centre)[0]  # a bin a hertz
    width = 1.019 * 24.7 * (4.37 * 1.0 + 1)
    peak = weights.argmax()
    assert peak == 1000
    np.testing.assert_allclose(weights[peak + round(width)] / weights[peak], 1 / 16, rtol=0.01)
    np.testing.assert_allclose(weights.sum(), 1)


def test_white_noise_is_flat_in_erb_bands_and_centres_are_even_in_erb_rate():
    frontend = ew.LogERB(RATE, n_fft=512, hop_length=128, n_bands=12, fmin=100.0, level="linear")
    power = frontend(noise(200_000))[0, 0].mean(1)
    np.testing.assert_allclose(power / power.mean(), 1, atol=0.05)
    rate = 21.4 * np.log10(1 + 0.00437 * np.array(frontend.axes(RATE)[0].edges))
    np.testing.assert_allclose(np.diff(rate), np.diff(rate).mean(), rtol=1e-9)


def test_standardised_features_have_mean_0_and_variance_1():
    for name in ("stft, dB, standardised", "mel, log1p, standardised", "waveform, standardised"):
        x = EVERY[name](noise(seed=1)).double()
        np.testing.assert_allclose([x.mean(), x.var(unbiased=False)], [0, 1], atol=1e-3)


@pytest.mark.parametrize("name", SPECTRAL)
@given(hertz=st.floats(150, 3700))
def test_a_tone_peaks_in_the_row_whose_edges_hold_it(name, hertz):
    frontend = EVERY[name]
    t = torch.arange(4096) / RATE
    x = frontend(torch.sin(2 * torch.pi * hertz * t)[None])[0, 0]
    row = int(x[:, 8:-8].mean(1).argmax())
    frequency, _ = frontend.axes(4096)
    low, high = frequency.place(row)
    # half a bin of the spectrum is as well as one can know; rows of a constant-Q transform cross within a twentieth of a row
    slack = RATE / frontend.n_fft / 2 if hasattr(frontend, "n_fft") else (high - low) / 20
    assert low - slack <= hertz <= high + slack, f"{hertz} Hz peaks in the row of {low}-{high} Hz"


@pytest.mark.parametrize("name", SPECTRAL)
@given(sample=st.integers(100, 3900), samples=st.integers(4000, 4200))
def test_a_click_peaks_in_the_column_whose_edges_hold_it(name, sample, samples):
    frontend = EVERY[name]
    x = 1e-3 * noise(samples)
    x[0, sample] = 1.0
    column = int(frontend(x)[0, 0].mean(0).argmax())
    _, time = frontend.axes(samples)
    low, high = time.place(column)
    assert low - 1.01 / RATE <= sample / RATE <= high + 1.01 / RATE


@pytest.mark.parametrize("name", EVERY)
@given(samples=st.integers(1, 5000))
def test_axes_fit_the_features_and_end_with_the_clip(name, samples):
    frontend = EVERY[name]
    axes = frontend.axes(samples)
    x = frontend(noise(samples))
    assert tuple(axis.size for axis in axes) == tuple(x.shape[1 if len(axes) == 1 else 2 :])
    assert [axis.unit for axis in axes] == ["Hz", "s"][-len(axes) :]
    assert axes[-1].edges[0] == 0
    assert axes[-1].edges[-1] == samples / RATE


@pytest.mark.parametrize("name", SPECTRAL)
def test_lowest_frequency_first(name):
    frequency = EVERY[name].axes(4000)[0]
    assert np.all(np.diff(frequency.edges) > 0)
    t = torch.arange(4000) / RATE
    low, high = (EVERY[name](torch.sin(2 * torch.pi * f * t)[None])[0, 0].mean(1).argmax() for f in (300, 3000))
    assert low < high


@pytest.mark.parametrize("name", EVERY)
def test_gradients_are_slopes(name):
    """In double precision, along a random direction, at a random point."""
    frontend = EVERY[name].double()
    try:
        x, direction = noise(1500).double().requires_grad_(), noise(1500, seed=1).double()
        weights = torch.randn(frontend(x).shape, generator=torch.Generator().manual_seed(0)).double()
        (slope,) = torch.autograd.grad((weights * frontend(x)).sum(), x)
        ends = [(weights * frontend(x.detach() + s * 1e-5 * direction)).sum() for s in (1, -1)]
        np.testing.assert_allclose((slope * direction).sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-4)
    finally:
        frontend.float()


@pytest.mark.parametrize("name", EVERY)
def test_statistics_of_the_clip_are_frozen(name):
    """Masked behind a step, the clip keeps the mean and maximum of the whole; without `clip` it gets its own."""
    frontend = EVERY[name]
    clip = noise(seed=2)
    half = clip * (torch.arange(clip.shape[1]) < 1500)
    whole, frozen, own = frontend(clip, clip), frontend(half, clip), frontend(half)
    torch.testing.assert_close(whole, frontend(clip))
    if name.startswith("waveform, st"):
        expected = (half - clip.mean()) / torch.sqrt(clip.var(unbiased=False) + 1e-7)
        torch.testing.assert_close(frozen, expected)
    alone = slice(0, 3)  # columns (samples) that the masked half doesn't reach
    torch.testing.assert_close(frozen[..., alone], whole[..., alone])
    if "standardised" in name:
        assert not torch.allclose(own[..., alone], whole[..., alone], atol=1e-2)


def test_ref_max_is_frozen_too():
    """Half as loud is 6 dB less under the clip's own maximum, but nothing at all under one's own."""
    frontend = ew.LogMel(RATE, 512, 128, 24, ref="max", amin=1e-12)
    clip = noise(seed=3)
    whole = frontend(clip)
    np.testing.assert_allclose(frontend(clip / 2), whole, atol=1e-3)
    np.testing.assert_allclose(frontend(clip / 2, clip), whole - 20 * np.log10(2), atol=1e-3)


@pytest.mark.parametrize("name", EVERY)
def test_steps_add_up_to_the_front_end(name):
    frontend, clip = EVERY[name], noise(seed=4)
    for step, _ in frontend.named_children():
        half = frontend.advance(clip, "", step, clip)
        torch.testing.assert_close(frontend.advance(half, step, "", clip), frontend(clip), rtol=1e-6, atol=1e-6)


def test_silence_by_hand():
    """Silence is 0 in log(1 + x), the floor in dB, and below the mean where the clip is standardised."""
    quiet, clip = torch.zeros(1, 2000), noise(2000, seed=5)
    assert torch.equal(EVERY["stft"](quiet, clip), torch.zeros_like(EVERY["stft"](clip)))
    torch.testing.assert_close(EVERY["mel"](quiet, clip), torch.full_like(EVERY["mel"](clip), -60.0))
    x = ew.LogMel(RATE, 512, 128, 24, amin=1e-6)(clip)
    expected = (-60 - x.mean()) / x.std(unbiased=False)
    silent = ew.LogMel(RATE, 512, 128, 24, amin=1e-6, standardise=True)(quiet, clip)
    torch.testing.assert_close(silent, expected * torch.ones_like(silent), rtol=1e-4, atol=1e-4)
    floor = EVERY["mel, ref max, top_db"](quiet, clip)
    torch.testing.assert_close(floor, torch.full_like(floor, -80.0))


@pytest.mark.parametrize("name", [name for name in EVERY if "linear" not in name])
def test_the_silence_baseline_is_the_answer_to_silence(name):
    clip = ew.Audio(noise(4000, seed=6)[0], RATE)
    classifier = ew.Classifier(torch.nn.Flatten(), EVERY[name], ["a"])
    cut = ew.Segments(count=3, stage="features")(classifier, clip)
    expected = EVERY[name](torch.zeros(1, 4000), clip.samples[None])[0]
    assert torch.equal(cut.baselines[0], expected)
    assert cut.note == "digital silence"
    bare = torch.equal(expected, torch.zeros_like(expected))
    assert bare == (name in ("waveform", "stft")), "zeros are silence only for log(1 + x) and the bare waveform"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ew.LogSTFT(RATE, level="phon"), "unknown level 'phon'"),
        (lambda: ew.LogSTFT(RATE, n_fft=1), "n_fft must be 2 or more"),
        (lambda: ew.LogMel(RATE, fmin=5000.0), "need 0 <= fmin < fmax <= 4000 Hz"),
        (lambda: ew.LogERB(RATE, fmax=5000.0), "need 0 <= fmin < fmax <= 4000 Hz"),
        (lambda: ew.LogMel(RATE, mel_scale="bark"), "unknown frequency scale 'bark'"),
        (lambda: EVERY["stft"].advance(noise(), "", "filterbank"), "unknown step of the front end 'filterbank'"),
        (lambda: EVERY["mel"].advance(noise(), "filterbank", "spectrum"), "'spectrum' comes before 'filterbank'"),
    ],
)
def test_what_makes_no_sense(make, said):
    with pytest.raises(UsageError, match=said):
        make()


def test_empty_bands_are_told():
    with pytest.warns(UserWarning, match="bands hold no bin of a 256-point spectrum"):
        ew.LogMel(RATE, n_fft=256, n_mels=200)
