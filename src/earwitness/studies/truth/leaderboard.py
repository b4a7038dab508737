"""Which methods point at the cause, over all trials, and does faithfulness know it?

All methods explain the same clips; each explanation is held against the cause (ROC area first: 0.5 is chance whatever the size
of the cause) and against the model (deletion, insertion, mu-fidelity). Clips are the unit of chance. Over all trials the clips
stand side by side in one comparison, so that a trial counts as much as it has clips.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from earwitness.explainers import (
    HSIC,
    LIME,
    METHODS,
    RISE,
    Explainer,
    KernelSHAP,
    LevelSilenceMap,
    Loudness,
    Random,
    Shapley,
    Sobol,
)
from earwitness.metrics import (
    Deletion,
    Insertion,
    IntersectionOverUnion,
    MassAccuracy,
    Metric,
    MuFidelity,
    PointingGame,
    RankAccuracy,
    ROCArea,
)
from earwitness.metrics.base import Truth
from earwitness.naming import kebab
from earwitness.questions import AudioQuestion, ask
from earwitness.statistics import Interval, mean_interval, rank_stability
from earwitness.studies.comparing import compare
from earwitness.studies.comparing_rows import NOT_APPLICABLE
from earwitness.studies.comparison import DIRECTIONS, Comparison, readable
from earwitness.studies.truth.trials import Planted, Settings, Study, Trial

LEVEL = 0.05
ROC = kebab(ROCArea)
CONTROLS = [kebab(control) for control in (Random, Loudness, LevelSilenceMap)]
ASKING = (Sobol, Shapley, KernelSHAP, LIME, HSIC, RISE)
TRUTHS: tuple[Truth, ...] = (ROCArea(), MassAccuracy(), RankAccuracy(), IntersectionOverUnion(), PointingGame())
SIZES = {"samples": 8, "designs": 2, "permutations": 1}  # the option that says how many are drawn, and its least


def methods_of(settings: Settings) -> list[Explainer]:
    """Every method that needs no more than numbers; those that ask by chance with about `settings.evaluations`.

    Methods that follow gradients, and need far fewer, stay as they are by default.
    """
    size, chosen = settings.grid[0] * settings.grid[1], []
    for method in METHODS:
        options = {option.name: option for option in fields(method) if option.init}  # type: ignore[arg-type]
        if any(option.default is option.default_factory is MISSING for option in options.values()):
            continue
        given: dict[str, Any] = {"seed": settings.seed} if "seed" in options else {}
        if method in ASKING:
            (sized,) = set(SIZES) & set(options)
            each = 1 if sized == "samples" else method().price(size)  # type: ignore[attr-defined]
            given[sized] = max(SIZES[sized], settings.evaluations // each)
        chosen.append(method(**given))
    return chosen


def metrics_of(settings: Settings) -> list[Metric]:
    """Truth, and faithfulness beside it."""
    curves = (metric(settings.steps, seed=settings.seed) for metric in (Deletion, Insertion))
    return [*TRUTHS, *curves, MuFidelity(subsets=settings.subsets, seed=settings.seed)]


@dataclass(frozen=True, eq=False)
class Judged:
    """What came out.  everything: by all metrics.  roc: by ROC area alone; its summary is computed once and looked at often."""

    everything: Comparison
    roc: Comparison

    @classmethod
    def of(cls, table: Any, notes: tuple[str, ...] = ()) -> "Judged":
        """From a table with methods and metrics called by their names alone."""
        beside = kebab(Random), kebab(Loudness)
        return cls(Comparison(table, *beside, notes), Comparison(table[table["metric"] == ROC], *beside))

    @cached_property
    def ranks(self) -> pd.Series:
        """Mean ranks by ROC area, best first; empty where there is nothing to rank."""
        return self.roc.ranks(ROC) if self.roc.ranked(ROC) else pd.Series(dtype=float)

    @cached_property
    def told(self) -> str:
        """The verdict by ROC area, and what the controls have to do with it."""
        text = f"By ROC area, {self.roc.verdict(ROC).removeprefix(f'{ROC}: ')} {beyond_controls(self)}"
        if len(self.ranks) and self.ranks.index[0] in CONTROLS:
            text += f" A control has the best mean rank: {self.ranks.index[0]}, which knows nothing of the model."
        return text


def judged(study: Study, trial: Trial) -> Judged:
    """All methods on a trial, called by their names alone; those that need other components (a layer, say) are left out.

    Rows that are in the folder of the run are not computed again.
    """
    found = compare(
        trial.classifier, trial.clips, methods_of(study.settings), metrics_of(study.settings),
        study.out / "shards" / trial.name, components=trial.components, jobs=study.jobs, progress=study.progress,
    )  # fmt: skip
    table: Any = found.table
    short = {name: table[name].str.partition(":")[0] for name in ("explainer", "metric")}
    strange = (table["status"] == NOT_APPLICABLE).groupby(short["explainer"]).transform("all")
    return Judged.of(table.assign(**short)[~strange], found.notes)


def settings_of(study: Study, found: Judged) -> pd.DataFrame:
    """Each method's settings, and what it cost on average."""
    table: Any = found.everything.table
    means = table.groupby("explainer", sort=False)[["evaluations", "seconds"]].mean().astype(float).reset_index()
    methods = {kebab(type(method)): repr(method) for method in methods_of(study.settings)}
    return means.assign(settings=[methods[name] for name in means["explainer"]])


def asked(trial: Trial, clip: Planted) -> AudioQuestion:
    """Why this label?"""
    return ask(trial.classifier, clip.audio, trial.components, clip.label, truth=clip.truth)


def pooled(found: Iterable[Judged]) -> Judged:
    """The clips of all trials side by side."""
    return Judged.of(pd.concat([one.everything.table for one in found], ignore_index=True))


def lifts(trial: Trial, found: Judged) -> pd.DataFrame:
    """For each method the mean lift over chance by each metric of truth: 0 is chance, 1 the perfect answer."""
    questions = [asked(trial, clip) for clip in trial.clips]
    table = pd.DataFrame({"explainer": found.everything.scores(ROC).columns})
    for metric in TRUTHS[1:]:
        chance = np.array([metric.chance(question) for question in questions])[:, None]
        lift = (found.everything.scores(kebab(type(metric))) - chance) / (1 - chance)
        table[f"lift {kebab(type(metric))}"] = lift.mean().to_numpy()
    return table


def standings(found: Judged) -> pd.DataFrame:
    """The methods with their ROC areas, differences to the controls and ranks, best first."""
    return readable(found.roc.summary().sort_values(["rank", "explainer"], kind="stable"))


def by_trial(found: Mapping[str, Judged], everything: Judged) -> pd.DataFrame:
    """A row for each method: mean ROC area with its interval, and mean rank, in each trial; best first over all."""
    table = pd.DataFrame({"explainer": everything.ranks.index})
    for trial, one in found.items():
        rows = one.roc.summary().set_index("explainer").reindex(table["explainer"])
        table[trial] = [
            f"{mean:.2f} [{low:.2f}, {high:.2f}] ({rank:.1f})"
            for mean, low, high, rank in rows[["mean", "low", "high", "rank"]].to_numpy()
        ]
    return table


def beyond_controls(found: Judged) -> str:
    """Which methods are significantly better and worse than Random and than Loudness, by ROC area."""
    rows: Any = found.roc.summary()
    said = []
    for control in ("random", "loudness"):
        apart = rows[rows[f"p_{control}"] < LEVEL]
        for word, sign in (("better", 1), ("worse", -1)):
            names = ", ".join(apart[sign * apart[f"minus_{control}"] > 0]["explainer"])
            if names or word == "better":
                said.append(f"significantly {word} than {control.capitalize()}: {names or 'none'}")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]} (Holm-corrected Wilcoxon tests)."


def agreement(found: Judged, controls: bool = True) -> pd.DataFrame:
    """Does faithfulness rank methods as truth does? A row for each metric of faithfulness.

    per_clip: the mean over clips of Spearman's correlation, over methods, of the metric with the ROC area, and its interval;
        better is higher for both. Clips on which either is the same for all methods have none: n are left.
    of_means: the correlation of the mean ranks.  controls: whether those of `CONTROLS` count as methods.
    """
    compared, rows = found.everything, []
    table: Any = compared.table
    truth = compared.complete(ROC).drop(columns=[] if controls else CONTROLS, errors="ignore")
    for metric in (kebab(type(metric)) for metric in metrics_of(Settings()) if metric.family == "faithfulness"):
        better = table.loc[table["metric"] == metric, "better"].iloc[0]
        other = compared.complete(metric) * DIRECTIONS[better]
        both, clips = truth.columns.intersection(other.columns), truth.index.intersection(other.index)
        first, second = (side.loc[clips, both] for side in (truth, other))
        each = [correlation(*pair) for pair in zip(first.to_numpy(), second.to_numpy(), strict=True)]
        known = [value for value in each if np.isfinite(value)]
        interval = (
            mean_interval(known) if len(known) > 1 else Interval(known[0] if known else np.nan, np.nan, np.nan, LEVEL)
        )
        rows.append({
            "metric": metric, "methods": len(both), "n": len(known),
            "per_clip": interval.mean, "low": interval.low, "high": interval.high,
            "of_means": correlation(first.rank(axis=1).mean().to_numpy(), second.rank(axis=1).mean().to_numpy()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation; NaN where one of them has no order, or there are fewer than three."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return rank_stability([first, second])
