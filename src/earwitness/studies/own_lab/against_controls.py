"""Are the maps true? Pointing where the place of the cause is known; deletion and insertion beside controls."""

from functools import lru_cache
from typing import Any

import pandas as pd

from earwitness.components import Factorization
from earwitness.explainers import Explainer, Random, Saliency
from earwitness.metrics import Deletion, Insertion, MassAccuracy, Metric, PointingGame
from earwitness.studies.comparing import compare
from earwitness.studies.comparison import Comparison, readable
from earwitness.studies.own_lab.material import spread_evenly
from earwitness.studies.own_lab.runs import Run
from earwitness.studies.pages import Section

REMOVED: tuple[Metric, ...] = (Deletion(), Insertion())
LOCATED: tuple[Metric, ...] = (PointingGame(), MassAccuracy())


def at_the_cause(run: Run) -> Section:
    """Pointing and mass, where the place of the cause is known."""
    if not run.material.located:
        return Section(
            "pointing", "Does the map point at the cause?",
            "Not applicable: nobody has said where in these recordings the cause is. Mixtures whose event is a file of its own "
            "(`metadata.csv` with `event_path`) have a truth.",
        )  # fmt: skip
    found = compared(run)
    return Section(
        "pointing", "Does the map point at the cause?",
        "The event is known sample by sample, and so is its place in time and frequency. The pointing game is won where the "
        "best cell lies on it; mass accuracy is the share of the map that does. What is explained is the label that the model "
        "gives; where that is wrong, a true map need not point at the event." + _verdicts(found, LOCATED),
        asks="Does the map point at the cause?", answer=_in_words(found, LOCATED), tables=_tables(found, LOCATED),
    )  # fmt: skip


def cells_removed(run: Run) -> Section:
    """Deletion and insertion of Sobol and saliency beside random maps and loudness."""
    found = compared(run)
    ranked = [name for name in _names(found, REMOVED) if found.ranked(name)]
    return Section(
        "deletion", "Deletion and insertion",
        f"{_clips(found)} clips, evenly from all that the model can answer to. Cells are removed in the order of the map "
        "(deletion, lower is better), or added to the baseline (insertion, higher is better); the area under the score. Random "
        "knows nothing, Loudness nothing of the model. Differences are means over the same clips with 95 % intervals; p of "
        "paired Wilcoxon tests, corrected (Holm)." + _verdicts(found, REMOVED),
        asks="Do the maps beat chance and loudness?", answer=_in_words(found, REMOVED), tables=_tables(found, REMOVED),
        pictures={f"ranks-{name}": found.picture(name) for name in ranked},
    )  # fmt: skip


@lru_cache(maxsize=1)
def compared(run: Run) -> Comparison:
    """All that is compared, once for a run; its rows are in the folder."""
    places = spread_evenly(list(run.heard["place"]), run.settings.compared)
    clips = [run.clip(int(place)) for place in places]
    methods: list[Explainer] = [run.method, Saliency(), Random(run.settings.seed)]
    judges = [*REMOVED, *(LOCATED if run.material.located else ())]
    return compare(
        run.classifier, clips, methods, judges, run.out / "shards",
        components=_cut(run), target=run.target, jobs=run.jobs, progress=run.progress,
    )  # fmt: skip


def _cut(run: Run) -> Factorization | None:
    """The grid of the run; what suits the model where that takes samples."""
    place = run.shown[0]
    return run.cut(run.clip(place).load(run.classifier.sample_rate)) if run.gridded else None


def _names(found: Comparison, judges: tuple[Metric, ...]) -> list[str]:
    wanted = {type(judge).__name__.lower() for judge in judges}
    return [name for name in found.metrics if name.replace("-", "") in wanted]


def _clips(found: Comparison) -> int:
    return len(set(found.table["clip"]))


def _tables(found: Comparison, judges: tuple[Metric, ...]) -> dict[str, pd.DataFrame]:
    summary = found.summary()
    tables = {}
    for name in _names(found, judges):
        rows: Any = summary[summary["metric"] == name]
        tables[name] = readable(rows)
    return tables


def _in_words(found: Comparison, judges: tuple[Metric, ...]) -> str:
    """For each metric the differences of the first method, Sobol, to the controls."""
    summary = found.summary()
    names = _names(found, judges)
    rows = [
        row
        for row in summary.to_dict("records")
        if row["metric"] in names and str(row["explainer"]).startswith("sobol")
    ]
    return "; ".join(_against_controls(row) for row in rows) + "."


def _against_controls(row: dict) -> str:
    said = [
        f"{row[f'minus_{name}']:+.2f} [{row[f'minus_{name}_low']:.2f}, {row[f'minus_{name}_high']:.2f}] against {what}, "
        f"p = {row[f'p_{name}']:.2g}"
        for name, what in (("random", "a random map"), ("loudness", "loudness"))
    ]
    return f"Sobol, {row['metric']} ({row['better']} is better), {row['mean']:.2f}: {'; '.join(said)}"


def _verdicts(found: Comparison, judges: tuple[Metric, ...]) -> str:
    return "\n\n" + "\n\n".join(found.verdict(name) for name in _names(found, judges))
