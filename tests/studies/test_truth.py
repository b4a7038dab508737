"""The benchmark with planted causes: each cause lies where its truth says, cheats cheat, and a run is the same again."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import earwitness as ew
from earwitness.axes import Axis
from earwitness.carrying import analyse
from earwitness.cli import app
from earwitness.components import Grid
from earwitness.reports.folders import write_folder
from earwitness.studies.truth import QUICK, Study, cheating, families, leaderboard, run
from earwitness.studies.truth.artefacts import RATE, Clipping, Gap, Stroke, Tone

MARKS = (Tone(), Clipping(), Gap(), Stroke())
TINY = replace(QUICK, scenes=(96, 24), scene_epochs=2, evaluations=32, maps=1, recordings=10, cuts=3, epochs=3)
LAST = "What is put in the place of a cell"
FEW = (ew.Sobol, ew.LIME, ew.Occlusion, ew.Saliency, ew.GradCAM, ew.Loudness, ew.Random)


@pytest.fixture(autouse=True)
def few_methods(monkeypatch):
    """One of each kind, and one that needs a layer: the others go the same way."""
    monkeypatch.setattr(leaderboard, "METHODS", FEW)


@pytest.fixture(scope="module")
def cells() -> tuple[Axis, Axis]:
    """The cells of a two-second clip."""
    frequency, time = cheating.mel_frontend().axes(2 * RATE)
    return frequency.coarser(8)[0], time.coarser(10)[0]


def noise(seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(2 * RATE)


def inside(sound: np.ndarray, truth) -> float:
    """The share of a sound's energy in the places of a truth, by its STFT."""
    values, (frequency, time) = truth
    n_fft = 512
    power = analyse(torch.from_numpy(sound), n_fft).abs().square().numpy()
    hertz, seconds = np.arange(power.shape[0]) * RATE / n_fft, np.arange(power.shape[1]) * n_fft / 4 / RATE
    rows = np.clip(np.searchsorted(frequency.edges, hertz, "right") - 1, 0, frequency.size - 1)
    columns = np.clip(np.searchsorted(time.edges, seconds, "right") - 1, 0, time.size - 1)
    return float(power[values[rows][:, columns] > 0].sum() / power.sum())


class TestMarks:
    @pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark.name)
    def test_what_was_planted_lies_in_its_truth(self, mark, cells):
        for seed in range(3):
            clip = noise(seed)
            made = mark(clip, cells, np.random.default_rng(seed))
            planted = made.samples - clip
            assert 0 < np.mean(made.truth[0]) < 1
            assert inside(planted, made.truth) > 0.85  # the rest: what windows of 64 ms blur over the edges
            assert inside(planted, (1 - made.truth[0], made.truth[1])) < 0.15
            if mark.name in ("clipping", "gap"):
                changed, edges = np.flatnonzero(planted) / RATE, made.truth[1][1].edges
                assert (
                    edges[1] <= changed[0]
                    and changed[-1] < edges[2]
                    and changed[-1] - changed[0] > 0.9 * (edges[2] - edges[1])
                )

    def test_levels(self, cells):
        clip, rng = noise(0), np.random.default_rng
        tone = Tone(seconds=2.0)(clip, cells, rng(1)).samples - clip  # all along, so the whole clip is its span
        assert 20 * np.log10(np.std(tone) / np.std(clip)) == pytest.approx(-12, abs=0.1)
        stroke = Stroke(seconds=2.0)(clip, cells, rng(1)).samples - clip
        assert 20 * np.log10(np.std(stroke) / np.std(clip)) == pytest.approx(-6, abs=0.1)
        clipped = Clipping()(clip, cells, rng(1))
        changed = clipped.samples != clip
        assert np.std(clipped.samples[changed]) == pytest.approx(np.std(clip[changed]), rel=0.02)
        assert np.mean(np.abs(clipped.samples[changed]) == np.abs(clipped.samples[changed]).max()) == pytest.approx(
            0.9, abs=0.01
        )
        silent = Gap()(clip, cells, rng(1)).samples == 0
        assert 0.15 <= silent.sum() / RATE <= 0.3 and np.ptp(np.flatnonzero(silent)) == silent.sum() - 1

    def test_the_stroke_is_where_its_instantaneous_frequency_goes(self, cells):
        made = Stroke(level_db=40.0)(noise(4), cells, np.random.default_rng(4))
        spectrum = analyse(torch.from_numpy(made.samples), 512).abs().numpy()
        loud = np.flatnonzero(spectrum.max(0) > 0.5 * spectrum.max())
        crossed = made.truth[0]
        hits = [
            crossed[
                np.searchsorted(cells[0].edges, spectrum[:, frame].argmax() * RATE / 512, "right") - 1,
                np.searchsorted(cells[1].edges, frame * 128 / RATE, "right") - 1,
            ]
            for frame in loud
        ]
        assert len(hits) > 20 and np.mean(hits) > 0.8 > 3 * np.mean(crossed)  # windows of 64 ms cut its corners

    @pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark.name)
    def test_the_perfect_map_scores_one_and_its_negative_zero(self, mark, cells):
        made = mark(noise(1), cells, np.random.default_rng(1))
        classifier = ew.Classifier(cheating.BandCNN(2), cheating.mel_frontend(), ("plain", mark.name)).eval()
        question = ew.ask(classifier, ew.Audio(made.samples, RATE), Grid(8, 10), mark.name, truth=made.truth)
        perfect = replace(ew.Random()(question), values=question.cause)
        assert ew.metrics.ROCArea()(question, perfect) == 1
        assert ew.metrics.ROCArea()(question, replace(perfect, values=-question.cause)) < 0.1


@pytest.fixture(scope="module")
def cheats(recordings, tmp_path_factory) -> Study:
    """A small study on real recordings."""
    settings = replace(QUICK, recordings=16, cuts=3, epochs=6)
    return Study(settings, tmp_path_factory.mktemp("cheats"), recordings)


class TestCheats:
    def test_a_gap_is_learnt_from_few_clips_and_nothing_else(self, cheats):
        (trial,) = families._marked(cheats, "cheats", (Gap(),))
        with_mark, without = trial.accuracy.to_dict("records")
        assert with_mark["right"] >= 0.95 and without["low"] <= 0.5 <= without["high"]
        assert [clip.label for clip in trial.clips] == ["gap"] * QUICK.clips
        held_out = {name for fold in cheating.HELD_OUT for name, _ in cheats.recordings[fold]}
        assert {re.match("ESC-10 (.+), 2 s", clip.audio.provenance[0])[1] for clip in trial.clips} <= held_out
        # found by what takes the gap away, not by what puts silence where silence is
        areas = {}
        for name, baseline in (("silence", "silence"), ("average", families.average_clip(cheats))):
            questions = [
                ew.ask(trial.classifier, c.audio, cheats.grid(baseline), "gap", truth=c.truth) for c in trial.clips
            ]
            areas[name] = np.mean([ew.metrics.ROCArea()(q, ew.Sobol(4)(q)) for q in questions])
        assert areas["average"] > 0.9 > 0.5 > areas["silence"]

    def test_the_lot_is_even_and_the_mark_is_the_only_difference(self, cheats):
        lot = cheating.draw_lot(cheats, Gap(), ("5",), 2, 7)
        assert abs(2 * int(lot.marked.sum()) - len(lot.marked)) <= 1
        for clip, marked, heard in zip(lot.planted, lot.marked, lot.heard(), strict=True):
            assert (heard.label == "gap") == marked
            assert torch.equal(heard.audio.samples, (clip.audio if marked else clip.bare).samples)
            assert float((clip.audio.samples != clip.bare.samples).double().mean()) <= 0.151
        assert all(clip.bare.peak == pytest.approx(0.5, abs=1e-3) for clip in lot.planted)

    def test_a_trained_model_is_taken_from_the_folder(self, cheats, monkeypatch):
        lot = cheating.draw_lot(cheats, Gap(), cheating.HELD_OUT, 1, 1)
        before = cheating.train_cheat(cheats, Gap(), lot)
        monkeypatch.setattr(cheating, "_trained", None)  # would break, were it called
        again = cheating.train_cheat(cheats, Gap(), lot)
        x = lot.samples()[:4]
        assert torch.equal(before(x), again(x))


def scene_study(out: Path, **options) -> Study:
    return Study(replace(TINY, **options), out)


class TestScenes:
    def test_without_recordings_the_rest_runs_and_says_so(self, tmp_path):
        told: list[str] = []
        counted: list[int] = []

        def stop(rows: int, expected: int | None) -> None:
            if len(counted) == 3:
                raise KeyboardInterrupt
            counted.append(rows)

        with pytest.raises(KeyboardInterrupt):
            run(Study(TINY, tmp_path, progress=stop))
        found = run(
            Study(TINY, tmp_path, tmp_path / "nowhere", told.append, progress=lambda rows, of: counted.append(rows))
        )
        assert not any("training" in line for line in told)  # the model was kept, and so was what had been explained:
        methods, clips, metrics = len(FEW), TINY.clips, len(leaderboard.metrics_of(TINY))
        of_baselines = 3 * 4 * clips  # baselines, methods
        assert sum(counted) - of_baselines == methods * clips * metrics - metrics  # one was computed, but not told
        assert [section.name for section in found.sections] == ["leaderboard", "scenes", "agreement", "baselines"]
        notes = found.record["left_out"]
        assert len(notes) == 3 and all(note in told and note in found.page.summary for note in notes)
        assert set(found.record["ranks"]) == {"sobol", "lime", "occlusion", "saliency", "loudness", "random"}
        assert np.mean(list(found.record["ranks"].values())) == pytest.approx(3.5)
        list(write_folder(found.page, found.sections, tmp_path))
        text = (tmp_path / "README.md").read_text()
        assert [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not (tmp_path / link).is_file()] == []
        # the same again, from the folder: nothing is trained, nothing explained, the same tables
        counted.clear()
        again = run(Study(TINY, tmp_path, progress=lambda rows, of: counted.append(rows)))
        assert sum(counted) == 0
        for one, other in zip(found.sections, again.sections, strict=True):
            for name, table in one.tables.items():
                pd.testing.assert_frame_equal(table, other.tables[name])
        # and anew, elsewhere: the same but for the seconds
        elsewhere = run(Study(TINY, tmp_path / "elsewhere"))
        for name in ("all", "trials"):
            pd.testing.assert_frame_equal(found.sections[0].tables[name], elsewhere.sections[0].tables[name])

    def test_the_cause_makes_the_label(self, tmp_path):
        study = scene_study(tmp_path, scenes=(200, 30), scene_epochs=4)
        (trial,) = families.scene_trials(study)
        with_cause, without = trial.accuracy.to_dict("records")
        assert with_cause["right"] > 0.8 > 0.6 > without["right"]
        for clip in trial.clips:
            assert inside((clip.audio.samples - clip.bare.samples).double().numpy(), clip.truth) > 0.5
            assert inside(clip.bare.samples.double().numpy(), clip.truth) < 0.1


class TestLeaderboard:
    def table(self, areas: dict[str, list[float]], **others: dict[str, list[float]]) -> leaderboard.Judged:
        """A judgement with these scores by method and clip."""
        rows = []
        clips = len(next(iter(areas.values())))
        known = {"roc-area": areas} | {name.replace("_", "-"): scores for name, scores in others.items()}
        for clip in range(clips):
            for method in areas:
                for metric, scores in known.items():
                    row = {"clip": str(clip), "explainer": method, "metric": metric, "status": "ok"}
                    better = "lower" if metric == "deletion" else "higher"
                    rows.append(row | {"better": better, "score": scores[method][clip]})
        return leaderboard.Judged.of(pd.DataFrame(rows))

    def test_sentences_claim_what_the_numbers_say(self):
        rng = np.random.default_rng(0)
        chance = lambda centre: list(centre + 0.01 * rng.standard_normal(20))  # noqa: E731
        found = self.table({"good": chance(0.9), "bad": chance(0.3), "loudness": chance(0.7), "random": chance(0.5)})
        assert found.told.startswith("By ROC area, good is best")
        assert "Significantly better than Random: good, loudness; significantly worse than Random: bad" in found.told
        assert "significantly better than Loudness: good; significantly worse than Loudness: bad, random" in found.told
        loud = self.table({"good": chance(0.6), "loudness": chance(0.9), "random": chance(0.5)})
        assert "A control has the best mean rank: loudness, which knows nothing of the model." in loud.told
        dark = self.table({"level-silence-map": chance(0.9), "loudness": chance(0.6), "random": chance(0.5)})
        assert "A control has the best mean rank: level-silence-map, which knows nothing" in dark.told
        same = self.table({"one": chance(0.5), "loudness": chance(0.5), "random": chance(0.5)})
        assert "no significant difference among" in same.told and "better than Random: none" in same.told

    def test_agreement_is_one_where_orders_agree(self):
        areas = {"a": [0.9, 0.8], "b": [0.7, 0.7], "c": [0.6, 0.5], "loudness": [0.3, 0.2], "random": [0.1, 0.1]}
        areas["level-silence-map"] = [0.2, 0.15]
        down = {name: [-x for x in values] for name, values in areas.items()}
        flat = {name: [1.0, 1.0] for name in areas}
        found = self.table(areas, deletion=down, insertion=down, mu_fidelity=flat)
        table = leaderboard.agreement(found).set_index("metric")
        assert table.loc["deletion", "per_clip"] == pytest.approx(1) and table.loc[
            "deletion", "of_means"
        ] == pytest.approx(1)
        assert table.loc["insertion", "per_clip"] == pytest.approx(-1)
        assert table.loc["mu-fidelity", "n"] == 0 and np.isnan(table.loc["mu-fidelity", "per_clip"])
        assert set(leaderboard.agreement(found, controls=False)["methods"]) == {3}

    def test_sampling_methods_get_about_the_same_budget(self, monkeypatch):
        monkeypatch.setattr(leaderboard, "METHODS", leaderboard.ASKING)
        costs = [method.cost(80) for method in leaderboard.methods_of(replace(QUICK, evaluations=1000))]
        assert len(costs) == 6 and min(costs) > 900 and max(costs) < 1100


def test_the_command(recordings, tmp_path, monkeypatch):
    """All four families on real recordings, as small as can be."""
    from earwitness.studies import truth

    monkeypatch.setattr(truth, "QUICK", replace(TINY, evaluations=16, grid=(4, 5)))
    monkeypatch.setattr(leaderboard, "METHODS", (ew.Occlusion, ew.Saliency, ew.Loudness, ew.Random))
    words = ["study", "truth", "--quick", "--data", str(recordings), "--out", str(tmp_path), "--json", "--quiet"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "README.md").read_text()
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    families_told = [title for title, _ in families.FAMILIES.values()]
    assert titles[1:] == ["Leaderboard", *families_told, "Does faithfulness agree with truth?", LAST]
    for name in ("scenes", "mixtures", "tone", "clipping", "gap", "stroke"):
        assert list(tmp_path.glob(f"*-{name}.png"))
        assert name == "mixtures" or list(tmp_path.glob(f"models/{name}-*/config.json"))
    assert "ESC-10, K. J. Piczak, CC BY 3.0" in text and "average clip" in text
    assert [path.name for path in tmp_path.rglob("*checkpoint*")] == []
