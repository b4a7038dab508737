"""Recordings in and out: every format, every kind of array, every bad input; nothing is done that is not recorded."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew

RATE = 8000


def sine(hertz=440.0, samples=RATE, rate=RATE, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)


def si_sdr(found, true):
    """Scale-invariant signal-to-distortion ratio, in dB."""
    found, true = np.asarray(found, float), np.asarray(true, float)
    part = (found @ true) / (true @ true) * true
    return 10 * np.log10((part @ part) / ((found - part) @ (found - part)))


@pytest.fixture
def clip():
    return ew.Audio(sine(), RATE)


@pytest.mark.parametrize(("suffix", "least_db"), [("wav", 80), ("flac", 80), ("aiff", 80), ("ogg", 15), ("mp3", 15)])
def test_every_format_comes_back(clip, tmp_path, suffix, least_db):
    path = tmp_path / f"clip.{suffix}"
    assert clip.save(path) == 1.0
    back = ew.load(path)
    assert (back.sample_rate, back.samples.dtype) == (RATE, torch.float32)
    assert back.provenance == (f"read clip.{suffix}, 8000 Hz",)
    found = back.samples[: len(clip.samples)]
    assert abs(len(back.samples) - len(clip.samples)) <= (0 if least_db == 80 else 2000)
    if suffix == "mp3":  # an encoder's delay
        lag = np.argmax(np.correlate(np.asarray(found[:4000]), sine()[:4000], "full")[3999:5500])
        found = back.samples[lag : lag + 4000]
    assert si_sdr(found, sine()[: len(found)]) > least_db


def test_16_bit_is_exact(tmp_path):
    samples = np.arange(-32768, 32768, 7) / 32768
    soundfile.write(tmp_path / "exact.wav", samples, RATE, subtype="PCM_16")
    np.testing.assert_array_equal(ew.load(tmp_path / "exact.wav").samples, samples.astype(np.float32))


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([0, 16384, -32768], np.int16), [0, 0.5, -1]),
        (np.array([0, 16384, -32768], ">i2"), [0, 0.5, -1]),
        (np.array([0, 2**30, -(2**31)], np.int32), [0, 0.5, -1]),
        (np.array([128, 192, 0], np.uint8), [0, 0.5, -1]),
        (np.array([32768, 49152, 0], np.uint16), [0, 0.5, -1]),
        (np.array([0, 64, -128], np.int8), [0, 0.5, -1]),
        (np.array([0, 0.5, -1], np.float64), [0, 0.5, -1]),
        (np.array([0, 0.5, -1], np.float16), [0, 0.5, -1]),
        (torch.tensor([0, 0.5, -1], requires_grad=True), [0, 0.5, -1]),
        (torch.tensor([0, 16384, -32768], dtype=torch.int16), [0, 0.5, -1]),
        ([0.0, 0.5, -1.0], [0, 0.5, -1]),
        (np.array([[0, 1, -1], [0, 0, -1.0]]), [0, 0.5, -1]),
        (np.array([[0, 1, -1], [0, 0, -1.0]]).T, [0, 0.5, -1]),
        (torch.tensor([[0, 0.5, -1]]), [0, 0.5, -1]),
    ],
)
def test_whatever_holds_samples(samples, expected):
    audio = ew.Audio(samples, RATE)
    assert not audio.samples.requires_grad
    np.testing.assert_array_equal(audio.samples, np.array(expected, np.float32))


def test_mixing_down_is_recorded():
    both = np.stack([sine(), np.zeros(RATE)])
    for samples in (both, both.T):
        audio = ew.Audio(samples, RATE)
        np.testing.assert_allclose(audio.samples, sine() / 2, atol=1e-7)
        assert audio.provenance == ("mixed down from 2 channels",)
    assert ew.Audio(sine()[None], RATE).provenance == ()


@pytest.mark.parametrize("frames", [1, 2, 100])
def test_a_stereo_file_is_mixed_down_however_short_it_is(tmp_path, frames):
    left, right = 0.5 * np.ones(frames), -0.25 * np.ones(frames)
    soundfile.write(tmp_path / "short.wav", np.stack([left, right], 1), RATE)
    audio = ew.load(tmp_path / "short.wav")
    np.testing.assert_array_equal(audio.samples, np.full(frames, 0.125, np.float32))
    assert audio.provenance == ("read short.wav, 8000 Hz", "mixed down from 2 channels")


def test_resampling_keeps_the_tone_and_is_recorded(tmp_path):
    ew.Audio(sine(rate=44100, samples=44100), 44100).save(tmp_path / "clip.wav")
    audio = ew.load(tmp_path / "clip.wav", 16000)
    assert (audio.sample_rate, audio.duration) == (16000, 1.0)
    assert audio.provenance == ("read clip.wav, 44100 Hz", "resampled from 44100 Hz to 16000 Hz")
    expected = sine(rate=16000, samples=16000)
    assert si_sdr(audio.samples[800:-800], expected[800:-800]) > 60
    assert audio.resampled(16000) is audio


def test_resampling_lets_nothing_fold_back():
    """A tone above the new Nyquist frequency goes, instead of coming back as another."""
    low = ew.Audio(sine(15000, 44100, 44100), 44100).resampled(16000)
    assert low.window(0.1, 0.8).rms_db < -90


def test_level_and_peak():
    assert ew.Audio(np.ones(10), RATE).rms_db == pytest.approx(0)
    assert ew.Audio(sine(level=1.0), RATE).rms_db == pytest.approx(-3.0103, abs=1e-3)
    assert ew.Audio([0.1, -0.7], RATE).peak == pytest.approx(0.7)
    assert ew.Audio([0.0], RATE).rms_db == -np.inf


def test_a_window_keeps_the_recording_s_time(clip):
    part = clip.window(0.25, 0.5)
    np.testing.assert_array_equal(part.samples, clip.samples[2000:6000])
    assert (part.start, part.end, part.duration) == (0.25, 0.75, 0.5)
    inner = part.window(0.5, 9.0)
    np.testing.assert_array_equal(inner.samples, clip.samples[4000:6000])
    assert (inner.start, inner.end) == (0.5, 0.75)
    assert inner.provenance == ("cut to 0.250-0.750 s of 1.000 s", "cut to 0.500-0.750 s of 0.750 s")


@given(samples=st.integers(1, 5000), width=st.floats(0.01, 1.0), start=st.sampled_from([0.0, 3.7, 1000.1]))
def test_windows_cover_the_clip_and_are_full(samples, width, start):
    clip = ew.Audio(np.arange(samples) / samples, RATE, start=start)
    parts = list(clip.windows(width))
    held = set()
    for part in parts:
        first = round((part.start - start) * RATE)
        np.testing.assert_array_equal(part.samples, clip.samples[first : first + len(part.samples)])
        held |= set(range(first, first + len(part.samples)))
        assert abs(len(part.samples) - min(width * RATE, samples)) <= 1
    assert len(held) >= samples - len(parts), "a sample may fall between two windows only by rounding"
    assert len(parts) == max(1, int(np.ceil(samples / RATE / width - 1e-9)))


def test_loud_sound_is_scaled_down_not_clipped(tmp_path):
    loud = ew.Audio(sine(level=4.0), RATE)
    gain = loud.save(tmp_path / "loud.wav")
    assert gain == pytest.approx(0.25, rel=1e-3)
    back = ew.load(tmp_path / "loud.wav").samples
    np.testing.assert_allclose(back, gain * loud.samples, atol=1.5 / 32768)
    assert soundfile.info(tmp_path / "loud.wav").subtype == "PCM_16"


def test_saving_replaces_the_whole_file_or_nothing(clip, tmp_path, monkeypatch):
    path = tmp_path / "clip.wav"
    clip.save(path)
    before = path.read_bytes()

    def half_way(file, *_, **__):
        Path(file).write_bytes(b"RIFF")
        raise OSError("no space left on device")

    monkeypatch.setattr(soundfile, "write", half_way)
    with pytest.raises(ew.InputError, match=r"cannot write .*clip.wav: no space left on device"):
        clip.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["clip.wav"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes")
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_a_disk_that_fills_up(tmp_path, suffix):
    """In a process that may write 20 kB a file, which fails like a full disk; it leaves no cut-off bytecode behind (-B)."""
    code = f"""
import resource, numpy as np, earwitness as ew
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    ew.Audio(np.random.default_rng(0).random(200000), 8000).save("clip.{suffix}")
except ew.InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"cannot write clip.{suffix}" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere/clip.wav", "file.txt/clip.wav", "clip.xyz", "clip"])
def test_places_that_cannot_be_written(clip, tmp_path, name):
    (tmp_path / "file.txt").write_text("a file, not a folder")
    with pytest.raises(ew.InputError, match="cannot write"):
        clip.save(tmp_path / name)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([], "the clip is empty"),
        (np.zeros((2, 0)), "the clip is empty"),
        ([0.0, np.nan, np.inf], "2 of 3 samples are NaN or infinite"),
        (torch.tensor([torch.nan]), "1 of 1 samples are NaN or infinite"),
        (np.array([1e300]), "1 of 1 samples are NaN or infinite"),
        (np.zeros((1, 2, 3)), r"not of shape \[1, 2, 3\]"),
        (np.float32(1), r"not of shape \[\]"),
        (np.ones(3, bool), "must be real numbers, not torch.bool"),
        (np.ones(3, complex), "must be real numbers, not torch.complex128"),
        (["a", "b"], "must be real numbers"),
        ([[1.0], [1.0, 2.0]], "must be real numbers"),
        (None, "must be real numbers"),
    ],
)
def test_bad_samples(samples, said):
    with pytest.raises(ew.InputError, match=said):
        ew.Audio(samples, RATE)


@pytest.mark.parametrize("rate", [0, -8000, 8000.5, float("nan"), float("inf"), "8000", None, True])
def test_bad_rates(clip, rate):
    with pytest.raises(ew.InputError, match="sample_rate must be a positive whole number of hertz"):
        ew.Audio([0.0], rate)
    with pytest.raises(ew.InputError, match="sample_rate must be"):
        clip.resampled(rate)


def test_whole_rates_of_any_type():
    for rate in (8000, 8000.0, np.int64(8000), np.float32(8000)):
        assert ew.Audio([0.0], rate).sample_rate == 8000


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda clip: clip.window(1.0, 0.1), "no sound at 1 s: the recording runs from 0 s to 1.00 s"),
        (lambda clip: clip.window(-0.1, 0.1), "no sound at -0.1 s"),
        (lambda clip: clip.window(float("nan"), 0.1), "no sound at nan s"),
        (lambda clip: clip.window(0.5, 1e-9), "holds no sample"),
        (lambda clip: clip.window(0.5, -0.2), "must last longer than 0 s"),
        (lambda clip: clip.window(0.5, float("nan")), "must last longer than 0 s"),
        (lambda clip: list(clip.windows(0)), "must last longer than 0 s"),
    ],
)
def test_bad_windows(clip, make, said):
    with pytest.raises(ew.InputError, match=said):
        make(clip)


@pytest.fixture
def bad_file(clip, tmp_path):
    """`bad_file(kind)`: a path to something that is no good recording."""

    def make(kind: str) -> Path:
        path = tmp_path / f"bad.{kind.split()[-1]}"
        if kind.startswith("cut"):
            ew.Audio(np.random.default_rng(0).uniform(-0.5, 0.5, 24000), RATE).save(path)
            whole = path.read_bytes()
            path.write_bytes(whole[: int(len(whole) * float(kind.split()[1]))])
        elif kind.startswith("empty"):
            path.touch()
        elif kind.startswith("text"):
            path.write_text("these are words, not sounds. " * 40)
        elif kind.startswith("folder"):
            path.mkdir()
        elif kind.startswith("nan"):
            soundfile.write(path, np.array([0.0, np.nan]), RATE, subtype="FLOAT")
        elif kind.startswith("zero"):
            soundfile.write(path, np.zeros(0), RATE)
        return path

    return make


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing wav", "the file does not exist"),
        ("folder wav", "it is a folder"),
        ("empty wav", r"is empty \(0 bytes\)"),
        ("text wav", "not a sound that libsndfile can read.*ffmpeg"),
        ("text mp3", "libsndfile can read|no samples"),
        ("zero wav", "the clip is empty: it has no samples"),
        ("nan wav", "1 of 2 samples are NaN"),
        *(
            (f"cut {share} {suffix}", "truncated")
            for share in (0.3, 0.9, 0.999)
            for suffix in ("wav", "flac", "ogg", "mp3")
        ),
    ],
)
def test_bad_files(bad_file, kind, said):
    path = bad_file(kind)
    with pytest.raises(ew.InputError, match=said) as caught:
        ew.load(path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_whole_files_are_not_called_truncated(tmp_path, suffix):
    for samples in (1000, 8000, 100_000):
        ew.Audio(sine(samples=samples), RATE).save(tmp_path / f"whole.{suffix}")
        assert ew.load(tmp_path / f"whole.{suffix}").duration == pytest.approx(samples / RATE, abs=0.3)


def test_every_kind_of_real_recording(recordings):
    """One clip of each folder: read, at the rate that its table promises."""
    rates = {"esc10": 44100, "fsdd": 8000, "speech_commands": 16000, "emotion/nemo": 24000, "singing": 22050}
    for folder, rate in rates.items():
        path = next(
            p for p in sorted((recordings / folder).rglob("*")) if p.suffix in (".wav", ".flac", ".ogg", ".mp3")
        )
        audio = ew.load(path)
        assert audio.sample_rate == rate, path
        assert 0 < audio.peak <= 1
