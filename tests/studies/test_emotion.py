"""The study of emotion: the whole of it on a miniature, kill and resume, splits, carried maps, the notebook's form by hand."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import earwitness as ew
from earwitness import statistics
from earwitness.classifiers.zoo import ResNet18
from earwitness.cli import app
from earwitness.components import Bins, Grid, Units
from earwitness.data.readers import Clip
from earwitness.explainers import LIME, METHODS, GradCAM, LevelSilenceMap, Occlusion
from earwitness.explanations import Explanation
from earwitness.naming import kebab
from earwitness.studies.emotion import contenders, learning, measured, trials
from earwitness.studies.emotion.carried import Carried, enlarged
from earwitness.studies.emotion.judging import Trial, beyond_random, chosen
from earwitness.studies.emotion.learning import EmotionRecipe, train_emotions
from earwitness.studies.emotion.notebook import AsInTheNotebook, marked
from earwitness.studies.emotion.trials import QUICK, Run, brought_to, random_split, speaker_splits

RATE = 16000
SMALL = EmotionRecipe(hop_length=1000, seconds=0.5, epochs=2, batch=8, width=8)


def utterance(seed, hertz, seconds=0.5):
    """A tone that comes and goes, in noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    return ew.Audio(
        0.2 * np.sin(2 * np.pi * hertz * t) * np.hanning(len(t)) + 0.005 * rng.standard_normal(len(t)), RATE
    )


@pytest.fixture
def miniature(tmp_path):
    """Both sets, small: two "emotions" (low and high tones), four speakers, 24 clips each."""
    for folder in ("emodb_2s", "nemo"):
        (tmp_path / "emotion" / folder / "audio").mkdir(parents=True)
        rows = []
        for number in range(24):
            label, path = ("anger", "boredom")[number % 2], f"audio/{number}.wav"
            utterance(number, 300 + 2500 * (number % 2)).save(tmp_path / "emotion" / folder / path)
            rows.append({"path": path, "label": label, "speaker": f"{3 + number // 6:02d}"})
        pd.DataFrame(rows).to_csv(tmp_path / "emotion" / folder / "metadata.csv", index=False)
    return tmp_path


@pytest.fixture
def few(monkeypatch):
    """Small pictures, short clips, and three methods beside the controls."""
    monkeypatch.setattr(learning, "COLUMNS", 9)
    recipes = [trials.replace(corpus, recipe=SMALL) for corpus in trials.CORPORA]
    monkeypatch.setattr(trials, "CORPORA", tuple(recipes))
    monkeypatch.setattr("earwitness.studies.emotion.QUICK", trials.replace(QUICK, epochs=5, width=8, samples=16))
    monkeypatch.setattr(statistics.mean_interval, "__defaults__", (0.95, 99, 0))  # quicker, and not looked at
    kept = {"lime", "grad-cam", "notebook-lrp", "level-silence-map", "saliency", "loudness", "random"}
    everyone = contenders.taking_part
    for user in ("judging", "drawing"):
        monkeypatch.setattr(
            f"earwitness.studies.emotion.{user}.taking_part",
            lambda *given: {name: method for name, method in everyone(*given).items() if name in kept},
        )


def study(*words):
    return CliRunner().invoke(app, ["study", "emotion", *map(str, words)])


def test_the_whole_study_and_again(miniature, few, tmp_path):
    """Every section with its tables; the same command trains nothing, explains nothing, and writes the same figures."""
    words = ["--quick", "--data", miniature, "--out", tmp_path / "out", "--json"]
    first = study(*words)
    assert first.exit_code == 0, (first.output, first.exception)
    assert [*json.loads(first.stdout)["answers"]] == "emodb notebook emotions comparison controls nemo polish".split()
    tables = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
    assert not list((tmp_path / "out").glob("polish*.png")), "recordings whose licence forbids it are not shown"
    assert list((tmp_path / "out").glob("maps-*.png")) and "epoch 5 of 5" in first.stderr
    again = study(*words)
    assert "epoch" not in again.stderr, "nothing is trained twice"
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")} == tables
    clips = pd.read_csv(tmp_path / "out" / "emotions-clips.csv")
    for regions in ("scattered", "shifted"):
        np.testing.assert_allclose(clips["drop"] - clips[f"random drop, {regions}"], clips[regions], atol=1e-5)


def test_a_training_that_was_killed_goes_on(miniature, few, tmp_path):
    """Stopped behind its first epoch, the training ends in the same bits as one that was not."""
    whole, killed = (Run(trials.replace(QUICK, epochs=3, width=8), tmp_path / name, miniature) for name in ("a", "b"))
    corpus, splits = next(iter(whole.corpora.items()))
    expected = whole.model(corpus, splits[1])

    def stop(line):
        raise KeyboardInterrupt

    killed.say = stop
    with pytest.raises(KeyboardInterrupt):
        killed.model(corpus, splits[1])
    assert list((tmp_path / "b").rglob("checkpoint.pt"))
    lines = []
    killed.say = lines.append
    assert ew.fingerprint(killed.model(corpus, splits[1])) == ew.fingerprint(expected)
    assert [line.split(":")[1][:12] for line in lines] == [" epoch 2 of ", " epoch 3 of "]


def test_splits_leak_nobody():
    clips = [Clip(f"{who}-{label}-{n}", label, who) for who in "abcdefg" for label in "xy" for n in range(10)]
    splits = speaker_splits(clips, 2)
    assert [split.left_out for split in splits] == [("a", "b"), ("c", "d"), ("e", "f"), ("g",)]
    for split in splits:
        assert {clip.group for clip in split.test} == set(split.left_out)
        assert not {clip.group for clip in split.training} & set(split.left_out)
        assert len(split.training) + len(split.test) == len(clips)
    split = random_split(clips, 0)
    parts = [split.training, split.validation, split.test]
    assert [len(part) for part in parts] == [2 * 45, 2 * 11, 2 * 14]
    assert len({clip.path for part in parts for clip in part}) == len(clips)
    assert all(sum(clip.label == "x" for clip in part) == len(part) // 2 for part in parts)
    assert random_split(clips, 1).test != split.test == random_split(clips, 0).test


def test_clips_are_brought_to_their_length():
    sound = utterance(0, 440, 0.25)
    longer, shorter = brought_to(sound, 0.5), brought_to(sound, 0.1)
    assert (
        len(longer.samples) == 8000 and not longer.samples[4000:].any() and "filled with 4000" in longer.provenance[-1]
    )
    np.testing.assert_array_equal(shorter.samples, sound.samples[:1600])


def test_varied_clips_are_turned_around_and_stretched():
    """Without stretching nothing is lost: the same powers, turned around. With it nothing is left empty or stands still."""
    power = torch.rand(6, 1, 128, 20, generator=torch.Generator().manual_seed(0))
    still, turns = learning._varied(power, replace(SMALL, stretch=0.0), np.random.default_rng(0)), []
    for item, found in zip(power[:, 0], still[:, 0], strict=True):
        both = [(up, on) for up in range(-5, 6) for on in range(20) if torch.equal(item.roll((up, on), (0, 1)), found)]
        assert len(both) == 1
        turns += both
    assert min(len(set(amounts)) for amounts in zip(*turns, strict=True)) > 3
    ramp = torch.arange(100.0).repeat(40, 1, 128, 1)
    steps = learning._varied(ramp, SMALL, np.random.default_rng(2))[:, 0, 0].diff()
    assert (steps != 0).float().mean() > 0.99
    slopes = steps.median(-1).values  # one divided by the stretch
    assert 1 / 1.15 <= float(slopes.min()) < 0.95 and 1.05 < float(slopes.max()) <= 1 / 0.85


def test_a_faster_tape_is_higher_shorter_and_begins_anew(tmp_path):
    """1 kHz at 1.25 times the speed is 1.25 kHz; a burst at 0.4 s comes at 0.32 s, and its beginning again at the end."""
    sound = torch.zeros(RATE // 2)
    for start in (0, 6400):  # a long burst at the beginning, and one at 0.4 s
        sound[start : start + 800] = torch.sin(2 * torch.pi * 1000 * torch.arange(800) / RATE)
    ew.Audio(sound, RATE).save(tmp_path / "burst.wav")
    mel = EmotionRecipe(n_fft=512, hop_length=160).mel()
    for speed, hertz, starts in ((1.0, 1000, (0, 0.4, 0.5)), (1.25, 1250, (0, 0.32, 0.4)), (0.8, 800, (0, 0.5))):
        power = learning._powers([Clip(tmp_path / "burst.wav", "a", "b")], mel, 0.6, speed)[0, 0]
        frequency, time = mel.axes(round(0.6 * RATE))
        heard = frequency.centers[int(power.sum(1).argmax())]
        assert abs(heard - hertz) < 35, (speed, heard)  # the spectrum has a bin every 31 Hz
        loud = power.sum(0) > 0.25 * power.sum(0).max()
        found = time.centers[np.flatnonzero(np.diff(loud.int().numpy(), prepend=0) == 1)]
        assert len(found) == len(starts) and np.allclose(found, starts, atol=0.02), (speed, found)


def test_statistics_are_those_of_the_training_clips(miniature, few):
    """What the network takes has mean 0 and deviation 1 over the clips it learns from, and not over others."""
    run = Run(trials.replace(QUICK, epochs=1, width=8, training=None), miniature / "out", miniature)
    split = next(iter(run.corpora.values()))[1]
    classifier, _ = train_emotions(split.training, ["anger", "boredom"], trials.replace(SMALL, epochs=1))
    taken = torch.cat([classifier.at("features", clip.load(RATE).samples[None]) for clip in split.training])
    assert taken.shape[1:] == (1, 128, 9)
    assert abs(float(taken.mean())) < 1e-3 and abs(float(taken.std()) - 1) < 1e-3


class Board(torch.nn.Module):
    """The logit of "a" is the sum of the features times a picture, that of "b" is 0; behind `layer4`, which is the features."""

    def __init__(self, picture):
        super().__init__()
        self.register_buffer("picture", picture)
        self.layer4 = torch.nn.Conv2d(1, 1, 1, bias=False)
        torch.nn.init.ones_(self.layer4.weight)

    def forward(self, x):
        logit = (self.layer4(x) * self.picture).sum((1, 2, 3))
        return torch.stack([logit, torch.zeros_like(logit)], 1)


@pytest.fixture
def board():
    """A linear score of ready features, 16 x 24, and the question about its bins."""
    rng = np.random.default_rng(0)
    picture = torch.from_numpy(rng.standard_normal((16, 24))).float() / 50
    classifier = ew.Classifier(Board(picture), None, ["a", "b"])
    x = torch.from_numpy(rng.standard_normal((1, 16, 24))).float()
    return ew.ask(classifier, x, Bins(baseline="flat"), "a")


def test_a_carried_map_by_hand(board):
    """Occlusion of 2 x 3 rectangles of a linear score: each bin has the sum over its rectangle of slope x (clip - mean)."""
    found = Carried(Occlusion(), Grid(2, 3, baseline="flat"), 6)(board)
    effect = (board.classifier.network.picture * (board.x[0] - board.x.mean())).numpy()
    for row in range(16):
        for column in range(24):
            r, c = row // 8 * 8, column // 8 * 8
            assert found.values[row, column] == pytest.approx(effect[r : r + 8, c : c + 8].sum(), abs=1e-4)
    assert found.kind == "effect" and Carried(LIME(8), Grid(2, 3)).cost(384) == 8


def test_places_are_enlarged_between_their_middles():
    """Two places on four columns: their middles lie at columns 0.5 and 2.5; outside them nothing changes."""
    np.testing.assert_allclose(enlarged(np.array([[0.0, 4.0]]), (1, 4)), [[0, 1, 3, 4]])
    np.testing.assert_allclose(enlarged(np.array([[0.0, 4.0]]), (2, 4)), [[0, 1, 3, 4]] * 2)


def test_grad_cam_is_asked_about_its_layer(board):
    """The layer is the clip: weight times the clip, above 0, with a place for each bin."""
    found = Carried(GradCAM(), Units("layer4", baseline="flat"), 20)(board)
    weight = float(board.classifier.network.picture.mean())
    np.testing.assert_allclose(found.values, np.maximum(weight * board.x[0].numpy(), 0), atol=1e-6)


def test_the_notebook_s_form_written_again(board):
    """Its lines, slowly: percentile, fill with the mean, probabilities, one draw."""
    rng = np.random.default_rng(1)
    values = rng.standard_normal((16, 24)).round(1)
    found = Explanation.of(board, values, "effect")
    x, picture = board.x[0].numpy().copy(), board.classifier.network.picture.numpy()

    def probability(features):
        return 1 / (1 + np.exp(-(features * picture).sum()))

    important = np.abs(values) > np.percentile(np.abs(values), 80)
    np.testing.assert_array_equal(marked(found), important)
    without = x.copy()
    without[important] = x.mean()
    score = AsInTheNotebook(seed=3)(board, found)
    assert score.parts["prob_drop_important"] == pytest.approx(probability(x) - probability(without), abs=1e-5)
    assert score.parts["share"] == important.mean()
    assert float(score) == pytest.approx(score.parts["prob_drop_important"] - score.parts["prob_drop_random"], abs=1e-9)
    silent = LevelSilenceMap()(board)
    quiet = AsInTheNotebook(seed=3)(board, silent)
    np.testing.assert_array_equal(marked(silent), silent.others["silence"] > 0.5)
    assert float(quiet) == pytest.approx(quiet.parts["prob_drop_random"] - quiet.parts["prob_drop_silence"], abs=1e-9)


def test_lime_s_positive_rectangles(board):
    """Of 96 weights the 30 with the largest absolute values, and of these the positive ones."""
    weights = np.random.default_rng(2).standard_normal((8, 12))
    method = Carried(LIME(8), Grid(8, 12, baseline="flat"))
    bins = np.kron(weights, np.ones((2, 2)))
    best = np.zeros(96, bool)
    best[np.argsort(-np.abs(weights), axis=None)[:30]] = True
    expected = best.reshape(8, 12) & (weights > 0)
    np.testing.assert_array_equal(
        marked(Explanation.of(board, bins, "effect", explainer=method)), np.kron(expected, np.ones((2, 2))) > 0
    )
    below = -np.abs(bins)
    assert not marked(Explanation.of(board, below, "effect", explainer=method)).any()
    below[:2, :2] = 0.001  # the one positive weight is not among the 30 largest: then all positive ones count
    assert marked(Explanation.of(board, below, "effect", explainer=method)).sum() == 4


def test_clips_are_taken_in_turns():
    def clips(*labels):
        return [
            ew.Audio(np.ones(4), 8) if label is None else Clip(f"{label}-{n}", label) for n, label in enumerate(labels)
        ]

    several = [
        Trial("one", None, clips("x", "x", "x", "y")),
        Trial("two", None, clips("x", "z")),
        Trial("no", None, []),
    ]
    taken = chosen(several, 2)
    assert [(trial.name, [str(clip.path) for clip in trial.clips]) for trial in taken] == [
        ("one", ["x-0", "y-3"]),
        ("two", ["x-0", "z-1"]),
    ]


def test_methods_against_random_regions_by_hand():
    """Eight clips, all above 0: Wilcoxon's p is 2 / 2^8, Holm-corrected over two methods."""
    from earwitness.studies.comparison import Comparison, tidy

    rows = [
        {"clip": f"{n}", "label": "x", "explainer": name, "metric": "scattered", "better": "higher", "status": "ok"}
        | {"score": score, "key": f"{n}{name}"}
        for n in range(8)
        for name, score in (("good", 0.1 + 0.01 * n), ("random", 0.01 * (n - 3.5) * (-1) ** n))
    ]
    found = Comparison(tidy(rows), "random", None)
    table = beyond_random(found, "scattered").set_index("explainer")
    assert table.loc["good", "p"] == pytest.approx(2 * 2 / 2**8) and table.loc["good", "verdict"] == "better"
    assert table.loc["good", "mean"] == pytest.approx(0.135) and table.loc["good", "above_0"] == 8
    assert table.loc["random", "verdict"] == "" and list(table.index) == ["good", "random"]


def test_what_the_page_says_of_absent_emotions_and_of_loudness():
    """Emotions without a clip are named; the control is, where it passes, with those that beat it by more than chance."""
    clip = SimpleNamespace(label="fear")
    trial = Trial("one", SimpleNamespace(labels=("anger", "fear", "joy")), [clip])
    assert measured._unexplained(SimpleNamespace(trials=[trial])).endswith("named rightly: anger, joy.")
    trial = Trial("one", SimpleNamespace(labels=("fear",)), [clip])
    assert measured._unexplained(SimpleNamespace(trials=[trial])) == ""
    rows = [("lime", 0.3, 0.01, 0.5), ("lrp", 0.2, 0.3, 0.4), ("gradient", -0.1, 0.01, 0.1)]
    table = pd.DataFrame(rows, columns=["explainer", "minus_loudness", "p_loudness", "mean"]).assign(metric="shifted")
    found = SimpleNamespace(all=SimpleNamespace(loudness="loudness", summary=lambda: table))
    passed = pd.DataFrame({"verdict": ["better"], "mean": [0.2]}, index=["loudness"])
    said = measured._beside_loudness(found, passed)
    assert "loudness (+0.20) passes too" in said and said.endswith("Better than loudness: lime.")
    dark = pd.DataFrame({"verdict": ["", "better"], "mean": [0.2, 0.07]}, index=["loudness", "level-silence-map"])
    assert "shape level-silence-map (+0.07) passes too, knowing" in measured._beside_loudness(found, dark)
    both = measured._beside_loudness(found, dark.assign(verdict="better"))
    assert "loudness (+0.20) and level-silence-map (+0.07) pass too" in both and both.endswith("lime.")
    assert measured._beside_loudness(found, passed.assign(verdict="")) == ""


def test_whether_conclusions_hold():
    """25 methods can differ from 0 with 10 clips at the earliest: 25 x 2 / 2^10 = 0.049."""
    assert measured._held(25, 5, True, 9) == "9 clips are too few to tell"
    assert measured._held(25, 5, True, 10) == "20 of 25 do"
    assert measured._held(25, 0, True, 10) == "yes"
    assert measured._held(25, 0, False, 10) == "there is nothing to hold"


def test_every_method_takes_part():
    """All that apply: what needs tokens is left out, and what is no more than another in this list."""
    classifier = ew.Classifier(ResNet18(2, width=8), None, ["a", "b"])
    names = set(contenders.taking_part(classifier, torch.zeros(1, 32, 36), QUICK))
    assert {kebab(method) for method in METHODS} - names == {"attention-rollout", "loudness"}
    assert {"notebook-lrp", "lrp", "grad-cam", "level-silence-map", "random"} <= names
