"""Front ends of Hugging Face's audio models against the extractors themselves, and their axes against sounds of known place.

Largest deviation measured, as a share of the range of the extractor's features, over the clips below:

    Waveform    2e-7 (1e-5 where the mean is 1000 times the rest: numpy's and torch's means of float32 differ)
    ASTMel      1e-7
    WhisperMel  2e-7
    SeamlessMel 3e-6; 6e-5 for clips of three frames, whose variance may be next to nothing
"""

import math

import numpy as np
import pytest
import torch
import transformers
from hypothesis import example, given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.errors import InputError, ModelError, UsageError
from earwitness.frontends.extractors import from_extractor, model_inputs, parity

RATE = 16000
EXTRACTORS = {
    "wav2vec2": transformers.Wav2Vec2FeatureExtractor(),
    "wav2vec2, as it is": transformers.Wav2Vec2FeatureExtractor(do_normalize=False, sampling_rate=8000),
    "ast": transformers.ASTFeatureExtractor(),
    "ast, other": transformers.ASTFeatureExtractor(num_mel_bins=64, max_length=101, mean=-3.0, std=2.0),
    "ast, as it is": transformers.ASTFeatureExtractor(num_mel_bins=40, sampling_rate=8000, do_normalize=False),
    "whisper": transformers.WhisperFeatureExtractor(),
    "whisper, large": transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=2),
    "whisper, other": transformers.WhisperFeatureExtractor(40, 8000, hop_length=100, chunk_length=3, n_fft=256),
    "seamless": transformers.SeamlessM4TFeatureExtractor(),
    "seamless, padded with 1": transformers.SeamlessM4TFeatureExtractor(padding_value=1),
    "seamless, other": transformers.SeamlessM4TFeatureExtractor(40, 8000, num_mel_bins=40, stride=3),
}
EVERY = {
    "wav2vec2": ew.Waveform(RATE, standardise=True),
    "ast": ew.ASTMel(n_mels=64, max_frames=40),
    "whisper": ew.WhisperMel(duration=0.5),
    "seamless": ew.SeamlessMel(n_mels=40),
}
SPECTRAL = ["ast", "whisper", "seamless"]


def noise(samples=6000, seed=0):
    return torch.from_numpy(0.1 * np.random.default_rng(seed).standard_normal(samples)).float()[None]


def sounds(samples):
    """Clips at odd levels, with an offset, and silence with a click in it."""
    rng, t = np.random.default_rng(1), np.arange(samples) / RATE
    hiss = rng.standard_normal(samples)
    made = {
        "music": 0.3 * np.sin(2 * np.pi * 440 * t) * np.sin(7 * t) + 0.01 * hiss,
        "quiet": 1e-3 * hiss,
        "loud": 30 * np.sin(2 * np.pi * 200 * (1 + t) * t) + 0.1 * hiss,
        "offset": 0.1 * hiss + 0.5,
        "click": np.eye(1, samples, samples // 3)[0],
    }
    return {name: x.astype(np.float32) for name, x in made.items()}


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("samples", [777, 8123, 16001, 33333])
def test_parity(name, samples):
    """Shorter and longer than what the extractors fill up or cut to: 101 frames, 2 s, 3 s; odd and even numbers of frames."""
    frontend = from_extractor(EXTRACTORS[name])
    bound = 1e-6 if "seamless" not in name else 5e-6 if samples > 777 else 1e-4
    for sound, clip in sounds(samples).items():
        assert parity(frontend, EXTRACTORS[name], clip) < bound, f"{name}, {sound}"


@pytest.mark.parametrize("name", EXTRACTORS)
def test_parity_in_digital_silence(name):
    """Seamless aside: it divides rounding errors by the root of 1e-7, and answers 0.00 or 0.02 depending on the length."""
    if "seamless" not in name:
        assert parity(from_extractor(EXTRACTORS[name]), EXTRACTORS[name], np.zeros(9000)) < 2e-6


def exact_seamless(clip):
    """`[frames, bands]` in double precision from the definition, one frame after the other."""
    x = clip.astype(float) * 2**15
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    mel = 1127 * np.log(1 + np.arange(257) * RATE / 512 / 700)
    points = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), 82)
    rows = []
    for start in range(0, len(x) - 399, 160):
        frame = x[start : start + 400] - x[start : start + 400].mean()
        sharp = np.array([0.03 * frame[0], *(frame[1:] - 0.97 * frame[:-1])])
        power = np.abs(np.fft.rfft(sharp * window, 512)) ** 2
        bands = [
            (power * np.maximum(0, np.minimum((mel - low) / (mid - low), (high - mel) / (high - mid)))).sum()
            for low, mid, high in zip(points, points[1:], points[2:], strict=False)
        ]
        rows.append(np.log(np.maximum(bands, 2.0**-23)))
    x = np.array(rows)
    return (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + 1e-7)


def test_a_steady_tone_shows_the_rounding_of_either():
    """Bands that never change are divided by next to nothing: ours and the extractor's are equally far from exact numbers."""
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / RATE)).astype(np.float32)
    extractor = EXTRACTORS["seamless"]
    exact = exact_seamless(tone).reshape(-1, 160)
    theirs = extractor(tone, sampling_rate=RATE, return_tensors="np")["input_features"][0]
    ours = model_inputs(EVERY["seamless"], ew.SeamlessMel()(torch.from_numpy(tone)[None]))["input_features"][0].numpy()
    errors = [np.abs(found - exact).max() / np.ptp(exact) for found in (theirs, ours)]
    assert min(errors) > 5e-4
    assert max(errors) < 1e-2
    music = sounds(8000)["music"]
    found = ew.SeamlessMel()(torch.from_numpy(music)[None])[0, 0].T.numpy()
    np.testing.assert_allclose(found, exact_seamless(music), atol=2e-5)


def test_parity_is_the_largest_difference_as_a_share_of_the_range():
    clip = sounds(9000)["music"]
    theirs = EXTRACTORS["ast"](clip, sampling_rate=RATE, return_tensors="np")["input_values"]
    found = parity(ew.ASTMel(mean=0.0), EXTRACTORS["ast"], clip)
    np.testing.assert_allclose(found, 4.2677393 / 9.1379948 / np.ptp(theirs), rtol=1e-5)
    assert parity(ew.ASTMel(n_mels=64), EXTRACTORS["ast"], clip) == math.inf
    deviation = parity(ew.Waveform(RATE), transformers.Wav2Vec2FeatureExtractor(), np.full(500, 0.25))
    assert deviation == 0.25, "the range of a constant is 0: then it is the difference itself"


def test_layouts():
    """What is row and column here is told apart by a picture of row + 100 column."""
    x = torch.arange(40)[:, None] + 100.0 * torch.arange(7)[None]
    x = x[None, None]
    np.testing.assert_array_equal(model_inputs(EVERY["ast"], x)["input_values"][0, 3], 300 + np.arange(40))
    np.testing.assert_array_equal(model_inputs(EVERY["whisper"], x)["input_features"][0, :, 3], 300 + np.arange(40))
    stacked = model_inputs(ew.SeamlessMel(n_mels=40, padding_value=-1.0), x)
    np.testing.assert_array_equal(stacked["input_features"][0, 1], [*(200 + np.arange(40)), *(300 + np.arange(40))])
    np.testing.assert_array_equal(stacked["input_features"][0, 3], [*(600 + np.arange(40)), *(-np.ones(40))])
    assert stacked["attention_mask"].tolist() == [[1, 1, 1, 0]]
    picture = ew.Picture("LogSTFT(16000, 64, 32)", 4, 4)
    assert model_inputs(picture, x)["pixel_values"] is x
    with pytest.raises(ModelError, match="no model of transformers takes the features of LogMel"):
        model_inputs(ew.LogMel(), x)


@pytest.mark.parametrize("samples", [400 + 160 * 9, 400 + 160 * 10])
@pytest.mark.parametrize("name", ["seamless", "seamless, padded with 1", "seamless, other"])
def test_the_mask_of_the_extractor(name, samples):
    frontend, clip = from_extractor(EXTRACTORS[name]), noise(samples)
    rate = EXTRACTORS[name].sampling_rate
    theirs = EXTRACTORS[name](clip[0].numpy(), sampling_rate=rate, return_tensors="np")["attention_mask"]
    np.testing.assert_array_equal(model_inputs(frontend, frontend(clip))["attention_mask"], theirs)


@pytest.mark.parametrize("name", SPECTRAL)
@given(samples=st.integers(560, 9000))
@example(samples=761)
@example(samples=762)  # Whisper's frame 6 begins at 760, with a sample that its window makes 0
def test_axes_cover_the_frames_that_see_the_clip(name, samples):
    """The power of a clip whose first, or last, heard sample alone sounds: in the first column, and in the last that hears."""
    frontend = EVERY[name]
    x = frontend(noise(samples))
    frequency, time = frontend.axes(samples)
    limit = 8000 if name == "whisper" else 400 + 160 * (x.shape[3] - 1)
    behind = int(name == "whisper" and time.size < 50)  # one column, which hears nothing
    assert (frequency.size, time.size + behind) == tuple(x.shape[2:])
    last = min(samples, limit) - 1
    if name != "whisper":
        last -= (last + 1 - 400) % 160  # what is left over belongs to no frame
        np.testing.assert_allclose(time.edges[-1] * RATE, last + 1)
    powers = [column_powers(frontend, samples, at) for at in (0, last)]
    assert powers[0][0] > 0
    assert np.flatnonzero(powers[1])[-1] == time.size - 1
    assert time.edges[-1] * RATE == pytest.approx(min(samples, limit) if name == "whisper" else last + 1)


def column_powers(frontend, samples, at):
    """`[frames]`: the power in each column where only one sample sounds; those that are cut off later are left out."""
    clip = torch.zeros(1, samples)
    clip[0, at] = 1.0
    return frontend.advance(clip, "", "filterbank")[0, 0].sum(0).numpy()[: frontend(clip).shape[3]]


@pytest.mark.parametrize("name", SPECTRAL)
@given(sample=st.integers(0, 5900), samples=st.integers(6000, 9000))
def test_a_click_peaks_in_the_column_whose_edges_hold_it(name, sample, samples):
    _, time = EVERY[name].axes(samples)
    column = int(column_powers(EVERY[name], samples, sample).argmax())
    low, high = time.place(column)
    assert low - 1.01 / RATE <= sample / RATE <= high + 1.01 / RATE


@pytest.mark.parametrize("name", SPECTRAL)
@given(hertz=st.floats(300, 7500))
def test_a_tone_peaks_in_the_row_whose_edges_hold_it(name, hertz):
    frontend = EVERY[name]
    t = torch.arange(8000) / RATE
    power = frontend.advance(torch.sin(2 * torch.pi * hertz * t)[None], "", "filterbank")[0, 0, :, 2:30].mean(1)
    low, high = frontend.axes(8000)[0].place(int(power.argmax()))
    slack = RATE / 400 / 2  # as well as a window of 400 samples can tell
    assert low - slack <= hertz <= high + slack


def test_axes_by_hand():
    """Kaldi's frames 0-400, 160-560, 320-720: middles at 200, 360, 520. The middles of Whisper's are multiples of 160."""

    def borders(frontend, samples):
        return [round(edge * RATE, 6) for edge in frontend.axes(samples)[1].edges]

    assert borders(ew.SeamlessMel(), 800) == [0, 280, 440, 720]
    assert borders(ew.ASTMel(max_frames=2), 800) == [0, 280, 560]
    assert borders(ew.WhisperMel(), 280) == [0, 80, 240, 280]
    assert borders(ew.WhisperMel(), 300) == [0, 80, 240, 270, 300], "frame 3 sees samples 281 and on, and no more"
    assert borders(ew.WhisperMel(duration=1), 50000)[-2:] == [15760, 16000]
    low, high = (ew.ASTMel().axes(16000)[0].edges[place] for place in (0, -1))
    assert (low, high) == (20, 8000)
    assert ew.WhisperMel(sample_rate=8000).axes(16000)[0].edges[-1] == 8000, "rows above Nyquist are there, and silent"


def test_what_is_filled_up_is_louder_than_silence_for_ast():
    x = ew.ASTMel()(torch.zeros(1, 16000))
    inputs = model_inputs(ew.ASTMel(), x)["input_values"][0].T
    torch.testing.assert_close(x[0, 0], torch.full((128, 98), (math.log(2**-23) + 4.2677393) / 9.1379948))
    torch.testing.assert_close(inputs[:, 98:], torch.full((128, 1024 - 98), 4.2677393 / 9.1379948))


def test_what_is_filled_up_is_the_clip_s_own_silence_for_whisper():
    """80 dB below the clip's maximum, also where only a quiet part of it is left."""
    clip = noise(5000, seed=2)
    frontend = ew.WhisperMel()
    whole, part = (model_inputs(frontend, frontend(x, clip))["input_features"][0] for x in (clip, clip / 1e4))
    assert whole.shape == (80, 3000)
    floor = float(whole.max()) - 2
    for inputs in (whole, part):
        torch.testing.assert_close(inputs[:, 40:], torch.full((80, 2960), floor))


def test_statistics_of_the_clip_are_frozen():
    """The second half is loud; without it the first is the same if the clip's statistics hold, and another if not."""
    clip = noise(7000, seed=4) * torch.where(torch.arange(7000) < 3500, 1e-3, 1.0)
    half = clip * (torch.arange(7000) < 3500)
    for name, frontend in EVERY.items():
        whole, frozen, own = frontend(clip), frontend(half, clip), frontend(half)
        torch.testing.assert_close(frontend(clip, clip), whole)
        alone = slice(0, 3400 if name == "wav2vec2" else 18)  # columns that the second half doesn't reach
        difference = (own - whole)[..., alone].abs().max()
        torch.testing.assert_close(frozen[..., alone], whole[..., alone], rtol=1e-5, atol=1e-5)
        assert difference == 0 if name == "ast" else difference > 0.1


@pytest.mark.parametrize("name", ["wav2vec2", "seamless", "ast"])
def test_given_the_clip_s_statistics_the_normalisation_is_affine(name):
    """From the step before it on; with statistics of their own (Seamless, wav2vec2) mixtures are no mixtures of the answers."""
    frontend, clip = EVERY[name].double(), noise(6400, seed=5).double()
    try:
        before = "" if name == "wav2vec2" else "logarithm"
        ends = [
            frontend.advance(x, "", before, clip) if before else x for x in (clip, noise(6400, seed=6).double() / 9)
        ]

        def rest(x, *frozen):
            return frontend.advance(x, before, "", *frozen)

        mixed = 0.3 * ends[0] + 0.7 * ends[1]
        torch.testing.assert_close(rest(mixed, clip), 0.3 * rest(ends[0], clip) + 0.7 * rest(ends[1], clip))
        bent = (rest(mixed) - 0.3 * rest(ends[0]) - 0.7 * rest(ends[1])).abs().max()
        assert bent < 1e-9 if name == "ast" else bent > 0.1
    finally:
        frontend.float()


def test_whisper_s_floor_is_the_clip_s():
    """Silence stands 80 dB below the clip's maximum; by its own statistics it is all maximum, 10^-10."""
    frontend, clip = EVERY["whisper"], noise(5000, seed=7)
    top = frontend.advance(clip, "", "filterbank").max().log10()
    silent = frontend(torch.zeros(1, 5000), clip)
    torch.testing.assert_close(silent, torch.full_like(silent, float((top - 8 + 4) / 4)))
    assert torch.equal(frontend(torch.zeros(1, 5000)), torch.full_like(silent, -1.5))


@pytest.mark.parametrize("name", EVERY)
def test_gradients_are_slopes(name):
    """In double precision, along a random direction, at a random point."""
    frontend = EVERY[name].double()
    try:
        x, direction = noise(2500).double().requires_grad_(), noise(2500, seed=1).double()
        weights = torch.randn(frontend(x).shape, generator=torch.Generator().manual_seed(0)).double()
        (slope,) = torch.autograd.grad((weights * frontend(x)).sum(), x)
        ends = [(weights * frontend(x.detach() + s * 1e-6 * direction)).sum() for s in (1, -1)]
        np.testing.assert_allclose((slope * direction).sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-4)
    finally:
        frontend.float()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("level", [0.0, 1e-30, 1.0, 30.0])
def test_gradients_are_finite_in_digital_silence(name, level):
    """All of it, or with a click in it; in statistics of its own and of a clip."""
    for clip in (None, noise(3000)):
        x = torch.zeros(1, 3000)
        x[0, 1000] = level
        x.requires_grad_()
        (slope,) = torch.autograd.grad(EVERY[name](x, clip).square().sum(), x)
        assert torch.isfinite(slope).all()


@pytest.mark.parametrize("name", EVERY)
def test_steps_add_up_to_the_front_end(name):
    frontend, clip = EVERY[name], noise(seed=4)
    for step, _ in frontend.named_children():
        half = frontend.advance(clip, "", step, clip)
        torch.testing.assert_close(frontend.advance(half, step, "", clip), frontend(clip), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_saved_classifier_has_the_same_front_end(name, tmp_path):
    frontend = from_extractor(EXTRACTORS[name])
    labels = ["a", "b"]
    ew.save_classifier(ew.Classifier(SmallSpecCNN(2, (4, 8)), frontend, labels), tmp_path, card="A test.")
    loaded = ew.load_classifier(tmp_path, device="cpu").frontend
    assert type(loaded) is type(frontend)
    assert ew.fingerprint(loaded) == ew.fingerprint(frontend)
    assert torch.equal(loaded(noise()), frontend(noise()))


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: from_extractor(transformers.EncodecFeatureExtractor()), ModelError, "like EncodecFeatureExtractor"),
        (
            lambda: from_extractor(transformers.WhisperFeatureExtractor(dither=0.1)),
            ModelError,
            "dither=0.1 has no front",
        ),
        (
            lambda: from_extractor(transformers.SeamlessM4TFeatureExtractor(padding_side="left")),
            ModelError,
            "padding_side='left' has no front end, only with 'right'",
        ),
        (lambda: EVERY["ast"](noise(399)), InputError, "it has 399 samples, and the model needs 400"),
        (lambda: EVERY["ast"].axes(399), InputError, "it has 399 samples, and the model needs 400"),
        (lambda: EVERY["seamless"](noise(559)), InputError, "it is one frame long, and the model needs two, 560"),
        (lambda: ew.ASTMel(std=0.0), UsageError, "std must be a number above 0"),
        (lambda: ew.ASTMel(max_frames=0), UsageError, "max_frames must be a whole number above 0"),
        (lambda: ew.WhisperMel(n_mels=0), UsageError, "n_mels must be a whole number above 0"),
        (lambda: ew.SeamlessMel(stride=0), UsageError, "stride must be a whole number above 0"),
    ],
)
def test_what_makes_no_sense(make, error, said):
    with pytest.raises(error, match=said):
        make()
