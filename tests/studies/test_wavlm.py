"""The study of WavLM: the whole of it on a miniature of its data, what is kept, one's own clips, and the figures' parts."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from safetensors.torch import save_file
from typer.testing import CliRunner

import earwitness as ew
from earwitness.classifiers.hub import new_wavlm
from earwitness.cli import app
from earwitness.studies.wavlm import asking
from earwitness.studies.wavlm.learning import SAMPLE_RATE, SpeechRecipe, stacked, train_speech
from earwitness.studies.wavlm.measured import kinds_of

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "conv_dim": (8,) * 7} | {
    "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8,
}  # fmt: skip


def word(seed, seconds=0.35, hertz=500.0):
    """A tone with two overtones that comes and goes, in noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(0.1 * np.sin(2 * np.pi * hertz * k * t) for k in (1, 2, 3)) * np.hanning(len(t))
    return ew.Audio(tone + 0.005 * rng.standard_normal(len(t)), SAMPLE_RATE)


@pytest.fixture
def miniature(tmp_path):
    """The recordings of the study, small: 24 "digits" of two kinds, and 16 "emotions" of four speakers with phones."""
    folder = tmp_path / "data"
    for name in ("fsdd", "emotion/emodb_2s"):
        (folder / name / "audio").mkdir(parents=True)
    rows = []
    for number in range(24):
        label, path = ("one", "two")[number % 2], f"audio/{number}.wav"
        word(number, hertz=400 + 500 * (number % 2)).save(folder / "fsdd" / path)
        rows.append({"path": path, "label": label, "split": "test" if number < 8 else "train"})
    pd.DataFrame(rows).to_csv(folder / "fsdd" / "metadata.csv", index=False)
    rows, phones = [], []
    for number in range(16):
        path = f"audio/e{number}.wav"
        word(100 + number, 0.5, hertz=300 + 600 * (number % 2)).save(folder / "emotion/emodb_2s" / path)
        rows.append({"path": path, "label": ("anger", "boredom")[number % 2], "speaker": 3 + number // 4})
        phones += [
            {"path": path, "start_s": s, "end_s": s + 0.1, "phone": p}
            for s, p in ((0.05, "a:"), (0.15, "t"), (0.3, "E"))
        ]
    pd.DataFrame(rows).to_csv(folder / "emotion/emodb_2s" / "metadata.csv", index=False)
    pd.DataFrame(phones).to_csv(folder / "emotion/emodb_2s" / "phones.csv", index=False)
    return folder


@pytest.fixture
def tiny(monkeypatch):
    """WavLMs that are trained are tiny."""
    monkeypatch.setattr(
        "earwitness.studies.wavlm.learning.new_wavlm", lambda *given, **known: new_wavlm(*given, **known, **TINY)
    )


def study(*words):
    return CliRunner().invoke(app, ["study", "wavlm", *map(str, words)])


def test_the_whole_study_and_again(miniature, tiny, tmp_path, monkeypatch):
    """Every section with its tables; the same command finds its models and rows, and writes the same figures."""
    words = ["--quick", "--data", miniature, "--out", tmp_path / "out", "--json"]
    first = study(*words)
    assert first.exit_code == 0, first.output
    answers = json.loads(first.stdout)["answers"]
    assert set(answers) >= {"digits", "frames", "published", "neurons", "checks", "emotion"}
    tables = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
    sums = pd.read_csv(tmp_path / "out" / "frames-sums.csv")
    assert len(sums) >= 1 and np.isfinite(sums[["total", "sum", "stderr"]]).all(axis=None)
    assert "epoch 1 of 1" in first.stderr
    monkeypatch.setattr(ew.Explanation, "save", lambda *_: pytest.fail("a digit is explained twice"))
    again = study(*words)
    assert again.exit_code == 0, again.output
    assert "epoch" not in again.stderr, "nothing is trained twice"
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")} == tables
    top = pd.read_csv(tmp_path / "out" / "frames-top-0.csv")
    assert list(top["value"]) == sorted(top["value"], reverse=True)
    lengths = np.round(top["time_to"] - top["time_from"], 6)
    assert set(lengths) <= {0.02, 0.0225, lengths.max()}, "the first frame reaches 2.5 ms further, the last to the end"
    assert lengths.max() < 0.045 and (lengths == 0.02).sum() >= len(lengths) - 2


def test_one_s_own_model_and_recordings(tmp_path):
    classifier = new_wavlm(["no", "yes"], **TINY).eval()
    ew.save_classifier(classifier, tmp_path / "model", "# A card\n")
    (tmp_path / "clips").mkdir()
    for number in range(3):
        word(number).save(tmp_path / "clips" / f"{number}.wav")
    (tmp_path / "clips" / "broken.wav").write_bytes(b"RIFF")
    words = ["--data", tmp_path / "clips", "--model", tmp_path / "model", "--quick", "--limit", 4, "--layer", 1]
    done = study(*words, "--target", "yes", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "README.md").read_text()
    assert "explained: yes" in page and "Not explained:" in page and (tmp_path / "out" / "clip-0-frames.png").is_file()
    neurons = pd.read_csv(tmp_path / "out" / "clip-0-neurons.csv")
    assert list(neurons.columns) == ["neuron", "mean", "sum", "max", "norm"] and len(neurons) == 16
    missing = study("--model", tmp_path / "model", "--out", tmp_path / "out", "--data", tmp_path / "nowhere")
    assert missing.exit_code == 3 and "no folder of recordings" in missing.stderr
    layer = study(*words[:-1], 7, "--out", tmp_path / "out")
    assert layer.exit_code == 2 and "no transformer layer 7" in layer.stderr
    alone = study("--target", "yes", "--data", tmp_path)
    assert alone.exit_code == 2 and "--target and --head go with a model of your own" in alone.stderr


def test_a_backbone_with_a_head_of_one_s_own(tmp_path):
    """The head's answer is the mean over tokens, times its weights: an even head leaves both labels at a half."""
    transformers.WavLMModel(transformers.WavLMConfig(**TINY)).save_pretrained(tmp_path / "backbone")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "backbone")
    save_file({"weight": torch.ones(2, 16), "bias": torch.zeros(2)}, tmp_path / "head.safetensors")
    word(0).save(tmp_path / "clip.wav")
    words = ["--data", tmp_path / "clip.wav", "--model", tmp_path / "backbone", "--quick", "--out", tmp_path / "out"]
    done = study(*words, "--head", tmp_path / "head.safetensors", "--labels", "happy,sad", "--target", "sad")
    assert done.exit_code == 0, done.output
    assert ", 0.50; explained: sad" in (tmp_path / "out" / "README.md").read_text()
    nameless = study(*words, "--head", tmp_path / "head.safetensors")
    assert nameless.exit_code == 2 and "name them, --labels" in nameless.stderr


def test_neurons_over_frames_by_hand():
    values = np.array([[1.0, -3.0, 1.0], [0.5, 0.5, 0.5]])
    table = asking.over_frames(values)
    np.testing.assert_allclose(table["mean"], [-1 / 3, 0.5])
    np.testing.assert_allclose(table["sum"], [-1, 1.5])
    np.testing.assert_allclose(table["max"], [-3, 0.5])
    np.testing.assert_allclose(table["norm"], [np.sqrt(11), np.sqrt(0.75)])


def test_clips_of_a_batch_are_answered_as_alone():
    """Filled up behind and masked, a clip gets the answer that it gets alone: what it is trained on is what is asked."""
    classifier = new_wavlm(["no", "yes"], **TINY).eval()
    sounds = [word(0, 0.3).samples, word(1, 0.5).samples]
    x, heard = stacked(sounds)
    together = classifier.network.model(input_values=x, attention_mask=heard).logits.detach()
    alone = [classifier(sound[None])[0].detach() for sound in sounds]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_training_lowers_the_loss_and_repeats(miniature):
    from earwitness.data.readers import fsdd

    clips = [clip for clip in fsdd(miniature / "fsdd") if clip.group == "train"]
    runs = [
        train_speech(clips, ["one", "two"], SpeechRecipe(epochs=8, batch=8, learning_rate=1e-3), seed=1)
        for _ in range(2)
    ]
    losses = [[record["loss"] for record in history.epochs] for _, history in runs]
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0]
    assert ew.fingerprint(runs[0][0].network) == ew.fingerprint(runs[1][0].network)


def test_phones_by_kind():
    """Remarks go on with the phone that they are about, as in the first words of a clip of EmoDB."""
    names = [
        "_t",
        "!t",
        "E6",
        "l 1",
        "a 1",
        "p",
        "!p",
        "m 1",
        "i",
        "+hoe",
        "t",
        "-sth,+tie",
        ".",
        "gap 3",
        "'o",
        "(",
        "-lar",
    ]
    expected = (
        "pause consonant vowel consonant vowel consonant consonant consonant vowel vowel consonant consonant pause"
    )
    assert kinds_of(names) == [*expected.split(), "pause", "vowel", "pause", "pause"]
    assert kinds_of(["-sth", "a"]) == ["pause", "vowel"]
