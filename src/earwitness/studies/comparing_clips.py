"""The clips of a comparison: anything that leads to a sound, read one at a time.

| an item of `clips` | is read as |
|---|---|
| a path | the recording there |
| an `Audio`, or ready features | itself |
| an object with `load(sample_rate)` (`Clip`) | that; its `label`; with `load_event(sample_rate)` (`Mixture`) the cause |
| an object with `audio` (`Scene`) | that; its `label` and `truth` |
| a function of nothing (`partial(Tones(), 7)`) | what it returns, read as above |

A clip is known by its content, not by its name: the same sound under another name is the same clip.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from earwitness.audio import SUFFIXES, Audio, load, sound_files
from earwitness.axes import Axis
from earwitness.data.readers import class_folders, manifest, mixtures
from earwitness.data.truth import truth_of
from earwitness.errors import EarwitnessError, UsageError
from earwitness.fingerprints import fingerprint
from earwitness.questions.audio import SLACK

PathLike = str | os.PathLike
Truth = tuple[np.ndarray, tuple[Axis, ...]]


@dataclass(frozen=True, eq=False)
class Reading:
    """A clip that was read, or the reason why it couldn't be.

    name: for people.  label: the true one, "" if not known.  audio: None where reading failed.  truth: the cause, if known.
    print: the fingerprint of its content; where there is none, of its name.  cut: whether it is the beginning of a longer one.
    """

    name: str
    label: str = ""
    audio: Audio | Tensor | np.ndarray | None = None
    truth: Truth | None = None
    print: str = ""
    reason: str = ""
    cut: bool = False


def read_clip(item: Any, number: int, sample_rate: int | None, longest: float | None = None) -> Reading:
    """Read an item of a comparison; a failure is told in the reading, not raised.

    number: of the item, for one without a name.  sample_rate: hertz, of the classifier; None where it takes ready features.
    longest: how many seconds it takes; of a longer recording the beginning is read, unless its cause is known.
    Raises `UsageError` where the item is nothing that could lead to a sound.
    """
    name, label = _name(item, number), str(getattr(item, "label", "") or "")
    try:
        audio, label, truth = _sound(item, label, sample_rate)
    except UsageError:
        raise
    except EarwitnessError as error:
        return Reading(name, label, print=fingerprint(("unread", name)), reason=str(error))
    except Exception as error:
        return Reading(
            name,
            label,
            print=fingerprint(("unread", name)),
            reason=f"it cannot be read: {type(error).__name__}: {error}",
        )
    cut = False
    if isinstance(audio, Audio) and truth is None and longest is not None and audio.duration > SLACK * longest:
        audio, cut = audio.window(audio.start, longest), True
    content = (audio.samples, audio.sample_rate, audio.start) if isinstance(audio, Audio) else audio
    return Reading(name, label, audio, truth, fingerprint((content, truth)), cut=cut)


def _name(item: Any, number: int) -> str:
    path = item if isinstance(item, PathLike) else getattr(item, "path", None)
    return str(getattr(item, "name", "") or f"clip {number}") if path is None else str(path)


def _sound(item: Any, label: str, sample_rate: int | None) -> tuple[Audio | Tensor | np.ndarray, str, Truth | None]:
    """A sound at the rate, its label and its cause."""
    truth = getattr(item, "truth", None)
    if isinstance(item, PathLike):
        return load(item, sample_rate), label, None
    if isinstance(item, Audio):
        return item if sample_rate is None else item.resampled(sample_rate), label, None
    if isinstance(item, Tensor | np.ndarray):
        return item, label, None
    if hasattr(item, "load"):
        audio = item.load(sample_rate)
        if truth is None and hasattr(item, "load_event"):
            truth = truth_of(item.load_event(sample_rate), audio)
        return audio, label, truth
    if hasattr(item, "audio"):
        audio, _, _ = _sound(item.audio, label, sample_rate)
        return audio, label, truth
    if callable(item):
        made = item()
        return _sound(made, str(getattr(made, "label", "") or label), sample_rate)
    raise UsageError(
        f"a clip is a path, an Audio, an object with load(sample_rate), or a function that returns one, not {item!r}"
    )


def clips_at(place: PathLike) -> list[Any]:
    """The clips of a folder or a table on disk, as `compare` takes them.

    place: a CSV (`manifest`); a folder with `metadata.csv` (one that names events gives mixtures with their causes); a folder of
        recordings; or one folder a class.
    """
    place = Path(place)
    if place.is_file() and place.suffix.lower() != ".csv":
        return [place]
    table = place if place.is_file() else place / "metadata.csv"
    if table.is_file():
        events = "event_path" in table.read_text(encoding="utf-8", errors="replace").partition("\n")[0].split(",")
        return list(mixtures(place)) if events and place.is_dir() else list(manifest(table))
    if place.is_dir() and not any(path.suffix.lower() in SUFFIXES for path in place.glob("[!.]*")):
        return list(class_folders(place))
    return list(sound_files(place))
