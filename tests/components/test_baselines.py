"""What is put in the place of a component: each baseline by hand."""

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.carrying import analyse
from earwitness.components.baselines import noise_like

RATE = 8000


@pytest.fixture
def clip():
    rng = np.random.default_rng(0)
    return ew.Audio(0.1 * rng.standard_normal(2 * RATE), RATE)


@pytest.fixture
def classifier(rows):
    frontend = ew.LogMel(RATE, 512, 128, 24, amin=1e-6, standardise=True)
    return ew.Classifier(rows([(0, 12), (12, 24)]), frontend, ["low", "high"])


def picture(classifier, clip, kind):
    cut = ew.Grid(2, 2, baseline=kind)(classifier, clip)
    return cut.x[0].numpy(), cut.baselines[:, 0].numpy(), cut.note


def test_pictures_by_hand(classifier, clip):
    x, zero, note = picture(classifier, clip, "zero")
    assert np.all(zero == 0) and zero.shape == (1, *x.shape) and note == "zeros"
    _, mean, note = picture(classifier, clip, "mean")
    np.testing.assert_allclose(mean[0], np.repeat(x.mean(1, keepdims=True), x.shape[1], 1), atol=1e-5)
    assert note == "each frequency's mean over time"
    _, flat, note = picture(classifier, clip, "flat")
    np.testing.assert_allclose(flat[0], np.full(x.shape, x.mean()), atol=1e-5)
    assert note == "the mean of all features, everywhere"
    _, least, note = picture(classifier, clip, "minimum")
    np.testing.assert_array_equal(least[0], np.repeat(x.min(1, keepdims=True), x.shape[1], 1))
    assert note == "each frequency's minimum over time"
    _, blur, note = picture(classifier, clip, "blur")
    np.testing.assert_allclose(blur[0, 10, 50], x[5:16, 45:56].mean(), rtol=1e-4)
    edge = np.pad(x, 5, mode="edge")[0:11, 0:11].mean()
    np.testing.assert_allclose(blur[0, 0, 0], edge, rtol=1e-4)
    assert note == "the features, blurred"


def test_silence_keeps_the_clip_s_statistics(classifier, clip):
    """Mel in dB, floored at -60 dB: silence is -60 dB, in units of the clip's own deviation from the clip's own mean."""
    x, silence, note = picture(classifier, clip, "silence")
    level = ew.LogMel(RATE, 512, 128, 24, amin=1e-6)(clip.samples[None])
    expected = (-60 - float(level.mean())) / float(level.std(unbiased=False))
    np.testing.assert_allclose(silence, expected, rtol=1e-4)
    assert note == "digital silence"
    assert expected < x.min()


@pytest.mark.parametrize(
    "cut", [ew.Grid(2, 2, baseline="silence"), ew.Segments(count=3), ew.Segments(count=3, baseline="zero")]
)
def test_silence_is_what_the_model_answers_to_silence(classifier, clip, cut):
    question = ew.ask(classifier, clip, cut, "low")
    value = float(question.value(np.zeros((1, *question.shape))))
    stage = question.components.stage
    features = classifier.at("features", torch.zeros(1, 2 * RATE), clip.samples[None] if stage == "features" else None)
    assert value == pytest.approx(float(classifier.network(features)[0, 0]), rel=1e-5)


def test_the_noise_floor_has_the_clip_s_quiet_level(clip):
    """White noise in, white noise out; its level per frequency is the 10 % quantile of a Rayleigh variable: sqrt(-2 ln 0.9)."""
    floor = noise_like(clip, 0.1)
    levels = [analyse(samples, 512).abs().square().mean(-1).sqrt() for samples in (floor, clip.samples)]
    np.testing.assert_allclose(np.median(levels[0] / levels[1]), np.sqrt(-np.log(0.9)), rtol=0.1)


def test_the_noise_floor_follows_the_background_not_the_event():
    """A loud tone for a third of the time is not in it; a hum that is always there is."""
    t = np.arange(2 * RATE) / RATE
    hum, event = 0.1 * np.sin(2 * np.pi * 250 * t), 0.5 * np.sin(2 * np.pi * 2000 * t) * (t < 0.6)
    rng = np.random.default_rng(0)
    floor = noise_like(ew.Audio(hum + event + 1e-4 * rng.standard_normal(len(t)), RATE), 0.1)
    level = np.abs(np.fft.rfft(floor.numpy() * np.hanning(len(floor))))
    at = [20 * np.log10(level[2 * f - 60 : 2 * f + 60].max()) for f in (250, 2000)]
    assert at[0] > at[1] + 35


def test_shaped_noise_is_as_loud_as_the_clip_in_every_band(classifier, clip):
    """A hum and an event in the first third, in noise: the event's energy is there, spread over the whole time."""
    t = np.arange(2 * RATE) / RATE
    event = 0.5 * np.sin(2 * np.pi * 2000 * t) * (t < 0.6)
    clip = ew.Audio(clip.samples.numpy() / 10 + event + 0.1 * np.sin(2 * np.pi * 250 * t), RATE)
    noise = ew.Segments(count=3, baseline="shaped")(classifier, clip).baselines[0]
    assert float(noise.square().mean()) == pytest.approx(float(clip.samples.square().mean()), rel=1e-5)
    bands = ew.Bands(bands=6, scale="linear")
    powers = [
        [float(band.square().sum()) for band in bands(classifier, ew.Audio(samples, RATE)).sounds]
        for samples in (noise, clip.samples)
    ]
    # within 1.5 dB (bands differ by 28): a tone becomes a narrow band of noise, a dozen numbers drawn
    np.testing.assert_allclose(powers[0], powers[1], rtol=0.4)
    assert float(noise[12000:].square().mean()) > 0.5 * float(noise.square().mean())


def test_the_default_is_what_suits_the_model(classifier, clip):
    """Silence, but for a model that says otherwise; what is asked for is always taken."""
    cuts = [ew.Segments(count=3, **given) for given in ({}, {"baseline": "silence"}, {"baseline": "noise"})]
    assert [cut(classifier, clip).note for cut in cuts] == ["digital silence"] * 2 + ["the clip's noise floor"]
    assert ew.Grid(2, 2)(classifier, clip).note == "digital silence"
    classifier.baseline = "shaped"
    expected = ["noise with the clip's spectrum and level", "digital silence", "the clip's noise floor"]
    assert [cut(classifier, clip).note for cut in cuts] == expected
    assert ew.Grid(2, 2)(classifier, clip).note == expected[0]


def test_noise_is_seeded(clip):
    torch.manual_seed(0)
    first = noise_like(clip, 0.1)
    torch.manual_seed(1)
    assert torch.equal(noise_like(clip, 0.1), first)
    assert not torch.equal(noise_like(clip, 0.1, seed=1), first)


@pytest.mark.parametrize("samples", [100, 4000, 16000, 40000])
def test_another_clip_is_repeated_or_cut(classifier, clip, samples):
    other = ew.Audio(np.random.default_rng(1).uniform(-1, 1, samples), RATE)
    cut = ew.Segments(count=3, baseline=other)(classifier, clip)
    np.testing.assert_array_equal(cut.baselines[0], np.resize(other.samples, 2 * RATE))
    assert cut.note == "another clip"


def test_another_clip_comes_at_its_own_rate(classifier, clip):
    other = ew.Audio(np.sin(2 * np.pi * 440 * np.arange(32000) / 16000), 16000)
    cut = ew.Segments(count=3, baseline=other)(classifier, clip)
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 8000)
    np.testing.assert_allclose(cut.baselines[0, 200:-200], expected[200:-200], atol=1e-3)


def test_values_are_averaged_over_several_baselines(classifier, clip):
    other = ew.Audio(0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE), RATE)
    mask = np.array([[[1, 0], [0.5, 0.2]]])

    def value(baseline):
        return float(ew.ask(classifier, clip, ew.Grid(2, 2, baseline=baseline), "low").value(mask))

    both = ew.ask(classifier, clip, ew.Grid(2, 2, baseline=("noise", other)), "low")
    assert float(both.value(mask)) == pytest.approx((value("noise") + value(other)) / 2, rel=1e-6)
    assert float(both.value(mask, baseline=1)) == pytest.approx(value(other), rel=1e-6)
    assert both.components.note == "the clip's noise floor, another clip"
    gradient = both.gradient(mask)
    parts = [both.gradient(mask, baseline=index) for index in (0, 1)]
    torch.testing.assert_close(gradient, (parts[0] + parts[1]) / 2)


@pytest.mark.parametrize("stage", ["waveform", "features"])
def test_uniform_and_shuffled_numbers(classifier, clip, stage):
    """Uniform: between the clip's own extremes, flat. Shuffled: the very same numbers elsewhere. Both seeded."""
    uniform = ew.Segments(count=3, stage=stage, baseline="uniform")(classifier, clip)
    x, found = uniform.x.double().flatten(), uniform.baselines[0].double().flatten()
    low, high = float(x.min()), float(x.max())
    assert low <= found.min() and found.max() <= high
    quantiles = torch.quantile(found, torch.linspace(0, 1, 11, dtype=torch.float64))
    np.testing.assert_allclose((quantiles - low) / (high - low), np.linspace(0, 1, 11), atol=0.03)
    shuffled = ew.Segments(count=3, stage=stage, baseline="shuffle")(classifier, clip).baselines[0].flatten()
    np.testing.assert_array_equal(shuffled.sort().values, uniform.x.flatten().sort().values)
    assert abs(float(np.corrcoef(shuffled, x)[0, 1])) < 0.05
    torch.manual_seed(7)
    again = ew.Segments(count=3, stage=stage, baseline=("uniform", "shuffle"))(classifier, clip)
    np.testing.assert_array_equal(again.baselines[1].flatten(), shuffled)
    np.testing.assert_array_equal(again.baselines[0].flatten().double(), found)


def test_the_mean_of_a_data_set_by_hand(classifier, clip, tmp_path):
    """Clips of other lengths and rates, from memory and from disk, with the explained clip's statistics."""
    rng = np.random.default_rng(2)
    clips = [ew.Audio(0.3 * rng.standard_normal(6000), RATE), ew.Audio(0.05 * rng.standard_normal(20000), 16000)]
    clips[0].save(tmp_path / "first.wav")
    cut = ew.Grid(2, 2, baseline=ew.DatasetMean([tmp_path / "first.wav", clips[1]]))(classifier, clip)
    parts = [ew.load(tmp_path / "first.wav"), clips[1].resampled(RATE)]
    level = ew.LogMel(RATE, 512, 128, 24, amin=1e-6)
    own = level(clip.samples[None])
    every = torch.cat([level(part.samples[None])[0] for part in parts], -1)
    expected = (every.mean(-1) - own.mean()) / own.std(unbiased=False)
    np.testing.assert_allclose(cut.baselines[0, 0], expected[0][:, None].expand(-1, cut.x.shape[-1]), atol=1e-4)
    assert cut.note == "each frequency's mean over 2 clips"


def test_the_mean_of_ready_features(cnn):
    features = [torch.randn(1, 8, n, generator=torch.Generator().manual_seed(n)) for n in (12, 5, 9)]
    cut = ew.Bins(baseline=ew.DatasetMean(features[1:]))(cnn(None), features[0])
    expected = torch.cat(features[1:], -1).mean(-1, keepdim=True).expand(1, 8, 12)
    torch.testing.assert_close(cut.baselines[0], expected)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ew.DatasetMean([]), "a list of one or more clips"),
        (lambda: ew.DatasetMean("clip.wav"), "a list of one or more clips"),
    ],
)
def test_data_sets_that_are_none(make, said):
    with pytest.raises(ew.UsageError, match=said):
        make()


def test_a_data_set_that_does_not_fit(classifier, clip, cnn):
    mean = ew.DatasetMean([clip])
    with pytest.raises(ew.UsageError, match="is a picture, not a sound"):
        ew.Segments(count=3, baseline=mean)(classifier, clip)
    with pytest.raises(ew.UsageError, match="must be like the explained one"):
        ew.Bins(baseline=mean)(cnn(None), torch.ones(1, 8, 12))
    with pytest.raises(ew.UsageError, match="must be like the explained one"):
        ew.Bins(baseline=ew.DatasetMean([torch.ones(1, 7, 12)]))(cnn(None), torch.ones(1, 8, 12))
