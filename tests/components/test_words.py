"""Words: stretches of time that an alignment names, gaps between them, at the alignment's times."""

import json

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.checks import check_components, check_question
from earwitness.components.words import read_alignment

RATE = 8000
ROWS = ((0.10, 0.30, "a"), (0.30, 0.45, "b"), (0.60, 0.80, "a"))


@pytest.fixture
def clip():
    return ew.Audio(0.1 * np.random.default_rng(0).standard_normal(RATE), RATE)


def axis_of(cut, listener, clip) -> tuple[list[float], tuple[str, ...]]:
    (axis,) = cut(listener, clip).axes
    assert (axis.name, axis.unit) == ("time", "s")
    return list(axis.edges), axis.names


@pytest.mark.parametrize("stage", ["waveform", "features"])
def test_the_laws(listener, cnn, clip, stage):
    for baseline in ("silence", "noise"):
        check_components(ew.Words(ROWS, stage=stage, baseline=baseline)(listener, clip))
    check_question(ew.ask(cnn(ew.LogSTFT(RATE, n_fft=256, hop_length=64)), clip, ew.Words(ROWS, stage=stage)))


def test_words_and_gaps(listener, clip):
    edges, names = axis_of(ew.Words(ROWS), listener, clip)
    assert edges == [0, 0.1, 0.3, 0.45, 0.6, 0.8, 1.0]
    assert names == ("gap 1", "a 1", "b", "gap 2", "a 2", "gap 3")


def test_a_word_is_kept_from_its_start_to_its_end(listener):
    """Half of it at its very ends, all of it 10 ms further in, nothing 10 ms further out."""
    constant = ew.Audio(np.ones(RATE), RATE)
    kept = ew.Words(ROWS)(listener, constant).sound(torch.tensor([0.0, 0, 1, 0, 0, 0])).double().numpy()
    assert np.all(kept[: round(0.29 * RATE)] == 0) and np.all(kept[round(0.46 * RATE) :] == 0)
    np.testing.assert_allclose(kept[round(0.31 * RATE) : round(0.44 * RATE)], 1, atol=1e-6)
    for edge in (0.30, 0.45):
        at = round(edge * RATE)
        np.testing.assert_allclose(kept[at - 1 : at + 1].mean(), 0.5, atol=1e-6)


def test_a_window_of_a_recording_has_its_words(listener, clip):
    edges, names = axis_of(ew.Words(ROWS), listener, clip.window(0.2, 0.5))
    np.testing.assert_allclose(edges, [0.2, 0.3, 0.45, 0.6, 0.7])
    assert names == ("a 1", "b", "gap", "a 2")


def test_columns_have_many_names_and_rows_any_order(listener, clip, tmp_path):
    path = tmp_path / "words.csv"
    path.write_text("onset,word,offset\n0.6,null,0.8\n0.1,NA,0.3\n0.3,b,0.6\n")
    assert read_alignment(path, None) == [(0.1, 0.3, "NA"), (0.3, 0.6, "b"), (0.6, 0.8, "null")]
    edges, names = axis_of(ew.Words(str(path)), listener, clip)
    assert edges == [0, 0.1, 0.3, 0.6, 0.8, 1.0] and names == ("gap 1", "NA", "b", "null", "gap 2")


def test_places_say_their_names(listener, clip, tmp_path):
    explanation = ew.explain(listener, clip, ew.Random(), "low", ew.Words(ROWS))
    best = int(explanation.values.argmax())
    axis = explanation.axes[0]
    (top,) = explanation.top(1)
    assert top.place == {"time": list(axis.edges[best : best + 2]), "name": axis.names[best]}
    assert str(top).startswith(f"{axis.names[best]}, {axis.edges[best]:.2f}–{axis.edges[best + 1]:.2f} s: ")
    frame = explanation.to_frame()
    assert list(frame.time) == list(axis.names) and list(frame.time_from) == list(axis.edges[:-1])
    explanation.save(tmp_path / "map.npz")
    assert ew.Explanation.load(tmp_path / "map.npz").axes == explanation.axes
    explanation.plot(tmp_path / "plot.png")
    assert explanation.hear(0.3).audio.samples.shape == clip.samples.shape


def test_words_too_short_for_the_features_go_with_the_one_before(listener, clip):
    rows = ((0.1, 0.3, "a"), (0.3, 0.301, "t"), (0.301, 0.5, "o"))
    (axis,) = ew.Words(rows, stage="features")(listener, clip).axes
    assert len(axis.names) == axis.size
    assert axis.names == ("gap 1", "a+t", "o", "gap 2") or axis.names == ("gap 1", "a", "t+o", "gap 2")


def test_the_phones_of_a_real_utterance(listener, recordings):
    folder = recordings / "emotion" / "emodb_2s"
    if not (folder / "phones.csv").exists():
        pytest.skip(f"no phones in {folder}")
    clip = ew.load(folder / "audio" / "03a01Fa.flac", RATE)
    made = ew.Words(folder / "phones.csv")(listener, clip)
    check_components(made)
    (axis,) = made.axes
    assert axis.edges[:4] == (0.0, 0.0801, 0.1192, 0.1444) and axis.names[:3] == ("_t", "!t 1", "E6")
    by_name = ew.Words(folder / "phones.csv", file="03a01Fa.flac")(listener, ew.Audio(clip.samples, RATE))
    assert by_name.axes == made.axes


def test_the_command_line_tells_words(listener, clip, tmp_path):
    from earwitness.studies.jobs import describe

    found = describe(ew.explain(listener, clip, ew.Random(), "low", ew.Words(ROWS)))
    assert [c["name"] for c in found["components"]] == ["gap 1", "a 1", "b", "gap 2", "a 2", "gap 3"]
    assert found["components"][1]["time"] == [0.1, 0.3]
    json.dumps(found)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (((0.1, 0.3, "a"), (0.2, 0.4, "b")), "'b' starts at 0.2 s, before 'a' ends at 0.3 s"),
        (((0.3, 0.3, "a"),), "'a' must end after it starts, not last from 0.3 to 0.3 s"),
        (((0.3, float("nan"), "a"),), "must end after it starts"),
        (((0.3, "soon", "a"),), "each row is a start, an end"),
        (((0.3, "a"),), "each row is a start, an end"),
        (((5.0, 6.0, "a"),), "has nothing between 0.00 and 1.00 s"),
        ((), "has nothing between"),
    ],
)
def test_alignments_that_make_no_sense(listener, clip, rows, said):
    with pytest.raises(ew.InputError, match=said):
        ew.Words(rows)(listener, clip)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read the alignment"),
        ("", "cannot read the alignment"),
        ("start,label\n0,a\n", "has the columns start, label and none for end"),
        ("path,start,end,label\nx.wav,0,1,a\n", "is about several recordings: say which this is"),
        ("start,end,label\n0,soon,a\n", "each row is a start, an end"),
    ],
)
def test_files_that_are_no_alignments(listener, clip, tmp_path, text, said):
    path = tmp_path / "words.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ew.InputError, match=said):
        ew.Words(path)(listener, clip)


def test_a_file_without_rows_for_the_clip(listener, clip, tmp_path):
    path = tmp_path / "words.csv"
    path.write_text("path,start,end,label\nx.wav,0,1,a\n")
    with pytest.raises(ew.InputError, match=r"has no rows for y\.wav"):
        ew.Words(path, file="y.wav")(listener, clip)
    assert ew.Words(path, file="folder/x.wav")(listener, clip).axes[0].names == ("a",)
