"""A small AST that learns words: speakers apart, the same twice, and the folder that is written answers as the model did."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch

import earwitness as ew
from earwitness.classifiers.hub import new_ast
from earwitness.data.readers import class_folders
from earwitness.errors import UsageError
from earwitness.frontends.extractors import ASTMel
from earwitness.studies import keyword_training
from earwitness.studies.keyword_training import KeywordRecipe, keyword_clips, linear_accuracy, part_of, train_keywords
from earwitness.studies.recipes import train

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def speakers(part, count):
    """Names of speakers of a part."""
    found = (f"{number:08x}" for number in range(1000))
    return [who for who in found if part_of(f"yes__{who}_nohash_0") == part][:count]


@pytest.fixture
def miniature(tmp_path, monkeypatch):
    """24 "words" of two kinds, a tone that rises or falls, by eight speakers, two of them held out."""
    monkeypatch.setattr(keyword_training, "new_ast", lambda *given, **known: new_ast(*given, **known, **TINY))
    (tmp_path / "audio").mkdir()
    rows = []
    everybody = speakers("learnt", 6) + speakers("held out", 2)
    for number in range(24):
        label, who = ("falling", "rising")[number % 2], everybody[number // 2 % 8]
        rng, t = np.random.default_rng(number), np.arange(16000) / 16000
        sweep = np.sin(2 * np.pi * (900 * t + (1 if number % 2 else -1) * 300 * t**2))
        path = f"audio/{label}__{who}_nohash_{number}.wav"
        ew.Audio(0.2 * sweep + 0.01 * rng.standard_normal(16000), 16000).save(tmp_path / path)
        rows.append({"path": path, "label": label, "speaker": who, "split": "test"})
    pd.DataFrame(rows).to_csv(tmp_path / "metadata.csv", index=False)
    return tmp_path


def test_speakers_are_parted_by_their_hash():
    for name, who in (
        ("down__4fd1443e_nohash_0", "4fd1443e"),
        ("unknown__eight_4fd1443e_nohash_2", "4fd1443e"),
        ("silence__35",) * 2,
    ):
        divides = int(hashlib.sha256(who.encode()).hexdigest(), 16) % 4 == 0
        assert part_of(name) == ("held out" if divides else "learnt")


def test_no_speaker_is_in_both_parts(recordings):
    clips = keyword_clips(recordings / "speech_commands")
    parts = {}
    for clip in clips:
        before, nohash, _ = clip.path.stem.partition("_nohash_")
        parts.setdefault(before.rpartition("_")[2] if nohash else clip.path.stem, set()).add(clip.group)
    assert max(map(len, parts.values())) == 1
    assert sum(clip.group == "held out" for clip in clips) == 142 and len(clips) == 598


def test_training_lowers_the_loss_and_repeats(miniature):
    clips = [clip for clip in keyword_clips(miniature) if clip.group == "learnt"]
    recipe = KeywordRecipe(epochs=6, batch=8, noisy=0.0)
    runs = [train_keywords(clips, ["falling", "rising"], recipe, seed=1) for _ in range(2)]
    losses = [[record["loss"] for record in history.epochs] for _, history in runs]
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0]
    assert ew.fingerprint(runs[0][0].network) == ew.fingerprint(runs[1][0].network)


def test_what_is_written_answers_as_the_model_did(miniature, tmp_path):
    out = tmp_path / "model"
    figures = train("speech_commands_ast", miniature, out, epochs=2)
    held = [clip for clip in keyword_clips(miniature) if clip.group == "held out"]
    assert (out / "held-out.txt").read_text().split() == [clip.path.name for clip in held]
    assert figures["clips_tested"] == len(held) == 4 and figures["clips_trained_on"] == 20
    classifier = ew.load_classifier(out)
    assert classifier.duration == 1.0 and not any("black box" in note for note in classifier.notes)
    said = []
    for clip in held:
        with torch.no_grad():
            said.append(classifier.labels[int(classifier(clip.load(16000).samples[None]).argmax())])
    assert figures["accuracy"] == pytest.approx(np.mean([s == clip.label for s, clip in zip(said, held, strict=True)]))
    card = (out / "README.md").read_text()
    assert "linear classifier" in card and "ASTForAudioClassification" in card
    assert not (out / "checkpoint.pt").exists()


def test_held_out_is_no_option(miniature, tmp_path):
    with pytest.raises(UsageError, match="parted by speaker"):
        train("speech_commands_ast", miniature, tmp_path / "model", held_out="test")


def test_an_ast_takes_what_its_front_end_computes():
    """Logits of the whole classifier are those of the model on the extractor's own input."""
    frontend = ASTMel(max_frames=100, mean=-5.0, std=3.0)
    classifier = new_ast(["no", "yes"], frontend, seed=3, **TINY).eval()
    x = 0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    values = torch.nn.functional.pad(frontend(x)[:, 0], (0, 2), value=5.0 / 6).transpose(1, 2)
    with torch.no_grad():
        torch.testing.assert_close(classifier(x), classifier.network.model(input_values=values).logits)
    other = new_ast(["no", "yes"], frontend, seed=3, **TINY)
    assert ew.fingerprint(other.network.model) == ew.fingerprint(classifier.network.model)


def test_the_linear_classifier_tells_loud_bands(tmp_path):
    """Words that differ in their band are told apart, and shuffled labels are not."""
    for number in range(20):
        label = ("low", "high")[number % 2]
        (tmp_path / label).mkdir(exist_ok=True)
        t = np.arange(16000) / 16000
        noise = 0.01 * np.random.default_rng(number).standard_normal(16000)
        ew.Audio(0.2 * np.sin(2 * np.pi * (300, 3000)[number % 2] * t) + noise, 16000).save(
            tmp_path / label / f"{number}.wav"
        )
    clips = class_folders(tmp_path)
    assert linear_accuracy(clips[::2], clips[1::2]) == 1.0
