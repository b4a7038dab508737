"""Spectrograms as pictures against slow bilinear resizing, and their axes against sounds of known place."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.errors import UsageError
from earwitness.frontends.pictures import picture_in_words

RATE = 8000
STFT = ew.LogSTFT(RATE, n_fft=256, hop_length=64)
FRONTENDS = {
    "stft": STFT,
    "mel": ew.LogMel(RATE, n_fft=512, hop_length=128, n_mels=30, ref="max", top_db=80.0),
    "cqt": ew.LogCQT(RATE, hop_length=128, n_bins=40, fmin=130.0, ref="max", top_db=80.0),
    "erb": ew.LogERB(RATE, n_fft=512, hop_length=128, n_bands=24, amin=1e-6, standardise=True),
}
SIZES = [(224, 224), (40, 20), (9, 130)]


def noise(samples=4000, seed=0):
    return torch.from_numpy(0.1 * np.random.default_rng(seed).standard_normal(samples)).float()[None]


def slow_weights(size, pixels, antialias):
    """`[pixels, size]`: a triangle over each pixel's middle, as wide as a place, or as a pixel where that is more."""
    scale = size / pixels
    width = max(scale, 1) if antialias else 1
    weights = np.zeros((pixels, size))
    for pixel in range(pixels):
        middle = (pixel + 0.5) * scale
        middle = middle if antialias else np.clip(middle, 0.5, size - 0.5)
        for place in range(size):
            weights[pixel, place] = max(0, 1 - abs(place + 0.5 - middle) / width)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FRONTENDS)
def test_pixels(name, size, antialias):
    x = FRONTENDS[name](noise())[0, 0].double().numpy()
    across, down = (slow_weights(n, pixels, antialias) for n, pixels in zip(x.shape, size, strict=True))
    resized = across @ x @ down.T
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (resized - mean[:, None, None]) / std[:, None, None]
    found = ew.Picture(FRONTENDS[name], *size, mean=mean, std=std, antialias=antialias)(noise())
    assert found.shape == (1, 3, *size)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=0, atol=1e-5 * np.ptp(expected))


def test_as_large_as_the_spectrogram_it_is_the_spectrogram():
    picture = ew.Picture(STFT, 129, 63, channels=2)
    x = STFT(noise())
    torch.testing.assert_close(picture(noise()), x.expand(1, 2, -1, -1))
    for axis, same in zip(picture.axes(4000), STFT.axes(4000), strict=True):
        np.testing.assert_allclose(axis.edges, same.edges)


@pytest.mark.parametrize("size", SIZES)
@given(hertz=st.floats(200, 3800), sample=st.integers(200, 3800))
def test_a_tone_and_a_click_peak_where_their_pixels_are(size, hertz, sample):
    picture = ew.Picture(STFT, *size)
    t = torch.arange(4000) / RATE
    frequency, time = picture.axes(4000)
    assert (frequency.size, time.size) == size
    assert (frequency.edges[0], frequency.edges[-1], time.edges[0], time.edges[-1]) == (0, 4000, 0, 0.5)
    row = int(picture(torch.sin(2 * torch.pi * hertz * t)[None])[0, 0].mean(1).argmax())
    low, high = frequency.place(row)
    bin_width = RATE / 256
    assert low - bin_width <= hertz <= high + bin_width
    click = torch.zeros(1, 4000)
    click[0, sample] = 1.0
    low, high = time.place(int(picture(click)[0, 0].mean(0).argmax()))
    assert low - 0.008 <= sample / RATE <= high + 0.008


@pytest.mark.parametrize("name", FRONTENDS)
def test_statistics_of_the_clip_are_frozen(name):
    picture, inner, clip = ew.Picture(FRONTENDS[name], 50, 40), FRONTENDS[name], noise(seed=1)
    quiet = 0.1 * clip
    expected = torch.nn.functional.interpolate(inner(quiet, clip), (50, 40), mode="bilinear", antialias=True)
    torch.testing.assert_close(picture(quiet, clip), expected.expand(1, 3, -1, -1))
    if name != "stft":
        assert (picture(quiet) - picture(quiet, clip)).abs().max() > 0.1


@pytest.mark.parametrize("name", FRONTENDS)
def test_gradients(name):
    """Slopes in double precision, and numbers in digital silence."""
    picture = ew.Picture(FRONTENDS[name], 30, 20, mean=0.5, std=0.25).double()
    try:
        x, direction = noise(1500).double().requires_grad_(), noise(1500, seed=1).double()
        weights = torch.randn(picture(x).shape, generator=torch.Generator().manual_seed(0)).double()
        (slope,) = torch.autograd.grad((weights * picture(x)).sum(), x)
        ends = [(weights * picture(x.detach() + s * 1e-5 * direction)).sum() for s in (1, -1)]
        np.testing.assert_allclose((slope * direction).sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-4)
        silence = torch.zeros(1, 1500).double().requires_grad_()
        (slope,) = torch.autograd.grad(picture(silence, noise(1500).double()).sum(), silence)
        assert torch.isfinite(slope).all()
    finally:
        picture.float()


def test_steps_have_the_front_end_s_names():
    picture = ew.Picture(STFT, 30, 20)
    names = [name for name, _ in picture.named_children()]
    assert names == ["spectrum", "logarithm", "normalisation", "resize", "colours"]
    spectrum = picture.advance(noise(), "", "spectrum")
    torch.testing.assert_close(picture.advance(spectrum, "spectrum", ""), picture(noise()))


@pytest.mark.parametrize("name", FRONTENDS)
def test_its_front_end_is_kept_as_a_text(name, tmp_path):
    picture = ew.Picture(FRONTENDS[name], 30, 20, channels=1, mean=-40, std=(20,))
    assert picture.frontend.startswith(type(FRONTENDS[name]).__name__ + f"(sample_rate={RATE}, ")
    again = ew.Picture(picture.frontend, 30, 20, channels=1, mean=-40, std=(20,))
    assert torch.equal(again(noise()), picture(noise()))
    ew.save_classifier(ew.Classifier(SmallSpecCNN(2, (4, 8)), picture, ["a", "b"]), tmp_path, card="A test.")
    loaded = ew.load_classifier(tmp_path, device="cpu").frontend
    assert ew.fingerprint(loaded) == ew.fingerprint(picture)
    assert torch.equal(loaded(noise()), picture(noise()))
    assert loaded.axes(4000) == picture.axes(4000)


@pytest.mark.parametrize(
    ("text", "frontend", "given"),
    [
        ("mel", ew.LogMel(), {}),
        ("cqt:22050,256", ew.LogCQT(22050, 256), {}),
        ("linear:8000,level=db,height=64,width=32", ew.LogSTFT(8000, level="db"), {"height": 64, "width": 32}),
        (
            "erb:fmin=100,std=40,mean=-30.5,channels=1",
            ew.LogERB(fmin=100.0),
            {"std": 40.0, "mean": -30.5, "channels": 1},
        ),
        (
            "mel:sample_rate=22050,ref=max,top_db=80,norm=None,mean=0.485/0.456/0.406,std=0.229/0.224/0.225,duration=30",
            ew.LogMel(22050, ref="max", top_db=80.0, norm=None),
            {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "duration": 30.0},
        ),
        ("mel:antialias=False,standardise=True", ew.LogMel(standardise=True), {"antialias": False}),
    ],
)
def test_a_picture_in_words(text, frontend, given):
    assert ew.fingerprint(picture_in_words(text)) == ew.fingerprint(ew.Picture(frontend, **given))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mell", "unknown front end for a picture 'mell'. Did you mean mel?"),
        ("mel:samplerate=8000", "unknown option of mel 'samplerate'. Did you mean sample_rate"),
        ("cqt:n_fft=512", "unknown option of cqt 'n_fft'"),
        ("mel:sample_rate=fast", "sample_rate must be a whole number, not 'fast', in 'mel:sample_rate=fast'"),
        ("mel:n_mels=12.5", "n_mels must be a whole number, not 12.5"),
        ("mel:fmax=high", "fmax must be a number or None, not 'high'"),
        ("mel:mean=0.5/x/0.5", "mean must be a number or numbers with / between, not '0.5/x/0.5'"),
        ("mel:mean=0.5/0.5", "mean must be a number or 3 of them"),
        ("linear:standardise=yes", "standardise must be True or False, not 'yes'"),
        ("linear:1,2,3,log1p,True,6", "linear takes at most 5 values without a name"),
        ("linear:duration=0", "duration must be a number above 0"),
        ("mel:ref=loud", "ref must be a number or \"max\", not 'loud'"),
        ("cqt:top_db=-5", "top_db must be a number above 0"),
        ("mel:mean=nan", "mean must be a number"),
        ("mel:std=inf", "std must be a number"),
    ],
)
def test_words_that_make_no_picture(text, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        picture_in_words(text)


def test_a_picture_s_duration_is_the_classifier_s(tmp_path):
    """Unless the classifier has one of its own; and it is kept."""
    picture = ew.Picture(STFT, 30, 20, channels=1, duration=3.0)
    assert ew.Classifier(SmallSpecCNN(2, (4, 8)), picture, ["a", "b"], duration=2.0).duration == 2.0
    classifier = ew.Classifier(SmallSpecCNN(2, (4, 8)), picture, ["a", "b"])
    ew.save_classifier(classifier, tmp_path, card="A test.")
    assert ew.load_classifier(tmp_path).duration == classifier.duration == 3.0
    clip = ew.Audio(noise(8000 * 7)[0], RATE)
    with pytest.raises(ew.InputError, match=r"lasts 7\.00 s and the model takes 3 s"):
        ew.ask(classifier, clip)
    assert [len(window.samples) for window in clip.windows(3.0)] == [24000, 24000, 24000]


def test_another_front_end_is_another_picture():
    pictures = [ew.Picture(f"LogSTFT({RATE}, n_fft={n_fft})", 30, 20) for n_fft in (256, 512)]
    assert ew.fingerprint(pictures[0]) != ew.fingerprint(pictures[1])
    assert ew.Picture(ew.LogMel(fmin=np.float64(50.0)), 30, 20).frontend.count("fmin=50.0") == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ew.Picture(ew.Waveform(RATE)), "unknown front end for a picture 'Waveform'"),
        (lambda: ew.Picture("Waveform(8000)"), "is written like LogMel"),
        (lambda: ew.Picture("LogMel(8000, fmin=9e9)"), "need 0 <= fmin < fmax"),
        (lambda: ew.Picture("LogMel(print(1))"), "is written like LogMel"),
        (lambda: ew.Picture("a picture"), "is written like LogMel"),
        (lambda: ew.Picture("3"), "is written like LogMel"),
        (lambda: ew.Picture(STFT, 0, 5), "height must be a whole number above 0"),
        (lambda: ew.Picture(STFT, mean=(0.5, 0.5)), "mean must be a number or 3 of them"),
        (lambda: ew.Picture(STFT, std=(1.0, 0.0, 1.0)), "std must be a number above 0"),
    ],
)
def test_what_makes_no_sense(make, said):
    with pytest.raises(UsageError, match=said):
        make()
