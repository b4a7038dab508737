"""A recording: samples, their rate, and everything that was done to them.

A clip is mono, float32, full scale 1.0. Nothing is resampled, mixed down or cut without a line in `provenance`.
Times are seconds of the *recording*: a window cut at 12.5 s starts at 12.5 s, and so do its explanations.

Source: libsndfile reads and writes the files (wav, flac, ogg, mp3, ...), soxr resamples (quality "HQ").
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from earwitness.errors import InputError
from earwitness.writing import appearing

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")


@dataclass(frozen=True, eq=False)
class Audio:
    """A mono clip.

    samples: `[time]`, anything numpy or torch can hold; also `[channels, time]` or `[time, channels]`, which is mixed
        down (the shorter side is taken for the channels). Integers are scaled to full scale 1.0.
    sample_rate: hertz.
    provenance: what was done to the samples, one line each, oldest first.
    start: position of the first sample in the recording, in seconds.
    """

    samples: Tensor
    sample_rate: int
    provenance: tuple[str, ...] = ()
    start: float = 0.0

    def __post_init__(self) -> None:
        rate, (samples, done) = _hertz(self.sample_rate), _mono(_float(self.samples))
        if not torch.isfinite(samples).all():
            raise InputError(
                f"{int((~torch.isfinite(samples)).sum())} of {samples.numel()} samples are NaN or infinite; "
                "repair the recording or replace them, e.g. with numpy.nan_to_num"
            )
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "sample_rate", rate)
        object.__setattr__(self, "provenance", (*self.provenance, *done))

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples.numel() / self.sample_rate

    @property
    def end(self) -> float:
        """Position of the clip's end in the recording, in seconds."""
        return self.start + self.duration

    @property
    def peak(self) -> float:
        """Largest absolute sample; 1.0 is full scale."""
        return float(self.samples.abs().max())

    @property
    def rms_db(self) -> float:
        """Root-mean-square level in dB relative to full scale (0 dB: a square wave at full scale); -inf for silence."""
        power = float(self.samples.double().square().mean())
        return 10 * float(np.log10(power)) if power > 0 else -np.inf

    def with_samples(self, samples: Tensor, done: str) -> "Audio":
        """The same clip with other samples, and a line that says what was done."""
        return replace(self, samples=samples, provenance=(*self.provenance, done))

    def resampled(self, sample_rate: int) -> "Audio":
        """The clip at another rate (soxr, "HQ"); itself if the rate is already right."""
        if _hertz(sample_rate) == self.sample_rate:
            return self
        samples = soxr.resample(self.samples.cpu().numpy(), self.sample_rate, sample_rate, quality="HQ")
        done = f"resampled from {self.sample_rate} Hz to {sample_rate} Hz"
        return replace(
            self, samples=torch.from_numpy(samples), sample_rate=sample_rate, provenance=(*self.provenance, done)
        )

    def window(self, at: float, duration: float) -> "Audio":
        """The part from `at` seconds (of the recording) on, `duration` seconds long or up to the end."""
        if not self.start <= at < self.end:
            raise InputError(f"no sound at {at:g} s: the recording runs from {self.start:g} s to {self.end:.2f} s")
        first = round((at - self.start) * self.sample_rate)
        samples = self.samples[first : first + round(min(_seconds(duration), self.duration) * self.sample_rate)]
        if samples.numel() == 0:
            raise InputError(f"a window of {duration:g} s holds no sample at {self.sample_rate} Hz")
        start = self.start + first / self.sample_rate
        done = f"cut to {start:.3f}-{start + samples.numel() / self.sample_rate:.3f} s of {self.end:.3f} s"
        return replace(self, samples=samples, start=start, provenance=(*self.provenance, done))

    def windows(self, duration: float) -> "Iterator[Audio]":
        """The whole clip in windows of `duration` seconds; the last one is moved back so as to be full.

        A rest of less than 1 % of `duration` is left with the last window.
        """
        count = max(1, int(np.ceil(self.duration / _seconds(duration) - 0.01)))
        for index in range(count - 1):
            yield self.window(self.start + index * duration, duration)
        last = max(self.start, min(self.start + (count - 1) * duration, self.end - duration))
        yield self.window(last, self.end - last)

    def save(self, path: str | os.PathLike) -> float:
        """Write 16-bit sound (the suffix names the format: wav, flac, ...). Returns the gain that was applied.

        The gain is 1.0 unless the peak exceeds the largest 16-bit sample, 32767/32768: then the whole clip is scaled
        down, never clipped. A file appears whole or not at all.
        """
        return _write(self, Path(path))

    def __repr__(self) -> str:
        return f"Audio({self.start:.2f}-{self.end:.2f} s, {self.sample_rate} Hz, {self.rms_db:.1f} dB)"


def load(path: str | os.PathLike, sample_rate: int | None = None) -> Audio:
    """Read a recording: whatever libsndfile reads, mixed down to mono, resampled if `sample_rate` is given.

    Raises `InputError` for a file that is missing, empty, truncated or no sound. What was done stands in `.provenance`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no recording at {path}: {'it is a folder' if path.is_dir() else 'the file does not exist'}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")
    try:
        with soundfile.SoundFile(path) as file:
            samples, rate, promised = file.read(dtype="float32", always_2d=True), file.samplerate, file.frames
            log = file.extra_info if path.suffix.lower() in (".wav", ".aif", ".aiff") else ""
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise InputError(
            f"{path} is truncated, damaged, or not a sound that libsndfile can read ({str(error).rstrip('.')}). "
            "If it is video or AAC, convert it first: ffmpeg -i INPUT output.wav"
        ) from error
    if len(samples) < promised or "should be" in log or _ogg_cut_short(path):
        raise InputError(
            f"{path} is truncated: {len(samples)} frames are there, and more were promised. "
            "Copy it again, or cut it to what is there: ffmpeg -i INPUT output.wav"
        )
    channels = samples.shape[1]
    done = (f"read {path.name}, {rate} Hz", *([f"mixed down from {channels} channels"] if channels > 1 else []))
    try:
        audio = Audio(samples.mean(1), rate, done)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return audio if sample_rate is None else audio.resampled(sample_rate)


def sound_files(folder: str | os.PathLike) -> list[Path]:
    """The recordings that lie in a folder itself, by name. Raises `InputError` where it is none, or empty of them."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder of recordings at {folder}")
    found = sorted(path for path in folder.glob("[!.]*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"no recording in {folder}: none of its files ends in {', '.join(SUFFIXES)}")
    return found


def _write(audio: Audio, path: Path) -> float:
    """See `Audio.save`."""
    if path.suffix.lower().lstrip(".").upper() not in soundfile.available_formats():
        raise InputError(f"cannot write {path.name!r}: use a suffix that libsndfile writes, such as .wav or .flac")
    top = 32767 / 32768  # the largest 16-bit sample
    gain = min(1.0, top / audio.peak) if audio.peak > 0 else 1.0
    with appearing(path) as part:
        soundfile.write(part, gain * audio.samples.cpu().numpy(), audio.sample_rate, subtype=_subtype(path))
    return gain


def _hertz(rate: Any) -> int:
    """A sample rate that makes sense."""
    if (
        isinstance(rate, bool)
        or not isinstance(rate, int | float | np.integer | np.floating)
        or not (rate > 0 and rate % 1 == 0)
    ):
        raise InputError(f"sample_rate must be a positive whole number of hertz, not {rate!r}")
    return int(rate)


def _seconds(duration: float) -> float:
    """A duration that makes sense."""
    if not duration > 0:
        raise InputError(f"a window must last longer than 0 s, not {duration!r} s")
    return duration


def _ogg_cut_short(path: Path) -> bool:
    """True where the last page of an Ogg file is longer than the file; libsndfile reads such files without a word.

    A page: 27 bytes that begin with "OggS" and end with n, then n lengths, then data of all these lengths.
    """
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return False
        file.seek(max(0, path.stat().st_size - 2**16))
        tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    return len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def _float(samples: Any) -> Tensor:
    """Float32 of its own, integers scaled to full scale 1.0 (unsigned ones have their zero in the middle)."""
    tensor = samples.detach().clone() if isinstance(samples, Tensor) else _tensor(samples)
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise InputError(f"samples must be real numbers, not {tensor.dtype}")
    if tensor.is_floating_point():
        return tensor.float()
    info = torch.iinfo(tensor.dtype)
    half = (float(info.max) - float(info.min) + 1) / 2
    return ((tensor.double() - (0 if info.min else half)) / half).float()


def _tensor(samples: Any) -> Tensor:
    try:
        array = np.array(samples)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError) as error:
        raise InputError(f"samples must be real numbers, [time] or [channels, time]: {error}") from error


def _mono(samples: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """`[time]`, and what had to be done for it."""
    if samples.numel() == 0:
        raise InputError("the clip is empty: it has no samples")
    if samples.ndim == 1:
        return samples, ()
    if samples.ndim != 2:
        raise InputError(f"samples must be [time] or [channels, time], not of shape {list(samples.shape)}")
    channel = int(samples.shape[1] < samples.shape[0])
    count = samples.shape[channel]
    return samples.mean(channel), (f"mixed down from {count} channels",) if count > 1 else ()


def _subtype(path: Path) -> str | None:
    """16-bit where the format has it, else the format's own default (ogg, mp3)."""
    name = path.suffix.lstrip(".").upper()
    return "PCM_16" if "PCM_16" in soundfile.available_subtypes(name) else None
