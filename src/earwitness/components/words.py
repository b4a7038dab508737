"""Words, phones, notes, bars: stretches of time that an alignment gives names to.

A table with a start, an end and a label in each row; what lies between the rows is a gap, and a component like the others.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.components.cells import Cut
from earwitness.errors import InputError

COLUMNS = {  # what a column may be called
    "start": ("start", "start_s", "onset", "onset_s", "from", "begin", "xmin"),
    "end": ("end", "end_s", "offset", "offset_s", "to", "stop", "xmax"),
    "label": ("label", "word", "phone", "phoneme", "text", "name", "note"),
}
PATHS = ("path", "file", "filename", "clip")
GAP = "gap"
Row = tuple[float, float, str]


@dataclass(frozen=True, eq=False)
class Words(Cut):
    """Stretches of time with names, from an alignment; gaps between them are components as well.

    alignment: rows (start, end, label) in seconds of the recording, or a CSV file with such columns (start or start_s or onset,
        end or end_s or offset, label or word or phone). Where it has a column path or file, only rows of the clip's file count.
    file: the name of the clip's file; by default what the clip's provenance says it was read from.
    Shape: `[words and gaps]`; labels (and "gap") that occur twice or more are numbered: "a 1", "a 2". stage: "waveform" or
    "features". Raises `InputError` for rows that overlap, and where there are none for the clip.
    """

    alignment: str | os.PathLike | Sequence[Row]
    file: str | None = None

    def _axes(self, audio: Audio) -> tuple[Axis | None, Axis | None]:
        if isinstance(self.alignment, str | os.PathLike):
            rows = read_alignment(self.alignment, self.file or _file_of(audio))
        else:
            rows = _rows(self.alignment, "the alignment")
        return None, _named_axis(rows, audio)


def read_alignment(path: str | os.PathLike, file: str | None) -> list[Row]:
    """Rows (start, end, label) of a CSV file, sorted; of one recording, where it has a column that names recordings."""
    try:
        table = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the alignment {path}: {error}") from error
    found = {what: next((name for name in names if name in table), None) for what, names in COLUMNS.items()}
    missing = [f"{what} ({', '.join(COLUMNS[what])})" for what, name in found.items() if name is None]
    if missing:
        raise InputError(f"{path} has the columns {', '.join(map(str, table))} and none for {'; '.join(missing)}")
    recordings = next((name for name in PATHS if name in table), None)
    if recordings is not None:
        if file is None:
            raise InputError(f"{path} is about several recordings: say which this is, Words(..., file=...)")
        table = table.loc[[Path(str(each)).name == Path(file).name for each in table[recordings]]]
        if table.empty:
            raise InputError(f"{path} has no rows for {Path(file).name}")
    return _rows(zip(*(table[name] for name in found.values()), strict=True), str(path))


def _rows(rows: Iterable, where: str) -> list[Row]:
    """Sorted, checked."""
    try:
        made = sorted((float(start), float(end), str(label)) for start, end, label in rows)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: each row is a start, an end (in seconds) and a label: {error}") from error
    for start, end, label in made:
        if not (np.isfinite([start, end]).all() and end > start):
            raise InputError(f"{where}: {label!r} must end after it starts, not last from {start:g} to {end:g} s")
    return made


def _named_axis(rows: list[Row], audio: Audio) -> Axis:
    """The clip's time in words and gaps; a gap shorter than a sample is none."""
    sample, edges, names = 1 / audio.sample_rate, [audio.start], []
    last, before = audio.start, "the start"
    for start, end, label in rows:
        if end <= audio.start + sample or start >= audio.end - sample:
            continue
        if start < last - sample and last > audio.start:
            raise InputError(f"{label!r} starts at {start:g} s, before {before!r} ends at {last:g} s")
        if start > last + sample:
            edges, names = [*edges, start], [*names, GAP]
        last, before = min(end, audio.end), label
        edges, names = [*edges, last], [*names, label]
    if not names:
        raise InputError(
            f"the alignment has nothing between {audio.start:.2f} and {audio.end:.2f} s: is it of another clip?"
        )
    if audio.end - last > sample:
        edges, names = [*edges, audio.end], [*names, GAP]
    edges[-1] = audio.end
    return Axis("time", "s", tuple(edges), numbered(names))


def numbered(names: Sequence[str]) -> tuple[str, ...]:
    """Names that occur twice or more, each with its number."""
    count, seen = Counter(names), Counter()
    made = []
    for name in names:
        seen[name] += 1
        made.append(f"{name} {seen[name]}" if count[name] > 1 else name)
    return tuple(made)


def _file_of(audio: Audio) -> str | None:
    """The name of the file that a clip was read from, as its provenance tells."""
    read = (re.fullmatch(r"read (.+), \d+ Hz", line) for line in audio.provenance)
    return next((match[1] for match in read if match), None)
