"""Recipes: small runs of the real thing, to a folder that loads, with a card; stopped and resumed; and what can go wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.audio import Audio
from earwitness.data.readers import Clip, class_folders
from earwitness.data.synthetic import Tones
from earwitness.errors import InputError, UsageError
from earwitness.studies import recipes
from earwitness.studies.answering import answers
from earwitness.studies.event_training import EventRecipe, powers, train_events
from earwitness.studies.model_cards import data_hash

SMALL = EventRecipe(mixing=0.0, epochs=12, batch=8, seconds=0.6, sample_rate=8000)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three classes of tones in noise, twelve clips each, of different lengths."""
    base = tmp_path_factory.mktemp("clips")
    for label, hertz in (("low", 300), ("middle", 900), ("high", 2500)):
        (base / label).mkdir()
        for index in range(12):
            rng = np.random.default_rng((hertz, index))
            t = np.arange(3000 + 150 * index) / 8000
            x = 0.3 * np.sin(2 * np.pi * hertz * t + rng.random()) + 0.05 * rng.standard_normal(len(t))
            Audio(x, 8000).save(base / label / f"{index}.wav")
    return base


def state(folder):
    return {name: value.clone() for name, value in ew.load_classifier(folder).network.state_dict().items()}


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory):
    """A classifier of the folders, its figures and what progress was told."""
    out, told = tmp_path_factory.mktemp("models") / "deep" / "clips", []
    figures = recipes.train_clips(
        class_folders(folders),
        out,
        recipe=SMALL,
        seed=1,
        title="Beeps",
        progress=lambda *told_now: told.append(told_now),
    )
    return out, figures, told


def test_a_folder_of_folders_becomes_a_classifier(folders, trained):
    out, figures, told = trained
    assert figures["accuracy"] >= 0.8 and (figures["clips_tested"], figures["clips_trained_on"]) == (6, 30)
    assert [epochs for *epochs, _ in told] == [[epoch, 12] for epoch in range(1, 13)]
    assert set(told[0][2]) == {"epoch", "loss", "accuracy"}
    classifier = ew.load_classifier(out)
    assert classifier.labels == ("high", "low", "middle") and classifier.duration == pytest.approx(4650 / 8000)
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    clips = class_folders(folders)
    right = [said == clip.label for said, clip in zip(answers(classifier, clips), clips, strict=True)]
    assert np.mean(right) > 0.8


def test_the_card_says_what_happened(folders, trained):
    out, figures, _ = trained
    card = (out / "README.md").read_text()
    assert card.startswith("# Beeps\n")
    assert data_hash(class_folders(folders)) in card
    assert "| seed | 1 |" in card and f"| accuracy | {figures['accuracy']:.4g} |" in card
    assert "high, low, middle" in card and "20 % of each label" in card and "EventCNN" in card
    assert "## Credit" in card and "your own use" in card and "seconds" in figures and "| seconds" not in card


def test_a_stopped_run_ends_as_one_that_was_not(folders, trained, tmp_path):
    def stop(epoch, *_):
        if epoch == 5:
            raise KeyboardInterrupt

    clips = class_folders(folders)
    with pytest.raises(KeyboardInterrupt):
        recipes.train_clips(clips, tmp_path, recipe=SMALL, seed=1, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    with pytest.raises(InputError, match="left by another run"):
        recipes.train_clips(clips, tmp_path, recipe=replace(SMALL, smoothing=0.1), seed=1)
    epochs = []
    recipes.train_clips(clips, tmp_path, recipe=SMALL, seed=1, progress=lambda epoch, *_: epochs.append(epoch))
    assert epochs == list(range(6, 13)) and not (tmp_path / "checkpoint.pt").exists()
    straight = state(trained[0])
    for name, value in state(tmp_path).items():
        assert torch.equal(value, straight[name]), name


def test_tones_are_learnt(tmp_path):
    easy = Tones(snr_db=(10.0, 20.0))
    before = torch.get_rng_state()
    figures = recipes.train_tones(tmp_path, epochs=3, clips=(128, 40), recipe=easy)
    assert torch.equal(torch.get_rng_state(), before)
    classifier = ew.load_classifier(tmp_path)
    assert classifier.labels == ("low", "high") and classifier.sample_rate == 8000
    said = [int(classifier(easy((9, i), "high").audio.samples[None]).argmax()) for i in range(10)]
    assert figures["accuracy"] >= 0.9 and np.mean(said) >= 0.8
    card = (tmp_path / "README.md").read_text()
    assert f"`earwitness train tones --out {tmp_path} --epochs 3`" in card and "No recordings" in card


@pytest.fixture(scope="module")
def little_esc10(tmp_path_factory):
    """Two folds of a set in the layout of ESC-10, with its credit, and two mixtures beside it."""
    base = tmp_path_factory.mktemp("data")
    data, mix = base / "esc10", base / "localized" / "esc10_mix"
    rows, rng = ["path,label,fold"], np.random.default_rng(0)
    for folder in (data / "audio", mix / "mix", mix / "event"):
        folder.mkdir(parents=True)
    t = np.arange(16000) / 16000
    tone, noise = 0.3 * np.sin(2 * np.pi * 1000 * t), 0.1 * rng.standard_normal(16000)
    for fold in "12":
        for index in range(4):
            for label, sound in (("dog", tone * (t > 0.2 * index)), ("rain", noise)):
                Audio(sound, 16000).save(data / "audio" / f"{fold}-{label}-{index}.wav")
                rows.append(f"audio/{fold}-{label}-{index}.wav,{label},{fold}")
    (data / "metadata.csv").write_text("\n".join(rows) + "\n")
    (data / "ATTRIBUTION.txt").write_text("A set by Ann, CC BY.\n")
    lines = ["path,event_path,label,background,fold,snr_db,start_s,end_s"]
    for fold in "12":
        Audio(noise + tone, 16000).save(mix / "mix" / f"{fold}.wav")
        Audio(tone, 16000).save(mix / "event" / f"{fold}.wav")
        lines.append(f"esc10_mix/mix/{fold}.wav,esc10_mix/event/{fold}.wav,dog,rain,{fold},6,0,1")
    (mix / "metadata.csv").write_text("\n".join(lines) + "\n")
    return data


def test_esc10_is_trained_without_its_held_out_fold(little_esc10, tmp_path):
    figures = recipes.train("esc10", little_esc10, tmp_path, epochs=1, held_out="2")
    assert (figures["clips_trained_on"], figures["clips_tested"], figures["mixtures"]) == (8, 8, 1)
    assert figures["mixtures_named"] in (0, 1) and 0 <= figures["accuracy"] <= 1
    card = (tmp_path / "README.md").read_text()
    assert f"`earwitness train esc10 --data {little_esc10} --out {tmp_path} --epochs 1 --held-out 2`" in card
    apart = [clip.path.name for clip in recipes.esc10(little_esc10) if clip.group == "2"]
    assert (tmp_path / "held-out.txt").read_text().splitlines() == apart
    assert "A set by Ann, CC BY." in card and "Five folds" not in card and "| mixtures | 1 |" in card


def test_mixing_puts_events_into_backgrounds_in_training(little_esc10):
    clips = recipes.esc10(little_esc10)
    labels, plain = ["dog", "rain"], EventRecipe(epochs=1, mixing=0.0, seconds=0.5, batch=8)
    mixed, _ = train_events(clips, labels, replace(plain, mixing=0.5))
    bare, _ = train_events(clips, labels, plain)
    again, _ = train_events(clips, labels, plain)
    assert torch.equal(bare.head[1].weight, again.head[1].weight)
    assert not torch.equal(bare.head[1].weight, mixed.head[1].weight)
    with pytest.raises(InputError, match="mixing needs clips of dog"):
        train_events(clips[1::2], labels, replace(plain, mixing=0.3))
    train_events(clips, labels, replace(plain, mixing=0.01))  # so little that no batch gets one
    with pytest.raises(UsageError, match="share of each batch"):
        EventRecipe(mixing=30)


def test_powers_are_cut_and_filled(folders):
    clips = class_folders(folders)[:2]
    frontend = SMALL.frontend()
    short, long = powers(clips, frontend, 0.2), powers(clips, frontend, 1.0)
    assert short.shape == (2, 1, 64, 11) and long.shape == (2, 1, 64, 51)
    assert float(long[..., 35:].abs().max()) == 0 and float(short[..., -1].abs().max()) > 0
    torch.testing.assert_close(short[..., :8], long[..., :8])


def test_the_shipped_front_end_is_that_of_the_recipe():
    frontend = EventRecipe().frontend()
    assert (frontend.sample_rate, frontend.n_fft, frontend.hop_length, frontend.n_mels) == (16000, 1024, 320, 64)
    assert (frontend.fmin, frontend.fmax, frontend.amin, frontend.level) == (50.0, 8000.0, 1e-5, "db")


def made_up(labels, groups=("",)):
    return [Clip(f"{i}.wav", label, groups[i % len(groups)]) for i, label in enumerate(labels)]


def test_clips_are_split_by_group_or_by_chance():
    clips = made_up(["a"] * 10 + ["b"] * 20, ("1", "2"))
    kept, held = recipes.split(clips, "2", 0)
    assert {clip.group for clip in kept} == {"1"} and {clip.group for clip in held} == {"2"}
    kept, held = recipes.split(clips, None, 0)
    assert [sum(clip.label == name for clip in held) for name in "ab"] == [2, 4]
    assert not {c.path for c in kept} & {c.path for c in held} and len(kept) == 24
    assert recipes.split(clips, None, 0) == (kept, held) != recipes.split(clips, None, 1)
    with pytest.raises(UsageError, match="unknown group of clips '3'"):
        recipes.split(clips, "3", 0)
    with pytest.raises(UsageError, match="no folds or splits"):
        recipes.split(made_up("aabb"), "3", 0)
    with pytest.raises(InputError, match="nothing left to learn a from"):
        recipes.split(made_up("ab" * 5, ("1", "2")), "1", 0)
    with pytest.raises(InputError, match="two labels or more"):
        recipes.split(made_up("aaaaaaaaaa"), None, 0)
    with pytest.raises(InputError, match="0 tested on"):
        recipes.split(made_up("aabb"), None, 0)


def test_the_data_hash_knows_every_byte_and_no_place(tmp_path):
    for place in ("one", "two"):
        (tmp_path / place / "dog").mkdir(parents=True)
        for name in ("a.wav", "b.wav"):
            (tmp_path / place / "dog" / name).write_bytes(name.encode())
    one, two = class_folders(tmp_path / "one"), class_folders(tmp_path / "two")
    assert data_hash(one) == data_hash(two) == data_hash(two[::-1]) and len(data_hash(one)) == 64
    (tmp_path / "two" / "dog" / "b.wav").write_bytes(b"other")
    assert data_hash(one) != data_hash(two)
    assert data_hash(one) != data_hash([replace(clip, label="cat") for clip in one])
    (tmp_path / "two" / "dog" / "b.wav").unlink()
    with pytest.raises(InputError, match=r"cannot read .*b\.wav, which the data set lists"):
        data_hash(two)


def test_what_makes_no_sense_is_told(folders, tmp_path):
    with pytest.raises(UsageError, match=r"unknown data set 'esc'\. Did you mean esc"):
        recipes.train("esc", folders, tmp_path)
    with pytest.raises(UsageError, match="say where they are with --data"):
        recipes.train("folder", None, tmp_path)
    with pytest.raises(UsageError, match="leave --data and --held-out away"):
        recipes.train("tones", folders, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        recipes.train("folder", folders, tmp_path / "file" / "out", epochs=1)
    with pytest.raises(InputError, match="no table at"):
        recipes.train("manifest", tmp_path / "none.csv", tmp_path / "out")


def test_a_manifest_is_trained_on_by_its_split(folders, tmp_path):
    lines = ["path,label,split"]
    for index, clip in enumerate(class_folders(folders)):
        lines.append(f"{clip.path},{clip.label},{'test' if index % 6 == 0 else 'train'}")
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    figures = recipes.train("manifest", tmp_path / "list.csv", tmp_path / "out", epochs=1, held_out="test")
    assert (figures["clips_tested"], figures["clips_trained_on"]) == (6, 30)
    assert "tested on: group test" in (tmp_path / "out" / "README.md").read_text()
    assert ew.load_classifier(tmp_path / "out").duration == pytest.approx(4650 / 8000)  # that of the longest clip


MODELS = Path(__file__).parents[2] / "models"


def test_the_shipped_tones():
    classifier, recipe = ew.load_classifier(MODELS / "tones", device="cpu"), Tones(snr_db=5.0)
    made = [recipe((1, index)) for index in range(100)]
    with torch.no_grad():
        said = classifier(torch.stack([scene.audio.samples for scene in made])).argmax(1).tolist()
    assert np.mean([classifier.labels[i] == scene.label for i, scene in zip(said, made, strict=True)]) >= 0.97


def test_the_shipped_esc10(recordings):
    """On the fold that it never saw; and it is what its card says it is."""
    if not (recordings / "esc10").is_dir() or not (recordings / "localized" / "esc10_mix").is_dir():
        pytest.skip(f"no esc10 and localized/esc10_mix in {recordings}")
    folder = MODELS / "esc10"
    assert (folder / "model.safetensors").stat().st_size <= 1_500_000
    classifier, card = ew.load_classifier(folder, device="cpu"), (folder / "README.md").read_text()
    clips = recipes.esc10(recordings / "esc10")
    held = [clip for clip in clips if clip.group == "5"]
    mixed = [clip for clip in recipes.mixtures(recordings / "localized") if clip.group == "5"]
    right, named = (
        [said == clip.label for said, clip in zip(answers(classifier, some), some, strict=True)]
        for some in (held, mixed)
    )
    assert np.mean(right) >= 0.85 and sum(named) >= 11
    assert data_hash(clips) in card and "K. J. Piczak" in card and "CC BY 3.0" in card
    assert f"| accuracy | {np.mean(right):.4g} |" in card and f"| mixtures named | {sum(named)} |" in card
