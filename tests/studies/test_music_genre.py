"""A folder of genres, as pictures of three kinds, through networks made for images: from the recording to the verdict.

Networks are tiny and untrained, saved to disk and read from there. The music is of `singing/music_clips`; where the truth has
to be known, a tone of 1 kHz is planted, and the network's answer is a mean of pixels.
"""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers as hf
from torch import nn
from typer.testing import CliRunner

import earwitness as ew
from earwitness.classifiers.zoo import VGG
from earwitness.cli import app
from earwitness.studies.comparing_clips import read_clip

RATE, SIZE, SECONDS = 22050, 64, 3.0
PICTURE = f"height={SIZE},width={SIZE},mean=-20,std=20,duration={SECONDS}"
VIEWS = {
    "mel": f"mel:{RATE},n_mels=96,ref=max,top_db=80,{PICTURE}",
    "cqt": f"cqt:{RATE},ref=max,top_db=80,{PICTURE}",
    "linear": f"linear:{RATE},level=db,{PICTURE}",
}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
GENRES = {0: "jazz", 1: "classical", 2: "folk"}
MODELS = {
    "vit": (hf.ViTForImageClassification, hf.ViTConfig(**SIZES, image_size=SIZE, patch_size=16, id2label=GENRES)),
    "convnext": (
        hf.ConvNextForImageClassification,
        hf.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], id2label=GENRES),
    ),
}
LAYERS = {
    "vit": ("model.vit.layers.0", (4, 4)),
    "convnext": ("model.convnext.encoder.stages.2", (4, 4)),
    "vgg": ("features.19", (16, 16)),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Models on disk: `home / "vit"`, and `home / "vgg-mel"`, which brings its front end."""
    home = tmp_path_factory.mktemp("genres")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for name, (kind, config) in MODELS.items():
            model = kind(config)
            with torch.no_grad():
                for weights in model.parameters():
                    weights.mul_(3 if weights.ndim > 1 else 1)
            model.save_pretrained(home / name)
        for view, words in VIEWS.items():
            frontend = ew.load_classifier(home / "vit", frontend=words, device="cpu").frontend
            classifier = ew.Classifier(VGG(3, (6, 8, 8), inputs=3), frontend, list(GENRES.values()))
            ew.save_classifier(classifier, home / f"vgg-{view}", card="# A test\n")
    return home


@pytest.fixture(scope="module")
def music(recordings):
    """The folder of the music, of which each recording is 5 to 133 s long."""
    folder = recordings / "singing" / "music_clips"
    if not folder.is_dir():
        pytest.skip(f"no music in {folder}")
    return folder


@pytest.fixture(scope="module")
def trumpet(music):
    return ew.load(next(music.glob("*trumpet*.ogg"))).window(1.0, SECONDS)


def loaded(home, name, view):
    if name == "vgg":
        return ew.load_classifier(home / f"vgg-{view}", device="cpu")
    return ew.load_classifier(home / name, frontend=VIEWS[view], device="cpu")


def asked(classifier, picture):
    """What the network itself says to a picture, `[1, classes]`."""
    network = classifier.network
    return network(picture) if isinstance(network, VGG) else network.model(pixel_values=picture).logits


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["vit", "convnext", "vgg"])
def test_music_through_every_network_and_picture(home, trumpet, name, view):
    """Scores and slopes are those that the network itself gives to the pictures; axes and sounds are the clip's."""
    classifier = loaded(home, name, view)
    assert classifier.labels == ("jazz", "classical", "folk") and classifier.duration == SECONDS
    picture = classifier.frontend(trumpet.samples[None])
    assert picture.shape == (1, 3, SIZE, SIZE)
    grid = ew.ask(classifier, trumpet, ew.Grid(4, 4), "jazz")
    sobol = ew.Sobol(designs=4)(grid)
    with torch.no_grad():
        silence = classifier.frontend(torch.zeros_like(trumpet.samples)[None], trumpet.samples[None])
        ends = [float(asked(classifier, x)[0, 0]) for x in (picture, silence)]
    np.testing.assert_allclose([sobol.score, sobol.baseline], ends, rtol=1e-4, atol=1e-5)
    x = picture.clone().requires_grad_()
    (slope,) = torch.autograd.grad(asked(classifier, x)[0, 0], x)
    saliency = ew.Saliency()(ew.ask(classifier, trumpet, ew.Bins(), "jazz"))
    np.testing.assert_allclose(saliency.values, slope[0].abs().sum(0), rtol=1e-3, atol=1e-6 * float(slope.abs().max()))
    frequency, time = saliency.axes
    assert (time.edges[0], time.edges[-1]) == (1.0, 1.0 + SECONDS) and time.unit == "s" and frequency.unit == "Hz"
    low, high = {
        "mel": (0, RATE / 2),
        "linear": (0, RATE / 2),
        "cqt": (32.703 * 2 ** (-1 / 24), 32.703 * 2 ** (167 / 24)),
    }[view]
    np.testing.assert_allclose([frequency.edges[0], frequency.edges[-1]], [low, high], rtol=1e-4, atol=1e-9)
    layer, shape = LAYERS[name]
    cam = ew.GradCAM()(ew.ask(classifier, trumpet, ew.Units(layer), "jazz"))
    assert cam.shape == shape and cam.axes[1].edges[-1] == pytest.approx(1.0 + SECONDS)
    kept, removed = (sobol.hear(keep=0.25, remove=remove).audio.samples for remove in (False, True))
    np.testing.assert_allclose(kept + removed, grid.given, atol=2e-5)


def row_of(view, hertz):
    """The pixel row that holds a frequency, from the formula of each scale (mel: Slaney's, from 1 kHz on logarithmic)."""
    if view == "linear":
        return int(hertz / (RATE / 2) * SIZE)
    if view == "cqt":
        return int((12 * np.log2(hertz / 32.70319566) + 0.5) / 84 * SIZE)
    top = 15 + 27 * np.log(RATE / 2 / 1000) / np.log(6.4)
    assert hertz == 1000
    return int((15 / top * 97 - 0.5) / 96 * SIZE)


class Band(nn.Module):
    """The logit of "there" is the mean of a band of rows, that of "elsewhere" the mean of all others."""

    def __init__(self, low, high):
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x):
        inside = torch.zeros(x.shape[2], dtype=torch.bool)
        inside[self.low : self.high] = True
        return torch.stack([x[:, :, inside].mean((1, 2, 3)), x[:, :, ~inside].mean((1, 2, 3))], 1)


@pytest.fixture(scope="module")
def planted():
    """A burst of 1 kHz from 1.5 to 2.25 s, in noise."""
    t = np.arange(round(SECONDS * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 1000 * t) * ((t >= 1.5) & (t < 2.25))
    return ew.Audio(tone + 0.003 * np.random.default_rng(0).standard_normal(len(t)), RATE)


@pytest.mark.parametrize("view", VIEWS)
def test_a_planted_tone_is_found_where_it_is(home, planted, view):
    """By its row in the picture and its column, said in hertz and seconds; and it is what one hears."""
    row = row_of(view, 1000)
    frontend = ew.load_classifier(home / "vit", frontend=VIEWS[view], device="cpu").frontend
    classifier = ew.Classifier(Band(row, row + 1), frontend, ["there", "elsewhere"])
    saliency = ew.Saliency()(ew.ask(classifier, planted, ew.Bins(), "there"))
    low, high = saliency.axes[0].place(row)
    assert low <= 1000 < high
    np.testing.assert_allclose(saliency.values[row], 1 / SIZE)
    assert np.count_nonzero(saliency.values) == SIZE
    sobol = ew.Sobol(designs=32)(ew.ask(classifier, planted, ew.Grid(8, 8), "there"))
    best = np.argsort(sobol.values.ravel())[-2:]
    assert sorted(best) == [row // 8 * 8 + 4, row // 8 * 8 + 5]  # eighths of 3 s: from 1.5 and from 1.875 s on
    np.testing.assert_allclose(sobol.axes[1].edges[4:7], [1.5, 1.875, 2.25], atol=0.01)
    assert sobol.axes[0].edges[row // 8] <= 1000 < sobol.axes[0].edges[row // 8 + 1]
    heard = sobol.hear(keep=2 / 64).audio
    spectrum = np.abs(np.fft.rfft(heard.samples.numpy()))
    loudest = np.fft.rfftfreq(len(heard.samples), 1 / RATE)[spectrum.argmax()]
    assert abs(loudest - 1000) < 2
    inside = slice(round(1.5 * RATE), round(2.25 * RATE))
    energy = heard.samples.square()
    assert energy[inside].sum() / energy.sum() > 0.9
    verdict = ew.verify(sobol)
    (fidelity,) = (test for test in verdict.tests if test.name == "mu fidelity")
    assert fidelity.score > 0.9 and fidelity.corrected < 0.05 and verdict.outcome != "does not stand"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_line_says_what_python_says(home, planted, tmp_path):
    planted.save(tmp_path / "tone.wav")
    words = (
        "--model",
        home / "vit",
        "--frontend",
        VIEWS["linear"],
        "--method",
        "occlusion",
        "--components",
        "grid:4,4",
    )
    found = run("verify", tmp_path / "tone.wav", *words, "--out", tmp_path / "verdict", "--json", "--quiet")
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    classifier = loaded(home, "vit", "linear")
    same = ew.explain(classifier, tmp_path / "tone.wav", ew.Occlusion(), components=ew.Grid(4, 4))
    assert [part["value"] for part in record["components"]] == pytest.approx(same.values.ravel().tolist(), rel=1e-5)
    assert [test["name"] for test in record["verdict"]["tests"]] == ["deletion", "insertion", "mu fidelity"]


def test_long_recordings_are_cut_or_told(home, music, tmp_path):
    """Of a dance the first three seconds, with a remark; without a duration one picture, with another remark."""
    clip = next(music.glob("Hungarian*.ogg"))
    words = ("explain", clip, "--model", home / "vit", "--method", "saliency", "--out", tmp_path, "--json")
    first = run(*words, "--frontend", VIEWS["mel"])
    assert "lasts 45.8 s and the model takes 3 s: explained is its beginning" in first.stderr
    assert json.loads(first.stdout)["time"] == [0, SECONDS]
    later = run(*words, "--frontend", VIEWS["mel"], "--at", 40)
    assert json.loads(later.stdout)["time"] == [40, 40 + SECONDS]
    whole = run(*words, "--frontend", f"mel:{RATE},height={SIZE},width={SIZE}", "--components", "grid:4,4")
    assert "all 45.8 s of the recording are one picture, 0.72 s a column" in whole.stderr
    record = json.loads(whole.stdout)
    assert record["time"][1] == pytest.approx(45.845, abs=0.001) and "one picture" in " ".join(record["warnings"])


def test_a_folder_of_genres_is_compared(home, music, tmp_path):
    """Folders are the labels; of each recording the beginning is compared, and a note says so."""
    for genre, part in (("jazz", "Vibe_Ace"), ("classical", "Hungarian")):
        (tmp_path / "music" / genre).mkdir(parents=True)
        shutil.copy(next(music.glob(f"*{part}*.ogg")), tmp_path / "music" / genre)
    options = ("--methods", "saliency", "--metrics", "deletion:steps=4", "--components", "grid:4,4")
    found = run("compare", "--model", home / "convnext", "--frontend", VIEWS["cqt"], "--clips", tmp_path / "music",
                *options, "--out", tmp_path / "out", "--json")  # fmt: skip
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    assert record["rows"] == 6 and record["failures"] == []
    assert record["notes"] == [
        "2 of 2 recordings last longer than the 3.0 s that the model takes: what is compared is their beginnings"
    ]
    labels = {line.split(",")[1] for line in (tmp_path / "out" / "results.csv").read_text().splitlines()[1:]}
    assert labels == {"jazz", "classical"}


def test_of_a_recording_that_is_too_long_the_beginning_is_compared():
    """Whose content it is known by; where the cause is known nothing is cut."""
    audio = ew.Audio(0.1 * np.random.default_rng(0).standard_normal(7 * 8000), 8000)
    cut, fits, free = (read_clip(audio, 0, 8000, longest) for longest in (3.0, 6.9, None))
    assert cut.cut and not fits.cut and not free.cut
    assert torch.equal(cut.audio.samples, audio.samples[:24000])
    assert cut.print == read_clip(audio.window(0.0, 3.0), 0, 8000).print != free.print == fits.print
    scene = SimpleNamespace(audio=audio, label="a", truth=(np.ones(7), (ew.Axis("time", "s", tuple(range(8))),)))
    assert len(read_clip(scene, 0, 8000, 3.0).audio.samples) == 7 * 8000


def test_what_is_told_of_front_ends(home, planted, tmp_path):
    planted.save(tmp_path / "tone.wav")
    bare = run("layers", "--model", home / "vit")
    assert bare.exit_code == 2 and "a vit model looks at pictures" in bare.stderr and "--frontend mel" in bare.stderr
    own = run("layers", "--model", home / "vgg-mel", "--frontend", "mel")
    assert own.exit_code == 2 and "brings its own front end, Picture: give it no other" in own.stderr
    wrong = run("layers", "--model", home / "vit", "--frontend", "mell")
    assert wrong.exit_code == 2 and "Did you mean mel?" in wrong.stderr
    config = hf.ASTConfig(**SIZES, id2label=GENRES)
    hf.ASTForAudioClassification(config).save_pretrained(tmp_path / "ast")
    hf.ASTFeatureExtractor().save_pretrained(tmp_path / "ast")
    listens = run("layers", "--model", tmp_path / "ast", "--frontend", "mel")
    assert listens.exit_code == 2 and "audio-spectrogram-transformer model takes no pictures" in listens.stderr
    listed = json.loads(run("layers", "--model", home / "vit", "--frontend", VIEWS["cqt"], "--json").stdout)
    assert {"layer": "model.vit.layers.0", "kind": "ViTLayer", "output": [17, 32], "parameters": 0} in listed["layers"]
