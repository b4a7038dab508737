"""Questions about sound, on a classifier whose answers can be worked out by hand; and clips that cannot be asked about."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.questions import counting, reporting

RATE = 8000


@pytest.fixture
def clip(tone):
    return tone(440, span=(0.0, 0.5))[0]


@pytest.fixture
def question(listener, clip):
    return ew.ask(listener, clip, ew.Grid(3, 4), "low")


def worked_out(listener, clip, rows, columns):
    """`[3, 4]`: the logit of "low" is a mean over its rows, so each cell adds the sum of its part of them."""
    x = listener.frontend(clip.samples[None])[0, 0].double().numpy()
    (a, b), _ = listener.network.rows
    only = np.zeros_like(x)
    only[a:b] = x[a:b] / (b - a) / x.shape[1]
    cells = [np.split(r, np.cumsum([31, 32, 31]), axis=1) for r in np.split(only, [43, 86])]
    return np.array([[cell.sum() for cell in row] for row in cells])


def test_values_gradient_slope_and_logits_by_hand(listener, clip, question):
    cells = worked_out(listener, clip, 3, 4)
    rng = np.random.default_rng(0)
    masks = rng.random((5, 3, 4))
    np.testing.assert_allclose(question.value(masks), (masks * cells).sum((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(question.gradient(masks), np.repeat(cells[None], 5, 0), rtol=1e-5, atol=1e-9)
    slope = question.slope(question.x[None])
    np.testing.assert_allclose(question.collect(slope[0] * question.x), cells, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(question.logits(masks)[:, 0], question.value(masks), rtol=1e-6)
    assert question.value(masks).dtype == torch.float64


def test_a_margin_is_the_difference_of_its_labels(listener, clip):
    masks = np.random.default_rng(0).random((4, 3, 4))
    low, high, margin = (
        ew.ask(listener, clip, ew.Grid(3, 4), target).value(masks) for target in ("low", "high", "low - high")
    )
    torch.testing.assert_close(margin, low - high, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cut", [ew.Grid(3, 4), ew.Segments(count=4), ew.Cells(bands=3, seconds=0.25)])
def test_keeping_everything_is_asking_about_the_clip(listener, clip, cut):
    question = ew.ask(listener, clip, cut, "low")
    expected = float(listener(clip.samples[None])[0, 0])
    assert float(question.value(question.ones)) == pytest.approx(expected, rel=1e-5)
    assert float(question.clip_logits[0]) == pytest.approx(expected, rel=1e-6)


def test_where_the_cause_is_known(listener, clip):
    half = (np.array([1.0, 0.0]), (ew.Axis("time", "s", (0, 0.5, 1.0)),))
    question = ew.ask(listener, clip, ew.Segments(count=4), "low", truth=half)
    np.testing.assert_allclose(question.cause, [1, 1, 0, 0])
    assert ew.ask(listener, clip, ew.Segments(count=4), "low").cause is None


def test_evaluations_are_counted_and_reported(question):
    told = []
    with counting(expected=9) as outer, reporting(lambda rows, expected: told.append((rows, expected))):
        question.value(torch.ones(10, 3, 4))
        with counting() as inner:
            question.gradient(torch.ones(2, 3, 4))
            question.slope(question.x[None])
            question.logits(torch.ones(3, 3, 4))
    assert (outer.evaluations, inner.evaluations) == (16, 6)
    assert told == [(8, 9), (2, 9), (2, None), (1, None), (3, None)]
    two = replace(question, factorization=ew.Grid(3, 4, baseline=("silence", "noise")))
    with counting() as count:
        two.value(torch.ones(3, 3, 4))
        two.value(torch.ones(3, 3, 4), baseline=1)
    assert count.evaluations == 9


@pytest.mark.parametrize("explainer", [ew.Sobol(designs=4), ew.Saliency(), ew.Random()])
def test_a_method_costs_what_it_says(question, explainer):
    """And two more, for the clip and its baseline."""
    seen = []
    with reporting(lambda rows, expected: seen.append(expected)):
        found = explainer(question)
    assert found.evaluations == explainer.cost(12) + 2
    assert set(seen) == {explainer.cost(12) + 2}


def test_masks_of_another_shape(question):
    for masks in (torch.ones(3, 4), torch.ones(1, 4, 3), torch.ones(1, 3, 4, 1)):
        with pytest.raises(ew.InputError, match=r"masks must be \[B, 3, 4\], not \["):
            question.value(masks)


def test_a_model_that_answers_nan(listener, clip):
    class Logarithm(torch.nn.Module):
        """NaN to silence, a number to the clip."""

        def forward(self, x):
            return torch.stack([torch.log(x.mean((1, 2, 3))), x.mean((1, 2, 3))], 1)

    question = ew.ask(ew.Classifier(Logarithm(), listener.frontend, ["a", "b"]), clip, ew.Grid(2, 2), "a")
    assert torch.isfinite(question.value(torch.ones(1, 2, 2))).all()
    with pytest.raises(ew.ModelError, match="NaN or infinity to some of the masked inputs"):
        question.value(torch.zeros(1, 2, 2))
    broken = ew.Classifier(
        torch.nn.Sequential(Logarithm(), torch.nn.Threshold(1e9, torch.nan)), listener.frontend, ["a", "b"]
    )
    with pytest.raises(ew.ModelError, match="NaN or infinity to this clip"):
        ew.ask(broken, clip, ew.Grid(2, 2))


def test_the_clip_is_brought_to_the_model_s_rate_and_it_is_recorded(listener, tmp_path):
    t = np.arange(16000) / 16000
    path = tmp_path / "tone.wav"
    ew.Audio(np.stack([np.sin(2 * np.pi * 440 * t)] * 2) * 0.5, 16000).save(path)
    for given in (path, str(path), ew.load(path)):
        question = ew.ask(listener, given, ew.Grid(2, 2))
        assert question.audio.sample_rate == RATE
        assert question.audio.provenance == ("read tone.wav, 16000 Hz", "resampled from 16000 Hz to 8000 Hz")
        assert question.resolved.name(listener.labels) == "low"


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (np.zeros(100), "expected a recording .* not ndarray"),
        (None, "expected a recording .* not NoneType"),
        (ew.Audio(np.zeros(RATE), RATE), "digital silence"),
        (
            ew.Audio(np.ones(3 * RATE), RATE),
            r"lasts 3.00 s and the model takes 1 s: explain a window.*--at SECONDS or --windows",
        ),
        ("nowhere.wav", "the file does not exist"),
    ],
)
def test_clips_that_cannot_be_asked_about(listener, audio, said):
    listener.duration = 1.0
    with pytest.raises(ew.InputError, match=said):
        ew.ask(listener, audio, ew.Grid(2, 2))


def test_a_clip_may_be_a_little_too_long(listener):
    listener.duration = 1.0
    assert ew.ask(listener, ew.Audio(np.ones(8100), RATE), ew.Grid(2, 2)).audio.duration > 1
    with pytest.raises(ew.InputError, match=r"lasts 1\.03 s"):
        ew.ask(listener, ew.Audio(np.ones(8240), RATE), ew.Grid(2, 2))


def test_sensible_cuts_by_default(listener, clip):
    on_samples = ew.Classifier(torch.nn.Linear(RATE, 2), ew.Waveform(RATE), ["a", "b"])
    assert ew.ask(listener, clip).shape == (8, 8)
    assert ew.ask(on_samples, clip).shape == (8, 8)
    assert ew.explain(listener, clip, ew.Random()).shape == (8, 8)
    assert ew.explain(listener, clip, ew.Saliency()).shape == (129, 126)
    assert ew.explain(on_samples, clip, ew.Saliency()).shape == (64,)
    assert "Grid(" in ew.explain(listener, clip, ew.Random()).provenance["components"]


def test_a_window_is_asked_about_in_the_recording_s_time(listener, tone):
    """The same samples, said to come from 12.5 s: the same answers, later."""
    clip = tone()[0]
    later = ew.Audio(clip.samples, RATE, start=12.5)
    for cut in (
        ew.Grid(2, 3),
        ew.Segments(count=3),
        ew.Segments(count=3, stage="features"),
        ew.Cells(bands=2, seconds=0.5),
    ):
        here, there = ew.ask(listener, clip, cut, "low"), ew.ask(listener, later, cut, "low")
        time = [next(axis for axis in q.axes if axis.name == "time") for q in (here, there)]
        np.testing.assert_allclose(np.array(time[1].edges) - 12.5, time[0].edges, atol=1e-9)
        assert time[1].edges[-1] == later.end
        masks = np.random.default_rng(0).random((3, *here.shape))
        torch.testing.assert_close(there.value(masks), here.value(masks))
        mask = masks[0]
        heard = [ew.Explanation.of(q, mask, kind="mask").hear(None).audio for q in (here, there)]
        torch.testing.assert_close(heard[1].samples, heard[0].samples, atol=1e-6, rtol=0)
        assert heard[1].start == 12.5
