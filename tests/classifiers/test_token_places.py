"""Where the layers of Hugging Face's models stand in the clip: frames, patches, and what an extractor fills up."""

import dataclasses

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.checks import check_components
from earwitness.studies.listing import layers_of

RATE = 16000


FRAMES = {
    "wavlm": ("model.wavlm.encoder.layers.1", 52, 320, 400),
    "hubert": ("model.hubert.encoder.layers.0", 52, 320, 400),
    "sew": ("model.sew.encoder.layers.1", 26, 640, 720),
    "data2vec": ("model.data2vec_audio.encoder.layers.1", 52, 320, 400),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_see_the_samples_that_they_say(wrapped, clip, name):
    """A change of one sample moves what the convolutions answer only in the frames whose span holds it."""
    layer, count, step, reach = FRAMES[name]
    classifier = wrapped(name)
    parts = ew.ask(classifier, clip, ew.Units(layer)).components
    spans = np.round(parts.layout.along[0].spans * RATE).astype(int)
    np.testing.assert_array_equal(spans, [[step * k, step * k + reach] for k in range(count)])
    assert parts.axes[0].size == count and parts.axes[0].edges[0] == 0.0
    if name != "data2vec":  # the others normalise over the whole clip, and every frame feels every sample
        return
    convolutions = "network.model.data2vec_audio.feature_extractor.conv_layers.6"
    for sample in (0, 4000, 4700, 16719):
        changed = clip.samples.clone()
        changed[sample] += 0.5
        x, y = (classifier.at(convolutions, one[None], clip.samples[None])[0] for one in (clip.samples, changed))
        moved = np.flatnonzero((x - y).abs().amax(0).numpy() > 0)
        np.testing.assert_array_equal(moved, np.flatnonzero((spans[:, 0] <= sample) & (sample < spans[:, 1])))


def test_convolutions_have_their_places_too(wrapped, clip):
    parts = ew.ask(wrapped("wavlm"), clip, ew.Units("model.wavlm.feature_extractor.conv_layers.1")).components
    assert parts.x.shape == (16, 1699) and parts.layout.channels == 0
    np.testing.assert_allclose(parts.layout.along[0].spans[[0, 7]] * RATE, [[0, 20], [70, 90]])


def test_patches_of_ast_see_the_bins_that_they_say(wrapped, clip):
    """Frequency comes first: 12 x 101 patches behind two special tokens, of which those of the padding belong to nobody."""
    classifier = wrapped("ast")
    layer = "network.model.audio_spectrogram_transformer.embeddings"
    parts = ew.ask(classifier, clip, ew.Units(layer)).components
    x = classifier.at("features", clip.samples[None])
    frames = x.shape[3]
    assert parts.x.shape == (2 + 12 * 101, 32) and parts.special == 2
    assert parts.shape == (12, -(-frames // 10))  # those that begin within the clip
    changed = x.clone()
    changed[0, 0, 33, 47] += 1.0
    headless = ew.Classifier(classifier.network, None, classifier.labels)
    moved = (headless.at(layer, x) - headless.at(layer, changed))[0].abs().amax(1, keepdim=True) > 0
    where = parts.collect((moved / 32.0).expand(-1, 32)).numpy()
    expected = np.zeros(parts.shape)
    expected[2:4, 4] = 1  # rows 20-36 and 30-46; frames 40-56, and no others: 47 lies before 50, and behind 46
    np.testing.assert_allclose(where, expected, atol=1e-6)
    frequency, time = classifier.axes("features", len(clip.samples))
    spans = parts.layout.along
    np.testing.assert_allclose(spans[0].spans[3], [frequency.edges[30], frequency.edges[46]])
    np.testing.assert_allclose(spans[1].spans[4], [time.edges[40], time.edges[56]])


def test_overlapping_patches_are_seen_as_their_mean(wrapped, clip):
    parts = ew.ask(wrapped("ast"), clip, ew.Units("model.audio_spectrogram_transformer.layers.0")).components
    values = np.random.default_rng(0).random(parts.shape)
    picture, axes = parts.laid_out(values)
    spans = [row.spans for row in parts.layout.along]
    for f, t in np.ndindex(picture.shape):
        hz, s = axes[0].centers[f], axes[1].centers[t]
        rows, columns = ((along[:, 0] <= at) & (at < along[:, 1]) for along, at in zip(spans, (hz, s), strict=True))
        np.testing.assert_allclose(picture[f, t], values[np.ix_(rows, columns)].mean())
    assert ew.Explanation.of(
        ew.ask(wrapped("ast"), clip, ew.Units("model.audio_spectrogram_transformer.layers.0")), values
    ).hear()


def test_what_the_extractor_fills_up_is_outside(wrapped, clip):
    """Whisper's layers have 1500 tokens, the clip 55 of them; the others stay what they are in the clip, whatever the mask."""
    question = ew.ask(wrapped("whisper"), clip, ew.Units("model.encoder.layers.0"))
    parts = question.components
    assert parts.x.shape == (1500, 32) and parts.shape == (55,)
    assert parts.axes[0].edges[-1] == pytest.approx(clip.duration)
    silent = parts.mix(torch.zeros(1, *parts.shape))[0]
    assert torch.equal(silent[55:], parts.x[55:]) and not torch.equal(silent[:55], parts.x[:55])
    check_components(parts)


@pytest.mark.parametrize("cut", [ew.Grid(3, 4), ew.Bins(), ew.Bands(bands=4, stage="features"), ew.Superpixels(9)])
@pytest.mark.parametrize("baseline", ["silence", "mean", "minimum", "uniform"])
def test_no_map_holds_the_seconds_that_are_filled_up(wrapped, clip, cut, baseline):
    """Whisper's features have one column behind the clip, from which 29 s are filled up: it belongs to nobody."""
    classifier = wrapped("whisper")
    question = ew.ask(classifier, clip, dataclasses.replace(cut, baseline=baseline), "LABEL_0")
    parts = question.components
    check_components(parts)
    assert parts.x.shape[-1] == 109 and torch.equal(parts.baselines[0][..., 108:], parts.x[..., 108:])
    slope = question.slope(question.x[None])[0]
    behind = slope.abs().sum((0, 1))[108] / slope.abs().sum()
    assert behind > 0.5  # nearly all of the slope is there, and in no component
    lone = torch.zeros_like(slope)
    lone[..., 108] = 1
    assert float(parts.collect(lone).abs().max()) == 0
    if baseline != "silence":
        inside = parts.x[..., :108]
        expected = {"mean": inside.mean(-1), "minimum": inside.amin(-1), "uniform": None}[baseline]
        if expected is not None:
            np.testing.assert_allclose(parts.baselines[0][..., 50], expected, rtol=1e-5)


def test_at_every_layer_that_is_listed_the_clip_is_the_clip(wrapped, clip, any_model):
    """value(1) is the model's own answer, wherever one asks; layers of which that can't be said are not listed."""
    classifier = wrapped(any_model)
    rows = layers_of(classifier)
    assert len(rows) > 10
    for row in rows[:: max(1, len(rows) // 6)]:
        question = ew.ask(classifier, clip, ew.Units(row["layer"]), "LABEL_0")
        assert question.ends()[0] == pytest.approx(float(question.clip_logits[0]), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "layer", "shape", "grid"),
    [
        ("vit", "model.vit.layers.1", (17, 32), (4, 4)),
        ("convnext", "model.convnext.encoder.stages.2", (16, 4, 4), (4, 4)),
        ("resnet", "model.resnet.encoder.stages.1", (16, 8, 8), (8, 8)),
        ("focalnet", "model.focalnet.encoder.stages.2.layers.0", (16, 32), (4, 4)),
        ("focalnet", "model.focalnet.encoder.stages.3.layers.0.modulation.projection_context", (64, 2, 2), (2, 2)),
        ("focalnet", "model.focalnet.encoder.stages.1.layers.0.modulation", (8, 8, 16), (8, 8)),
    ],
)
def test_layers_of_networks_for_pictures(wrapped, clip, name, layer, shape, grid):
    question = ew.ask(wrapped(name), clip, ew.Units(layer))
    assert question.x.shape == shape and question.shape == grid
    assert question.axes[0].edges[-1] == 8000 and question.axes[1].edges[-1] == pytest.approx(clip.duration)
    for by in ("places", "channels", "units"):
        check_components(ew.ask(question.classifier, clip, ew.Units(layer, by)).components)


def test_a_token_of_vit_is_its_patch(wrapped, clip):
    """Rows come first, and the special token in front of them."""
    classifier = wrapped("vit")
    layer = "network.model.vit.embeddings"
    parts = ew.ask(classifier, clip, ew.Units(layer)).components
    x = classifier.at("features", clip.samples[None])
    changed = x.clone()
    changed[:, :, 20, 50] += 1.0
    headless = ew.Classifier(classifier.network, None, classifier.labels)
    moved = (headless.at(layer, x) - headless.at(layer, changed))[0].abs()
    assert parts.special == 1
    assert np.argwhere(parts.collect(moved).numpy() > 0).tolist() == [[1, 3]]


def test_frames_of_sound_are_the_model_s_own(wrapped, clip):
    """52 frames of 400 samples every 320, and a click in the 700th sample moves what two of them hear."""
    classifier = wrapped("data2vec")
    parts = ew.ask(classifier, clip, ew.Frames(stage="features")).components
    assert parts.shape == (52,)
    np.testing.assert_allclose(parts.axes[0].edges[:3], np.array([0, 360, 680]) / RATE)
    click = torch.zeros_like(parts.x)
    click[700] = 1
    assert np.flatnonzero(parts.collect(click).numpy()).tolist() == [1, 2]
