"""The user's own model and recordings: frames, neurons and a figure for each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earwitness.audio import sound_files
from earwitness.classifiers import Classifier
from earwitness.errors import InputError
from earwitness.explainers import GradientSHAP
from earwitness.studies.explaining import explain
from earwitness.studies.pages import Section
from earwitness.studies.wavlm.asking import frame_picture, its_frames, its_neurons, over_frames, said, top_frames

DRAWN = 12  # clips that get a picture on the page


def own_clips(
    classifier: Classifier,
    folder: Path,
    method: GradientSHAP,
    *,
    target: str | None,
    limit: int,
    top: int,
    layer: int | None,
) -> Iterator[Section]:
    """A section for each recording in a folder (or for one file): the model's answer, its frames, its neurons."""
    files = [folder] if folder.is_file() else sound_files(folder)
    for number, file in enumerate(files[:limit]):
        try:
            yield _section(classifier, file, method, target, top, layer, number)
        except InputError as error:
            yield Section(f"clip-{number}", file.name, f"Not explained: {error}")


def _section(
    classifier: Classifier,
    file: Path,
    method: GradientSHAP,
    target: str | None,
    top: int,
    layer: int | None,
    number: int,
) -> Section:
    found = explain(classifier, file, method, target, its_frames(classifier))
    tables: dict[str, pd.DataFrame] = {"frames": found.to_frame(), "top": top_frames(found, top)}
    if layer is not None:
        neurons = explain(classifier, file, method, found.target, its_neurons(classifier, layer))
        each: Any = over_frames(neurons.values)
        tables["neurons"] = each.sort_values("sum", key=np.abs, ascending=False).reset_index(names="neuron")
    missing = "" if found.gap is None else f" The shares miss {found.gap:.1%} of the total."
    pictures = {"frames": frame_picture(found, top, file.name)} if number < DRAWN else {}
    return Section(
        f"clip-{number}", file.name,
        f"{said(found)}; explained: {found.target}.{missing} " + " ".join(f"Warning: {w}." for w in found.warnings),
        tables=tables, pictures=pictures,
    )  # fmt: skip
