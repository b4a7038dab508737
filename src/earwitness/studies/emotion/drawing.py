"""The pictures of the study, as data: maps side by side, drops and efficiencies as bars."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from earwitness.classifiers import Classifier
from earwitness.explanations import Explanation
from earwitness.fingerprints import fingerprint
from earwitness.questions import ask
from earwitness.statistics import mean_interval
from earwitness.studies.answering import sound_of
from earwitness.studies.comparison import Comparison
from earwitness.studies.emotion.contenders import (
    DROP,
    LRP_NAME,
    NOTEBOOK,
    SCATTERED,
    SHIFTED,
    SILENCE_NAME,
    pixels,
    taking_part,
)
from earwitness.studies.emotion.judging import Trial
from earwitness.studies.emotion.trials import Settings
from earwitness.studies.finished_parts import Finished
from earwitness.studies.pages import Bars, Heat, Picture

METHODS_SHOWN = tuple(NOTEBOOK)
OVER = 0.005  # of the numbers of gradient x input are so far out that the others could not be seen beside them
SCALES = (
    "Orange argues for the emotion, violet against it; Grad-CAM from 0 (dark); silence: its probability, 0 to 1. The largest "
    "0.5 % of gradient x input are drawn as those next to them."
)


def side_by_side(
    trials: Sequence[Trial], settings: Settings, shown: int, credit: str, finished: Finished
) -> dict[str, Picture]:
    """For each emotion a picture: a row for each of its first `shown` clips, the clip and the notebook's four maps.

    finished: where maps are kept, and read from.
    """
    by_label: dict[str, list[tuple[Classifier, Any]]] = {}
    for trial in trials:
        for clip in trial.clips:
            by_label.setdefault(clip.label, []).append((trial.classifier, clip))
    pictures = {}
    for label, pairs in sorted(by_label.items())[: settings.drawn]:
        rows = [row(classifier, clip, settings, finished) for classifier, clip in pairs[:shown]]
        names = [name for name in METHODS_SHOWN if all(name in maps for _, maps in rows)]
        panels = [panel for first, maps in rows for panel in (first, *(maps[name] for name in names))]
        caption = f"{label}: the clip, and the same clip by four methods. {SCALES} {credit}"
        pictures[label] = Picture(panels, caption, len(names) + 1)
    return pictures


def row(classifier: Classifier, clip: Any, settings: Settings, finished: Finished) -> tuple[Heat, dict[str, Heat]]:
    """What the network takes of a clip, and the notebook's maps of it by their names."""
    sound = sound_of(classifier, clip)
    question = ask(classifier, sound, pixels())
    frequency, time = question.axes
    methods = taking_part(classifier, sound, settings)
    about = fingerprint((classifier, question.x))
    found = {name: finished.explained(question, methods[name], about) for name in METHODS_SHOWN if name in methods}
    said = cast(Any, next(iter(found.values())).prediction)
    level = question.x.reshape(-1, frequency.size, time.size)[0].cpu().numpy()
    first = Heat(level, (frequency, time), f"{said.label}, {said.probability:.2f}", unit="features")
    return first, {name: heat(name, one, (frequency, time)) for name, one in found.items()}


def heat(name: str, found: Explanation, axes: tuple) -> Heat:
    """One map; of silence its probability."""
    if name == SILENCE_NAME:
        return Heat(1 - found.values, axes, NOTEBOOK[name], "mask", "probability")
    values = found.values
    if name == LRP_NAME:
        limit = np.quantile(np.abs(values), 1 - OVER)
        values = np.clip(values, -limit, limit)
    return Heat(values, axes, NOTEBOOK[name], found.kind, found.unit if found.kind == "effect" else found.kind)


def drop_picture(table: pd.DataFrame, credit: str) -> Picture:
    """The notebook's bars, a panel a method: mean drops of the important fifth and of others, by emotion."""
    panels = []
    for name in METHODS_SHOWN:
        rows: Any = table[table["explainer"] == name]
        if len(rows):
            groups = {
                "important": rows[DROP].to_numpy(),
                "random, scattered": rows[f"random drop, {SCATTERED}"].to_numpy(),
                "random, same shape": rows[f"random drop, {SHIFTED}"].to_numpy(),
            }
            panels.append(Bars(list(rows["label"]), groups, "drop of the probability", NOTEBOOK[name]))
    return Picture(panels, f"Mean drops by emotion, without a fifth of the bins. {credit}", 2)


def efficiency_picture(found: Comparison, regions: str | None, credit: str) -> Picture:
    """Efficiencies with 95 % intervals: of the notebook's methods by emotion, or (regions None) over all clips, both ways."""
    names = [name for name in METHODS_SHOWN if name in set(found.table["explainer"])]
    if regions is None:
        names += [name for name in (found.random, found.loudness) if name]
        known: dict[str, Any] = {kind: found.scores(kind)[names] for kind in (SCATTERED, SHIFTED)}
        groups, errors = {}, {}
        for kind, scores in known.items():
            groups[kind], errors[kind] = _means([scores[name].to_numpy() for name in names])
        bars = Bars(names, groups, "efficiency (probability)", errors=errors)
        caption = "The notebook's methods and the controls: means over clips, with 95 % intervals; above 0 a map beats others."
        return Picture([bars], f"{caption} {credit}", 1)
    labels = found.table.drop_duplicates("clip")["label"].to_numpy()
    scores = found.scores(regions)
    emotions, groups, errors = sorted(set(labels)), {}, {}
    for name in names:
        groups[NOTEBOOK[name]], errors[NOTEBOOK[name]] = _means(
            [scores[name].to_numpy()[labels == e] for e in emotions]
        )
    bars = Bars(emotions, groups, "efficiency (probability)", errors=errors)
    return Picture([bars], f"Important minus {regions} random, by emotion, with 95 % intervals. {credit}", 1)


def _means(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Means `[n]`, and the lengths `[2, n]` of their intervals below and above; 0 for a single clip."""
    rows = [row[~np.isnan(row)] for row in rows]
    means = np.array([row.mean() if len(row) else 0.0 for row in rows])
    found = [mean_interval(row) if len(row) > 1 else None for row in rows]
    ends = [(0.0, 0.0) if one is None else (one.mean - one.low, one.high - one.mean) for one in found]
    return means, np.array(ends).T
