"""One's own model and test set: ready arrays or recordings, judged as the study's own are.

| what | how it lies there |
|---|---|
| arrays | `X_test.npy` `[N, F, T]` or `[N, 1, F, T]`, `y_test.npy` `[N]`, and `label_map.json` or `.npy` |
| recordings | one folder a class, or a `metadata.csv` with path and label; those that can't be read are left out and named |
| a model | a folder of earwitness; a checkpoint of the notebook's network, or a folder of them, of which the newest is taken |

A checkpoint has no labels and no front end: it needs a label map, beside the data or beside itself, and for recordings
`--frontend`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from earwitness.classifiers import Classifier, load_classifier
from earwitness.data.readers import Clip
from earwitness.errors import InputError, UsageError
from earwitness.frontends.pictures import picture_in_words
from earwitness.studies.answering import heard_rightly
from earwitness.studies.comparing_clips import clips_at
from earwitness.studies.emotion.checkpoints import newest, read_resnet
from earwitness.studies.emotion.judging import Trial
from earwitness.studies.emotion.measured import Findings, sections_about
from earwitness.studies.emotion.trials import Run, Utterance
from earwitness.studies.model_cards import credit_of
from earwitness.studies.pages import Section

ARRAYS = ("X_test.npy", "y_test.npy")


@dataclass(frozen=True, eq=False)
class Given:
    """Ready features `[1, F, T]` and their label."""

    name: str
    label: str
    audio: Tensor


@dataclass(eq=False)
class OwnFindings:
    """What is asked about one's own model. findings: on the clips that it names rightly.  figures: its accuracy.
    summary: what was read."""

    findings: Findings
    figures: pd.Series
    summary: str


def own_findings(run: Run, model: Path, frontend: str | None = None) -> OwnFindings:
    """Read a model and the test set in the folder of the run's data.

    frontend: how a sound becomes the network's picture, in words, for a model that brings no front end.
    Raises `InputError` for arrays and labels that do not fit together and where no recording can be read, `ModelError` for a
    model that cannot be read, `UsageError` for a front end that is not wanted, or wanted and not given.
    """
    arrays = (run.data / ARRAYS[0]).is_file()
    if arrays and frontend is not None:
        raise UsageError(f"{ARRAYS[0]} holds what the network takes already: leave out --frontend")
    checkpoint = None if (model / "config.json").is_file() else newest(model)
    if checkpoint is None:
        classifier = load_classifier(model, device="cpu", frontend=frontend)
    else:
        classifier = _of_checkpoint(checkpoint, run.data, frontend)
    if arrays:
        labels = labels_at(run.data) or classifier.labels
        clips, lost = list(features_at(run.data, labels)), []
        classifier = Classifier(classifier.network, None, classifier.labels, outputs=classifier.outputs).eval()
    elif classifier.frontend is None:
        raise UsageError(
            f"{model.name} is a bare network: it has no front end for recordings. Say how a sound becomes its picture, "
            f"--frontend mel:n_fft=2048,..., or give arrays ({', '.join(ARRAYS)}, label_map.json)"
        )
    else:
        clips, lost = recordings_at(run.data, classifier)
    strange = sorted({clip.label for clip in clips} - set(classifier.labels))
    if strange:
        raise InputError(f"the model does not know {', '.join(strange)}: its labels are {', '.join(classifier.labels)}")
    right, figures = heard_rightly(classifier, clips)
    hits = [clip for clip, hit in zip(clips, right, strict=True) if hit]
    found = Findings(run, "own", run.settings.clips, lambda: [Trial("own", classifier, hits)], _credit(run.data))
    read = f"the checkpoint `{checkpoint.name}`" if checkpoint else f"the model `{model.name}`"
    summary = f"Asked: {read}, about {len(clips)} {'arrays' if arrays else 'recordings'}."
    return OwnFindings(found, figures, "\n\n".join([summary, *lost]))


def _of_checkpoint(path: Path, data: Path, frontend: str | None) -> Classifier:
    """The notebook's network, with the labels that lie beside the data or beside it."""
    labels = labels_at(data) or labels_at(path.parent)
    if not labels:
        raise InputError(
            "a checkpoint does not name its emotions: put label_map.json beside it or beside the data, such as "
            '{"anger": 0, "fear": 1}'
        )
    return Classifier(read_resnet(path, len(labels)), picture_in_words(frontend) if frontend else None, labels).eval()


def own_sections(own: OwnFindings) -> Iterator[Section]:
    """How many are named rightly, and the evidence on some of them."""
    figures = own.figures
    yield Section(
        "accuracy", "What the model hears", "Accuracy with Wilson's 95 % interval, and the mean recall of the emotions.",
        asks="How well are emotions heard?",
        answer=f"{figures['accuracy']:.3f} [{figures['low']:.3f}, {figures['high']:.3f}] of {figures['n']:.0f}.",
        tables={"test": pd.DataFrame([figures])},
    )  # fmt: skip
    yield from sections_about(own.findings)


def recordings_at(folder: Path, classifier: Classifier) -> tuple[list[Clip], list[str]]:
    """Labelled recordings, brought to the length that the model takes, and a line for each that can't be read.

    Raises `InputError` where none can.
    """
    found = [clip for clip in clips_at(folder) if isinstance(clip, Clip)]
    if not found:
        raise InputError(f"{folder} holds neither {' and '.join(ARRAYS)} nor recordings with labels")
    seconds, good, lost = classifier.duration, [], []
    for clip in found:
        whole = clip if seconds is None else Utterance(clip.path, clip.label, clip.group, seconds)
        try:
            whole.load(classifier.sample_rate)
        except InputError as error:
            lost.append(f"Left out: {error}")
        else:
            good.append(whole)
    if not good:
        raise InputError(f"none of the {len(found)} recordings in {folder} can be read. {lost[0]}")
    return good, lost


def features_at(folder: Path, labels: tuple[str, ...]) -> Iterator[Given]:
    """The arrays of a folder with their labels. `InputError` where they do not fit together."""
    x, y = (_array(folder / name) for name in ARRAYS)
    if x.ndim == 4 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 3 or y.ndim != 1 or len(x) != len(y) or not len(x):
        raise InputError(
            f"X_test.npy must be [N, F, T] or [N, 1, F, T] and y_test.npy [N], not {list(x.shape)} and {list(y.shape)}"
        )
    for number, (features, label) in enumerate(zip(x, y.tolist(), strict=True)):
        known = label in labels if isinstance(label, str) else isinstance(label, int) and 0 <= label < len(labels)
        if not known:
            raise InputError(f"y_test.npy has the label {label!r}, and the label map has {', '.join(labels)}")
        name = label if isinstance(label, str) else labels[label]
        yield Given(f"item {number}", name, torch.from_numpy(np.array(features, dtype=np.float32))[None])


def labels_at(folder: Path) -> tuple[str, ...]:
    """The names of a label map, in the order of their numbers; () where there is none.

    `label_map.json`: names to numbers, numbers to names, or a list of names; `label_map.npy`: names.
    """
    table, array = folder / "label_map.json", folder / "label_map.npy"
    if not table.is_file():
        return tuple(map(str, _array(array).tolist())) if array.is_file() else ()
    try:
        given = json.loads(table.read_text(encoding="utf-8"))
        if isinstance(given, Mapping):
            turned = all(str(key).isdigit() for key in given)
            pairs = sorted((int(k), str(v)) if turned else (int(v), str(k)) for k, v in given.items())
            if [number for number, _ in pairs] != list(range(len(pairs))):
                raise ValueError(f"the numbers are {[number for number, _ in pairs]}, not 0, 1, 2, ...")
            return tuple(name for _, name in pairs)
        return tuple(map(str, given))
    except (ValueError, TypeError) as error:
        raise InputError(f'{table.name} is no label map, names to numbers such as {{"anger": 0}}: {error}') from error


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _credit(folder: Path) -> str:
    """The first line of what the recordings' owners ask for."""
    return " ".join(credit_of(folder).strip("`\n").split())[:200]
