"""The study of emotion on one's own: arrays and their labels, checkpoints with torchvision's names, and what is refused."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import earwitness as ew
from earwitness.classifiers.zoo import ResNet18, SmallSpecCNN
from earwitness.cli import app
from earwitness.frontends.pictures import picture_in_words
from earwitness.studies.emotion import QUICK, contenders
from earwitness.studies.emotion.checkpoints import newest, read_resnet
from earwitness.studies.emotion.own import features_at, labels_at

LABELS = ("anger", "fear", "sadness")


@pytest.fixture
def network():
    """A ResNet18 whose batch norms have seen something."""
    torch.manual_seed(0)
    made = ResNet18(3, width=8)
    made.train()(torch.randn(8, 1, 16, 24))
    return made.eval()


def theirs(network, fc="resnet.fc.1"):
    """A state dict by torchvision's names: the stem is conv1 and bn1, a shortcut is called downsample."""
    names = {"stem.0.": "resnet.conv1.", "stem.1.": "resnet.bn1.", "head.1.": f"{fc}."}
    found = {}
    for name, values in network.state_dict().items():
        for ours, other in names.items():
            if name.startswith(ours):
                found[other + name.removeprefix(ours)] = values
        if name.startswith("layer"):
            found["resnet." + name.replace("shortcut", "downsample")] = values
    assert len(found) == len(network.state_dict())
    return found


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("bare.pt", lambda state: state),
        ("inside.pth", lambda state: {"epoch": 3, "model_state_dict": state, "optimizer": {}}),
        ("parallel.pt", lambda state: {f"module.{key}": values for key, values in state.items()}),
        ("ours.pt", None),
    ],
)
def test_a_checkpoint_answers_as_the_network_that_it_came_from(network, tmp_path, name, wrap):
    torch.save(network.state_dict() if wrap is None else wrap(theirs(network)), tmp_path / name)
    x = torch.randn(4, 1, 32, 36)
    with torch.no_grad():
        torch.testing.assert_close(read_resnet(tmp_path / name, 3)(x), network(x), atol=1e-6, rtol=0)


def test_safetensors_and_another_name_of_the_last_layer(network, tmp_path):
    save_file(theirs(network, "fc"), tmp_path / "model.safetensors")
    x = torch.randn(2, 1, 32, 36)
    with torch.no_grad():
        torch.testing.assert_close(read_resnet(tmp_path / "model.safetensors", 3)(x), network(x), atol=1e-6, rtol=0)


def test_the_newest_is_found(tmp_path):
    """A time stamp in the name counts before the file's own time; without one the file's time does."""
    files = ("best_20250515_090117.pt", "best_20250514_235959.pt", "last_20241231_000000.pth", "notes.txt")
    for age, name in enumerate(files):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (1.7e9 + age, 1.7e9 + age))
    assert newest(tmp_path).name == files[0]
    (tmp_path / "fresh.pt").write_bytes(b"")
    os.utime(tmp_path / "fresh.pt", (1.76e9, 1.76e9))  # October 2025
    assert newest(tmp_path).name == "fresh.pt"
    os.utime(tmp_path / "fresh.pt", (1.6e9, 1.6e9))
    assert newest(tmp_path).name == files[0] and newest(tmp_path / files[2]).name == files[2]
    with pytest.raises(ew.InputError, match="no checkpoint at"):
        newest(tmp_path / "nowhere")


def test_what_is_no_checkpoint(network, tmp_path):
    def refused(match, classes=3):
        with pytest.raises(ew.ModelError, match=match):
            read_resnet(tmp_path / "c.pt", classes)

    (tmp_path / "c.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 44785610\n")
    refused("Git LFS pointer of 7[0-9] bytes.*git lfs pull")
    (tmp_path / "c.pt").write_bytes(b"no weights")
    refused("c.pt is no checkpoint of weights alone")
    torch.save({"encoder.weight": torch.ones(2)}, tmp_path / "c.pt")
    refused("no ResNet18 with torchvision's names.*encoder.weight")
    torch.save(theirs(network), tmp_path / "c.pt")
    refused("tells 3 classes apart and the label map names 4", classes=4)
    torch.save({**theirs(network), "attention.query.weight": torch.ones(3, 64)}, tmp_path / "c.pt")
    refused("no ResNet18 with torchvision's names.*attention.query.weight")
    state = theirs(network)
    del state["resnet.layer3.0.conv1.weight"]
    torch.save(state, tmp_path / "c.pt")
    refused("does not fit a ResNet18.*layer3.0.conv1.weight")


@pytest.mark.parametrize(
    "given",
    [
        {"fear": 1, "anger": 0, "sadness": 2},
        {"2": "sadness", "0": "anger", "1": "fear"},
        ["anger", "fear", "sadness"],
    ],
)
def test_label_maps(tmp_path, given):
    (tmp_path / "label_map.json").write_text(json.dumps(given))
    assert labels_at(tmp_path) == LABELS


def test_label_maps_as_arrays_and_broken_ones(tmp_path):
    assert labels_at(tmp_path) == ()
    np.save(tmp_path / "label_map.npy", np.array(LABELS))
    assert labels_at(tmp_path) == LABELS
    for text in ('{"anger": 0, "fear": 2}', "{", '{"anger": "first"}'):
        (tmp_path / "label_map.json").write_text(text)
        with pytest.raises(ew.InputError, match="no label map"):
            labels_at(tmp_path)


def write(folder, x, y, labels=LABELS):
    folder.mkdir(exist_ok=True)
    np.save(folder / "X_test.npy", x)
    np.save(folder / "y_test.npy", y)
    (folder / "label_map.json").write_text(json.dumps({name: number for number, name in enumerate(labels)}))
    return folder


def test_arrays_are_read_with_and_without_their_channel(tmp_path):
    x = np.random.default_rng(0).standard_normal((5, 1, 4, 6))
    for given in (x, x[:, 0]):
        found = list(features_at(write(tmp_path / "a", given, np.array([0, 2, 1, 1, 0])), LABELS))
        assert [item.label for item in found] == ["anger", "sadness", "fear", "fear", "anger"]
        torch.testing.assert_close(found[3].audio, torch.from_numpy(x[3]).float())
    words = write(tmp_path / "a", x, np.array(["fear"] * 5))
    assert {item.label for item in features_at(words, LABELS)} == {"fear"}


@pytest.mark.parametrize(
    ("shape", "y", "match"),
    [
        ((5, 3, 4, 6), [0] * 5, r"must be \[N, F, T\].*\[5, 3, 4, 6\] and \[5\]"),
        ((5, 4, 6), [0] * 4, r"\[5, 4, 6\] and \[4\]"),
        ((5, 4), [0] * 5, r"not \[5, 4\]"),
        ((5, 4, 6), [0, 1, 2, 3, 0], "label 3, and the label map has anger, fear, sadness"),
        ((5, 4, 6), ["joy"] * 5, "label 'joy'"),
        ((5, 4, 6), [0.5] * 5, "label 0.5"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, shape, y, match):
    with pytest.raises(ew.InputError, match=match):
        list(features_at(write(tmp_path / "a", np.zeros(shape), np.array(y)), LABELS))


@pytest.fixture
def few(monkeypatch):
    """Three methods beside the controls."""
    kept, everyone = {"lime", "notebook-lrp", "level-silence-map", "loudness", "random"}, contenders.taking_part
    for user in ("judging", "drawing"):
        monkeypatch.setattr(
            f"earwitness.studies.emotion.{user}.taking_part",
            lambda *given: {name: method for name, method in everyone(*given).items() if name in kept},
        )


def study(*words):
    return CliRunner().invoke(app, ["study", "emotion", "--quick", *map(str, words)])


def test_arrays_and_a_folder_of_checkpoints(network, few, tmp_path):
    """The newest is named on the page; labels are the network's own answers, so that all are named rightly."""
    (tmp_path / "models").mkdir()
    for stamp in ("20250101_000000", "20250515_090117"):
        torch.save(theirs(network), tmp_path / "models" / f"resnet_{stamp}.pt")
    x = np.random.default_rng(1).standard_normal((12, 1, 16, 24)).astype(np.float32)
    with torch.no_grad():
        data = write(tmp_path / "data", x, network(torch.from_numpy(x)).argmax(1).numpy())
    done = study("--data", data, "--model", tmp_path / "models", "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    page = (tmp_path / "out" / "README.md").read_text()
    assert "`resnet_20250515_090117.pt`, about 12 arrays" in page and "clips are too few to tell" in page
    assert json.loads(done.stdout)["answers"]["accuracy"].startswith("1.000")
    clips = pd.read_csv(tmp_path / "out" / "emotions-clips.csv")
    assert set(clips["explainer"]) == {"lime", "notebook-lrp", "level-silence-map", "random"}
    np.save(data / "y_test.npy", (np.load(data / "y_test.npy") + 1) % 3)
    wrong = study("--data", data, "--model", tmp_path / "models", "--out", tmp_path / "other")
    assert wrong.exit_code == 3 and "no clip is named rightly" in wrong.stderr


def test_recordings_in_class_folders_and_a_model_of_earwitness(few, tmp_path):
    """Folders are called by the model's own answers; a network without `layer4` is looked at behind its last convolution."""
    torch.manual_seed(1)
    network = SmallSpecCNN(2, (4, 8)).eval()
    network.head.weight.data = torch.randn(2, 8)
    classifier = ew.Classifier(network, ew.LogMel(8000, 256, 128, 20, ref="max", top_db=80.0), ["high", "low"], 0.25)
    ew.save_classifier(classifier, tmp_path / "model", "# A card\n")
    for number in range(4):
        rng = np.random.default_rng(number)
        sound = ew.Audio(
            0.1 * rng.standard_normal(2000 + 400 * number) * np.linspace(1, number, 2000 + 400 * number), 8000
        )
        label = classifier.labels[int(classifier(sound.samples[None, :2000]).argmax())]
        (tmp_path / "clips" / label).mkdir(parents=True, exist_ok=True)
        sound.save(tmp_path / "clips" / label / f"{number}.flac")
    done = study("--data", tmp_path / "clips", "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert done.exit_code == 0, (done.output, done.exception)
    page = (tmp_path / "out" / "README.md").read_text()
    assert "`model`, about 4 recordings" in page and "never heard the speaker" not in page
    assert contenders.last_layer(network) == "features.4"
    waveform = ew.Classifier(torch.nn.Linear(2000, 2), ew.Waveform(8000), ["high", "low"], 0.25)
    with pytest.raises(ew.UsageError, match="this model takes samples"):
        contenders.taking_part(waveform, sound.window(0.0, 0.25), QUICK)


def test_recordings_and_a_checkpoint_with_a_front_end_in_words(network, few, tmp_path):
    """What cannot be read is left out and named; labels stand beside the checkpoint."""
    torch.save(theirs(network), tmp_path / "c.pt")
    (tmp_path / "label_map.json").write_text(json.dumps(LABELS))
    words = "mel:sample_rate=8000,n_fft=256,hop_length=128,n_mels=20,ref=max,height=16,width=24,channels=1,duration=0.3"
    classifier = ew.Classifier(network, picture_in_words(words), LABELS)
    rows = [{"path": "torn.wav", "label": "fear"}]
    (tmp_path / "torn.wav").write_bytes(b"RIFF")
    for number in range(3):
        sound = ew.Audio(0.1 * np.random.default_rng(number).standard_normal(2400), 8000)
        sound.save(tmp_path / f"{number}.wav")
        rows.append({"path": f"{number}.wav", "label": LABELS[int(classifier(sound.samples[None]).argmax())]})
    pd.DataFrame(rows).to_csv(tmp_path / "metadata.csv", index=False)
    given = ("--data", tmp_path, "--model", tmp_path / "c.pt", "--out", tmp_path / "out")
    done = study(*given, "--frontend", words)
    assert done.exit_code == 0, (done.output, done.exception)
    page = (tmp_path / "out" / "README.md").read_text()
    assert "about 3 recordings" in page and "Left out:" in page and "torn.wav" in page
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "shards" / "finished").iterdir()}
    assert made
    study(*given, "--frontend", words)
    assert made == {path: path.stat().st_mtime_ns for path in made}  # maps were read, not made again
    bare = study(*given)
    assert bare.exit_code == 2 and "has no front end for recordings" in bare.stderr
    pd.DataFrame(rows[:1]).to_csv(tmp_path / "metadata.csv", index=False)
    none = study(*given, "--frontend", words)
    assert none.exit_code == 3 and "none of the 1 recordings" in none.stderr and "torn.wav" in none.stderr
    alone = study("--data", tmp_path, "--frontend", words, "--out", tmp_path / "out")
    assert alone.exit_code == 2 and "give --model too" in alone.stderr
    write(tmp_path, np.zeros((3, 16, 24)), np.array([0, 1, 2]))
    arrays = study(*given, "--frontend", words)
    assert arrays.exit_code == 2 and "leave out --frontend" in arrays.stderr


def test_what_cannot_be_asked(network, tmp_path):
    classifier = ew.Classifier(network, None, ["joy", "rage", "calm"])
    ew.save_classifier(classifier, tmp_path / "model", "# A card\n")
    data = write(tmp_path / "data", np.zeros((3, 16, 24)), np.array([0, 1, 2]))
    other = study("--data", data, "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert other.exit_code == 3 and "the model does not know anger, fear, sadness" in other.stderr
    (tmp_path / "empty").mkdir()
    none = study("--data", data, "--model", tmp_path / "empty", "--out", tmp_path / "out")
    assert none.exit_code == 3 and "no checkpoint at" in none.stderr
    torch.save(theirs(network), tmp_path / "bare.pt")
    nowhere = study("--data", tmp_path / "empty", "--out", tmp_path / "out")
    (data / "label_map.json").unlink()
    unnamed = study("--data", data, "--model", tmp_path / "bare.pt", "--out", tmp_path / "out")
    assert unnamed.exit_code == 3 and "put label_map.json beside it" in unnamed.stderr
    (data / "y_test.npy").write_bytes(b"")
    torn = study("--data", data, "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert torn.exit_code == 3 and "cannot read" in torn.stderr and "y_test.npy" in torn.stderr
    assert nowhere.exit_code == 3 and "there is no emotion/emodb_2s or emotion/nemo" in nowhere.stderr
