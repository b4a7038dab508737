"""All methods on the same clips, judged by the same experiments, and what that says.

Clips are those that a model names rightly without ever having heard their speaker. Each is asked about with all of its bins, by
the model that has not heard it; the answers of all models are pooled.

    efficiency = drop( most important fifth ) - mean drop( other fifths )          in probability, or of the logit

"scattered": the other fifths are single bins, drawn anywhere, as in the notebook. "shifted": they are the important fifth itself,
moved around in time and frequency, so that both holes have the same shape.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earwitness.classifiers import Classifier
from earwitness.explainers import Loudness, Random
from earwitness.naming import kebab
from earwitness.statistics import holm, mean_interval, signed_rank_p
from earwitness.studies.answering import sound_of
from earwitness.studies.comparing import compare
from earwitness.studies.comparing_rows import OK
from earwitness.studies.comparison import LEVEL, Comparison
from earwitness.studies.emotion.contenders import DROP, LOGIT, SCATTERED, SHIFTED, judges, pixels, taking_part
from earwitness.studies.emotion.trials import Settings


@dataclass(frozen=True, eq=False)
class Trial:
    """A classifier, and clips that it names rightly. name: of its folder."""

    name: str
    classifier: Classifier
    clips: Sequence[Any]


def chosen(trials: Iterable[Trial], count: int) -> list[Trial]:
    """`count` clips of each label, taken from the trials in turn; trials of which none is taken are left out."""
    trials = list(trials)
    taken: list[list[Any]] = [[] for _ in trials]
    for label in sorted({clip.label for trial in trials for clip in trial.clips}):
        mine = [[(n, clip) for clip in trial.clips if clip.label == label] for n, trial in enumerate(trials)]
        turns = [pair for turn in zip_longest(*mine) for pair in turn if pair is not None]
        for number, clip in turns[:count]:
            taken[number].append(clip)
    return [Trial(t.name, t.classifier, clips) for t, clips in zip(trials, taken, strict=True) if clips]


def judged_together(
    trials: Sequence[Trial], settings: Settings, folder: Path, jobs: int = 1,
    progress: Callable[[int, int | None], None] | None = None,
) -> Comparison:  # fmt: skip
    """All methods on the clips of all trials, by their names on the page. What is in the folder is not computed again."""
    tables, notes = [], []
    for trial in trials:
        methods = taking_part(trial.classifier, sound_of(trial.classifier, trial.clips[0]), settings)
        experiments = judges(settings)
        found = compare(
            trial.classifier, trial.clips, list(methods.values()), list(experiments.values()), folder / trial.name,
            components=pixels(), jobs=jobs, progress=progress,
        )  # fmt: skip
        table: Any = found.table
        short = {
            "explainer": dict(zip(table["explainer"].unique(), methods, strict=True)),
            "metric": dict(zip(found.metrics, experiments, strict=True)),
        }
        tables.append(table.assign(**{name: table[name].map(names) for name, names in short.items()}))
        notes += found.notes
    heard = all(trial.classifier.frontend is not None for trial in trials)
    table = pd.concat(tables, ignore_index=True)
    return Comparison(table, kebab(Random), kebab(Loudness) if heard else None, tuple(dict.fromkeys(notes)))


def per_clip(found: Comparison) -> pd.DataFrame:
    """A row for each clip and method: the drops, in probability and of the logit, and the efficiencies."""
    table: Any = found.table[found.table["status"] == OK]
    wide = table.pivot_table(index=["clip", "label", "explainer"], columns="metric", values="score", sort=False)
    wide = wide.reset_index().rename_axis(columns=None)
    wide["clip"] = [Path(name).stem for name in wide["clip"]]
    for ending in ("", LOGIT):
        for regions in (SCATTERED, SHIFTED):
            wide[f"random drop, {regions}{ending}"] = wide[DROP + ending] - wide[regions + ending]
    return wide


def per_emotion(found: Comparison) -> pd.DataFrame:
    """A row for each emotion and method: mean drops in probability, of the important fifth and of the others."""
    table: Any = per_clip(found)
    columns = [DROP, *(f"random drop, {regions}" for regions in (SCATTERED, SHIFTED)), SCATTERED, SHIFTED]
    means = table.groupby(["label", "explainer"], sort=False)[columns].mean()
    return means.join(table.groupby(["label", "explainer"], sort=False).size().rename("clips")).reset_index()


def beyond_random(found: Comparison, metric: str) -> pd.DataFrame:
    """A row for each method: its mean efficiency with its interval, on how many clips it is above 0, and whether it is above or
    below 0 by more than chance (Wilcoxon's test on clips, Holm-corrected over the methods)."""
    scores: Any = found.complete(metric)
    rows = [{"explainer": name, **_mean(scores[name]), "clips": len(scores)} for name in scores]
    p = holm([signed_rank_p(scores[name]) for name in scores]) if len(scores) > 1 else np.ones(len(rows))
    table = pd.DataFrame(rows).assign(p=p)
    table["verdict"] = [
        "better" if q < LEVEL and m > 0 else "worse" if q < LEVEL else "" for q, m in zip(p, table["mean"], strict=True)
    ]
    return table.sort_values("mean", ascending=False, kind="stable").reset_index(drop=True)


def _mean(values: pd.Series) -> dict[str, float]:
    above = int((values > 0).sum())
    if len(values) < 2:
        return {"mean": float(values.mean()), "low": np.nan, "high": np.nan, "above_0": above}
    found = mean_interval(values.to_numpy())
    return {"mean": found.mean, "low": found.low, "high": found.high, "above_0": above}
