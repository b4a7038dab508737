"""Explanations: read, kept, put on the table and stored; heard they are in `test_listening`."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.explanations import Prediction, Region

RATE = 8000
AXES = (ew.Axis("frequency", "Hz", (0, 100, 4000)), ew.Axis("time", "s", (0, 0.5, 1, 1.5)))
VALUES = np.array([[0.5, -1.0, 0.0], [2.0, 0.5, 0.25]])


def made(values=VALUES, kind="effect", **known):
    return ew.Explanation(np.asarray(values, float), kind, AXES, "logit", 3.0, 1.0, **known)


# --- masks ---


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (1 / 6, [[0, 0, 0], [1, 0, 0]]),
        (1 / 3, [[1, 0, 0], [1, 0, 0]]),  # equal values: the first
        (1 / 2, [[1, 0, 0], [1, 1, 0]]),
        (2 / 3, [[1, 0, 0], [1, 1, 1]]),
        (1.0, [[1, 0, 0], [1, 1, 1]]),  # zero and below is never kept
        (0.001, [[0, 0, 0], [1, 0, 0]]),  # at least one
        (None, [[0.25, 0, 0], [1, 0.25, 0.125]]),
    ],
)
@pytest.mark.parametrize("kind", ["effect", "share", "importance"])
def test_masks(kind, keep, expected):
    np.testing.assert_array_equal(made(kind=kind).mask(keep), expected)


def test_a_mask_is_its_own_soft_mask():
    values = [[0.5, 0.0, 0.1], [1.0, 0.2, 1.0]]
    np.testing.assert_array_equal(made(values, "mask").mask(None), values)
    np.testing.assert_array_equal(made(np.array(values) / 2, "mask").mask(None), np.array(values) / 2)


def test_equal_values_are_taken_in_their_order():
    found = ew.Explanation(
        np.tile([1.0, 2.0], 50), "effect", (ew.Axis("time", "s", tuple(range(101))),), "logit", 1.0, 0.0
    )
    np.testing.assert_array_equal(np.flatnonzero(found.mask(0.2)), np.arange(1, 41, 2))
    assert [region.place["time"][0] for region in found.top(3)] == [1, 3, 5]


def test_nothing_to_keep():
    for values in (-np.abs(VALUES), 0 * VALUES):
        for keep in (None, 0.5):
            np.testing.assert_array_equal(made(values).mask(keep), 0)


def test_against():
    """Effects have a sign; importances take it from `signed`, and without it cannot say."""
    np.testing.assert_array_equal(made().mask(0.5, against=True), [[0, 1, 0], [0, 0, 0]])
    signed = made(np.abs(VALUES), "importance", signed=-VALUES)
    np.testing.assert_array_equal(signed.mask(1.0), [[0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(signed.mask(0.5, against=True), [[1, 0, 0], [1, 1, 0]])
    np.testing.assert_array_equal(signed.mask(None, against=True), [[0.25, 0, 0], [1, 0.25, 0.125]])
    for kind in ("importance", "mask"):
        with pytest.raises(ew.UsageError, match="doesn't say what argues against the target"):
            made(np.abs(VALUES), kind).mask(against=True)


@pytest.mark.parametrize("keep", [0, -0.1, 1.1, float("nan")])
def test_shares_to_keep_that_make_no_sense(keep):
    with pytest.raises(ew.UsageError, match="keep is a share of the components, above 0 and at most 1"):
        made().mask(keep)


@given(seed=st.integers(0, 2**31), keep=st.floats(0.01, 1.0), ties=st.booleans())
def test_what_is_kept_is_never_worse_than_what_is_not(seed, keep, ties):
    values = np.random.default_rng(seed).normal(size=(2, 3))
    values = np.round(values) if ties else values
    mask = made(values).mask(keep) == 1
    assert mask.sum() == min(max(1, round(keep * 6)), (values > 0).sum())
    assert np.all(values[mask] > 0)
    if mask.any() and not mask.all():
        assert values[mask].min() >= values[~mask].max()


# --- reading ---


def test_top_and_to_frame():
    found = made(stderr=np.abs(VALUES) / 10, signed=-VALUES, others={"first_order": VALUES * 2})
    top = found.top(3)
    assert [region.value for region in top] == [2.0, 0.5, 0.5]
    assert top[0] == Region({"frequency": [100, 4000], "time": [0, 0.5]}, 2.0, 0.2)
    assert top[1].place == {"frequency": [0, 100], "time": [0, 0.5]}, "equal values in their order"
    assert str(top[0]) == "0.00–0.50 s, 100–4000 Hz: 2 ± 0.2"
    assert len(found.top(99)) == 6
    frame = found.to_frame()
    assert list(frame) == [
        "frequency_from", "frequency_to", "time_from", "time_to", "value", "stderr", "signed", "first_order",
    ]  # fmt: skip
    assert frame.loc[4].to_dict() == {
        "frequency_from": 100, "frequency_to": 4000, "time_from": 0.5, "time_to": 1, "value": 0.5, "stderr": 0.05,
        "signed": -0.5, "first_order": 1.0,
    }  # fmt: skip


def test_named_axes_are_read_by_name():
    stems = (ew.Axis("stem", "", ("voice", "drums")),)
    found = ew.Explanation(np.array([1.0, 2.0]), "effect", stems, "logit", 3.0, 1.0)
    assert found.top(1) == [Region({"stem": "drums"}, 2.0, None)]
    assert list(found.to_frame()["stem"]) == ["voice", "drums"]


def test_gap_is_for_shares_alone():
    assert made(kind="share").total == 2.0
    assert made(kind="share").gap == pytest.approx(0.125)
    assert made(kind="share").warnings == ("the shares miss 12% of the total that they should add up to",)
    exact = made([[0.5, 0, 0], [0, 1.5, 0]], "share")
    assert exact.gap == 0
    assert exact.warnings == ()
    for kind in ("effect", "importance", "mask"):
        assert made(kind=kind).gap is None
    flat = ew.Explanation(VALUES, "share", AXES, "logit", 1.0, 1.0)
    assert flat.gap is None, "nothing to share out: not applicable"


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: made(kind="shares"), ew.UsageError, "unknown kind of explanation 'shares'"),
        (lambda: made(VALUES.T), ew.InputError, r"values must be shaped like the components, \[2, 3\], not \[3, 2\]"),
        (lambda: made(stderr=np.zeros(6)), ew.InputError, r"stderr must be shaped like the components"),
        (lambda: made(others={"first": np.zeros(2)}), ew.InputError, "first must be shaped like the components"),
        (lambda: made([[1, np.nan, 1], [np.inf, 1, -np.inf]]), ew.InputError, "3 values are NaN or infinite"),
    ],
)
def test_explanations_that_make_no_sense(make, error, said):
    with pytest.raises(error, match=said):
        make()


# --- on the table ---


def test_any_map_of_a_question(listener, tone):
    clip = tone(440, span=(0, 0.5))[0]
    question = ew.ask(listener, clip, ew.Grid(2, 3), "low")
    found = ew.Explanation.of(question, torch.from_numpy(VALUES).requires_grad_(), "effect", method="drawn")
    np.testing.assert_array_equal(found.values, VALUES)
    logits = listener(clip.samples[None])[0].detach()
    assert found.score == pytest.approx(float(logits[0]), rel=1e-5)
    assert found.baseline == pytest.approx(0, abs=1e-6)
    assert (found.target, found.unit, found.method, found.axes) == ("low", "logit", "drawn", question.axes)
    assert found.prediction.label == "low"
    assert found.prediction.probability == pytest.approx(float(logits.softmax(0)[0]), rel=1e-5)
    assert found.provenance["stage"] == "features"
    assert found.provenance["baseline"] == "digital silence"
    with pytest.raises(ew.InputError, match=r"shaped like the components, \[2, 3\]"):
        ew.Explanation.of(question, VALUES.T)


def test_a_share_of_nothing_is_no_accident():
    """value(1) = value(0): there is no gap to speak of, and no crash."""
    found = ew.Explanation.of(ew.Game(2, lambda m: 0 * m.sum(1) + 1), np.array([0.5, -0.5]), "share")
    assert (found.total, found.gap, found.warnings) == (0.0, None, ())


def test_a_game(tmp_path):
    found = ew.Explanation.of(ew.Game(3, lambda m: 2 * m.sum(1) + 1), [1.0, 2.0, 3.0], "share")
    assert (found.score, found.baseline, found.target, found.prediction, found.gap) == (7.0, 1.0, "", None, 0.0)
    with pytest.raises(ew.UsageError, match="no sound behind this explanation"):
        found.hear()


# --- on disk ---


def test_round_trip(listener, tone, tmp_path):
    question = ew.ask(listener, tone()[0], ew.Grid(2, 3))
    found = ew.Sobol(designs=8)(question)
    found.save(tmp_path / "why.npz")
    back = ew.Explanation.load(tmp_path / "why.npz")
    for name in ("values", "stderr", "signed"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))
    assert back.others.keys() == found.others.keys()
    for name, array in found.others.items():
        np.testing.assert_array_equal(back.others[name], array)
    kept = set(vars(found)) - {"values", "stderr", "signed", "others", "question", "explainer"}
    for name in kept:
        assert getattr(back, name) == getattr(found, name), name
    assert isinstance(back.prediction, Prediction)
    assert isinstance(back.warnings, tuple)
    assert back.question is None
    np.testing.assert_array_equal(back.mask(0.5), found.mask(0.5))
    with pytest.raises(ew.UsageError, match="loaded from a file and has no question: ask again to hear it"):
        back.hear()


def test_a_round_trip_of_the_least(tmp_path):
    found = ew.Explanation(
        np.array([1.0, 2.0]), "effect", (ew.Axis("stem", "", ("voice", "drums")),), "score", 1.0, 0.0
    )
    found.save(tmp_path / "a.npz")
    back = ew.Explanation.load(tmp_path / "a.npz")
    assert (back.axes, back.stderr, back.signed, back.others, back.prediction) == (found.axes, None, None, {}, None)


class Malicious:
    """What a pickle can do."""

    def __reduce__(self):
        return (open, ("pwned", "w"))


def npz(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name + ".npy", content)


def pickled_array():
    """The bytes of an .npy file that holds a pickle."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps(Malicious())


@pytest.mark.parametrize("member", ["head", "values", "others.trap"])
def test_pickles_are_refused(tmp_path, monkeypatch, member):
    monkeypatch.chdir(tmp_path)
    made(others={"trap": VALUES}).save("good.npz")
    with zipfile.ZipFile("good.npz") as file:
        members = {name.removesuffix(".npy"): file.read(name) for name in file.namelist()}
    npz("bad.npz", **(members | {member: pickled_array()}))
    with pytest.raises(ew.InputError, match="not an explanation that earwitness saved"):
        ew.Explanation.load("bad.npz")
    npz("same.npz", **members)
    np.testing.assert_array_equal(ew.Explanation.load("same.npz").values, VALUES)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "content", [b"", b"text", b"PK\x03\x04 no zip", None, "half", "bare", "array", "other", "later", "short"]
)
def test_broken_files(tmp_path, content):
    path = tmp_path / "bad.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "half":
        made().save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif content == "bare":
        np.savez(path, values=VALUES)
    elif content == "array":
        np.save(tmp_path / "bad.npy", VALUES)
        path = tmp_path / "bad.npy"
    elif content == "other":
        np.savez(path, head=np.array("[]"), values=VALUES)
    elif content in ("later", "short"):
        made().save(tmp_path / "good.npz")
        with np.load(tmp_path / "good.npz") as file:
            head, values = json.loads(str(file["head"])), file["values"]
        head |= {"invented": 1} if content == "later" else {}
        np.savez(path, head=np.array(json.dumps(head)), values=values[: 2 if content == "later" else 1])
    with pytest.raises(ew.InputError, match=r"bad.np. is not an explanation that earwitness saved"):
        ew.Explanation.load(path)


def test_saving_replaces_the_whole_file_or_nothing(tmp_path, monkeypatch):
    made().save(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()

    def half_way(file, **_):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", half_way)
    with pytest.raises(ew.InputError, match=r"cannot write .*a.npz: no space left"):
        made().save(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("name", ["nowhere/a.npz", "file/a.npz"])
def test_places_that_cannot_be_written(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ew.InputError, match="cannot write"):
        made().save(tmp_path / name)


def test_an_explanation_knows_what_made_it(tmp_path):
    """So that metrics can ask again; a map from elsewhere, or from a file, was made by nobody that could be asked."""
    game = ew.Game(4, lambda m: m.sum(1))
    explanation = ew.Random(seed=3)(game)
    assert explanation.explainer == ew.Random(seed=3)
    explanation.save(tmp_path / "it.npz")
    assert ew.Explanation.load(tmp_path / "it.npz").explainer is None
    assert ew.Explanation.of(game, np.ones(4)).explainer is None
