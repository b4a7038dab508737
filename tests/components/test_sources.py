"""Sounds told apart: what lasts and what strikes, atoms, stems; each by a clip that was put together by hand."""

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.checks import check_components, check_hearing, check_question

RATE = 8000
T = np.arange(RATE) / RATE
LOW, HIGH = 0.3 * np.sin(2 * np.pi * 300 * T) * (T < 0.7), 0.2 * np.sin(2 * np.pi * 2000 * T) * (T > 0.3)
NOISE = ew.Audio(0.1 * np.random.default_rng(5).standard_normal(3000), RATE)
STEMS = {"low": ew.Audio(LOW, RATE), "high": ew.Audio(HIGH, RATE)}
CUTS = {
    "harmonic-percussive": ew.HarmonicPercussive,
    "with a margin": lambda **how: ew.HarmonicPercussive(margin=2.0, **how),
    "atoms": lambda **how: ew.NMFAtoms(3, iterations=20, **how),
    "stems": lambda **how: ew.Stems(STEMS, **how),
}


def clip_of(seed: int = 0) -> ew.Audio:
    noise = np.random.default_rng(seed).standard_normal(RATE)
    return ew.Audio(LOW + HIGH + 0.02 * noise, RATE)


def parts(cut, classifier, clip) -> dict[str, np.ndarray]:
    """The sound of each component, by its name."""
    made = cut(classifier, clip)
    (axis,) = made.axes
    return {name: made.sound(one).double().numpy() for name, one in zip(axis.edges, torch.eye(axis.size), strict=True)}


def db(one: np.ndarray, other: np.ndarray) -> float:
    """How much more power one has than the other."""
    return 10 * np.log10((one @ one) / (other @ other + 1e-30))


def si_sdr(found: np.ndarray, true: np.ndarray) -> float:
    scaled = (found @ true) / (true @ true) * true
    return db(scaled, found - scaled)


@pytest.mark.parametrize(
    "baseline", ["silence", "noise", NOISE, ("silence", NOISE)], ids=["silence", "noise", "clip", "two"]
)
@pytest.mark.parametrize("seconds", [None, 0.25])
@pytest.mark.parametrize("name", CUTS)
def test_the_laws(listener, name, seconds, baseline):
    check_components(CUTS[name](baseline=baseline, seconds=seconds)(listener, clip_of()))


@given(seed=st.integers(0, 2**31), samples=st.integers(500, 6000), silent=st.booleans())
def test_any_clip(rows, seed, samples, silent):
    """Noise, or a click in digital silence."""
    listener = ew.Classifier(rows([(0, 8), (8, 16)]), ew.LogSTFT(RATE, n_fft=256, hop_length=64), ["low", "high"])
    sound = (1 - silent) * np.random.default_rng(seed).standard_normal(samples)
    sound[100] = 1.0
    for name in ("with a margin", "atoms"):
        check_components(CUTS[name]()(listener, ew.Audio(sound, RATE)), seed)


@pytest.mark.parametrize("name", ["harmonic-percussive", "atoms"])
def test_a_real_recording_is_told_apart_without_loss(listener, real_clip, name):
    check_components(CUTS[name](seconds=0.4, baseline="noise")(listener, real_clip))


@pytest.mark.parametrize("name", CUTS)
def test_questions_and_hearing(cnn, name):
    question = ew.ask(cnn(ew.LogSTFT(RATE, n_fft=256, hop_length=64)), clip_of(), CUTS[name](seconds=0.25))
    check_question(question)
    check_hearing(question)
    assert [axis.name for axis in question.axes] == ["source", "time"]


@pytest.mark.parametrize("margin", [1.0, 2.0])
def test_a_tone_lasts_and_a_click_strikes(listener, margin):
    """More than 20 dB apart, where the tone doesn't start and the click isn't."""
    click = np.zeros(RATE)
    click[4000] = 0.9
    tone = 0.05 * np.sin(2 * np.pi * 1000 * T)
    cut = ew.HarmonicPercussive(margin=margin)
    alone = parts(cut, listener, ew.Audio(tone, RATE))
    inner = slice(1000, -1000)
    assert db(alone["harmonic"][inner], alone["percussive"][inner]) > 20
    alone = parts(cut, listener, ew.Audio(click, RATE))
    assert db(alone["percussive"], alone["harmonic"]) > 20
    if margin == 1:
        both = parts(cut, listener, ew.Audio(tone + click, RATE))
        assert si_sdr(both["harmonic"][inner], tone[inner]) > 20
        assert both["percussive"][3950:4050].max() > 0.8


def test_a_margin_leaves_noise_to_the_residual(listener):
    """White noise neither lasts nor strikes: with a margin of 3 most of it is left over; without one nothing is."""
    noise = ew.Audio(0.1 * np.random.default_rng(0).standard_normal(2 * RATE), RATE)
    found = parts(ew.HarmonicPercussive(margin=3.0), listener, noise)
    assert list(found) == ["harmonic", "percussive", "residual"]
    assert db(found["residual"], found["harmonic"] + found["percussive"]) > 6
    assert list(parts(ew.HarmonicPercussive(), listener, noise)) == ["harmonic", "percussive"]


@pytest.mark.parametrize("divergence", ["kl", "frobenius"])
def test_two_tones_are_two_atoms(listener, divergence):
    """Each within 15 dB of itself, the lower first, whatever the seed."""
    for seed in range(3):
        found = parts(ew.NMFAtoms(2, divergence=divergence, seed=seed), listener, ew.Audio(LOW + HIGH, RATE))
        assert list(found) == ["atom 1", "atom 2"]
        assert si_sdr(found["atom 1"], LOW) > 15
        assert si_sdr(found["atom 2"], HIGH) > 15


def test_atoms_are_seeded(listener):
    torch.manual_seed(0)
    first = parts(ew.NMFAtoms(3, seed=4), listener, clip_of())
    torch.manual_seed(1)
    again, other = (parts(ew.NMFAtoms(3, seed=seed), listener, clip_of()) for seed in (4, 5))
    np.testing.assert_array_equal(first["atom 2"], again["atom 2"])
    assert not np.array_equal(first["atom 2"], other["atom 2"])


def test_a_baseline_is_shared_out_where_the_sounds_are(listener):
    """White noise in the place of the lower half of the frequencies leaves the upper half as it was."""
    halves = np.fft.rfft(0.1 * np.random.default_rng(0).standard_normal(RATE)) * (np.arange(4001) // 2000 == [[0], [1]])
    low, high = np.fft.irfft(halves, RATE)
    white = ew.Audio(0.1 * np.random.default_rng(1).standard_normal(RATE), RATE)
    cut = ew.Stems({"low": ew.Audio(low, RATE)}, baseline=white)(listener, ew.Audio(low + high, RATE))
    put = np.fft.rfft(cut.mix(torch.tensor([[0.0, 1]]))[0].double().numpy() - high)
    true = np.fft.rfft(white.samples.double())
    assert db(np.abs(true[100:1900]), np.abs((put - true)[100:1900])) > 30
    assert db(np.abs(true[2100:3900]), np.abs(put[2100:3900])) > 30


def test_stems_come_back_as_they_are(listener):
    found = parts(ew.Stems(STEMS), listener, clip_of())
    assert list(found) == ["low", "high", "rest"]
    np.testing.assert_array_equal(found["low"], STEMS["low"].samples.double())
    noise = clip_of().samples - torch.as_tensor(LOW + HIGH).float()
    np.testing.assert_allclose(found["rest"], noise, atol=1e-6)


def test_a_stem_during_a_segment(listener):
    made = ew.Stems(STEMS, seconds=0.5)(listener, clip_of())
    assert made.shape == (3, 2)
    sound = made.sound(torch.tensor([[0.0, 0], [0, 1], [0, 0]]))
    np.testing.assert_allclose(sound[4100:], HIGH[4100:], atol=1e-6)
    assert torch.all(sound[:3900] == 0)


def test_stems_from_a_folder_at_another_rate(listener, tmp_path):
    """Of a window of the recording, the same window of each stem; what was done is written down."""
    t = np.arange(2 * 16000) / 16000
    voice, drum = 0.3 * np.sin(2 * np.pi * 440 * t * t), 0.2 * np.sin(2 * np.pi * 1500 * t) * (t > 1.3)
    for name, samples in {"voice": voice, "drum": drum}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000, subtype="FLOAT")
    (tmp_path / "notes.txt").write_text("not a stem")
    clip = ew.Audio(voice + drum, 16000).window(1.0, 0.75).resampled(RATE)
    made = ew.Stems(str(tmp_path))(listener, clip)
    assert made.axes[0].edges == ("drum", "voice", "rest")
    at = 1 + np.arange(len(clip.samples)) / RATE
    voiced = made.sound(torch.tensor([0.0, 1, 0])).double().numpy()
    np.testing.assert_allclose(voiced[50:-50], 0.3 * np.sin(2 * np.pi * 440 * at * at)[50:-50], atol=2e-3)
    rest = made.sound(torch.tensor([0.0, 0, 1])).double().numpy()
    assert db(clip.samples[50:-50].double().numpy(), rest[50:-50]) > 40
    assert made.done[:2] == ("drum: read drum.wav, 16000 Hz", "drum: resampled from 16000 Hz to 8000 Hz")
    explanation = ew.explain(listener, clip, ew.Random(), "low", ew.Stems(str(tmp_path)))
    assert explanation.provenance["cut"] == list(made.done)


def test_a_real_event_and_its_background(listener, recordings):
    """The event of a mixture as its stem: what is left is the background that it was mixed with."""
    folder = recordings / "localized" / "esc10_mix"
    mix = next(iter(sorted((folder / "mix").glob("*"))))
    event = folder / "event" / mix.name
    if not event.exists():
        pytest.skip(f"no event alone beside {mix.name}")
    made = ew.Stems({"event": event})(listener, ew.load(mix, RATE))
    check_components(made)
    clip, rest = made.x.double().numpy(), made.sound(torch.tensor([0.0, 1.0])).double().numpy()
    assert rest @ rest < 1.02 * clip @ clip


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ew.HarmonicPercussive(margin=0.5), "margin must be 1 or more, not 0.5"),
        (lambda: ew.HarmonicPercussive(smooth_hertz=0), "smooth_hertz must be a number above 0, not 0"),
        (lambda: ew.HarmonicPercussive(seconds=-1), "seconds must be a number above 0, not -1"),
        (lambda: ew.NMFAtoms(0), "atoms must be a whole number above 0, not 0"),
        (lambda: ew.NMFAtoms(seed=-1), "seed must be a whole number 0 or more, not -1"),
        (lambda: ew.NMFAtoms(divergence="klein"), "unknown divergence 'klein'"),
    ],
)
def test_settings_that_make_no_sense(make, said):
    with pytest.raises(ew.UsageError, match=said):
        make()


@pytest.mark.parametrize(
    ("stems", "said"),
    [
        ({"low": ew.Audio(LOW[:-80], RATE)}, "'low' runs from 0.000 to 0.990 s and the clip from 0.000 to 1.000 s"),
        ({"low": ew.Audio(LOW, RATE, start=0.5)}, "must last as long as the recording"),
        ({"low": ew.Audio(3 * LOW[::-1].copy(), RATE)}, "do not add up to the clip"),
        ({"all": clip_of(), "low": STEMS["low"]}, "is the whole mix not among them"),
        ({"rest": STEMS["low"]}, "'rest' is what the stems leave"),
        ({}, "no stems"),
        ("nowhere", "no folder of recordings at nowhere"),
        ({"low": "nowhere.wav"}, "the file does not exist"),
    ],
)
def test_stems_that_do_not_fit(listener, stems, said):
    with pytest.raises(ew.EarwitnessError, match=said):
        ew.Stems(stems)(listener, clip_of())


def test_stems_may_miss_a_sample(listener):
    assert ew.Stems({"low": ew.Audio(LOW[:-1], RATE)})(listener, clip_of()).shape == (2,)


def test_ready_features_have_no_sources(cnn):
    with pytest.raises(ew.UsageError, match="ready features have none"):
        ew.HarmonicPercussive()(cnn(None), torch.randn(1, 16, 24))


def test_a_map_over_samples_says_nothing_about_sources(listener):
    with pytest.raises(ew.UsageError, match="nothing about sounds that are heard at the same time"):
        ew.Stems(STEMS)(listener, clip_of()).collect(torch.ones(RATE))
