"""Readers: made-up folders of each layout, what is wrong with a set in words, and the real sets where they are."""

import numpy as np
import pytest

from earwitness.audio import Audio
from earwitness.data import readers
from earwitness.data.readers import Clip
from earwitness.data.truth import truth_of
from earwitness.errors import InputError


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def sound(path, level=0.5):
    path.parent.mkdir(parents=True, exist_ok=True)
    Audio(np.full(80, level), 8000).save(path)
    return path


def test_a_manifest_is_read_relative_to_itself(tmp_path):
    file = write(tmp_path / "list.csv", "path,label,speaker\na/x.wav,dog,ann\n/elsewhere/y.wav,007,bob\n")
    sound(tmp_path / "a" / "x.wav", 0.25)
    clips = readers.manifest(file, "speaker")
    assert clips == [
        Clip(tmp_path / "a" / "x.wav", "dog", "ann"),
        Clip(type(tmp_path)("/elsewhere/y.wav"), "007", "bob"),
    ]
    assert (
        float(clips[0].load().samples[0]) == pytest.approx(0.25, abs=1e-4) and len(clips[0].load(16000).samples) == 160
    )


def test_a_manifest_finds_its_groups_by_itself(tmp_path):
    head = "path,label"
    assert readers.manifest(write(tmp_path / "a.csv", f"{head}\nx.wav,dog\n"))[0].group == ""
    assert readers.manifest(write(tmp_path / "b.csv", f"{head},speaker,fold\nx.wav,dog,ann,3\n"))[0].group == "3"
    assert readers.manifest(write(tmp_path / "c.csv", f"{head},split\nx.wav,dog,test\n"))[0].group == "test"


def test_a_manifest_from_a_spreadsheet_is_read(tmp_path):
    file = tmp_path / "list.csv"
    file.write_bytes("\ufeffpath,label\r\nä x.wav,Hund\r\n".encode())
    assert readers.manifest(file) == [Clip(tmp_path / "ä x.wav", "Hund")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no table at"),
        ("", "no CSV table"),
        ("path,label\n", "lists no clips"),
        ("file,label\nx.wav,dog\n", "lacks the columns path; it has file, label"),
        ("path,label\nx.wav,dog\ny.wav,\n", "row 3 has no label"),
        ("path,label\n,dog\n", "row 2 has no path"),
        ("path,label\nx.wav,dog\ny.wav,a,b,c\n", "no CSV table"),
    ],
)
def test_a_bad_manifest_is_told(tmp_path, text, told):
    file = tmp_path / "list.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=told):
        readers.manifest(file)


def test_a_manifest_that_is_no_text_is_told(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe\x00\x01" * 20)
    with pytest.raises(InputError, match="no CSV table"):
        readers.manifest(tmp_path / "list.csv")
    with pytest.raises(InputError, match="lacks the columns place"):
        readers.manifest(write(tmp_path / "other.csv", "path,label\nx.wav,dog\n"), "place")


def test_sets_with_a_table_give_their_groups(tmp_path):
    write(tmp_path / "ten" / "metadata.csv", "path,label,fold\naudio/1.ogg,dog,1\naudio/2.ogg,rain,5\n")
    assert readers.esc10(tmp_path / "ten") == [
        Clip(tmp_path / "ten" / "audio" / "1.ogg", "dog", "1"),
        Clip(tmp_path / "ten" / "audio" / "2.ogg", "rain", "5"),
    ]
    write(tmp_path / "digits" / "metadata.csv", "path,label,split\naudio/1.flac,zero,test\n")
    assert readers.fsdd(tmp_path / "digits") == [Clip(tmp_path / "digits" / "audio" / "1.flac", "zero", "test")]
    assert readers.speech_commands(tmp_path / "digits") == readers.fsdd(tmp_path / "digits")
    with pytest.raises(InputError, match="lacks the columns fold"):
        readers.esc10(tmp_path / "digits")


def test_esc50_as_published(tmp_path):
    write(tmp_path / "meta" / "esc50.csv", "filename,fold,target,category,esc10\n1-100-A-0.wav,1,0,dog,True\n")
    assert readers.esc50(tmp_path) == [Clip(tmp_path / "audio" / "1-100-A-0.wav", "dog", "1")]
    with pytest.raises(InputError, match=r"no table at .*esc50\.csv: is this the folder"):
        readers.esc50(tmp_path / "meta")


def test_class_folders_are_labels(tmp_path):
    for place in ("dog/b.wav", "dog/a.FLAC", "rain/c.wav"):
        sound(tmp_path / place)
    write(tmp_path / "dog" / "notes.txt", "not a sound")
    write(tmp_path / "loose.wav", "not in a class")
    write(tmp_path / "dog" / "._b.wav", "what a Mac leaves behind")
    found = [(clip.path.name, clip.label) for clip in readers.class_folders(tmp_path)]
    assert found == [("a.FLAC", "dog"), ("b.wav", "dog"), ("c.wav", "rain")]
    with pytest.raises(InputError, match="no folder at"):
        readers.class_folders(tmp_path / "cat")
    with pytest.raises(InputError, match="no sounds in class folders"):
        readers.class_folders(tmp_path / "dog")


def test_feature_arrays_are_mapped_and_never_pickles(tmp_path):
    x, y = np.random.default_rng(0).standard_normal((3, 1, 4, 5)), np.array(["a", "b", "a"])
    np.save(tmp_path / "X.npy", x)
    np.save(tmp_path / "y.npy", y)
    features, labels = readers.feature_arrays(tmp_path)
    assert isinstance(features, np.memmap)
    np.testing.assert_array_equal(features, x)
    np.testing.assert_array_equal(labels, y)

    np.save(tmp_path / "y.npy", y[:2])
    with pytest.raises(InputError, match=r"X\.npy holds 3 items and y\.npy 2"):
        readers.feature_arrays(tmp_path)
    np.save(tmp_path / "y.npy", np.array(5))
    with pytest.raises(InputError, match=r"y\.npy must be \[N\]"):
        readers.feature_arrays(tmp_path)
    np.save(tmp_path / "y.npy", np.array([{}, 1, 2], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"cannot read .*y\.npy"):
        readers.feature_arrays(tmp_path)
    (tmp_path / "y.npy").unlink()
    with pytest.raises(InputError, match=r"cannot read .*y\.npy"):
        readers.feature_arrays(tmp_path)


def mixture_folder(folder, snr="6"):
    head = "path,event_path,label,background,fold,snr_db,start_s,end_s"
    row = f"esc10_mix/mix/a.wav,esc10_mix/event/a.wav,dog,rain,2,{snr},0.002,0.006"
    write(folder / "esc10_mix" / "metadata.csv", f"{head}\n{row}\n")
    sound(folder / "esc10_mix" / "mix" / "a.wav", 0.5)
    sound(folder / "esc10_mix" / "event" / "a.wav", 0.25)
    return folder


def test_mixtures_know_their_event(tmp_path):
    folder = mixture_folder(tmp_path)
    (one,) = readers.mixtures(folder)
    assert [one] == readers.mixtures(folder / "esc10_mix")
    assert (one.label, one.background, one.group, one.snr_db, one.span) == ("dog", "rain", "2", 6.0, (0.002, 0.006))
    assert float(one.load().samples[0]) == pytest.approx(0.5, abs=1e-4)
    assert float(one.load_event().samples[0]) == pytest.approx(0.25, abs=1e-4)
    with pytest.raises(InputError, match="snr_db, start_s and end_s must be numbers"):
        readers.mixtures(mixture_folder(tmp_path / "other", snr="loud"))


REAL = {
    "esc10": (400, 10, {"1": 80, "2": 80, "3": 80, "4": 80, "5": 80}),
    "fsdd": (3000, 10, {"train": 2700, "test": 300}),
    "speech_commands": (598, 12, {"test": 598}),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_sets(recordings, name):
    if not (recordings / name).is_dir():
        pytest.skip(f"no {name} in {recordings}")
    clips = getattr(readers, name)(recordings / name)
    count, labels, groups = REAL[name]
    assert len(clips) == count and len({clip.label for clip in clips}) == labels
    assert {group: sum(clip.group == group for clip in clips) for group in groups} == groups
    assert all(clip.path.is_file() for clip in clips)
    assert clips[-1].load().duration > 0.1


def test_the_real_mixtures_add_up(recordings):
    if not (recordings / "localized" / "esc10_mix").is_dir():
        pytest.skip(f"no mixtures in {recordings}")
    clips = readers.mixtures(recordings / "localized")
    assert len(clips) == 80 and {clip.group for clip in clips} == set("12345")
    for clip in clips[::20]:
        mixed, event = clip.load(), clip.load_event()
        first, last = (round(second * mixed.sample_rate) for second in clip.span)
        rest = mixed.samples - event.samples
        ratio = event.samples[first:last].square().mean() / rest[first:last].square().mean()
        assert 10 * float(ratio.log10()) == pytest.approx(clip.snr_db, abs=0.1)
        mask, (_, time) = truth_of(event, mixed)
        sounding = time.centers[mask.any(0)]
        assert 0 < mask.mean() < 0.3
        assert clip.span[0] - 0.05 < sounding.min() and sounding.max() < clip.span[1] + 0.05
