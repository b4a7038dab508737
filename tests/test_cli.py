"""The command line: what it prints, what it writes, and what it says when something is wrong."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

import earwitness as ew
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.cli import app

RATE = 8000
FIELDS = (
    "clip model method target prediction label score unit baseline total evaluations seconds seed components files"
).split()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small network with random weights that takes half a second."""
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallSpecCNN(3, channels=(4, 8))
    frontend = ew.LogSTFT(RATE, n_fft=256, hop_length=64)
    ew.save_classifier(ew.Classifier(network, frontend, ("cat", "dog", "rain"), duration=0.5), folder, "a test")
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Half a second of a tone in noise."""
    path = tmp_path_factory.mktemp("clip") / "tone.wav"
    return written(path, tone(0.5))


def tone(seconds: float, seed: int = 0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return 0.3 * np.sin(2 * np.pi * 700 * t) + 0.01 * np.random.default_rng(seed).standard_normal(len(t))


def written(path: Path, samples: np.ndarray, rate: int = RATE, **options) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def run(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def explain(clip: Path, model: Path, out: Path, *more: object):
    return run("explain", clip, "--model", model, "--out", out, "--method", "sobol:designs=4", *more)


def test_json_is_one_object_that_agrees_with_the_library(clip, model, tmp_path):
    result = explain(clip, model, tmp_path, "--target", "dog", "--components", "grid:3,4", "--seed", 7, "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert [field for field in FIELDS if field not in record] == []
    direct = ew.explain(ew.load_classifier(model), str(clip), ew.Sobol(designs=4, seed=7), "dog", ew.Grid(3, 4))
    assert [c["value"] for c in record["components"]] == pytest.approx(direct.values.ravel().tolist(), rel=1e-9)
    assert [c["stderr"] for c in record["components"]] == pytest.approx(direct.stderr.ravel().tolist(), rel=1e-9)
    assert record["components"][0]["frequency"][0] == 0 and record["components"][-1]["time"][1] == 0.5
    assert record["total"] == pytest.approx(record["score"] - record["baseline"])
    assert (record["evaluations"], record["seed"], record["target"]) == (4 * 13 + 2, 7, "dog")
    assert json.loads((tmp_path / "explanation.json").read_text()) == record


def test_files_hold_what_they_say(clip, model, tmp_path):
    files = json.loads(explain(clip, model, tmp_path, "--json").stdout)["files"]
    kept, removed, whole = (ew.load(path).samples for path in (files["kept"], files["removed"], clip))
    assert (kept + removed - whole).abs().max() < 2 / 32768 + 1e-6  # two roundings to 16 bit
    assert 0.01 < kept.abs().max() < whole.abs().max() * 1.5
    assert ew.Explanation.load(files["map"]).method == "sobol"
    assert Path(files["plot"]).read_bytes()[:4] == b"\x89PNG"


def test_the_same_seed_gives_the_same_values_and_another_gives_others(clip, model, tmp_path):
    def values(seed: int) -> list[float]:
        record = json.loads(explain(clip, model, tmp_path, "--seed", seed, "--json").stdout)
        return [component["value"] for component in record["components"]]

    assert values(1) == values(1) != values(2)


def test_a_person_gets_words(clip, model, tmp_path):
    result = explain(clip, model, tmp_path)
    assert result.exit_code == 0 and "The model says" in result.stdout and "plot.png" in result.stdout


@pytest.mark.parametrize("cut", ["segments:count=5", "bands:6", "cells:bands=4,seconds=0.1,stage=features", "bins"])
def test_every_cut_is_reachable(cut, clip, model, tmp_path):
    method = "saliency" if cut == "bins" else "sobol:designs=2"
    result = run("explain", clip, "-m", model, "-o", tmp_path, "--method", method, "--components", cut, "--json")
    assert result.exit_code == 0, result.stderr
    places = [(tuple(c["time"]), tuple(c["frequency"])) for c in json.loads(result.stdout)["components"]]
    assert len(set(places)) == len(places)


def test_a_baseline_changes_the_answer(clip, model, tmp_path):
    totals = []
    for baseline in ("silence", "noise", "mean", str(clip)):
        result = explain(clip, model, tmp_path, "--baseline", baseline, "--json")
        assert result.exit_code == 0, result.stderr
        totals.append(json.loads(result.stdout)["total"])
    assert len(set(totals[:3])) == 3
    assert totals[3] == pytest.approx(0, abs=1e-4)  # the clip in the place of itself


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (["--target", "dgo"], 2, "Did you mean dog"),
        (["--method", "sobool"], 2, "unknown method 'sobool'. Did you mean sobol"),
        (["--method", "sobol:desings=4"], 2, "Did you mean designs"),
        (["--method", "sobol:designs=1"], 2, "designs must be a whole number 2 or more"),
        (["--method", "sobol:designs=2.5"], 2, "designs must be a whole number"),
        (["--method", "random:seed=-1"], 2, "seed must be a whole number 0 or more"),
        (["--seed", "-1"], 2, "seed"),
        (["--components", "segments:edges=0.2"], 2, "edges must be ascending seconds"),
        (["--components", "bands:300"], 2, "ask for fewer"),
        (["--components", "grids"], 2, "Did you mean grid"),
        (["--components", "grid:0,4"], 2, "frequency must be a whole number above 0"),
        (["--components", "segments:seconds=-1"], 2, "above 0"),
        (["--baseline", "nois"], 2, "Did you mean noise"),
        (["--keep", "0"], 2, "keep"),
        (["--at", "9"], 3, "no sound at 9 s"),
        (["--at", "0.1", "--windows"], 2, "give one of them"),
        (["--device", "tpu"], 2, "unknown device"),
        (["--nonsense"], 2, "nonsense"),
    ],
)
def test_wrong_options_are_told(change, code, says, clip, model, tmp_path):
    result = run("explain", clip, "--model", model, "--out", tmp_path / "out", *change)
    assert result.exit_code == code, result.output
    assert says in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "out" / "explanation.json").exists()


def bad_clips(folder: Path) -> dict[str, tuple[Path, str]]:
    """A bad recording of every kind, and what should be said about it."""
    empty, text, truncated = folder / "empty.wav", folder / "text.wav", folder / "truncated.wav"
    empty.touch()
    text.write_text("this is a letter, not a sound")
    whole = written(folder / "whole.wav", tone(0.5)).read_bytes()
    truncated.write_bytes(whole[: len(whole) // 2])
    nan = tone(0.5)
    nan[100] = np.nan
    return {
        "missing": (folder / "nowhere.wav", "does not exist"),
        "folder": (folder, "it is a folder"),
        "empty": (empty, "is empty"),
        "text": (text, "not a sound"),
        "truncated": (truncated, "truncated"),
        "no samples": (written(folder / "none.wav", np.zeros(0)), "no samples"),
        "nan": (written(folder / "nan.wav", nan, subtype="FLOAT"), "NaN"),
        "silence": (written(folder / "silence.wav", np.zeros(4000)), "digital silence"),
        "too short": (written(folder / "short.wav", tone(0.5)[:40]), "longer clip"),
    }


@pytest.mark.parametrize(
    "kind", ["missing", "folder", "empty", "text", "truncated", "no samples", "nan", "silence", "too short"]
)
def test_bad_recordings_are_told(kind, model, tmp_path):
    path, says = bad_clips(tmp_path)[kind]
    result = explain(path, model, tmp_path / "out", "--json")
    assert result.exit_code == 3, result.output
    assert says in " ".join(result.stderr.split())
    assert result.stdout == "" and "Traceback" not in result.stderr


def test_another_rate_and_stereo_are_used_and_recorded(model, tmp_path):
    rate = 22050
    t = np.arange(rate // 2) / rate
    stereo = np.stack([np.sin(2 * np.pi * 700 * t), np.zeros_like(t)], 1) * 0.5
    result = explain(written(tmp_path / "stereo.wav", stereo, rate), model, tmp_path, "--json")
    assert result.exit_code == 0, result.stderr
    done = json.loads(result.stdout)["provenance"]["clip"]
    assert done[1:] == ["mixed down from 2 channels", "resampled from 22050 Hz to 8000 Hz"]


def test_long_recordings_are_explained_in_windows_with_their_own_times(model, tmp_path):
    samples = tone(1.7)
    samples[4000:8000] = 0  # the second window holds nothing
    long = written(tmp_path / "long.wav", samples)
    first = explain(long, model, tmp_path / "first", "--json")
    assert first.exit_code == 0 and "--windows" in first.stderr
    assert json.loads(first.stdout)["time"] == [0.0, 0.5]
    at = json.loads(explain(long, model, tmp_path / "at", "--at", 1.1, "--json").stdout)
    assert at["time"] == pytest.approx([1.1, 1.6]) and at["components"][-1]["time"][1] == pytest.approx(1.6)
    windows = explain(long, model, tmp_path / "all", "--windows", "--json")
    record = json.loads(windows.stdout)
    assert windows.exit_code == 4
    assert np.allclose([w["time"] for w in record["windows"]], [[0.0, 0.5], [1.0, 1.5], [1.2, 1.7]])
    assert [f["time"] for f in record["failures"]] == [[0.5, 1.0]]
    assert "silence" in record["failures"][0]["error"]


def test_loud_clips_are_turned_down_together(model, tmp_path):
    loud = written(tmp_path / "loud.wav", 20 * tone(0.5), subtype="FLOAT")
    record = json.loads(explain(loud, model, tmp_path / "out", "--json").stdout)
    kept, removed, whole = (
        ew.load(path).samples for path in (*[record["files"][k] for k in ("kept", "removed")], loud)
    )
    lower = -record["heard"]["kept"]["gain_db"]
    assert lower == -record["heard"]["removed"]["gain_db"] > 3 and "all alike" in record["warnings"][0]
    assert (kept + removed - whole * 10 ** (-lower / 20)).abs().max() < 2 / 32768 + 1e-6


def test_results_of_two_runs_never_mix(model, clip, tmp_path):
    long = written(tmp_path / "long.wav", tone(1.5))
    explain(long, model, tmp_path / "out", "--windows")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert explain(clip, model, tmp_path / "out").exit_code == 0
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["explanation.json", "kept.wav", "map.npz", "notes.txt", "plot.png", "removed.wav"]


def test_a_trained_model_is_not_replaced_unasked(model):
    result = run("train", "tones", "--out", model, "--epochs", 1)
    assert result.exit_code == 2 and "--force" in result.stderr


def test_bad_models_are_told(clip, model, tmp_path):
    for name, change in {
        "nowhere": None,
        "labels": lambda c: {**c, "labels": ["one"]},
        "network": lambda c: {**c, "network": {"class": "os.system", "arguments": {}}},
        "format": lambda c: {**c, "format": 99},
        "arguments": lambda c: {**c, "frontend": {"class": "LogSTFT", "arguments": {"nfft": 3}}},
    }.items():
        folder = tmp_path / name
        if change is not None:
            folder.mkdir()
            (folder / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
            (folder / "config.json").write_text(json.dumps(change(json.loads((model / "config.json").read_text()))))
        result = explain(clip, folder, tmp_path / "out")
        assert result.exit_code == 3, (name, result.output)
        assert "error:" in result.stderr and "Traceback" not in result.output
    (tmp_path / "labels" / "model.safetensors").write_bytes(b"not weights")
    assert explain(clip, tmp_path / "labels", tmp_path / "out").exit_code == 3


def command(*arguments: object, **options) -> subprocess.Popen:
    """The command in a process of its own, which minds Ctrl-C even where the tests run in the background."""
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)} | options
    return subprocess.Popen(
        [sys.executable, "-B", "-m", "earwitness.cli", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_a_full_disk_is_told_and_leaves_no_half_files(clip, model, tmp_path):
    out = tmp_path / "out"
    limit = 6000  # bytes a file: less than a sound

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = command(
        "explain", clip, "--model", model, "--out", out, "--method", "sobol:designs=2", preexec_fn=full
    )  # fmt: skip
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert "cannot write" in err and "Traceback" not in err
    assert [path.name for path in out.iterdir() if path.name.startswith(".") or path.suffix == ".wav"] == []


def test_ctrl_c_ends_with_130_and_no_traceback(clip, model, tmp_path):
    process = command(
        "explain", clip, "--model", model, "--out", tmp_path / "out", "--method", "sobol:designs=200000"
    )  # fmt: skip
    time.sleep(8 if not os.environ.get("CI") else 12)  # past the imports, in the middle of asking
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("rank=0.9,evaluations=3000", "expected rank correlation"),
        ("evaluations=700", "budget of 700 evaluations is spent"),
        ("precision=0.5", "largest standard error"),
    ],
)
def test_sampling_stops_when_told(until, says, clip, model, tmp_path):
    grid = "grid:3,4"  # 12 components: 2^12 masks are more than any of these budgets
    words = ("explain", clip, "--model", model, "--out", tmp_path, "--method", "shapley", "--components", grid)
    record = json.loads(run(*words, "--until", until, "--json").stdout)
    assert says in record["stopped"]
    assert f"Sampling stopped: {record['stopped']}." in run(*words, "--until", until).stdout


def test_what_does_not_sample_cannot_stop(clip, model, tmp_path):
    words = ("explain", clip, "--model", model, "--out", tmp_path)
    wrong = run(*words, "--method", "saliency", "--until", "rank=0.9")
    assert wrong.exit_code == 2 and "does not sample" in wrong.stderr
    wrong = run(*words, "--method", "shapley", "--until", "luck=0.9")
    assert wrong.exit_code == 2 and "luck" in wrong.stderr and "precision" in wrong.stderr


def test_ctrl_c_with_a_budget_gives_the_answer_so_far(clip, model, tmp_path):
    words = ["explain", str(clip), "--model", str(model), "--out", str(tmp_path), "--method", "shapley", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "earwitness.cli", *words, "--until", "rank=0.99999999"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    time.sleep(12)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert json.loads(out)["stopped"] == "interrupted" and "Traceback" not in told
    assert (tmp_path / "map.npz").is_file() and (tmp_path / "kept.wav").is_file()


def test_help_needs_nothing_heavy():
    script = (
        "import sys; from typer.testing import CliRunner; from earwitness.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'numpy', 'scipy', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def test_methods_are_listed_from_the_classes():
    listed = json.loads(run("methods", "--json").stdout)
    costs = {row["method"]: row["evaluations_for_64_components"] for row in listed["methods"]}
    assert costs["sobol"] == ew.Sobol().cost(64) and costs["saliency"] == 1
    assert {"grid", "bins", "segments", "bands", "cells"} <= {row["components"] for row in listed["components"]}


def test_version():
    assert run("--version").stdout.strip() == f"earwitness {ew.__version__}"


def test_the_demo_finds_the_cause(tmp_path):
    result = run("demo", "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["truth"]["share_on_cause"] > 0.8 > 4 * record["truth"]["chance"]
    assert record["prediction"]["label"] == record["target"] == "high"
    assert all(Path(path).stat().st_size > 1000 for path in record["files"].values())


def test_the_demo_takes_a_recording(clip, model, tmp_path):
    result = run("demo", "--clip", clip, "--model", model, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["clip"] == str(clip)


def test_layers_are_listed_and_can_be_asked_about(clip, model, tmp_path):
    rows = {row["layer"]: row for row in json.loads(run("layers", "--model", model, "--json").stdout)["layers"]}
    assert rows["features.0"]["kind"] == "Conv2d" and rows["features.0"]["output"][0] == 4
    assert rows["features.0"]["parameters"] > 0 and rows["features.3"]["output"][1:] == [65, 32]
    assert all(len(row["output"]) in (2, 3) for row in rows.values())
    assert "features.4" in run("layers", "--model", model).stdout
    units = ("--components", "units:features.7", "--out", tmp_path, "--json")
    found = json.loads(run("explain", clip, "--model", model, "--method", "grad-cam", *units).stdout)
    assert len(found["components"]) == rows["features.7"]["output"][1] * rows["features.7"]["output"][2]
    wrong = run("explain", clip, "--model", model, "--method", "grad-cam", "--out", tmp_path)
    assert wrong.exit_code == 2 and "places of a layer" in wrong.stderr
