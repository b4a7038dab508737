"""Thin readers of public data sets: each lists clips with their labels and reads no sound until asked.

| reader | layout |
|---|---|
| `esc10` | `metadata.csv` with path, label, fold |
| `esc50` | ESC-50's own: `meta/esc50.csv` and `audio/` |
| `fsdd`, `speech_commands` | `metadata.csv` with path, label, split |
| `class_folders` | one folder a class, sounds inside |
| `manifest` | any CSV with the columns path and label |
| `feature_arrays` | `X.npy` [N, ...] and `y.npy` [N] |
| `mixtures` | `localized/esc10_mix`: an event in a background, with the event alone |
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from earwitness.audio import SUFFIXES, Audio, load
from earwitness.errors import InputError

GROUPS = ("split", "fold", "group")  # columns of a manifest that say which clips belong together


@dataclass(frozen=True)
class Clip:
    """A recording on disk and its label; `group` is the fold, split or speaker that a data set gives it."""

    path: Path
    label: str
    group: str = ""

    def load(self, sample_rate: int | None = None) -> Audio:
        """Read the sound."""
        return load(self.path, sample_rate)


@dataclass(frozen=True)
class Mixture(Clip):
    """A clip whose cause is known exactly: the event alone, at its place and level, is a file of its own."""

    event_path: Path = Path()
    background: str = ""
    snr_db: float = 0.0
    span: tuple[float, float] = (0.0, 0.0)

    def load_event(self, sample_rate: int | None = None) -> Audio:
        """Read the event alone; the background is the clip minus it."""
        return load(self.event_path, sample_rate)


def _table(file: str | os.PathLike, columns: Sequence[str]) -> pd.DataFrame:
    file = Path(file)
    if not file.is_file():
        raise InputError(f"no table at {file}: is this the folder of the data set?")
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{file} is no CSV table: {error}") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{file} lacks the columns {', '.join(missing)}; it has {', '.join(table.columns)}")
    if table.empty:
        raise InputError(f"{file} lists no clips")
    for column in columns:
        blank = np.flatnonzero(table[column] == "")
        if len(blank):
            raise InputError(f"{file}: row {blank[0] + 2} has no {column}")
    return table


def manifest(file: str | os.PathLike, group: str | None = None) -> list[Clip]:
    """Clips of a CSV with the columns path (relative to the file) and label.

    group: a further column that says which clips belong together; None: split, fold or group, if there is one.
    """
    table = _table(file, ["path", "label"] if group is None else ["path", "label", group])
    found = group or next((name for name in GROUPS if name in table.columns), None)
    groups = [""] * len(table) if found is None else table[found]
    base = Path(file).parent
    return [Clip(base / path, label, g) for path, label, g in zip(table["path"], table["label"], groups, strict=True)]


def esc10(folder: str | os.PathLike) -> list[Clip]:
    """ESC-10 with `metadata.csv`; the group is the fold, "1" to "5"."""
    return manifest(Path(folder) / "metadata.csv", "fold")


def esc50(folder: str | os.PathLike) -> list[Clip]:
    """ESC-50 as published; the group is the fold."""
    table = _table(Path(folder) / "meta" / "esc50.csv", ["filename", "fold", "category"])
    return [
        Clip(Path(folder) / "audio" / name, label, fold)
        for name, fold, label in zip(table["filename"], table["fold"], table["category"], strict=True)
    ]


def fsdd(folder: str | os.PathLike) -> list[Clip]:
    """Free Spoken Digit Dataset with `metadata.csv`; the group is "train" or "test"."""
    return manifest(Path(folder) / "metadata.csv", "split")


def speech_commands(folder: str | os.PathLike) -> list[Clip]:
    """Speech Commands with `metadata.csv`; the group is the split."""
    return manifest(Path(folder) / "metadata.csv", "split")


def class_folders(folder: str | os.PathLike) -> list[Clip]:
    """One folder a class: the label of `dog/a.wav` is dog."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder at {folder}")
    sounds = (path for path in folder.glob("[!.]*/[!.]*") if path.suffix.lower() in SUFFIXES)
    files = sorted(sounds)
    if not files:
        raise InputError(f"{folder} holds no sounds in class folders such as {folder.name}/dog/a.wav")
    return [Clip(path, path.parent.name) for path in files]


def feature_arrays(folder: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """`X.npy` `[N, ...]` (mapped, not read) and `y.npy` `[N]`; never a pickle."""
    arrays = []
    for name in ("X.npy", "y.npy"):
        try:
            arrays.append(np.load(Path(folder) / name, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {Path(folder) / name}: {error}") from error
    if arrays[1].ndim != 1 or arrays[0].ndim < 2:
        raise InputError(f"X.npy must be [N, ...] and y.npy must be [N], not {arrays[0].shape} and {arrays[1].shape}")
    if len(arrays[0]) != len(arrays[1]):
        raise InputError(f"X.npy holds {len(arrays[0])} items and y.npy {len(arrays[1])}: they must match")
    return arrays[0], arrays[1]


def mixtures(folder: str | os.PathLike) -> list[Mixture]:
    """The mixtures of `localized/esc10_mix` (its folder, or `localized`'s); the group is the fold."""
    folder = Path(folder)
    base = folder if (folder / "mix").is_dir() else folder / "esc10_mix"
    columns = ["path", "event_path", "label", "background", "fold", "snr_db", "start_s", "end_s"]
    table = _table(base / "metadata.csv", columns)
    try:
        numbers = table[["snr_db", "start_s", "end_s"]].astype(float).to_numpy()
    except ValueError as error:
        raise InputError(f"{base / 'metadata.csv'}: snr_db, start_s and end_s must be numbers ({error})") from error
    return [
        Mixture(
            base.parent / row["path"], row["label"], row["fold"], base.parent / row["event_path"], row["background"],
            snr_db, (start, end),
        )
        for row, (snr_db, start, end) in zip(table.to_dict("records"), numbers.tolist(), strict=True)
    ]  # fmt: skip
