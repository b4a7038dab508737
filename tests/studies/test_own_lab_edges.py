"""The lab where there is little to say: one clip, no score that moves, a margin, a model that fails, labels not known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import earwitness as ew
from earwitness.data.synthetic import Tones, scenes
from earwitness.errors import ModelError
from earwitness.studies.finished_parts import Finished
from earwitness.studies.own_lab import QUICK, Run, gather
from earwitness.studies.own_lab.against_controls import cells_removed
from earwitness.studies.own_lab.first_looks import _halves, _related, what_is_seen, what_there_is, where_it_errs
from earwitness.studies.own_lab.listening_through import Listener
from earwitness.studies.own_lab.mapped import _sides, grids_and_designs, sobol_maps
from earwitness.studies.own_lab.material import Taken
from earwitness.studies.own_lab.shortcuts_taken import leaks_in_the_data, leaks_in_the_model

RATE = 8000
TINY = replace(QUICK, clips=1, grids=(2, 3), designs=(4, 6), labels=1)


@pytest.fixture(scope="module")
def tones():
    return ew.load_classifier("models/tones")


@pytest.fixture
def data(tmp_path):
    """Two clips of each label."""
    for number, scene in enumerate(scenes(Tones(), 4, (9, 0))):
        place = tmp_path / "data" / scene.label
        place.mkdir(parents=True, exist_ok=True)
        scene.audio.save(place / f"{number}.wav")
    return tmp_path / "data"


def run_of(classifier, data, settings=TINY, **more):
    wanted = {name: more.pop(name) for name in ("limit", "known_only") if name in more}
    material = gather(data, classifier.labels, target=more.get("target"), **wanted)
    return Run(settings, classifier, material, data.parent / "out", **more)


class Silenced(torch.nn.Module):
    """A network that says the same to everything."""

    def forward(self, x):
        return torch.zeros(len(x), 2) * x.reshape(len(x), -1).sum(1, keepdim=True)


def test_a_score_that_does_not_move(tones, data):
    run = run_of(ew.Classifier(Silenced(), tones.frontend, tones.labels), data)
    section = grids_and_designs(run)
    assert "does not move" in section.answer and "nan" not in section.text
    assert np.isnan(section.tables["runs"]["relative_error"]).all()
    assert "nan" not in sobol_maps(run).answer


@pytest.mark.parametrize("target", ["low - high", "high - low"])
def test_a_margin_is_compared_by_its_sign(target, tones, data):
    run = run_of(tones, data, target=target)
    found = sobol_maps(run)
    heard: Any = found.tables["heard"].set_index("sound")
    assert (heard["same"] == (heard["score"] > 0)).all()
    assert heard["same"]["kept"] == (run.clip(run.shown[0]).label == target.split()[0])
    assert f"a score above 0 in {int(heard['same']['kept'])} of 1 clips" in found.answer


def test_grids_larger_than_the_features_are_one(tones, data):
    run = run_of(tones, data, replace(TINY, grids=(2, 400, 800)))
    sides = _sides(run, run.shown[0])
    assert list(sides.values()) == [2, 400] and (2, 2) in sides and max(max(cells) for cells in sides) < 400


def test_one_clip_alone(tones, data):
    """No interval and no p: it is said, and no nan is shown."""
    run = run_of(tones, data, limit=1)
    assert "too few clips" in cells_removed(run).answer and "nan" not in cells_removed(run).answer
    assert "not applicable" in leaks_in_the_model(run).answer and "Not applicable" in leaks_in_the_data(run).text
    assert cells_removed(run).tables["deletion"]["mean"].dtype == float


def test_labels_that_are_not_known_are_neither_right_nor_a_label(tones, data):
    (data / "middle").mkdir()
    (data / "low").rename(data / "middle" / "x")
    for number, path in enumerate(sorted((data / "middle" / "x").iterdir())):
        path.rename(data / "middle" / f"m{number}.wav")
    (data / "middle" / "x").rmdir()
    run = run_of(tones, data, target="high")
    assert sorted(clip.label for clip in run.material.clips) == ["", "", "high", "high"]
    assert "1 label;" in what_there_is(run).answer
    assert {run.clip(place).label for place in run.shown} == {"high"}
    assert where_it_errs(run).tables["recall"]["recordings"].tolist() == [2]


def test_one_clip_of_some_labels_is_said_to_be(tones, data):
    section = what_is_seen(run_of(tones, data))
    assert "one clip of each of 1 of the 2 labels" in section.text and len(section.tables["resolution"]) == 1


def truth(right, seconds):
    return pd.DataFrame({"right": right, "seconds": seconds, "source": ""})


def test_length_that_decides_is_found():
    """Most clips have the greatest length, and all shorter ones are wrong."""
    rows = truth([True] * 30 + [False] * 10, [1.0] * 30 + list(np.linspace(0.2, 0.8, 10)))
    found = _related(rows, "seconds")
    assert found["correlation"] > 0.9 and found["p"] < 1e-6
    parts = {row["part"]: (row["n"], row["accuracy"]) for row in _halves(rows, "seconds")}
    assert parts == {"below the median": (10, 0.0), "from the median on": (30, 1.0)}
    assert [row["part"] for row in _halves(truth([True, False], [1.0, 1.0]), "seconds")] == ["from the median on"]
    assert _related(truth([True, False], [1.0, 1.0]), "seconds")["p"] == 1


def test_silence_is_a_share_of_the_time(tones, tmp_path):
    """One second of silence and sound by halves, three seconds without: an eighth."""
    x = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
    (tmp_path / "data").mkdir()
    ew.Audio(np.concatenate([np.zeros(RATE // 2), x[: RATE // 2]]), RATE).save(tmp_path / "data" / "a.wav")
    ew.Audio(x, RATE).save(tmp_path / "data" / "b.wav")
    assert "12.5% of the time" in what_there_is(run_of(tones, tmp_path / "data")).answer


class Failing(torch.nn.Module):
    """Says nothing, for a reason of the machine."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


def survey(error, tones, data, folder):
    failing = ew.Classifier(Failing(error), tones.frontend, tones.labels)
    path = next(data.rglob("*.wav"))
    return Listener(failing, Finished(folder), "known").survey([Taken(path, "low")])


def test_a_failure_of_the_model_is_told_with_the_recording_and_not_kept(tones, data, tmp_path):
    found: Any = survey(RuntimeError("kernel size"), tones, data, tmp_path / "kept")
    assert (
        found["reason"].str.startswith("the model failed: ").all() and found["reason"].str.contains("kernel size").all()
    )
    assert found["seconds"][0] == 0.5
    assert not list((tmp_path / "kept").glob("*.parquet"))
    with pytest.raises(ModelError, match="out of memory"):
        survey(torch.OutOfMemoryError("full"), tones, data, tmp_path / "kept")


def test_the_same_sound_under_another_name_is_told_by_its_name(tones, data, tmp_path):
    path = next(data.rglob("*.wav"))
    other = path.with_name("other.wav")
    other.write_bytes(path.read_bytes())
    listener = Listener(tones, Finished(tmp_path / "kept"), "known")
    assert [listener.survey([Taken(p, "low")])["clip"][0] for p in (path, other)] == [path.name, "other.wav"]
