"""`earwitness verify`: the verdict in words and as JSON, its files, its exit codes."""

import json

import pytest
import soundfile
from typer.testing import CliRunner

import earwitness as ew
from earwitness.cli import app
from earwitness.data.synthetic import Tones
from earwitness.studies.cross_examining import failing
from earwitness.studies.demonstration import shipped_model

TONES = str(shipped_model("tones"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "low.wav"
    Tones(snr_db=10.0)(0, "low").audio.save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["verify", *map(str, arguments), "--model", TONES, "--quiet"])


def test_in_words(clip, tmp_path):
    found = run(clip, "--method", "occlusion", "--out", tmp_path)
    assert found.exit_code == 0, found.output
    first, *lines = found.stdout.splitlines()
    outcome = json.loads((tmp_path / "verdict.json").read_text())["verdict"]["outcome"]
    assert first.startswith(f"occlusion, low: {outcome}: ")
    assert [line.split()[0] for line in lines[:3]] == ["deletion", "insertion", "mu"]
    assert any(line.startswith("  decision: low: without the best ") for line in lines)
    assert soundfile.info(tmp_path / "flip-removed.wav").frames == ew.load(clip).samples.numel()
    assert {"verdict.png", "flip-kept.wav", "map.npz", "kept.wav"} <= {path.name for path in tmp_path.iterdir()}


def test_as_json(clip, tmp_path):
    record = json.loads(run(clip, "--method", "random", "--out", tmp_path, "--json", "--seed", "3").stdout)
    verdict = record["verdict"]
    assert record == json.loads((tmp_path / "verdict.json").read_text()) and record["seed"] == verdict["seed"] == 3
    assert verdict["outcome"] == "does not stand" and len(verdict["tests"]) == 3
    assert all(
        {"name", "score", "low", "high", "p", "corrected", "random_median", "loudness"} <= set(t)
        for t in verdict["tests"]
    )
    explanation = ew.explain(ew.load_classifier(TONES), clip, ew.Random(seed=3))
    same = ew.verify(explanation, seed=3)
    assert [t["score"] for t in verdict["tests"]] == pytest.approx([t.score for t in same.tests])
    assert verdict["flip"]["fewest"] == same.flip.fewest


def test_pipelines_can_fail_on_it(clip, tmp_path):
    """5 for the outcome named, or a worse one; everything is written all the same."""
    assert run(clip, "--method", "random", "--out", tmp_path, "--fail-on", "does not stand").exit_code == 5
    assert (tmp_path / "verdict.json").exists()
    few = ("--method", "occlusion", "--components", "grid:2,3", "--out", tmp_path)
    found = run(clip, *few, "--fail-on", "cant-tell")
    assert found.exit_code == 5 and "can't tell: 6 components are too few" in found.stdout
    assert not (tmp_path / "verdict.png").exists()  # of the run before
    assert run(clip, *few, "--fail-on", "does not stand").exit_code == 0
    wrong = run(clip, "--fail-on", "stand", "--out", tmp_path)
    assert wrong.exit_code == 2 and "unknown outcome to fail on 'stand'" in wrong.stderr
    assert failing("can't tell") == ("does not stand", "can't tell") and failing("does-not-stand") == (
        "does not stand",
    )


def test_what_cannot_be_verified(tmp_path):
    found = run(tmp_path / "missing.wav")
    assert found.exit_code == 3 and "error:" in found.stderr and "Traceback" not in found.stderr


def test_channels_of_a_layer_have_no_sound_and_are_explained_all_the_same(clip, tmp_path):
    units = ("--method", "occlusion", "--components", "units:features.3,by=channels", "--out", tmp_path)
    found = CliRunner().invoke(app, ["explain", str(clip), "--model", TONES, "--json", *map(str, units)])
    record = json.loads(found.stdout)
    assert found.exit_code == 0 and record["heard"] == {} and any("nothing to hear" in w for w in record["warnings"])
    assert not (tmp_path / "kept.wav").exists() and (tmp_path / "map.npz").exists()
    verified = run(clip, *units)
    assert verified.exit_code == 0 and "no place in a sound" in verified.stdout
