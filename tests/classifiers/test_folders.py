"""Classifiers on disk: every weight comes back bit by bit, and folders that are broken say how."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import earwitness as ew
from earwitness.classifiers.zoo import EventCNN, SmallSpecCNN

RATE = 8000
FRONTENDS = {
    "waveform": ew.Waveform(RATE, standardise=True),
    "stft": ew.LogSTFT(RATE, n_fft=256, hop_length=64, level="db"),
    "mel": ew.LogMel(RATE, 512, 128, 24, fmin=50.0, mel_scale="htk", norm=None, power=1.0, level="log1p"),
    "mel, dB": ew.LogMel(RATE, 512, 128, 24, amin=1e-6, ref="max", top_db=60.0, standardise=True),
    "erb": ew.LogERB(RATE, 512, 128, 24, fmin=60.0, fmax=3500.0),
    "none": None,
}


def same(first, second):
    """The same weights, bit by bit."""
    first, second = first.state_dict(), second.state_dict()
    assert list(first) == list(second)
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("name", FRONTENDS)
def test_round_trip(cnn, tmp_path, name):
    classifier = cnn(FRONTENDS[name], ("dog", "Katze", "птица"))
    classifier.duration, classifier.outputs = 2.5, "probabilities"
    ew.save_classifier(classifier, tmp_path / "a" / "model", "# A card")
    back = ew.load_classifier(tmp_path / "a" / "model", device="cpu")
    same(back, classifier)
    assert not back.training
    assert (back.labels, back.duration, back.outputs) == (("dog", "Katze", "птица"), 2.5, "probabilities")
    assert ew.fingerprint(back) == ew.fingerprint(classifier)
    assert (tmp_path / "a" / "model" / "README.md").read_text() == "# A card"
    assert sorted(p.name for p in (tmp_path / "a" / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    if FRONTENDS[name] is not None and name != "waveform":
        x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3000))).float()
        torch.testing.assert_close(
            back(x), classifier(x), rtol=1e-5, atol=1e-6
        )  # another memory layout sums in another order
        assert back.axes("features", 3000) == classifier.axes("features", 3000)


def test_every_network_of_the_zoo(tmp_path):
    torch.manual_seed(0)
    for network in (SmallSpecCNN(3, (4, 8)), EventCNN(3, 24, (4, 8), dropout=0.1)):
        if isinstance(network, EventCNN):
            network.normalise.fit(torch.randn(5, 1, 24, 9))
        ew.save_classifier(ew.Classifier(network, None, ["a", "b", "c"]), tmp_path, "card")
        back = ew.load_classifier(tmp_path)
        same(back.network, network)
        assert type(back.network) is type(network)


class Foreign(nn.Module):
    """A network that is none of ours, with arguments that JSON cannot hold, and tied weights."""

    def __init__(self, size=3, activation=torch.tanh, layers=()):
        super().__init__()
        self.size, self.activation, self.layers = size, activation, list(layers)
        self.there = nn.Linear(size, size, bias=False)
        self.back = nn.Linear(size, size, bias=False)
        self.back.weight = self.there.weight

    def forward(self, x):
        return self.back(self.activation(self.there(x)))


def test_a_foreign_network_needs_its_architecture(tmp_path):
    torch.manual_seed(0)
    network = Foreign(layers=[nn.ReLU()])
    ew.save_classifier(ew.Classifier(network, None, ["a", "b", "c"]), tmp_path, "card")
    with pytest.raises(ew.ModelError, match=r"Foreign is not one of VGG, EventCNN, ResNet18, SmallSpecCNN.*network="):
        ew.load_classifier(tmp_path)
    back = ew.load_classifier(tmp_path, network=Foreign())
    same(back.network, network)
    with pytest.raises(ew.ModelError, match="size mismatch"):
        ew.load_classifier(tmp_path, network=Foreign(size=4))


def changed(config, **changes):
    return json.dumps(json.loads(config) | changes)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("config.json", None, "the folder has no config.json. `earwitness train` makes one"),
        ("config.json", lambda text: text[:-20], "is not a classifier that can be read"),
        ("config.json", lambda text: "[]", "is not a classifier that can be read"),
        (
            "config.json",
            lambda text: changed(text, format=99),
            "has format 99; this version of earwitness reads format 1",
        ),
        (
            "config.json",
            lambda text: changed(text, network={"class": "SmallSpecCNN", "arguments": {"size": 2}}),
            "size",
        ),
        (
            "config.json",
            lambda text: changed(text, network={"class": "system", "arguments": {}}),
            "system is not one of",
        ),
        ("config.json", lambda text: changed(text, frontend={"class": "LogMel", "arguments": {"fmax": 1e9}}), "fmax"),
        ("config.json", lambda text: changed(text, outputs="odds"), "unknown kind of outputs 'odds'"),
        ("model.safetensors", None, "is not a classifier that can be read"),
        ("model.safetensors", lambda text: b"", "is not a classifier that can be read"),
        ("model.safetensors", lambda text: text[: len(text) // 2], "is not a classifier that can be read"),
        ("model.safetensors", lambda text: b"pickle" * 100, "is not a classifier that can be read"),
    ],
)
def test_broken_folders(cnn, tmp_path, file, change, said):
    ew.save_classifier(cnn(FRONTENDS["mel"]), tmp_path, "card")
    path = tmp_path / file
    if change is None:
        path.unlink()
    elif file == "config.json":
        path.write_text(change(path.read_text()))
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises((ew.ModelError, ew.UsageError), match=said):
        ew.load_classifier(tmp_path)


def test_weights_of_another_network(cnn, tmp_path):
    for folder, labels in (("two", ("a", "b")), ("three", ("a", "b", "c"))):
        ew.save_classifier(cnn(None, labels), tmp_path / folder, "card")
    (tmp_path / "two" / "model.safetensors").replace(tmp_path / "three" / "model.safetensors")
    with pytest.raises(ew.ModelError, match="size mismatch"):
        ew.load_classifier(tmp_path / "three")


def test_no_folder(tmp_path):
    with pytest.raises(ew.ModelError, match="there is no such folder"):
        ew.load_classifier(tmp_path / "nowhere")


def test_a_place_that_cannot_be_written(cnn, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ew.ModelError, match="cannot write the classifier to"):
        ew.save_classifier(cnn(None), tmp_path / "file", "card")


def test_a_disk_that_fills_up_leaves_the_old_weights(cnn, tmp_path, monkeypatch):
    old, new = cnn(None), cnn(None, seed=1)
    ew.save_classifier(old, tmp_path, "card")

    def half_way(weights, path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("earwitness.classifiers.folders.save_file", half_way)
    with pytest.raises(ew.ModelError, match="no space left on device"):
        ew.save_classifier(new, tmp_path, "card")
    same(ew.load_classifier(tmp_path), old)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
