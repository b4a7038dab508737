"""Every cut and every baseline from a line of text, through to files and JSON."""

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import earwitness as ew
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.cli import app
from earwitness.components import FACTORIZATIONS
from earwitness.naming import kebab

RATE = 8000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, a clip, its two stems in a folder, an alignment."""
    folder = tmp_path_factory.mktemp("cuts")
    classifier = ew.Classifier(SmallSpecCNN(2, (4, 8)), ew.LogSTFT(RATE, n_fft=256, hop_length=64), ("cat", "dog"))
    ew.save_classifier(classifier, folder / "model", "a test")
    t = np.arange(RATE // 2) / RATE
    stems = {
        "voice": 0.3 * np.sin(2 * np.pi * 700 * t),
        "drums": 0.1 * np.random.default_rng(0).standard_normal(len(t)),
    }
    (folder / "stems").mkdir()
    for name, samples in stems.items():
        soundfile.write(folder / "stems" / f"{name}.wav", samples, RATE)
    soundfile.write(folder / "clip.wav", sum(stems.values()), RATE)
    (folder / "words.csv").write_text(
        "path,start_s,end_s,phone\nclip.wav,0.1,0.2,a\nother.wav,0,1,x\nclip.wav,0.2,0.4,b\n"
    )
    return folder


def explain(folder, out, *more):
    line = [
        "explain",
        folder / "clip.wav",
        "-m",
        folder / "model",
        "-o",
        out,
        "--method",
        "sobol:designs=2",
        "--json",
        *more,
    ]
    result = CliRunner().invoke(app, [str(part) for part in line])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("cut", "named"),
    [
        ("harmonic-percussive", [{"source": "harmonic"}, {"source": "percussive"}]),
        ("harmonic-percussive:2,smooth_hertz=300", [{"source": s} for s in ("harmonic", "percussive", "residual")]),
        ("nmf-atoms:2,iterations=10", [{"source": "atom 1"}, {"source": "atom 2"}]),
        ("stems:{folder}/stems", [{"source": s} for s in ("drums", "voice", "rest")]),
        ("stems:{folder}/stems,seconds=0.25", [{"source": s} for s in ("drums", "voice", "rest") for _ in range(2)]),
        ("words:{folder}/words.csv", [{"name": n} for n in ("gap 1", "a", "b", "gap 2")]),
        ("words:{folder}/words.csv,stage=features", [{"name": n} for n in ("gap 1", "a", "b", "gap 2")]),
        ("superpixels:9", None),
        ("superpixels:algorithm=felzenszwalb", None),
    ],
)
def test_every_cut_is_reachable(folder, tmp_path, cut, named):
    record = explain(folder, tmp_path, "--components", cut.format(folder=folder))
    found = record["components"]
    if named is not None:
        assert [{key: c[key] for key in names} for c, names in zip(found, named, strict=True)] == named
    assert {"time", "frequency", "value"} <= set(found[0])
    kept, removed, whole = (
        ew.load(p).samples for p in (tmp_path / "kept.wav", tmp_path / "removed.wav", folder / "clip.wav")
    )
    assert (kept + removed - whole).abs().max() < 2 / 32768 + 1e-6
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_every_baseline_changes_the_answer(folder, tmp_path):
    names = ("silence", "noise", "uniform", "shuffle", "mean", str(folder / "stems"))
    records = [explain(folder, tmp_path, "--baseline", name) for name in names]
    assert len({record["total"] for record in records}) == len(names)
    assert records[-1]["provenance"]["baseline"] == "each frequency's mean over 2 clips"


def test_methods_lists_every_cut():
    listed = json.loads(CliRunner().invoke(app, ["methods", "--json"]).stdout)["components"]
    assert [row["components"] for row in listed] == [kebab(cut) for cut in FACTORIZATIONS]
    assert {"superpixels", "words", "stems", "separated", "nmf-atoms", "harmonic-percussive"} <= {
        row["components"] for row in listed
    }


@pytest.mark.parametrize(
    ("cut", "code", "said"),
    [
        ("stems", 2, "stems"),
        ("words", 2, "alignment"),
        ("words:nowhere.csv", 3, "cannot read the alignment"),
        ("stems:nowhere", 3, "no folder of recordings"),
        ("separated:nowhere.safetensors", 3, "no separator at"),
        ("superpixels:algorithm=slick", 2, "Did you mean slic"),
    ],
)
def test_mistakes_are_told(folder, tmp_path, cut, code, said):
    line = ["explain", folder / "clip.wav", "-m", folder / "model", "-o", tmp_path / "out", "--components", cut]
    result = CliRunner().invoke(app, [str(part) for part in line])
    assert result.exit_code == code and said in " ".join(result.stderr.split()), result.stderr
