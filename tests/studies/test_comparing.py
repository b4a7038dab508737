"""Comparisons: every row against direct calls, and whatever stops a run."""

import errno
import gc
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import earwitness as ew
from earwitness.data.synthetic import Tones
from earwitness.errors import InputError, UsageError
from earwitness.explainers import Attribution
from earwitness.metrics import Deletion, PointingGame, Score
from earwitness.questions import counting
from earwitness.studies import shards as shards_module
from earwitness.studies.comparing import _named, _Run, compare
from earwitness.studies.comparing_rows import Plan
from earwitness.studies.comparison import Comparison
from earwitness.studies.shards import SCHEMA, Shards
from earwitness.studies.workers import share_out

ROOT = Path(__file__).parents[2]
SCENES = [partial(Tones(), seed) for seed in range(3)]
METHODS = (ew.Sobol(designs=2), ew.Occlusion())
METRICS = (Deletion(steps=4), PointingGame())
CUT = ew.Grid(3, 3)
WITHOUT_TIME = [name for name in SCHEMA.names if name != "seconds"]


@pytest.fixture(scope="module")
def tones() -> ew.Classifier:
    if not (ROOT / "models" / "tones" / "config.json").is_file():
        pytest.skip("models/tones is not there: earwitness train tones --out models/tones")
    return ew.load_classifier(ROOT / "models" / "tones")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list:
    """Three scenes, and three clips that fail."""
    broken = tmp_path_factory.mktemp("clips") / "broken.wav"
    broken.write_bytes(b"RIFF, and no more")
    return [*SCENES, broken, ew.Audio(np.zeros(4000), 8000), ew.Audio(np.ones(9) / 2, 8000)]


@pytest.fixture(scope="module")
def whole_run(tones, clips, tmp_path_factory) -> Comparison:
    """What an undisturbed run finds."""
    return run(tones, clips, tmp_path_factory.mktemp("whole"))


def run(classifier, clips, folder, explainers=METHODS, metrics=METRICS, **options) -> Comparison:
    return compare(classifier, clips, explainers, metrics, folder, components=CUT, **options)


def same(found: pd.DataFrame, expected: pd.DataFrame, time: bool = False) -> None:
    """The same rows, bit for bit; without the seconds, which no two runs share."""
    names = SCHEMA.names if time else WITHOUT_TIME
    pd.testing.assert_frame_equal(found[names], expected[names], check_exact=True)


class TestTable:
    def test_every_row_is_what_direct_calls_say(self, tones, whole_run):
        table = whole_run.table.set_index(["clip", "explainer", "metric"])
        for number, recipe in enumerate(SCENES):
            scene = recipe()
            question = ew.ask(tones, scene.audio, CUT, truth=scene.truth)
            for name, method in {
                "sobol:designs=2": METHODS[0],
                "occlusion": METHODS[1],
                "loudness": ew.Loudness(),
            }.items():
                explanation = method(question)
                for label, metric in {"deletion:steps=4": METRICS[0], "pointing-game": METRICS[1]}.items():
                    row = table.loc[f"clip {number}", name, label]
                    assert row["score"] == float(metric(question, explanation))
                    assert (row["target"], row["evaluations"]) == (explanation.target, explanation.evaluations)
                    assert (row["status"], row["better"], row["label"]) == ("ok", metric.better, scene.label)

    def test_rows_stand_in_order_and_have_their_types(self, whole_run, clips):
        table = whole_run.table
        methods, metrics = ["sobol:designs=2", "occlusion", "loudness", "random"], ["deletion:steps=4", "pointing-game"]
        expected = [(c, e, m) for c in table["clip"].unique() for e in methods for m in metrics]
        assert list(table[["clip", "explainer", "metric"]].itertuples(index=False, name=None)) == expected
        assert list(table.columns) == SCHEMA.names and table["key"].is_unique
        assert (table["score"].dtype, table["seed"].dtype) == (np.float64, pd.Int64Dtype())

    def test_what_fails_is_a_row_with_its_reason(self, whole_run, clips):
        table = whole_run.table
        reasons = table.groupby("clip", sort=False)["reason"].first().tolist()
        assert [
            text in reason for text, reason in zip(["", "", "", "truncated", "silence", "short"], reasons, strict=True)
        ]
        assert table["status"].value_counts().to_dict() == {"ok": 24, "failed": 24}
        assert table.loc[table["status"] == "failed", "score"].isna().all()
        assert set(whole_run.failures["clip"]) == {str(clips[3]), "clip 4", "clip 5"}

    def test_random_draws_another_map_for_each_clip(self, whole_run):
        rows = whole_run.table.query("explainer == 'random' and status == 'ok'")
        assert rows.groupby("clip")["seed"].nunique().tolist() == [1, 1, 1] and rows["seed"].nunique() == 3

    def test_what_does_not_apply_is_no_failure(self, tones, tmp_path):
        found = run(tones, [SCENES[0]().audio], tmp_path)  # without its truth
        rows = found.table.query("metric == 'pointing-game'")
        assert set(rows["status"]) == {"not applicable"} and "cause is not known" in rows["reason"].iloc[0]
        assert len(found.failures) == 0 and "nothing to compare" in found.verdict("pointing-game")

    def test_a_broken_metric_costs_its_rows_only(self, tones, tmp_path):
        @dataclass(frozen=True)
        class Broken(Deletion):
            def kept(self, order, count):
                raise ZeroDivisionError("by nothing")

        found = run(tones, SCENES[:1], tmp_path, metrics=[Broken(), Deletion(steps=2)])
        assert found.table.groupby("metric")["status"].unique().map(list).to_dict() == {
            "broken": ["failed"],
            "deletion:steps=2": ["ok"],
        }
        assert set(found.failures["reason"]) == {"ZeroDivisionError: by nothing"}

    def test_a_score_that_is_no_number_is_a_failure(self, tones, tmp_path):
        @dataclass(frozen=True)
        class Nothing(PointingGame):
            better: ClassVar[str] = "lower"

            def of(self, values, cause):
                return Score(np.nan)

            __call__ = lambda self, question, explanation: Score(np.inf)  # noqa: E731

        rows = run(tones, SCENES[:1], tmp_path, metrics=[Nothing()]).table
        assert set(rows["reason"]) == {"the score is inf"} and set(rows["status"]) == {"failed"}

    def test_loudness_is_left_out_where_there_is_no_sound(self, cnn, tmp_path):
        found = compare(
            cnn(None), [torch.rand(1, 20, 20)], [ew.Occlusion()], [Deletion(steps=2)], tmp_path, components=CUT
        )
        assert list(found.table["explainer"]) == ["occlusion", "random"] and found.loudness is None
        assert "no Loudness" in str(found)

    def test_names_tell_methods_apart(self, tones, tmp_path):
        methods = [ew.Sobol(designs=2), ew.Sobol(designs=2, seed=1), ew.Loudness(), ew.Random(seed=3)]
        found = run(tones, SCENES[:1], tmp_path, explainers=methods, metrics=[Deletion(steps=2)])
        assert list(found.table["explainer"]) == [
            "sobol:designs=2",
            "sobol:designs=2,seed=1",
            "loudness",
            "random:seed=3",
        ]
        assert (found.random, found.loudness) == ("random:seed=3", "loudness")
        with pytest.raises(UsageError, match="given twice"):
            run(tones, SCENES[:1], tmp_path, explainers=[ew.Sobol(), ew.Sobol()])

    def test_it_can_be_read_and_drawn(self, whole_run, tmp_path):
        text = str(whole_run)
        assert "6 clips, 48 rows: 24 ok, 24 failed" in text and "deletion:steps=4 (lower is better)" in text
        whole_run.plot(tmp_path / "ranks.png")
        assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")
        panel = whole_run.picture("deletion:steps=4").panels[0]
        assert list(panel.names) == list(whole_run.ranks("deletion:steps=4").index)
        with pytest.raises(UsageError, match="unknown metric"):
            whole_run.verdict("delation")


class TestClips:
    def test_a_clip_is_known_by_its_content(self, tones, tmp_path):
        audio = SCENES[0]().audio
        audio.save(tmp_path / "a.wav")
        (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
        done = []
        found = run(
            tones,
            [tmp_path / "a.wav", str(tmp_path / "b.wav")],
            tmp_path / "rows",
            progress=lambda *n: done.append(n[0]),
        )
        assert len(found.table) == 16 and sum(done) == 8
        first, second = (found.table[found.table["clip"] == str(tmp_path / name)] for name in ("a.wav", "b.wav"))
        names = ["explainer", "metric", "score", "key"]
        pd.testing.assert_frame_equal(first[names].reset_index(drop=True), second[names].reset_index(drop=True))

    def test_the_same_clip_is_not_begun_twice(self, tones, tmp_path):
        named = {"deletion": Deletion()}
        plan = Plan.of(tones, {"occlusion": ew.Occlusion()}, named, CUT, None, tmp_path)
        begun = _Run(plan, Shards(tmp_path), 3)
        assert len(list(begun.tasks([SCENES[0], SCENES[1], SCENES[0]]))) == 2 and begun.expected == 2

    def test_objects_that_load_bring_label_and_cause(self, tones, tmp_path):
        scene = SCENES[1]()

        @dataclass
        class Recipe:
            label: str = "high"
            path: str = "somewhere"

            def load(self, sample_rate):
                return scene.audio.resampled(sample_rate)

            def load_event(self, sample_rate):
                return scene.cause.resampled(sample_rate)

        by_event, by_scene = run(tones, [Recipe()], tmp_path).table, run(tones, [scene], tmp_path).table
        assert set(by_event["clip"]) == {"somewhere"} and set(by_event["label"]) == {"high"}
        assert by_event["score"].tolist() == by_scene["score"].tolist()

    def test_one_sound_at_a_time(self, tones, tmp_path):
        alive, most = weakref.WeakSet(), []

        def make(seed):
            gc.collect()
            most.append(len(alive))
            audio = Tones()(seed).audio
            alive.add(audio)
            return audio

        recipes = [partial(make, seed) for seed in range(4)]
        run(tones, recipes, tmp_path, explainers=[ew.Occlusion()], metrics=[Deletion(steps=2)])
        assert most == [0, 0, 0, 0]

    def test_what_is_no_clip(self, tones, tmp_path):
        with pytest.raises(UsageError, match="a clip is a path"):
            run(tones, [3], tmp_path)
        with pytest.raises(UsageError, match="unknown label"):
            run(tones, SCENES, tmp_path, target="middle")
        with pytest.raises(UsageError, match="a metric or more"):
            run(tones, SCENES, tmp_path, metrics=[])


class TestGoingOn:
    def test_a_finished_run_asks_nothing_again(self, tones, clips, tmp_path):
        first = run(tones, clips[:2], tmp_path)
        with counting() as asked:
            again = run(tones, clips[:2], tmp_path)
        assert asked.evaluations == 0
        same(again.table, first.table, time=True)

    def test_only_what_is_missing_is_computed(self, tones, tmp_path, whole_run, clips):
        done: list[int] = []
        count = lambda rows, expected: done.append(rows)  # noqa: E731
        first = run(tones, clips[:2], tmp_path, METHODS[:1], METRICS[:1], progress=count)
        assert sum(done) == 2 * 3
        found = run(tones, clips, tmp_path, progress=count)
        assert sum(done) == 2 * 8 + 8 + 2 * 8  # the clip that can't be read is not computed, the other two failures are
        same(found.table, whole_run.table)
        merged = found.table.merge(first.table, on="key", suffixes=("", "_first"))
        assert len(merged) == 6 and (merged["seconds"] == merged["seconds_first"]).all()

    def test_a_metric_that_is_added_needs_no_explanation_anew(self, tones, tmp_path, whole_run, clips):
        @dataclass(frozen=True)
        class Given(Deletion):
            """Also knows by what, and about what, it was explained."""

            def __call__(self, question, explanation):
                again = explanation.explainer(explanation.question)
                assert explanation.question is question
                return Score(np.array_equal(again.values, explanation.values) and again.kind == explanation.kind)

        run(tones, clips[:2], tmp_path, [ew.Sobol(designs=2)], METRICS[:1])
        with counting() as asked:
            found = run(tones, clips[:2], tmp_path, [ew.Sobol(designs=2)], METRICS)
        assert asked.evaluations == 2 * (0 + 2 + 2)  # the ends, by Loudness and Random
        direct = run(tones, clips[:2], tmp_path / "direct", [ew.Sobol(designs=2)], METRICS)
        same(found.table, direct.table)
        for path in tmp_path.glob("maps/*.npz"):
            path.write_bytes(path.read_bytes()[:-40])  # damaged: explained anew
        more = run(tones, clips[:2], tmp_path, [ew.Sobol(designs=2)], [*METRICS, Given()]).table
        assert more.query("metric == 'given' and explainer == 'sobol:designs=2'")["score"].tolist() == [1, 1]

    def test_another_model_target_or_cut_is_another_row(self, tones, cnn, tmp_path):
        keys = set()
        for classifier, options in (
            (tones, {"components": CUT}),
            (tones, {"components": CUT, "target": "high"}),
            (tones, {"components": ew.Grid(3, 4)}),
            (cnn(tones.frontend), {"components": CUT}),
        ):
            keys |= set(compare(classifier, SCENES[:1], [], METRICS[:1], tmp_path, **options).table["key"])
        assert len(keys) == 8

    @pytest.mark.parametrize("damage", ["cut", "turned", "other", "empty"])
    def test_a_damaged_shard_is_told_and_computed_again(self, tones, tmp_path, damage):
        first = run(tones, SCENES[:2], tmp_path)
        path = sorted(tmp_path.glob("*.parquet"))[0]
        content = bytearray(path.read_bytes())
        content[60] ^= 1
        if damage == "other":
            pq.write_table(pa.table({"key": ["a"]}), path)
        else:
            path.write_bytes({"cut": content[:-30], "turned": content, "empty": b""}[damage])
        (tmp_path / ".abc.part.parquet").write_bytes(b"half")
        found = run(tones, SCENES[:2], tmp_path)
        same(found.table, first.table)
        assert [f"{path} is damaged" in note or "half-written" in note for note in found.notes] == [True, True]
        assert not (tmp_path / ".abc.part.parquet").exists()

    def test_no_byte_can_be_turned_unseen(self, tmp_path):
        shards = Shards(tmp_path)
        shards.open()
        rows = [
            dict.fromkeys(SCHEMA.names, "x") | {"score": i / 7, "seconds": 0.1, "evaluations": i, "seed": None}
            for i in (1, 2)
        ]
        rows = [row | {"key": str(i)} for i, row in enumerate(rows)]
        shards.write("a", rows)
        assert list(shards.read("a").values()) == rows
        content = (tmp_path / "a.parquet").read_bytes()
        for place in range(0, len(content), 17):
            broken = bytearray(content)
            broken[place] ^= 1 << (place % 8)
            (tmp_path / "a.parquet").write_bytes(broken)
            assert list(shards.read("a").values()) in ([], rows), place

    def test_a_full_disk_loses_nothing(self, tones, clips, tmp_path, whole_run, monkeypatch):
        written = []

        def full(table, path, **options):
            written.append(path)
            if len(written) > 5:
                Path(path).write_bytes(b"half a sh")
                raise OSError(errno.ENOSPC, "No space left on device")
            real(table, path, **options)

        real = pq.write_table
        monkeypatch.setattr(shards_module.pq, "write_table", full)
        with pytest.raises(InputError, match="No space left"):
            run(tones, clips, tmp_path)
        assert (
            len([path for path in tmp_path.iterdir() if path.is_file()]) == 2
        )  # the first clip whole, the second in part, and no half
        monkeypatch.undo()
        done = []
        same(run(tones, clips, tmp_path, progress=lambda rows, _: done.append(rows)).table, whole_run.table)
        assert sum(done) == (20 - 5) * 2

    def test_ctrl_c_loses_nothing(self, tones, clips, tmp_path, whole_run):
        asked = []

        def stop(rows, expected):
            asked.append(rows)
            if len(asked) == 6:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(tones, clips, tmp_path, progress=stop)
        done = []
        same(run(tones, clips, tmp_path, progress=lambda rows, _: done.append(rows)).table, whole_run.table)
        assert sum(done) == (20 - 6) * 2

    def test_an_answer_that_was_cut_short_is_not_stored(self, tones, tmp_path):
        @dataclass(frozen=True)
        class CutShort(ew.Explainer):
            kind: ClassVar[str] = "effect"

            def cost(self, size):
                return 0

            def attribute(self, question):
                return Attribution(np.zeros(question.shape), stopped="interrupted")

        with pytest.raises(KeyboardInterrupt):
            run(tones, SCENES[:1], tmp_path, explainers=[CutShort()])
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_rows_that_somebody_took_away(self, tones, tmp_path):
        def clear(rows, expected):
            for path in tmp_path.glob("*.parquet"):
                path.unlink()

        with pytest.raises(InputError, match="no longer in"):
            run(tones, SCENES[:1], tmp_path, progress=clear)


SCRIPT = """
import multiprocessing, sys
from functools import partial
import torch
torch.set_num_threads(1)
import earwitness as ew
from earwitness.data.synthetic import Tones

def told(rows, expected):
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)

if __name__ == "__main__":
    folder, broken, model, jobs = sys.argv[1:]
    clips = [partial(Tones(), seed) for seed in range(3)] + [broken]
    methods, metrics = [ew.Sobol(designs=2), ew.Occlusion()], [ew.metrics.Deletion(steps=4), ew.metrics.PointingGame()]
    ew.compare(
        ew.load_classifier(model), clips, methods, metrics, folder, components=ew.Grid(3, 3), jobs=int(jobs), progress=told
    )
"""


class TestProcesses:
    def test_two_find_the_same_bits_as_one(self, tones, clips, tmp_path, whole_run):
        same(run(tones, clips, tmp_path, jobs=2).table, whole_run.table)

    def test_killed_at_any_moment(self, tones, clips, tmp_path, whole_run):
        """By SIGKILL, twice; no worker outlives its parent, and the run that goes on ends with the same table."""
        (tmp_path / "script.py").write_text(SCRIPT)
        folder, rng, workers = tmp_path / "rows", np.random.default_rng(), []
        for jobs in (1, 2):
            process = subprocess.Popen(
                [sys.executable, "-B", tmp_path / "script.py", folder, clips[3], ROOT / "models" / "tones", str(jobs)],
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert process.stdout is not None
            for _ in range(int(rng.integers(1, 5))):
                workers += map(int, process.stdout.readline().split())
            time.sleep(float(rng.uniform(0, 0.05)))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
        assert len(set(workers)) == 2
        gone_within(5.0, workers)
        before = sum(pq.read_metadata(path).num_rows for path in folder.glob("[!.]*.parquet"))
        done = []
        found = run(tones, clips, folder, progress=lambda rows, _: done.append(rows))
        assert sum(done) == 40 - before  # each row once
        same(found.table, whole_run.table)

    def test_the_users_threads_are_put_back(self, tones, tmp_path):
        torch.set_num_threads(2)
        inside = []
        try:
            run(tones, SCENES[:1], tmp_path, progress=lambda rows, _: inside.append(torch.get_num_threads()))
            assert (set(inside), torch.get_num_threads()) == ({1}, 2)
        finally:
            torch.set_num_threads(1)

    def test_what_cannot_be_sent_is_told(self, tmp_path):
        box = ew.BlackBox(lambda x: np.stack([x.max(1), -x.max(1)], 1), 8000, ["loud", "quiet"])
        arguments = (box, SCENES[:2], [], [Deletion(steps=2)])
        with pytest.raises(UsageError, match="jobs=1"):
            compare(*arguments, tmp_path, components=ew.Segments(count=4), jobs=2)
        assert len(compare(*arguments, tmp_path, components=ew.Segments(count=4)).table) == 4
        with pytest.raises(UsageError, match="jobs"):
            compare(*arguments, tmp_path, jobs=0)

    def test_a_worker_that_dies_is_told(self, tmp_path, monkeypatch):
        (tmp_path / "deadly.py").write_text(
            "import os, time\ndef work(shared, task):\n    yield os.getpid()\n    time.sleep(task)\n    os._exit(7)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        from deadly import work  # type: ignore

        answers = share_out(work, None, iter([0, 600]), 2)
        first = next(answers)
        with pytest.raises(ew.ModelError, match="exit code 7"):
            list(answers)
        assert not runs(first)

    def test_no_worker_outlives_its_parent(self, tmp_path):
        """Not even one that is busy for a minute."""
        (tmp_path / "script.py").write_text(
            "import os, time\nfrom earwitness.studies.workers import share_out\n"
            "def work(shared, task):\n    yield os.getpid()\n    time.sleep(60)\n"
            'if __name__ == "__main__":\n    for pid in share_out(work, None, iter("ab"), 2):\n        print(pid, flush=True)\n'
        )
        process = subprocess.Popen([sys.executable, "-B", tmp_path / "script.py"], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        workers = [int(process.stdout.readline()) for _ in range(2)]
        assert all(map(runs, workers))
        process.kill()
        process.wait()
        process.stdout.close()
        gone_within(5.0, workers)


def gone_within(seconds: float, workers: list[int]) -> None:
    """No process of these runs any more (one that nobody has collected yet does not run)."""
    end = time.monotonic() + seconds
    while running := [pid for pid in workers if runs(pid)]:
        assert time.monotonic() < end, f"still running: {running}"
        time.sleep(0.05)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_without_clips(tmp_path):
    with pytest.raises(ew.UsageError, match="there are no clips"):
        ew.compare(ew.Classifier(torch.nn.Identity(), ew.Waveform(8000), ["a"]), [], METHODS, METRICS, tmp_path)


def test_defaults_have_no_name():
    assert list(_named([ew.metrics.Comprehensiveness(), ew.metrics.SensitivityN()], "metric")) == [
        "comprehensiveness",
        "sensitivity-n",
    ]
