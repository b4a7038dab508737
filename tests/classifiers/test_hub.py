"""Models of Hugging Face: every architecture, tiny and untrained, saved and read through the real loading code."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

import earwitness as ew
from earwitness.checks import check_components, check_question
from earwitness.cli import app
from earwitness.studies.listing import layers_of

RATE = 16000
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "num_labels": 3}
CONVOLUTIONS = {"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
SMALL = SIZES | {"classifier_proj_size": 8}
SPEECH = SMALL | CONVOLUTIONS
SEW = SPEECH | {"conv_dim": (16,) * 13, "squeeze_factor": 2}
DATA2VEC = SMALL | {"conv_dim": (16,) * 7, "conv_pos_kernel_size": 3}
WHISPER = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64} | {
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "num_labels": 3, "classifier_proj_size": 8,
}  # fmt: skip
LAYERED = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def plain(normalised):
    return hf.Wav2Vec2FeatureExtractor(do_normalize=normalised)


MODELS = {
    "wav2vec2": (hf.Wav2Vec2ForSequenceClassification, hf.Wav2Vec2Config(**SPEECH, **LAYERED), plain(True)),
    "wav2vec2-conformer": (
        hf.Wav2Vec2ConformerForSequenceClassification,
        hf.Wav2Vec2ConformerConfig(**SPEECH),
        plain(True),
    ),
    "hubert": (hf.HubertForSequenceClassification, hf.HubertConfig(**SPEECH), plain(True)),
    "wavlm": (hf.WavLMForSequenceClassification, hf.WavLMConfig(**SPEECH), plain(False)),
    "data2vec": (hf.Data2VecAudioForSequenceClassification, hf.Data2VecAudioConfig(**DATA2VEC), plain(True)),
    "sew": (hf.SEWForSequenceClassification, hf.SEWConfig(**SEW), plain(True)),
    "sew-d": (hf.SEWDForSequenceClassification, hf.SEWDConfig(**SEW), plain(True)),
    "unispeech": (hf.UniSpeechForSequenceClassification, hf.UniSpeechConfig(**SPEECH), plain(True)),
    "unispeech-sat": (hf.UniSpeechSatForSequenceClassification, hf.UniSpeechSatConfig(**SPEECH), plain(True)),
    "ast": (hf.ASTForAudioClassification, hf.ASTConfig(**SIZES), hf.ASTFeatureExtractor()),
    "whisper": (hf.WhisperForAudioClassification, hf.WhisperConfig(**WHISPER), hf.WhisperFeatureExtractor()),
    "wav2vec2-bert": (
        hf.Wav2Vec2BertForSequenceClassification,
        hf.Wav2Vec2BertConfig(**SMALL),
        hf.SeamlessM4TFeatureExtractor(),
    ),
}
PICTURES = {
    "vit": (hf.ViTForImageClassification, hf.ViTConfig(**SIZES, image_size=64, patch_size=16)),
    "convnext": (
        hf.ConvNextForImageClassification,
        hf.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_labels=3),
    ),
    "focalnet": (
        hf.FocalNetForImageClassification,
        hf.FocalNetConfig(image_size=64, embed_dim=8, depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 32, 64], num_labels=3),
    ),
    "resnet": (
        hf.ResNetForImageClassification,
        hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1], layer_type="basic", num_labels=3),
    ),
}  # fmt: skip
VIEW = "LogMel(sample_rate=16000, n_fft=512, hop_length=160, n_mels=64)"


def saved(folder, kind, config, extractor=None):
    """A model with seeded weights, larger than they are initialised, so that answers differ."""
    if not folder.exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model = kind(config)
            with torch.no_grad():
                for name, weights in model.named_parameters():
                    weights.mul_(3 if weights.ndim > 1 and "conv" not in name else 1)
        model.save_pretrained(folder)
        if extractor is not None:
            extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def wrapped(home):
    """`wrapped(name)`: the classifier, through the disk."""

    def make(name, **given):
        if name in PICTURES:
            given = {"frontend": ew.Picture(VIEW, 64, 64)} | given
        return ew.hugging_face(saved(home / name, *(MODELS | PICTURES)[name]), **given)

    return make


@pytest.fixture(scope="module")
def clip():
    """A second and a bit: a tone that comes and goes, in noise, off zero."""
    t = np.arange(17000) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 700 * t) * (np.abs(t - 0.5) < 0.2)
    return ew.Audio(tone + 0.02 * np.random.default_rng(0).standard_normal(len(t)) + 0.003, RATE)


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_the_model_s_own(wrapped, clip, name):
    """Through our front end as through transformers' extractor, from the sound to the logits; and the note says how near."""
    classifier = wrapped(name)
    inputs = MODELS[name][2](clip.samples.numpy(), sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        expected, found = classifier.network.model(**inputs).logits, classifier(clip.samples[None])
    assert float(expected.std()) > 1e-3
    near = 1e-4 if name == "wav2vec2-bert" else 2e-6  # whose bands are divided by their deviation, however small
    np.testing.assert_allclose(found, expected, atol=near * float(expected.abs().max()), rtol=0)
    assert "of the features' range" in classifier.notes[0]
    assert list(classifier.labels) == ["LABEL_0", "LABEL_1", "LABEL_2"] and not classifier.training


@pytest.mark.parametrize("name", PICTURES)
def test_answers_to_pictures_are_the_model_s_own(wrapped, clip, name):
    classifier = wrapped(name)
    picture = ew.Picture(VIEW, 64, 64)(clip.samples[None])
    assert picture.shape == (1, 3, 64, 64) and torch.equal(picture[0, 0], picture[0, 2])
    with torch.no_grad():
        expected = classifier.network.model(pixel_values=picture).logits
    np.testing.assert_allclose(classifier(clip.samples[None]), expected, atol=2e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("name", MODELS | PICTURES)
def test_gradients_reach_the_sound_and_the_laws_hold(wrapped, clip, name):
    """Differences of a question about sound, cut where it stands by default."""
    question = ew.ask(wrapped(name), clip.window(0.0, 0.6), None, "LABEL_1")
    check_components(question.components)
    slope = question.gradient(question.ones)[0]
    assert torch.isfinite(slope).all() and float(slope.abs().max()) > 0
    if name in ("wav2vec2", "ast", "vit"):
        check_question(question)


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


@pytest.mark.parametrize("name", MODELS | PICTURES)
def test_at_every_layer_that_is_listed_the_clip_is_the_clip(wrapped, clip, name):
    """value(1) is the model's own answer, wherever one asks; layers of which that can't be said are not listed."""
    classifier = wrapped(name)
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


def test_a_network_that_normalises_over_the_clip_is_not_given_silence(wrapped, clip):
    """The known gap of GroupNorm along a straight line from silence (worst for a loud clip), and that the default closes it."""
    classifier = wrapped("wavlm")
    assert classifier.baseline == "shaped" and any("not silence" in note for note in classifier.notes)
    assert wrapped("wav2vec2").baseline == "silence"
    cut = {"bands": 2, "seconds": 0.3}

    def gap(path, **given):
        return ew.IntegratedGradients(50, path)(ew.ask(classifier, clip, ew.Cells(**cut, **given), "LABEL_0")).gap

    straight, natural, by_level = gap("linear", baseline="silence"), gap("linear"), gap("level", baseline="silence")
    assert straight > 0.5 and natural < 1e-3 and by_level < 0.01


def test_a_head_of_one_s_own(home, clip, tmp_path):
    """A module; or the weights of one, in safetensors or a state dict: the layers are found by their numbers, 10 behind 9."""
    folder = home / "backbone"
    if not folder.exists():
        hf.WavLMModel(hf.WavLMConfig(**SPEECH)).save_pretrained(folder)
        plain(False).save_pretrained(folder)
    head = nn.Sequential(nn.Linear(32, 5), nn.ReLU(), nn.Dropout(0.1), nn.Linear(5, 2)).eval()
    first = ew.hugging_face(folder, head=head, labels=["yes", "no"])
    with torch.no_grad():
        inputs = clip.samples[None]
        expected = head(first.network.model(input_values=inputs).last_hidden_state.mean(1))
        np.testing.assert_allclose(first(inputs), expected, rtol=1e-5)
        weights = {
            f"{9 + number}.{name}": value
            for number, layer in ((0, head[0]), (1, head[3]))
            for name, value in layer.state_dict().items()
        }
        save_file(weights, tmp_path / "head.safetensors")
        torch.save(weights, tmp_path / "head.pt")
        for path in ("head.safetensors", "head.pt"):
            found = ew.hugging_face(folder, head=tmp_path / path, labels=["yes", "no"])(inputs)
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert first.labels == ("yes", "no")


def test_what_is_no_head(home, clip, tmp_path, wrapped):
    wrapped("wavlm")
    folder = home / "wavlm"
    with pytest.raises(ew.UsageError, match=r"a head of one's own has classes of its own: name them"):
        ew.hugging_face(folder, head=nn.Linear(32, 2))
    save_file({"0.weight": torch.ones(3, 7)}, tmp_path / "narrow.safetensors")
    with pytest.raises(ew.ModelError, match=r"the head does not take the 32 channels of the model"):
        ew.hugging_face(folder, head=tmp_path / "narrow.safetensors", labels="abc")
    torch.save(nn.Linear(3, 4), tmp_path / "pickle.pt")  # a module, which only a pickle could hold
    with pytest.raises(ew.ModelError, match="holds no weights of a head that can be read"):
        ew.hugging_face(folder, head=tmp_path / "pickle.pt", labels="abc")
    with pytest.raises(ew.ModelError, match="holds no weights of a head that can be read"):
        ew.hugging_face(folder, head=tmp_path / "nowhere.safetensors", labels="abc")
    normed = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 3))
    with pytest.raises(
        ew.ModelError, match=r"only linear layers .* and these hold 0.weight, 0.bias: give the head itself"
    ):
        ew.hugging_face(folder, head=normed.state_dict(), labels="abc")
    assert len(ew.hugging_face(folder, head=normed, labels="abc").labels) == 3


def test_models_that_cannot_be_wrapped(home, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # it looked when it was imported
    hf.WavLMModel(hf.WavLMConfig(**SPEECH)).save_pretrained(tmp_path / "bare")
    with pytest.raises(
        ew.ModelError,
        match=r"has no weights for classifier.bias.* is no trained classifier. A backbone needs a head of your own",
    ):
        ew.hugging_face(tmp_path / "bare")
    hf.BertModel(
        hf.BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(ew.ModelError, match="a bert model classifies neither sound nor pictures"):
        ew.hugging_face(tmp_path / "bert")
    hf.ASTForAudioClassification(hf.ASTConfig(**SIZES)).save_pretrained(tmp_path / "deaf")
    with pytest.raises(ew.ModelError, match=r"no preprocessor_config.json .* frontend=ew.Waveform"):
        ew.hugging_face(tmp_path / "deaf")
    saved(home / "vit", *PICTURES["vit"])
    with pytest.raises(ew.UsageError, match=r"a vit model looks at pictures: say how a sound becomes one"):
        ew.hugging_face(home / "vit")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "config.json").write_text('{"model_type": "wavlm"}')
    with pytest.raises(ew.ModelError, match="torn' is not a Hugging Face model that can be read"):
        ew.hugging_face(tmp_path / "torn")
    (tmp_path / "torn" / "config.json").write_text('{"model_type": "wavlm", "hidden_size": "abc"}')
    with pytest.raises(ew.ModelError, match="torn' is not a Hugging Face model that can be read"):
        ew.hugging_face(tmp_path / "torn")
    with pytest.raises(ew.ModelError, match="a WavLMModel is no trained classifier"):
        ew.hugging_face(hf.WavLMModel(hf.WavLMConfig(**SPEECH)), ew.Waveform(RATE))
    with pytest.raises(ew.ModelError, match=r"HF_HUB_OFFLINE is set"):
        ew.hugging_face("nobody/no-such-model")
    with pytest.raises(ew.UsageError, match="an id, a folder or a model of transformers, not Linear"):
        ew.hugging_face(nn.Linear(2, 2))


def test_a_front_end_that_is_off_is_not_trusted(wrapped, clip, monkeypatch):
    """Then the model is asked through its own extractor, without gradients, and the explanation says so."""
    from earwitness.classifiers import hub

    monkeypatch.setattr(hub, "parity", lambda *given: 0.02)
    with pytest.warns(
        UserWarning, match="asked as a black box, without gradients: the front end is off ASTFeatureExtractor by 0.02"
    ):
        classifier = wrapped("ast")
    monkeypatch.undo()
    np.testing.assert_allclose(classifier(clip.samples[None]), wrapped("ast")(clip.samples[None]), rtol=1e-4)
    explanation = ew.explain(classifier, clip, ew.Occlusion(), components=ew.Segments(count=3))
    assert "as a black box" in explanation.provenance["model"][0]
    with pytest.raises(ew.ModelError, match="no gradient"):
        ew.explain(classifier, clip, ew.Saliency(), components=ew.Segments(count=3))


def test_an_unknown_extractor_makes_a_black_box(home, clip):
    folder = saved(home / "clap", *MODELS["ast"][:2], hf.ClapFeatureExtractor())
    with pytest.warns(UserWarning, match="there is no front end like ClapFeatureExtractor"):
        assert isinstance(ew.hugging_face(folder), ew.BlackBox)


def test_models_of_many_labels_at_once(home, clip):
    config = hf.WavLMConfig(
        **SPEECH, problem_type="multi_label_classification", id2label={0: "dog", 1: "rain", 2: "cat"}
    )
    classifier = ew.hugging_face(saved(home / "many", hf.WavLMForSequenceClassification, config, plain(False)))
    assert classifier.outputs == "multi-label logits" and classifier.labels == ("dog", "rain", "cat")
    logits = classifier(clip.samples[None])
    np.testing.assert_allclose(classifier.probabilities(logits).detach(), torch.sigmoid(logits).detach())
    assert classifier.unit == "logit"


def test_the_same_folder_has_the_same_fingerprint(wrapped):
    assert ew.fingerprint(wrapped("ast")) == ew.fingerprint(wrapped("ast")) != ew.fingerprint(wrapped("wavlm"))


def test_a_model_in_hand(wrapped, clip):
    """What is given is not changed but for its mode, and finds its extractor where it came from."""
    first = wrapped("hubert")
    again = ew.hugging_face(first.network.model)
    assert torch.equal(again(clip.samples[None]), first(clip.samples[None]))
    given = ew.hugging_face(first.network.model, ew.Waveform(RATE, standardise=True))
    assert torch.equal(given(clip.samples[None]), first(clip.samples[None])) and len(given.notes) == 1


def test_through_load_classifier_and_the_command_line(wrapped, home, clip, tmp_path):
    """A folder of transformers is a model like any other; transformers is imported for it, and for nothing else."""
    wrapped("ast")
    assert isinstance(ew.load_classifier(home / "ast"), ew.Classifier)
    clip.save(tmp_path / "clip.wav")
    asked = [str(tmp_path / "clip.wav"), "--model", str(home / "ast"), "--method", "saliency", "--json"]
    done = CliRunner().invoke(app, ["explain", *asked])
    assert "ASTFeatureExtractor" in json.loads(done.stdout)["provenance"]["model"][0]
    listed = CliRunner().invoke(app, ["layers", "--model", str(home / "ast"), "--json"])
    rows = {row["layer"]: row for row in json.loads(listed.stdout)["layers"]}
    assert rows["model.audio_spectrogram_transformer.layers.1"]["output"] == [1214, 32]
    assert "model.classifier.dense" not in rows
    code = "import sys, earwitness as ew; ew.load_classifier; ew.ASTMel(); sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_frames_of_sound_are_the_model_s_own(wrapped, clip):
    """52 frames of 400 samples every 320, and a click in the 700th sample moves what two of them hear."""
    classifier = wrapped("data2vec")
    parts = ew.ask(classifier, clip, ew.Frames(stage="features")).components
    assert parts.shape == (52,)
    np.testing.assert_allclose(parts.axes[0].edges[:3], np.array([0, 360, 680]) / RATE)
    click = torch.zeros_like(parts.x)
    click[700] = 1
    assert np.flatnonzero(parts.collect(click).numpy()).tolist() == [1, 2]


def test_a_front_end_of_another_kind_is_told(wrapped, clip):
    classifier = wrapped("vit", frontend=ew.Waveform(RATE))
    with pytest.raises(ew.ModelError, match="is this the wrong front end"):
        ew.explain(classifier, clip, ew.Occlusion(), components=ew.Segments(count=3))


def test_training_goes_on_after_wrapping(home, clip):
    """A model in hand keeps its gradients; one from the disk has none, which spares memory."""
    model = hf.WavLMForSequenceClassification(hf.WavLMConfig(**SPEECH))
    classifier = ew.hugging_face(model, ew.Waveform(RATE))
    assert all(weights.requires_grad for weights in model.parameters())
    ew.IntegratedGradients(4)(ew.ask(classifier, clip, ew.Segments(count=3)))
    assert all(weights.grad is None for weights in model.parameters())
