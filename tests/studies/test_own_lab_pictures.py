"""The lab on folders of music, seen as pictures by networks for images: a genre classifier's way, with tiny ones from disk."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
import transformers as hf
from matplotlib.figure import Figure
from typer.testing import CliRunner

import earwitness as ew
from earwitness.cli import app
from earwitness.data.synthetic import Tones, scenes
from earwitness.studies.own_lab import QUICK, Run, gather
from earwitness.studies.own_lab.first_looks import what_is_seen

LABELS = {"id2label": {0: "instrumental", 1: "vocal"}, "label2id": {"instrumental": 0, "vocal": 1}}
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
MODELS = {
    "vit": lambda: hf.ViTForImageClassification(hf.ViTConfig(**SIZES, **LABELS, image_size=32, patch_size=16)),
    "convnext": lambda: hf.ConvNextForImageClassification(
        hf.ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], **LABELS)
    ),
}
PICTURES = {"mel": "sample_rate=8000,n_mels=32,", "cqt": "sample_rate=8000,n_bins=72,", "linear": "sample_rate=8000,"}
SIZE = "height=32,width=32,mean=0.5,std=0.5"


@pytest.fixture
def lab(monkeypatch):
    """The command, without its drawings."""
    monkeypatch.setattr("earwitness.reports.folders.draw_picture", lambda picture: Figure((1, 1)))
    small = ["--quick", "--clips", 1, "--grids", "2,3", "--designs", "4,6"]
    return lambda *words: CliRunner().invoke(app, ["study", "lab", *map(str, [*small, *words])])


@pytest.fixture(params=MODELS)
def model(request, tmp_path):
    torch.manual_seed(0)
    MODELS[request.param]().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def genres(home):
    """Two folders of half-second clips, called as the model calls them but for case."""
    for number, scene in enumerate(scenes(Tones(), 6, (9, 0))):
        place = home / ("Vocal", "Instrumental")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        scene.audio.save(place / f"{number}.wav")
    return home


@pytest.mark.parametrize("kind", PICTURES)
def test_what_a_network_for_images_sees(kind, model, tmp_path):
    """The picture has the size that the network wants, and axes in hertz and seconds."""
    classifier = ew.load_classifier(model, frontend=f"{kind}:{PICTURES[kind]}{SIZE}")
    run = Run(
        replace(QUICK, clips=1), classifier, gather(genres(tmp_path / "data"), classifier.labels), tmp_path / "out"
    )
    section = what_is_seen(run)
    row = section.tables["resolution"].iloc[0]
    assert row["shape"] == "3 x 32 x 32" and row["filled_up"] == 0
    assert row["seconds_a_place"] == pytest.approx(0.5 / 32, rel=0.2)
    panel = section.pictures["classes"].panels[0]
    assert (
        panel.values.shape == (32, 32)
        and panel.axes[0].unit == "Hz"
        and panel.axes[1].edges[-1] == pytest.approx(0.5, rel=0.2)
    )


@pytest.mark.parametrize("model", ["convnext"], indirect=True)
def test_the_lab_through_a_network_for_images(model, lab, tmp_path):
    data = genres(tmp_path / "data")
    words = ["--data", data, "--model", model, "--out", tmp_path / "out"]
    missing = lab(*words)
    assert missing.exit_code == 2 and "--frontend" in missing.stderr
    done = lab(*words, "--frontend", f"mel:{PICTURES['mel']}{SIZE}")
    assert done.exit_code == 0, done.output
    assert set(pd.read_csv(tmp_path / "out" / "errors-recall.csv")["label"]) == {"instrumental", "vocal"}
    page = (tmp_path / "out" / "README.md").read_text()
    assert "Not applicable: nobody has said where" in page and "Unfinished" not in page


def test_real_music(recordings, lab, tmp_path):
    """Two recordings of some minutes, of which the first seconds are taken and said to be."""
    music = recordings / "singing" / "music_clips"
    for label, name in (
        ("vocal", "Karissa_Hobbs_-_Lets_Go_Fishin.ogg"),
        ("instrumental", "Kevin_MacLeod_-_Vibe_Ace.ogg"),
    ):
        (tmp_path / "data" / label).mkdir(parents=True)
        shutil.copy(music / name, tmp_path / "data" / label)
    torch.manual_seed(0)
    MODELS["vit"]().save_pretrained(tmp_path / "model")
    words = ["--data", tmp_path / "data", "--model", tmp_path / "model", "--seconds", 3, "--out", tmp_path / "out"]
    done = lab(*words, "--frontend", f"mel:sample_rate=22050,{SIZE}")
    assert done.exit_code == 0, done.output
    assert pd.read_csv(tmp_path / "out" / "recordings-labels.csv")["seconds"].tolist() == pytest.approx([3, 3])
    assert pd.read_csv(tmp_path / "out" / "recordings-done.csv")["done"].str.contains("cut to its beginning").all()
