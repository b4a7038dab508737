"""Superpixels: each bin in exactly one, and a patch of level is one of them; places, hearing and pictures by their bins."""

import json
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.checks import check_components, check_hearing, check_question

pytest.importorskip("skimage")
RATE = 8000
CUTS = {
    "slic": lambda **how: ew.Superpixels(20, **how),
    "felzenszwalb": lambda **how: ew.Superpixels(algorithm="felzenszwalb", scale=5.0, smallest=20, **how),
}


def clip_of(seed: int = 0, samples: int = 6000) -> ew.Audio:
    t = np.arange(samples) / RATE
    burst = 0.4 * np.sin(2 * np.pi * 1000 * t) * ((t > 0.3) & (t < 0.5))
    return ew.Audio(burst + 0.02 * np.random.default_rng(seed).standard_normal(samples), RATE, start=2.0)


@pytest.fixture
def patch():
    """`[1, 12, 20]`: a bright patch on a dark ground."""
    features = torch.zeros(1, 12, 20)
    features[0, 3:8, 6:15] = 1.0
    return features


@pytest.mark.parametrize("baseline", ["silence", "noise", "mean", "uniform", "shuffle", ("silence", "blur")], ids=str)
@pytest.mark.parametrize("name", CUTS)
def test_the_laws(listener, name, baseline):
    check_components(CUTS[name](baseline=baseline)(listener, clip_of()))


@given(seed=st.integers(0, 2**31), samples=st.integers(2000, 6000))
def test_any_clip(rows, seed, samples):
    listener = ew.Classifier(rows([(0, 8), (8, 16)]), ew.LogMel(RATE, 256, 64, 20, standardise=True), ["low", "high"])
    for cut in CUTS.values():
        check_components(cut()(listener, clip_of(seed, samples)), seed)


@pytest.mark.parametrize("name", CUTS)
def test_questions_and_hearing(cnn, name):
    question = ew.ask(cnn(ew.LogSTFT(RATE, n_fft=256, hop_length=64)), clip_of(), CUTS[name]())
    check_question(question)
    check_hearing(question)
    assert [(axis.name, axis.unit) for axis in question.axes] == [("component", "index")]
    assert question.size > 3


def test_a_real_recording(listener, real_clip):
    check_components(ew.Superpixels()(listener, real_clip))


def test_a_bright_patch_is_a_superpixel(cnn, patch):
    """Along its edges, exactly: and the number of a component is the number of its bins."""
    cut = ew.Superpixels(algorithm="felzenszwalb")(cnn(None), patch)
    assert cut.shape == (2,)
    inside = int(cut.labels[5, 10])
    np.testing.assert_array_equal(cut.labels == inside, patch[0] == 1)
    mask = torch.zeros(1, 2)
    mask[0, inside] = 1
    torch.testing.assert_close(cut.mix(mask)[0], patch)
    assert cut.axes[0].names[inside] == "time 6–15, frequency 3–8"
    np.testing.assert_allclose(cut.collect(torch.ones(1, 12, 20))[inside], 45)


def test_slic_cuts_about_as_many_as_asked(listener):
    sizes = [ew.Superpixels(count)(listener, clip_of()).shape[0] for count in (10, 40, 120)]
    assert np.all(np.abs(np.array(sizes) / [10, 40, 120] - 1) < 0.4)


def test_a_flat_picture_is_cut_too(cnn):
    check_components(ew.Superpixels(4)(cnn(None), torch.ones(1, 12, 20)))


def test_the_truth_is_averaged_over_each_superpixel(cnn, patch):
    """A cause over the upper half of the patch: half of that component, none of the ground."""
    cut = ew.Superpixels(algorithm="felzenszwalb")
    axes = tuple(ew.Axis(name, "index", tuple(range(n + 1))) for name, n in (("frequency", 12), ("time", 20)))
    truth = np.zeros((12, 20))
    truth[3:5, 6:15] = 1
    question = ew.ask(cnn(None), patch, cut, truth=(truth, axes))
    np.testing.assert_allclose(sorted(question.cause), [0, 0.4], atol=1e-9)


def test_what_is_heard_lies_where_the_superpixels_do(listener):
    """The superpixels of a burst in time and frequency hold it: the rest is what was left of the noise."""
    question = ew.ask(listener, clip_of(), ew.Superpixels(60), "high")
    _, places = question.components.laid_out(np.zeros(question.shape))
    burst = np.outer(np.abs(places[0].centers - 1000) < 150, np.abs(places[1].centers - 2.4) < 0.1)
    held = np.unique(question.components.labels.numpy()[burst])
    mask = np.zeros(question.shape)
    mask[held] = 1
    explanation = ew.Explanation.of(question, mask, kind="mask", score=0.0, baseline=0.0)
    kept = explanation.hear(None).audio.samples.double().numpy()
    clip = question.audio.samples.double().numpy()
    at = slice(round(0.32 * RATE), round(0.48 * RATE))
    assert 10 * np.log10((clip[at] ** 2).sum() / ((clip - kept)[at] ** 2).sum()) > 15
    assert 10 * np.log10((kept[at] ** 2).mean() / ((kept[: round(0.2 * RATE)] ** 2).mean() + 1e-12)) > 25


def test_places_are_told_and_drawn(listener, tmp_path):
    from earwitness.studies.jobs import describe

    explanation = ew.explain(listener, clip_of(), ew.Random(), "high", ew.Superpixels(20))
    best = int(explanation.values.argmax())
    (top,) = explanation.top(1)
    assert top.place == {"component": f"component {best}", "name": explanation.axes[0].names[best]}
    assert top.place["name"].endswith("Hz") and " s, " in top.place["name"]
    explanation.save(tmp_path / "map.npz")
    assert str(ew.Explanation.load(tmp_path / "map.npz").top(1)[0]) == str(top)
    figure = explanation.plot(tmp_path / "plot.png")
    assert figure.axes[1].get_ylabel() == "frequency (Hz)"
    (told,) = [c for c in json.loads(json.dumps(describe(explanation)))["components"] if c["component"][0] == best]
    assert "{:.2f}–{:.2f} s, {:.0f}–{:.0f} Hz".format(*told["time"], *told["frequency"]) == told["name"]


def test_wrong_settings_are_told(listener):
    with pytest.raises(ew.UsageError, match=r"unknown algorithm for superpixels 'slick'\. Did you mean slic"):
        ew.Superpixels(algorithm="slick")
    with pytest.raises(ew.UsageError, match="count must be a whole number above 0"):
        ew.Superpixels(0)
    with pytest.raises(ew.UsageError, match="compactness must be a number above 0"):
        ew.Superpixels(compactness=0)
    box = ew.BlackBox(lambda x: x[:, :2], RATE, ["a", "b"])
    with pytest.raises(ew.UsageError, match="superpixels need features over frequency and time"):
        ew.Superpixels()(box, clip_of())


def test_a_missing_package_is_told(listener, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(ew.UsageError, match=r"pip install earwitness\[superpixels\]"):
        ew.Superpixels()(listener, clip_of())
