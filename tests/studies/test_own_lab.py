"""The lab on one's own recordings: the whole on a miniature, what is left out, what is resumed, and its parts by hand."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from typer.testing import CliRunner

import earwitness as ew
from earwitness.cli import app
from earwitness.data.synthetic import Tones, scenes
from earwitness.errors import InputError, UsageError
from earwitness.studies.own_lab import QUICK, Run, chapters, gather
from earwitness.studies.own_lab.changed_sounds import Shared, cell_power, filled, left_alone, passed, quietest, trimmed
from earwitness.studies.own_lab.listening_through import band_of, measure
from earwitness.studies.own_lab.mapped import chosen
from earwitness.studies.own_lab.material import matched
from earwitness.studies.own_lab.shortcuts_taken import leaks_in_the_data, leaks_in_the_model

RATE = 8000
TINY = replace(QUICK, clips=1, grids=(2, 3), designs=(4, 6))


def lab(*words):
    """The command, the smallest run."""
    words = ["--clips", 1, "--grids", "2,3", "--designs", "4,6", *words]
    return CliRunner().invoke(app, ["study", "lab", "--quick", *map(str, words)])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Scenes of the tones, one folder a label; one recording is at another rate, one broken, one silent."""
    home = tmp_path_factory.mktemp("tones")
    for number, scene in enumerate(scenes(Tones(), 10, (5, 0))):
        place = home / scene.label.upper()
        place.mkdir(exist_ok=True)
        scene.audio.resampled(16000 if number == 1 else RATE).save(place / f"{number}.wav")
    (home / "LOW" / "broken.wav").write_bytes(b"RIFF")
    ew.Audio(np.zeros(4000), RATE).save(home / "HIGH" / "nothing.wav")
    return home


@pytest.fixture(scope="module")
def first(folders, tmp_path_factory):
    """The command's answer, and its folder."""
    out = tmp_path_factory.mktemp("out")
    return lab("--data", folders, "--model", "models/tones", "--out", out, "--json"), out


@pytest.fixture
def undrawn(monkeypatch):
    """Pages without their pictures, which take longest."""
    monkeypatch.setattr("earwitness.reports.folders.draw_picture", lambda picture: Figure((1, 1)))


def tables(out):
    return {path.name: path.read_bytes() for path in out.glob("*.csv")}


def test_the_whole_lab_and_again(first, folders, undrawn):
    """Every chapter; the same command reads its parts from the folder."""
    done, out = first
    assert done.exit_code == 0, done.output
    answers = json.loads(done.stdout)["answers"]
    assert {
        "recordings",
        "features",
        "errors",
        "maps",
        "grids",
        "saliency",
        "deletion",
        "leaks",
        "uses",
        "quiet",
    } == set(answers)
    kept = {path: path.stat().st_mtime_ns for path in (out / "shards").rglob("*.*")}
    known = tables(out)
    again = lab("--data", folders, "--model", "models/tones", "--out", out)
    assert again.exit_code == 0 and tables(out) == known
    assert {path: path.stat().st_mtime_ns for path in (out / "shards").rglob("*.*")} == kept, (
        "nothing is computed twice"
    )


def test_what_is_left_out_is_told(first):
    out = first[1]
    left = pd.read_csv(out / "recordings-left-out.csv").set_index("clip")["reason"]
    assert set(left.index) == {"broken.wav", "nothing.wav"}
    assert "silence" in left["nothing.wav"] and "/" not in left["broken.wav"].split(" (")[0]
    assert pd.read_csv(out / "recordings-done.csv")["done"].str.contains("resampled from 16000 Hz").sum() == 1


def test_errors_are_counted_as_the_model_answers(first, folders):
    """Accuracy and confusion from asking the model one clip after the other."""
    classifier = ew.load_classifier("models/tones")
    recall = pd.read_csv(first[1] / "errors-recall.csv").set_index("label")
    for label in ("low", "high"):
        said = []
        for path in sorted((folders / label.upper()).glob("[0-9]*.wav")):
            logits = classifier(ew.load(path, RATE).samples[None])[0]
            said.append(classifier.labels[int(logits.argmax())])
        assert recall["recordings"][label] == len(said)
        assert recall["recall"][label] == pytest.approx(np.mean([name == label for name in said]))


def test_a_run_that_was_killed_goes_on(first, folders, tmp_path):
    """After four chapters and with a damaged file: the figures are those of the run that was not stopped, in another folder."""
    classifier = ew.load_classifier("models/tones")
    material = gather(folders, classifier.labels)
    for _ in zip(range(4), chapters(Run(TINY, classifier, material, tmp_path)), strict=False):
        pass
    maps = sorted((tmp_path / "shards" / "finished").glob("*.npz"))
    maps[0].write_bytes(b"half")
    found = {}
    for section in chapters(Run(TINY, classifier, material, tmp_path)):
        for name, table in section.tables.items():
            text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
            found[f"{section.name}-{name}.csv"] = text.encode()
    assert found == tables(first[1])


def test_a_folder_without_labels(folders, tmp_path, undrawn):
    """Nobody can say what is right; what the model says is explained all the same."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in range(3):
        source = next(folders.glob(f"*/{number}.wav"))
        (flat / source.name).write_bytes(source.read_bytes())
    done = lab("--data", flat, "--model", "models/tones", "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    answers = json.loads(done.stdout)["answers"]
    assert "maps" in answers and "errors" not in answers and "leaks" not in answers
    page = (tmp_path / "out" / "README.md").read_text()
    assert "without labels" in page and "nobody can say what is right" in page


def test_labels_that_the_model_lacks(folders, tmp_path):
    """An error that names both lists, unless the target is given."""
    other = tmp_path / "other"
    for number, name in enumerate(("low", "middle")):
        (other / name).mkdir(parents=True)
        source = next(folders.glob(f"*/{number}.wav"))
        (other / name / "a.wav").write_bytes(source.read_bytes())
    done = lab("--data", other, "--model", "models/tones", "--out", tmp_path / "out")
    assert (
        done.exit_code == 2
        and "no label middle" in done.stderr
        and "low, middle" in done.stderr
        and "low, high" in done.stderr
    )
    material = gather(other, ("low", "high"), target="high")
    assert sorted(clip.label for clip in material.clips) == ["", "low"]
    some = gather(other, ("low", "high"), known_only=True)
    assert [clip.label for clip in some.clips] == ["low"] and "of middle" in some.notes[1]
    assert (
        "accuracies may flatter" in some.notes[0] and len(gather(other, ("low", "middle"), known_only=True).notes) == 1
    )
    with pytest.raises(InputError, match="no recording is left"):
        gather(other, ("cat",), known_only=True)
    with pytest.raises(UsageError, match="unknown group of recordings '7'"):
        gather(other, ("low", "high"), group="7", target="high")
    bad = lab(
        "--data", other, "--model", "models/tones", "--target", "high", "--grids", "4,x", "--out", tmp_path / "out"
    )
    assert bad.exit_code == 2 and "--grids takes whole numbers" in bad.stderr


def test_labels_are_matched_without_regard_to_case_and_blanks():
    assert matched(["Sea Waves", "dog"], ["dog", "sea_waves"]) == {"Sea Waves": "sea_waves", "dog": "dog"}


def test_recordings_that_the_model_has_not_learnt_from(folders, tmp_path):
    """A list beside the weights, whatever the names end in; a group that is asked for comes first."""
    (tmp_path / "held-out.txt").write_text("0.ogg\n2.wav\n")
    material = gather(folders, ("low", "high"), model=tmp_path)
    assert sorted(clip.name for clip in material.clips) == ["0.wav", "2.wav"] and "2 of 12" in material.notes[0]
    assert len(gather(folders, ("low", "high")).clips) == 12


def test_a_black_box_and_mixtures(tmp_path):
    """A function is asked without gradients, and where the event is known it is pointed at."""
    home = tmp_path / "mixtures"
    (home / "mix").mkdir(parents=True)
    (home / "event").mkdir()
    rows = []
    for number, scene in enumerate(scenes(Tones(), 3, (6, 0))):
        scene.audio.save(home / "mix" / f"{number}.wav")
        scene.cause.save(home / "event" / f"{number}.wav")
        known = {"background": "noise", "fold": 1, "snr_db": 6, "start_s": 0, "end_s": 0.5}
        rows.append(
            {
                "path": f"mixtures/mix/{number}.wav",
                "event_path": f"mixtures/event/{number}.wav",
                "label": scene.label,
                **known,
            }
        )
    pd.DataFrame(rows).to_csv(home / "metadata.csv", index=False)
    tones = ew.load_classifier("models/tones")

    def ask(samples):
        with torch.no_grad():
            return tones(torch.as_tensor(samples)).numpy()

    box = ew.BlackBox(ask, RATE, tones.labels)
    found = {s.name: s for s in chapters(Run(TINY, box, gather(home, box.labels), tmp_path / "out"))}
    assert "black box" in found["features"].text
    assert "Not applicable" in found["saliency"].text and "no gradient" in found["saliency"].text
    assert "pointing-game" in found["pointing"].tables and found["pointing"].answer.startswith("Sobol, pointing-game")


def cheats(tmp_path, tell, make):
    """The check of a black box that says "b" where `tell` of the samples is above 0, on clips made by `make(label, rng)`."""
    for number in range(24):
        label, rng = "ab"[number % 2], np.random.default_rng(number)
        (tmp_path / label).mkdir(exist_ok=True)
        ew.Audio(make(label, rng), RATE).save(tmp_path / label / f"{number}.wav")
    box = ew.BlackBox(lambda x: np.stack([-tell(x), tell(x)], 1), RATE, ("a", "b"))
    run = Run(replace(TINY, permutations=200), box, gather(tmp_path, box.labels), tmp_path / "out")
    leak = leaks_in_the_data(run).tables["quantities"].set_index("quantity")
    section = leaks_in_the_model(run)
    return leak, section.tables["equalised"].set_index("made_the_same"), section


def test_a_model_that_lives_on_level_is_caught(tmp_path):
    """Louder clips are "b", and the model hears nothing else: made equally loud, it is right in half of them."""
    leak, same, section = cheats(
        tmp_path, lambda x: x.std(1) - 0.05, lambda label, rng: {"a": 0.02, "b": 0.1}[label] * rng.standard_normal(4000)
    )
    assert leak["accuracy"]["level_db"] > 0.9 and leak["p"]["level_db"] < 0.01 and leak["p"]["offset"] > 0.01
    assert same["before"]["level"] == 1 and same["after"]["level"] == 0.5 and same["high"]["level"] < 0
    assert (same["difference"].drop("level") == 0).all()
    assert "level -50.0%" in section.answer


def test_a_model_that_lives_on_digital_silence_is_caught(tmp_path):
    """Clips of "b" end in digital silence: filled with faint noise, or cut off, they are "a" for the model."""

    def make(label, rng):
        x = 0.1 * rng.standard_normal(4000)
        x[3200:] *= label == "a"
        return x

    leak, same, _ = cheats(tmp_path, lambda x: (np.abs(x[:, -400:]).max(1) == 0) - 0.5, make)
    assert leak["accuracy"]["trailing_s"] == 1 and leak["accuracy"]["silence"] == 1
    for name in ("digital silence", "silence at the ends"):
        assert same["after"][name] == 0.5 and same["high"][name] < 0 and same["changed"][name] == 12
    assert same["difference"]["level"] == 0


# the parts, by hand


def test_quantities_of_a_clip():
    """Half a second of nothing, a tone of full scale / 2 with an offset, a quarter of nothing."""
    t = np.arange(RATE) / RATE
    tone = 0.1 + 0.5 * np.sin(2 * np.pi * 1000 * t)
    x = np.concatenate([np.zeros(4000), tone, np.zeros(2000)])
    found = measure(ew.Audio(x, RATE))
    assert found["seconds"] == 1.75 and found["rate_hz"] == RATE
    assert found["silence"] == pytest.approx(75 / 175) and found["leading_s"] == pytest.approx(0.5)
    assert found["trailing_s"] == pytest.approx(0.25) and found["peak_db"] == pytest.approx(
        20 * np.log10(0.6), abs=1e-3
    )
    rms = np.sqrt((0.01 + 0.125) * 8 / 14)
    assert found["level_db"] == pytest.approx(20 * np.log10(rms), abs=1e-3)
    assert found["offset"] == pytest.approx(0.1 * 8 / 14 / rms, rel=1e-3)


def test_the_band_ends_where_the_filter_does():
    noise = ew.Audio(0.1 * np.random.default_rng(0).standard_normal(RATE), RATE)
    low = passed(noise, 0.0, 1500.0)
    assert band_of(low.double().numpy(), RATE) == pytest.approx(1500, abs=40)
    rest = passed(noise, 1500.001, 4000.0)
    np.testing.assert_allclose(low + rest, noise.samples, atol=1e-6)


def test_changes_of_silence():
    x = np.zeros(800)
    x[200:500] = 0.1
    audio = ew.Audio(x, RATE)
    assert len(trimmed(audio)) == 300
    noisy = filled(audio)
    assert torch.equal(noisy[200:500], audio.samples[200:500])
    level = 20 * np.log10(float(noisy[:200].std())) - audio.rms_db
    assert level == pytest.approx(-60, abs=1.5)


def test_the_quietest_stretch_again_and_again():
    """Of a ramp in level the first 100 ms that are not digital silence."""
    x = np.concatenate([np.zeros(800), np.repeat([0.3, 0.01, 0.2], 800)])
    out = quietest(ew.Audio(x, RATE))
    assert len(out) == len(x) and torch.allclose(out, torch.full((len(x),), 0.01))


def test_what_clips_share():
    """One clip of 41 that is very short, and a few that end early, do not speak for all."""
    bands = np.linspace(1000, 3000, 41)
    rows = pd.DataFrame({"level_db": np.linspace(-30, -10, 41), "seconds": [0.01, *[1.0] * 40], "band_hz": bands})
    assert Shared.of(rows, RATE) == Shared(pytest.approx(-20.0), 1.0, pytest.approx(1100.0), pytest.approx(2900.0))
    high = Shared.of(rows.assign(band_hz=9000.0), RATE)
    assert (high.band_hz, high.above_hz) == (4000.0, 4000.0)
    assert not any(name.startswith("above") for name in left_alone(high, RATE))
    assert "above 2900 Hz" in left_alone(Shared.of(rows, RATE), RATE)


def test_the_grid_that_is_chosen():
    table = pd.DataFrame({"rows": [4, 8, 12], "columns": [4, 8, 12], "rank_stability": [0.99, 0.96, 0.90]})
    assert chosen(table)[0] == 1
    assert chosen(table.assign(rank_stability=[0.5, 0.7, 0.6]))[0] == 1
    assert chosen(table.assign(rank_stability=0.99))[0] == 2


def test_power_in_cells():
    """A tone in the first half: the cell around it holds it."""
    t = np.arange(RATE) / RATE
    x = 0.5 * np.sin(2 * np.pi * 1000 * t) * (t < 0.5)
    axes = ew.Axis("frequency", "Hz", (0, 500, 1500, 4000)), ew.Axis("time", "s", (0, 0.5, 1))
    power = cell_power(ew.Audio(x, RATE), axes)
    assert power.argmax() == 2 and power[1, 0] > 100 * np.delete(power.ravel(), 2).max()
