"""`earwitness compare`: the same as the library, its files, its exit codes, and what Ctrl-C leaves."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import earwitness as ew
from earwitness.cli import app
from earwitness.data.synthetic import Tones
from earwitness.errors import InputError, UsageError
from earwitness.explainers import METHODS
from earwitness.metrics import METRICS, Deletion
from earwitness.studies.comparing_clips import clips_at
from earwitness.studies.comparing_words import listed

MODEL = Path(__file__).parents[1] / "models" / "tones"
pytestmark = pytest.mark.skipif(not (MODEL / "config.json").is_file(), reason="models/tones is not there")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Four scenes."""
    folder = tmp_path_factory.mktemp("clips")
    for seed in range(4):
        Tones()(seed).audio.save(folder / f"{seed}.wav")
    return folder


def arguments(clips: Path, out: Path, *more: object) -> list[str]:
    asked = [
        "--methods",
        "sobol:designs=2,occlusion",
        "--metrics",
        "deletion:steps=3,completeness",
        "--components",
        "grid:3,3",
    ]
    return [str(a) for a in ("compare", "--model", MODEL, "--clips", clips, "--out", out, *asked, *more)]


def run(clips: Path, out: Path, *more: object):
    return CliRunner().invoke(app, arguments(clips, out, *more))


def test_it_finds_what_the_library_finds(clips, tmp_path):
    result = run(clips, tmp_path / "out", "--seed", 3, "--limit", 3, "--json")
    assert result.exit_code == 0, result.stderr  # completeness is not applicable to most, and that is no failure
    record = json.loads(result.stdout)
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    direct = ew.compare(
        ew.load_classifier(MODEL), sorted(clips.glob("*.wav"))[:3],
        [ew.Sobol(designs=2, seed=3), ew.Occlusion(), ew.Random(seed=3)], [Deletion(steps=3, seed=3), ew.metrics.Completeness()],
        tmp_path / "direct", components=ew.Grid(3, 3),
    )  # fmt: skip
    rows = ["clip", "explainer", "metric", "status", "score", "key"]
    assert set(table["key"]) == set(direct.table["key"]) and len(table) == record["rows"] == 3 * 4 * 2
    both = table.merge(direct.table[rows], on="key", suffixes=("", "_direct"))
    assert both["score"].dropna().tolist() == both["score_direct"].dropna().tolist()
    assert record["verdicts"] == {metric: direct.verdict(metric) for metric in direct.metrics}
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    np.testing.assert_array_equal(summary["mean"], pd.DataFrame(record["summary"])["mean"].astype(float))
    assert record["not_applicable"] == int((table["status"] == "not applicable").sum()) > 0 == len(record["failures"])


def test_a_person_gets_words_and_a_page(clips, tmp_path):
    result = run(clips, tmp_path)
    assert result.exit_code == 0 and "4 clips, 32 rows" in result.stdout and "(lower is better)" in result.stdout
    page = (tmp_path / "README.md").read_text()
    assert (
        "no significant difference" in page and "deletion_steps_3-ranks.png" in page and "Completeness" in page.title()
    )
    assert "4 clips, 4 methods, 2 metrics: 32 rows, of which 0 failed, on 0 of the clips" in page
    assert (tmp_path / "deletion_steps_3-ranks.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "completeness-ranks.png").exists()  # nothing to rank


def test_clips_that_fail_end_with_4(clips, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.wav").write_bytes((clips / "0.wav").read_bytes())
    (folder / "b.wav").write_bytes(b"RIFF")
    result = run(folder, tmp_path / "out", "--quiet", "--json")
    assert result.exit_code == 4 and result.stderr == ""
    (failure,) = json.loads(result.stdout)["failures"]
    assert failure["clip"].endswith("b.wav") and "truncated" in failure["reason"]
    assert "b.wav is truncated" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--methods", "sobbol"], 2, "Did you mean sobol"),
        (["--metrics", "deletion,insertoin"], 2, "Did you mean insertion"),
        (["--methods", ","], 2, "names nothing"),
        (["--target", "middle"], 2, "unknown label"),
        (["--clips", "nowhere"], 3, "nowhere"),
        (["--model", "nowhere"], 3, "nowhere"),
    ],
)
def test_wrong_options_are_told(more, code, says, clips, tmp_path):
    result = run(clips, tmp_path / "out", *more)
    assert result.exit_code == code and says in result.stderr and "Traceback" not in result.stderr


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(clips, tmp_path):
    command = [
        sys.executable,
        "-B",
        "-m",
        "earwitness.cli",
        *arguments(clips, tmp_path, "--methods", "sobol:designs=2000"),
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not (tmp_path / "shards").is_dir():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130 and said == "interrupted: the same command goes on from here\n"
    assert run(clips, tmp_path).exit_code == 0


def test_lists_of_things_with_options():
    assert listed("sobol,lime:samples=512,seed=3,saliency", METHODS) == ["sobol", "lime:samples=512,seed=3", "saliency"]
    assert listed("sobol:64, occlusion", METHODS) == ["sobol:64", "occlusion"]
    assert listed("deletion:8,probability,insertion", METRICS) == ["deletion:8,probability", "insertion"]
    assert listed("sobol,nothing", METHODS) == ["sobol", "nothing"]  # told by whoever builds it
    with pytest.raises(UsageError, match="names nothing"):
        listed("", METHODS)


def test_clips_are_found_wherever_they_lie(clips, tmp_path):
    assert clips_at(clips) == sorted(clips.glob("*.wav")) and clips_at(clips / "0.wav") == [clips / "0.wav"]
    for label in ("high", "low"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.wav").write_bytes((clips / "0.wav").read_bytes())
    assert [clip.label for clip in clips_at(tmp_path)] == ["high", "low"]
    (tmp_path / "metadata.csv").write_text("path,label\nlow/a.wav,deep\n")
    assert (
        [clip.label for clip in clips_at(tmp_path)]
        == ["deep"]
        == [c.label for c in clips_at(tmp_path / "metadata.csv")]
    )
    with pytest.raises(InputError, match="no folder"):
        clips_at(tmp_path / "nowhere")


def test_mixtures_bring_their_causes(recordings):
    if not (recordings / "localized" / "esc10_mix" / "metadata.csv").is_file():
        pytest.skip("no mixtures")
    found = clips_at(recordings / "localized" / "esc10_mix")
    assert found and all(hasattr(clip, "load_event") for clip in found)


def test_metrics_are_listed():
    rows = json.loads(CliRunner().invoke(app, ["methods", "--json"]).stdout)["metrics"]
    known = {row["metric"]: (row["better"], row["family"]) for row in rows}
    assert known["deletion"] == ("lower", "faithfulness") and known["pointing-game"] == ("higher", "truth")
    assert len(known) == len(METRICS)
    assert "pointing-game" in CliRunner().invoke(app, ["methods"]).stdout
