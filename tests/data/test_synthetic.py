"""The generators make what they say: levels, frequencies, positions; and the truth is where the cause is."""

import numpy as np
import pytest

from earwitness.audio import Audio
from earwitness.data.events import KINDS, Events
from earwitness.data.synthetic import Tones, scenes, several_tones
from earwitness.data.truth import truth_of
from earwitness.errors import InputError, UsageError

PLAIN = Tones(depth=0.0, interferer=0.0, snr_db=None, level=1.0, phase=0.0)


def parts(scene):
    """The cause and the rest, in double precision."""
    cause = scene.cause.samples.double().numpy()
    return cause, scene.audio.samples.double().numpy() - cause


def decibel(a, b):
    return 10 * np.log10(np.mean(a**2) / np.mean(b**2))


def spectrum(x, rate):
    return np.fft.rfftfreq(len(x), 1 / rate), np.abs(np.fft.rfft(x)) / len(x) * 2


@pytest.mark.parametrize("snr", [0.0, 7.5, 20.0])
def test_noise_lies_as_far_below_the_tone_as_asked(snr):
    cause, rest = parts(Tones(snr_db=snr, interferer=0.0)(3))
    assert decibel(cause, rest) == pytest.approx(snr, abs=0.01)
    level = np.abs(np.fft.rfft(rest)) ** 2  # and it is white: both halves of the band hold as much
    assert level[:1000].sum() / level[1000:].sum() == pytest.approx(1, abs=0.15)


def test_the_range_of_signal_to_noise_ratios_is_filled():
    ratios = [decibel(*parts(scene)) for scene in scenes(Tones(interferer=0.0), 60, 1)]
    assert min(ratios) > -0.01 and max(ratios) < 20.01
    assert min(ratios) < 2 and max(ratios) > 18 and np.mean(ratios) == pytest.approx(10, abs=2.5)


def test_the_frozen_scene_is_the_formula():
    scene = PLAIN(0, "high")
    t = np.arange(4000) / 8000
    expected = np.sin(2 * np.pi * 880 * t)
    np.testing.assert_allclose(scene.audio.samples, expected / np.abs(expected).max(), atol=1e-6)
    assert scene.audio.sample_rate == 8000 and scene.label == "high"


@pytest.mark.parametrize(("label", "hertz"), [("low", 220), ("high", 880)])
def test_tone_interferer_and_modulation_stand_where_asked(label, hertz):
    recipe = Tones(snr_db=None, level=1.0, modulation=4.0, interferer_hz=600.0, peak=None)
    cause, rest = parts(recipe(5, label))
    f, level = spectrum(cause, 8000)
    assert f[level.argmax()] == hertz and level.max() == pytest.approx(1, abs=1e-3)
    assert np.allclose(level[(f == hertz - 4) | (f == hertz + 4)], 0.15, atol=1e-3)  # depth / 2 either side
    f, level = spectrum(rest, 8000)
    assert f[level.argmax()] == 600 and level.max() == pytest.approx(0.3, abs=1e-3)


def test_without_modulation_the_envelope_is_flat():
    cause, _ = parts(Tones(depth=0.0)(5))
    _, level = spectrum(cause, 8000)
    assert np.sort(level)[-2] < 1e-6 * level.max()


def test_clips_are_normalised_to_their_peak():
    assert [scene.audio.peak for scene in scenes(Tones(), 5, 1)] == pytest.approx([1.0] * 5, abs=1e-6)
    assert Tones(peak=0.5)(1).audio.peak == pytest.approx(0.5, abs=1e-6)
    assert Events(peak=0.25)(1).audio.peak == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("recipe", [Tones(), Events()])
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(recipe):
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    one, same, other = (
        recipe((7, 1), recipe.labels[0]),
        recipe((7, 1), recipe.labels[0]),
        recipe((7, 2), recipe.labels[0]),
    )
    assert np.array_equal(one.audio.samples, same.audio.samples)
    assert np.array_equal(one.cause.samples, same.cause.samples) and np.array_equal(one.truth[0], same.truth[0])
    assert not np.allclose(one.audio.samples, other.audio.samples, atol=0.01)
    assert np.array_equal(np.random.get_state()[1], before)


def test_freezing_one_ingredient_leaves_the_others():
    free = {"peak": None, "level": 1.0}
    noisy, quiet = Tones(**free)(11, "low"), Tones(**free, depth=0.0)(11, "low")
    steady, without = Tones(**free, interferer=0.0, snr_db=None)(11, "low"), Tones(**free, snr_db=None)(11, "low")
    np.testing.assert_array_equal(noisy.cause.samples, steady.cause.samples)
    np.testing.assert_array_equal(noisy.cause.samples, without.cause.samples)
    _, interferer = parts(without)
    _, still = parts(Tones(**free, snr_db=None, depth=0.0)(11, "low"))
    np.testing.assert_allclose(interferer, still, atol=1e-6)
    assert not np.allclose(noisy.cause.samples, quiet.cause.samples, atol=0.01)


def test_labels_come_in_turn_and_by_chance():
    assert [scene.label for scene in scenes(several_tones([300, 600, 900]), 4, 1)] == [
        "300 Hz",
        "600 Hz",
        "900 Hz",
        "300 Hz",
    ]
    assert sum(Tones()(seed).label == "low" for seed in range(60)) == pytest.approx(30, abs=12)


def test_many_tones_have_their_frequencies():
    recipe = several_tones([300, 700, 1100], snr_db=10.0, interferer=0.0)
    for scene, hertz in zip(scenes(recipe, 3, 4), (300, 700, 1100), strict=True):
        f, level = spectrum(scene.audio.samples.numpy(), 8000)
        assert f[level.argmax()] == hertz


def test_the_truth_of_a_tone_is_a_line_at_its_frequency():
    for label, hertz in (("low", 220), ("high", 880)):
        mask, (frequency, time) = Tones(snr_db=10.0, interferer_hz=(1400.0, 1500.0))(2, label).truth
        assert mask.shape == (frequency.size, time.size) == (257, 32)
        assert (frequency.unit, frequency.edges[-1], time.unit, time.edges[-1]) == ("Hz", 4000, "s", 0.5)
        inner = mask[:, 3:-3]  # the tone starts and ends abruptly: at the ends its spectrum is broad
        rows = np.flatnonzero(inner.any(1))
        assert inner[np.abs(frequency.centers - hertz).argmin()].all()
        assert np.abs(frequency.centers[rows] - hertz).max() < 50
        assert set(np.unique(mask)) == {0, 1}


def test_the_truth_yields_to_what_is_louder():
    scene = Tones(snr_db=None, interferer=3.0, interferer_hz=880.0, level=1.0)(2, "high")
    assert scene.truth[0][:, 3:-3].sum() == 0
    assert Tones(snr_db=None, interferer=0.1, interferer_hz=880.0, level=1.0)(2, "high").truth[0][:, 3:-3].sum() > 30


def test_the_truth_ends_thirty_decibels_below_the_peak():
    rate, t = 8000, np.arange(8000) / 8000
    cause = np.sin(2 * np.pi * 500 * t) + 10 ** (-25 / 20) * np.sin(2 * np.pi * 1500 * t)
    faint = cause + 10 ** (-35 / 20) * np.sin(2 * np.pi * 2500 * t)
    mask, (frequency, _) = truth_of(Audio(faint, rate), Audio(faint, rate))
    middle = mask[:, 30]
    assert [middle[np.abs(frequency.centers - f).argmin()] for f in (500, 1500, 2500)] == [1, 1, 0]
    wider, _ = truth_of(Audio(faint, rate), Audio(faint, rate), range_db=40)
    assert wider[np.abs(frequency.centers - 2500).argmin(), 30] == 1


def test_the_truth_keeps_the_time_of_the_recording():
    clip = Audio(np.sin(np.arange(8000.0)), 8000, start=12.5)
    _, (_, time) = truth_of(clip, clip)
    assert (time.edges[0], time.edges[-1]) == (12.5, 13.5)


@pytest.mark.parametrize("label", ["chirp", "call", "knock"])
def test_the_distractor_is_as_loud_as_the_cause(label):
    cause, rest = parts(Events(snr_db=None)(9, label))
    present = [
        x[np.flatnonzero(x)[0] : np.flatnonzero(x)[-1] + 1] for x in (cause, np.where(abs(rest) > 1e-6, rest, 0))
    ]
    assert decibel(*present) == pytest.approx(0, abs=0.1)


def test_a_louder_distractor_changes_nothing_else():
    plain, louder = (
        Events(peak=None, snr_db=None)(4, "call"),
        Events(peak=None, snr_db=None, distractor_db=6.0)(4, "call"),
    )
    np.testing.assert_array_equal(plain.cause.samples, louder.cause.samples)
    assert decibel(parts(louder)[1], parts(plain)[1]) == pytest.approx(6, abs=0.01)


def test_noise_is_measured_beneath_the_event():
    scene = Events(snr_db=9.0, distractors=())(3, "chirp")
    cause, rest = parts(scene)
    span = np.flatnonzero(cause)
    assert decibel(cause[span[0] : span[-1] + 1], rest[span[0] : span[-1] + 1]) == pytest.approx(9, abs=0.01)


def test_events_have_the_sound_of_their_kind():
    def energy(kind, low, high):
        x = np.concatenate([KINDS[kind](np.random.default_rng(i), 16000) for i in range(10)])
        f, level = spectrum(x, 16000)
        return (level[(f >= low) & (f < high)] ** 2).sum() / (level**2).sum()

    assert energy("chirp", 700, 3600) > 0.99
    assert energy("siren", 490, 1410) > 0.99
    assert energy("hum", 80, 1200) > 0.99 and energy("hum", 80, 140) > 0.7
    assert energy("call", 230, 500) > 0.5 and energy("call", 500, 5000) > 0.2
    assert energy("knock", 0, 4000) == pytest.approx(0.5, abs=0.1)


def test_events_stand_anywhere_and_inside_the_clip():
    starts = [np.flatnonzero(scene.cause.samples.numpy())[0] / 16000 for scene in scenes(Events(), 30, 2)]
    assert min(starts) < 0.4 and max(starts) > 1.1


def test_the_truth_of_an_event_lies_in_its_span():
    for scene in scenes(Events(), 9, 8):
        sounding = np.flatnonzero(scene.cause.samples.numpy()) / 16000
        mask, (_, time) = scene.truth
        columns = time.centers[mask.any(0)]
        assert columns.min() > sounding[0] - 0.05 and columns.max() < sounding[-1] + 0.05
        assert mask.any()


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="siren can't be both"):
        Events(labels=("siren", "knock"), distractors=("siren",))
    with pytest.raises(UsageError, match="Did you mean siren"):
        Events(labels=("sirene",))
    with pytest.raises(UsageError, match="Did you mean low"):
        Tones()(1, "lo")
    with pytest.raises(UsageError, match="half the sample rate"):
        several_tones([300, 5000])
    with pytest.raises(UsageError, match="a name of its own"):
        Tones(("a", "b"), (100.0,))
    with pytest.raises(InputError, match="as long as the clip"):
        truth_of(Audio(np.ones(10), 8000), Audio(np.ones(11), 8000))
    with pytest.raises(InputError, match="silence"):
        truth_of(Audio(np.zeros(1000), 8000), Audio(np.ones(1000), 8000))


def test_what_is_random_differs_from_seed_to_seed():
    recipe = Tones(snr_db=None, level=1.0, modulation=4.0, interferer_hz=600.0, peak=None)
    phases = []
    for seed in range(40):
        cause, rest = parts(recipe(seed, "low"))
        lines = np.fft.rfft(cause), np.fft.rfft(rest)
        f = np.fft.rfftfreq(len(cause), 1 / 8000)
        tone, side, interferer = lines[0][f == 220][0], lines[0][f == 224][0], lines[1][f == 600][0]
        phases.append(np.angle([tone, side / tone, interferer]))
    spread = np.abs(np.exp(1j * np.array(phases)).mean(0))  # 0: all around the circle; 1: always the same
    assert (spread < 0.4).all()
    frozen = Tones(snr_db=None, level=1.0, depth=0.0, interferer=0.0, phase=1.0, peak=None)
    np.testing.assert_array_equal(frozen(1, "low").audio.samples, frozen(2, "low").audio.samples)
