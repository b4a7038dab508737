"""Listening: what is kept of a planted tone, what is removed, at which level, and what the model answers to it."""

import numpy as np
import pytest
import torch

import earwitness as ew

RATE = 8000


def si_sdr(found, true):
    """Scale-invariant signal-to-distortion ratio, in dB."""
    found, true = np.asarray(found, float), np.asarray(true, float)
    part = (found @ true) / (true @ true) * true
    return 10 * np.log10((part @ part) / ((found - part) @ (found - part)))


@pytest.fixture
def scene(tone):
    """A tone burst (the cause) between 0.25 and 0.5 s, in front of a louder tone that is no cause; and the burst alone."""
    clip, burst = tone(440, span=(0.25, 0.5), level=0.2, noise=0.01)
    other = 0.4 * np.sin(2 * np.pi * 2000 * np.arange(RATE) / RATE)
    return ew.Audio(clip.samples + torch.from_numpy(other).float(), RATE, start=3.0), burst.samples


CUTS = {
    "grid": ew.Grid(12, 16),
    "cells of sound": ew.Cells(bands=12, seconds=1 / 16, scale="mel"),
    "cells of features": ew.Cells(bands=12, seconds=1 / 16, scale="mel", stage="features"),
}


@pytest.mark.parametrize("cut", CUTS)
def test_the_planted_cause_is_what_is_heard(listener, scene, cut):
    """Found by Sobol, kept, and at least 20 dB nearer to the burst alone than the clip is."""
    clip, burst = scene
    found = ew.explain(listener, clip, ew.Sobol(designs=64), "low", CUTS[cut])
    kept, removed = found.hear(0.05), found.hear(0.05, remove=True)
    before = si_sdr(clip.samples, burst)
    assert before < -5
    assert si_sdr(kept.audio.samples, burst) > before + 14
    assert removed.audio.samples @ burst < 0.2 * (burst @ burst)
    assert float((kept.audio.samples + removed.audio.samples - clip.samples).abs().max()) < 1e-6
    np.testing.assert_array_equal(kept.mask, found.mask(0.05))
    np.testing.assert_array_equal(removed.mask, 1 - kept.mask)
    assert kept.audio.start == 3.0
    assert kept.audio.provenance[-1] == "kept" and removed.audio.provenance[-1] == "removed"


@pytest.mark.parametrize("cut", CUTS)
def test_the_model_answers_to_the_very_sound(listener, scene, cut):
    question = ew.ask(listener, scene[0], CUTS[cut], "low")
    mask = np.random.default_rng(0).random(question.shape)
    heard = ew.Explanation.of(question, mask, kind="mask").hear(None)
    half = ew.Explanation.of(question, np.full(question.shape, 0.5), kind="mask").hear(None)
    torch.testing.assert_close(half.audio.samples, scene[0].samples / 2, atol=1e-6, rtol=0)
    logits = listener(heard.audio.samples[None])[0].detach()
    assert heard.score == pytest.approx(float(logits[0]), rel=1e-5)
    assert heard.prediction.label == listener.labels[int(logits.argmax())]
    assert heard.prediction.probability == pytest.approx(float(logits.softmax(0).max()), rel=1e-5)
    if question.components.stage == "waveform":  # then it is also what the question was asked with
        assert heard.score == pytest.approx(float(question.value(mask[None])), rel=1e-5)


def test_what_argues_against_is_heard(listener, tone):
    """Of "low - high", a high tone is what argues against."""
    low, high = tone(440, noise=0)[1].samples, tone(880, noise=0)[1].samples
    question = ew.ask(listener, ew.Audio(low + high, RATE), ew.Grid(6, 1), "low - high")
    drawn = ew.Explanation.of(question, np.array([[2.0], [-1.0], [0], [0], [0], [0]]), "effect")
    assert si_sdr(drawn.hear(0.2).audio.samples, low) > 20
    assert si_sdr(drawn.hear(0.2, against=True).audio.samples, high) > 20
    assert drawn.target == "low - high"


@pytest.mark.parametrize(("level", "gain"), [(0.5, 6.0206), (0.25, 12.0412), (0.01, 18.0)])
def test_matched_levels(listener, tone, level, gain):
    """A tone kept at a share of its level: made as loud as the clip, but by 18 dB at most; the answer is that at true level."""
    clip = tone(440, noise=0, level=0.2)[0]
    question = ew.ask(listener, clip, ew.Segments(count=2), "low")
    quiet = ew.Explanation.of(question, np.array([level, level]), kind="mask")
    matched, true = quiet.hear(None, match_level=True), quiet.hear(None)
    assert matched.gain_db == pytest.approx(gain, abs=0.01)
    assert true.gain_db == 0
    torch.testing.assert_close(matched.audio.samples, true.audio.samples * 10 ** (gain / 20), rtol=1e-3, atol=1e-6)
    assert matched.score == true.score
    assert matched.audio.provenance[-1] == f"level changed by {gain:+.1f} dB"
    assert true.audio.provenance[-1] == "kept"


def test_matched_levels_leave_headroom(listener):
    """A click cannot be made as loud as the clip: its peak stays 1 dB below full scale."""
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    samples[:4000] = 0
    samples[2000] = 0.9
    question = ew.ask(listener, ew.Audio(samples, RATE), ew.Segments(count=2), "low")
    heard = ew.Explanation.of(question, np.array([1.0, 0.0]), kind="mask").hear(None, match_level=True)
    assert 20 * np.log10(heard.audio.peak) == pytest.approx(-1, abs=0.01)


def test_nothing_kept_is_silence(listener, tone):
    question = ew.ask(listener, tone()[0], ew.Segments(count=2), "low")
    heard = ew.Explanation.of(question, np.zeros(2), kind="mask").hear(0.5, match_level=True)
    assert heard.audio.peak == 0
    assert heard.gain_db == 0


def test_networks_on_samples_can_be_heard(tone):
    box = ew.BlackBox(lambda x: np.stack([(x**2).mean(1), 0.01 + 0 * x[:, 0]], 1), RATE, ["loud", "quiet"])
    clip, burst = tone(440, span=(0.25, 0.5))
    found = ew.explain(box, clip, ew.Sobol(designs=32), "loud", ew.Segments(count=8))
    kept = found.hear(0.25)
    np.testing.assert_array_equal(kept.mask, [0, 0, 1, 1, 0, 0, 0, 0])
    assert si_sdr(kept.audio.samples, burst.samples) > 15


def test_saving_what_is_heard(listener, tone, tmp_path):
    question = ew.ask(listener, tone()[0], ew.Segments(count=2), "low")
    heard = ew.Explanation.of(question, np.array([1.0, 0.0]), kind="mask").hear(None)
    assert heard.save(tmp_path / "why.wav") == 1.0
    np.testing.assert_allclose(ew.load(tmp_path / "why.wav").samples, heard.audio.samples, atol=1.5 / 32768)
    assert str(heard).startswith(f"low ({heard.prediction.probability:.2f}), target score {heard.score:.2f}, level ")


def test_a_real_recording_is_heard_without_loss(listener, real_clip):
    for cut in (ew.Grid(8, 8), ew.Cells(bands=8, seconds=0.25, baseline="noise")):
        found = ew.explain(
            listener, real_clip, ew.Saliency() if isinstance(cut, ew.Grid) else ew.Sobol(designs=4), "low", cut
        )
        kept, removed = (found.hear(0.2, remove=remove).audio.samples for remove in (False, True))
        assert float((kept + removed - real_clip.samples).abs().max()) <= 1e-6 * real_clip.peak
