"""Models of Hugging Face, wrapped: answers, gradients, heads, and what cannot be wrapped. `conftest.py` has the models."""

import copy
import json
import re
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
from earwitness.frontends import ASTMel

RATE = 16000


def test_answers_are_the_model_s_own(wrapped, models, clip, audio_model):
    """Through our front end as through transformers' extractor, from the sound to the logits; and the note says how near."""
    classifier = wrapped(audio_model)
    inputs = models[audio_model][2](clip.samples.numpy(), sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        expected, found = classifier.network.model(**inputs).logits, classifier(clip.samples[None])
    assert float(expected.std()) > 1e-3
    near = 1e-4 if audio_model == "wav2vec2-bert" else 2e-6  # whose bands are divided by their deviation, however small
    np.testing.assert_allclose(found, expected, atol=near * float(expected.abs().max()), rtol=0)
    assert "of the features' range" in classifier.notes[0]
    assert list(classifier.labels) == ["LABEL_0", "LABEL_1", "LABEL_2"] and not classifier.training


def test_answers_to_pictures_are_the_model_s_own(wrapped, view, clip, image_model):
    classifier = wrapped(image_model)
    picture = view(clip.samples[None])
    assert picture.shape == (1, 3, 64, 64) and torch.equal(picture[0, 0], picture[0, 2])
    with torch.no_grad():
        expected = classifier.network.model(pixel_values=picture).logits
    np.testing.assert_allclose(classifier(clip.samples[None]), expected, atol=2e-6 * float(expected.abs().max()))


def test_gradients_reach_the_sound_and_the_laws_hold(wrapped, clip, any_model):
    """Differences of a question about sound, cut where it stands by default."""
    question = ew.ask(wrapped(any_model), clip.window(0.0, 0.6), None, "LABEL_1")
    check_components(question.components)
    slope = question.gradient(question.ones)[0]
    assert torch.isfinite(slope).all() and float(slope.abs().max()) > 0
    if any_model in ("wav2vec2", "ast", "vit"):
        check_question(question)


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


def test_a_head_of_one_s_own(home, clip, tmp_path, models):
    """A module; or the weights of one, in safetensors or a state dict: the layers are found by their numbers, 10 behind 9."""
    folder = home / "backbone"
    if not folder.exists():
        hf.WavLMModel(models["wavlm"][1]).save_pretrained(folder)
        hf.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
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


def test_models_that_cannot_be_wrapped(home, tmp_path, monkeypatch, models, saved):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # it looked when it was imported
    hf.WavLMModel(models["wavlm"][1]).save_pretrained(tmp_path / "bare")
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
    hf.ASTForAudioClassification(models["ast"][1]).save_pretrained(tmp_path / "deaf")
    with pytest.raises(ew.ModelError, match=r"no preprocessor_config.json .* frontend=ew.Waveform") as told:
        ew.hugging_face(tmp_path / "deaf")
    advice = re.search(r"\{.*?\}", str(told.value))[0]
    assert json.loads(advice)["feature_extractor_type"] == "ASTFeatureExtractor"
    (tmp_path / "deaf" / "preprocessor_config.json").write_text(advice)
    assert isinstance(ew.hugging_face(tmp_path / "deaf").frontend, ASTMel)
    saved(home / "vit", *models["vit"])
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
        ew.hugging_face(hf.WavLMModel(models["wavlm"][1]), ew.Waveform(RATE))
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


def test_an_unknown_extractor_makes_a_black_box(home, clip, models, saved):
    folder = saved(home / "clap", *models["ast"][:2], hf.ClapFeatureExtractor())
    with pytest.warns(UserWarning, match="there is no front end like ClapFeatureExtractor"):
        assert isinstance(ew.hugging_face(folder), ew.BlackBox)


def test_models_of_many_labels_at_once(home, clip, models, saved):
    config = copy.deepcopy(models["wavlm"][1])
    config.problem_type, config.id2label = "multi_label_classification", {0: "dog", 1: "rain", 2: "cat"}
    classifier = ew.hugging_face(
        saved(home / "many", hf.WavLMForSequenceClassification, config, hf.Wav2Vec2FeatureExtractor(do_normalize=False))
    )
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


def test_a_front_end_of_another_kind_is_told(wrapped, clip):
    classifier = wrapped("vit", frontend=ew.Waveform(RATE))
    with pytest.raises(ew.ModelError, match="is this the wrong front end"):
        ew.explain(classifier, clip, ew.Occlusion(), components=ew.Segments(count=3))


def test_training_goes_on_after_wrapping(home, clip, models):
    """A model in hand keeps its gradients; one from the disk has none, which spares memory."""
    model = hf.WavLMForSequenceClassification(models["wavlm"][1])
    classifier = ew.hugging_face(model, ew.Waveform(RATE))
    assert all(weights.requires_grad for weights in model.parameters())
    ew.IntegratedGradients(4)(ew.ask(classifier, clip, ew.Segments(count=3)))
    assert all(weights.grad is None for weights in model.parameters())


def test_saving_leaves_what_else_is_in_the_folder(wrapped, clip, tmp_path, monkeypatch):
    """Also where the disk fills up half-way; and the folder may be the one where we are."""
    classifier = wrapped("hubert")
    (tmp_path / "thesis.txt").write_text("years of work")
    monkeypatch.chdir(tmp_path)
    ew.save_classifier(classifier, ".", "# A card\n")
    read = ew.load_classifier(tmp_path)(clip.samples[None])
    np.testing.assert_array_equal(read.detach(), classifier(clip.samples[None]).detach())

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(type(classifier.network), "save_pretrained", full)
    with pytest.raises(ew.ModelError, match="no space left on device"):
        ew.save_classifier(classifier, tmp_path, "# Another card\n")
    assert (tmp_path / "README.md").read_text() == "# A card\n"
    kept = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", "thesis.txt"}
    assert {path.name for path in tmp_path.iterdir()} == kept
