"""The recordings of the lab: which are taken, under which label of the model, and from which second to which.

Labels of the data are matched with those of the model exactly, or else without regard to case, blanks, "_" and "-". Where a model
was published with the list of the recordings that it was tested on (`held-out.txt`, file names, whatever their ending), only
these are taken. A column `source`, `speaker` or `freesound_id` of the table says which clips come from one source, and so are not
independent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earwitness.audio import Audio, load
from earwitness.data.readers import Mixture
from earwitness.errors import InputError, UsageError, unknown, whole
from earwitness.questions.audio import SLACK
from earwitness.studies.comparing_clips import clips_at
from earwitness.studies.model_cards import HELD_OUT

SOURCES = ("source", "speaker", "freesound_id")  # columns that say what a clip was taken from
NOT_SAID = "Nobody has said which of these recordings the model has learnt from: accuracies may flatter."


@dataclass(frozen=True)
class Taken:
    """A recording that is taken.

    path: of the file.  label: of the model, "" if not known.  seconds: of it that are taken, from its beginning; None for all.
    source: what it was taken from (a speaker, an original recording), "" if not known.
    """

    path: Path
    label: str = ""
    seconds: float | None = None
    source: str = ""

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name

    def load(self, sample_rate: int | None = None) -> Audio:
        """Read the sound and cut it."""
        return self._cut(load(self.path, sample_rate))

    def _cut(self, audio: Audio) -> Audio:
        longer = self.seconds is not None and audio.duration > SLACK * self.seconds
        return audio.window(audio.start, self.seconds or 0.0) if longer else audio


@dataclass(frozen=True)
class TakenMixture(Taken):
    """One whose cause is known: the event alone is a file of its own."""

    event_path: Path = Path()

    def load_event(self, sample_rate: int | None = None) -> Audio:
        """Read the event alone and cut it alike."""
        return self._cut(load(self.event_path, sample_rate))


@dataclass(frozen=True)
class Material:
    """What the lab works on.

    clips: by label, then by name.  notes: what was left out, a line each.
    source: the column that names the sources of the clips, "" where there is none.
    """

    clips: tuple[Taken, ...]
    notes: tuple[str, ...] = ()
    source: str = ""

    @property
    def labelled(self) -> bool:
        """Whether there is a truth to compare with."""
        return any(clip.label for clip in self.clips)

    @property
    def located(self) -> bool:
        """Whether the place of the cause is known of some."""
        return any(isinstance(clip, TakenMixture) for clip in self.clips)


def gather(
    data: Path,
    labels: Sequence[str],
    *,
    model: Path | None = None,
    group: str | None = None,
    target: str | None = None,
    limit: int | None = None,
    seconds: float | None = None,
    known_only: bool = False,
) -> Material:
    """The recordings at a place, as `clips_at` reads it, for a model with these labels.

    model: its folder.  group: the fold, split or speaker to take alone.  limit: so many at most, evenly from all labels.
    target: what is explained, if not the predicted label; then labels that the model lacks are no labels.
    seconds: from the beginning of each.  known_only: leave out recordings whose label the model lacks.
    Raises `UsageError` for a label that the model lacks, and for a group that is not there; `InputError` where none is left.
    """
    whole(limit=limit)
    found, notes = clips_at(data), []
    if group is not None:
        found = _of_group(found, group)
        notes.append(f"Taken: the {len(found)} recordings of group {group}.")
    elif model is not None and (tested := _tested(found, model)):
        notes.append(
            f"Taken: the {len(tested)} of {len(found)} recordings that the model has not learnt from, by its own list."
        )
        found = tested
    else:
        notes.append(NOT_SAID)
    names = matched(sorted({_label(item) for item in found} - {""}), labels, target is not None or known_only)
    if known_only:
        lacking = [name for name, label in names.items() if not label]
        found = [item for item in found if _label(item) not in lacking]
        notes += [f"Left out: recordings of {', '.join(lacking)}, which the model lacks."] if lacking else []
    if not found:
        raise InputError(
            f"no recording is left: the model has none of the labels of {data}. It has {', '.join(labels)}"
        )
    column, sources = sources_at(data)
    clips = sorted(
        (_taken(item, names, seconds, sources) for item in found), key=lambda clip: (clip.label, str(clip.path))
    )
    if limit is not None and limit < len(clips):
        notes.append(f"Taken: {limit} of {len(clips)} recordings, evenly from all labels.")
        clips = spread_evenly(clips, limit)
    return Material(tuple(clips), tuple(notes), column)


def sources_at(data: Path) -> tuple[str, dict[Path, str]]:
    """The column of the table at a place that names the sources of the clips, and the source of each file; "" and {} without one.

    A column that is the same in all rows tells nothing and is passed over.
    """
    table = data if data.suffix.lower() == ".csv" else data / "metadata.csv"
    if not table.is_file():
        return "", {}
    rows: Any = pd.read_csv(table, dtype=str, keep_default_na=False)
    column = next((name for name in SOURCES if name in rows and len(set(rows[name])) > 1), "")
    if not column:
        return "", {}
    pairs = list(zip(rows["path"], rows[column], strict=True))
    homes = (table.parent.parent, table.parent)  # a table of mixtures names its files from the folder above
    return column, {home / path: source for home in homes for path, source in pairs}


def matched(names: Sequence[str], labels: Sequence[str], lenient: bool = False) -> dict[str, str]:
    """For each label of the data that of the model. lenient: what the model lacks becomes "" instead of an error."""
    plain = {_plain(label): label for label in labels}
    found = {name: name if name in labels else plain.get(_plain(name), "") for name in names}
    lacking = [name for name, label in found.items() if not label]
    if lacking and not lenient:
        raise UsageError(
            f"the model has no label {', '.join(lacking)}. Labels of the data: {', '.join(names)}; of the model: "
            f"{', '.join(labels)}. Rename the folders or the column, leave these recordings out with --known-only, or say with "
            "--target what is to be explained"
        )
    return found


def spread_evenly(items: Sequence[Any], count: int) -> list[Any]:
    """So many items, evenly from a list, the first and the last among them."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def _label(item: Any) -> str:
    return getattr(item, "label", "")


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]+", "", label).lower()


def _of_group(found: list[Any], group: str) -> list[Any]:
    groups = sorted({str(getattr(item, "group", "")) for item in found} - {""})
    if group not in groups:
        raise unknown("group of recordings", group, groups or ["(none: these recordings have no folds or splits)"])
    return [item for item in found if item.group == group]


def _tested(found: list[Any], model: Path) -> list[Any]:
    """Those that the model's own list names; none where there is no list, or it names none of these."""
    try:
        names = {Path(line).stem for line in (model / HELD_OUT).read_text(encoding="utf-8").splitlines() if line}
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot read {model / HELD_OUT}: {error.strerror}") from error
    return [item for item in found if Path(getattr(item, "path", item)).stem in names]


def _taken(item: Any, names: dict[str, str], seconds: float | None, sources: dict[Path, str]) -> Taken:
    path = Path(getattr(item, "path", item))
    label, source = names.get(_label(item), ""), sources.get(path, "")
    if isinstance(item, Mixture):
        return TakenMixture(path, label, seconds, source, item.event_path)
    return Taken(path, label, seconds, source)
