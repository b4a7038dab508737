"""Are the maps true? Pointing where the place of the cause is known; deletion and insertion beside controls."""

from typing import Any

import numpy as np
import pandas as pd

from earwitness.metrics import Metric
from earwitness.studies.comparison import Comparison
from earwitness.studies.own_lab.runs import LOCATED, REMOVED, Run
from earwitness.studies.pages import Section


def at_the_cause(run: Run) -> Section:
    """Pointing and mass, where the place of the cause is known."""
    if not run.material.located:
        return Section(
            "pointing", "Does the map point at the cause?",
            "Not applicable: nobody has said where in these recordings the cause is. Mixtures whose event is a file of its own "
            "(`metadata.csv` with `event_path`) have a truth.",
        )  # fmt: skip
    found = run.compared
    return Section(
        "pointing", "Does the map point at the cause?",
        "The event is known sample by sample, and so is its place in time and frequency. The pointing game is won where the "
        "best cell lies on it; mass accuracy is the share of the map that does. What is explained is the label that the model "
        "gives; where that is wrong, a true map need not point at the event." + _verdicts(found, LOCATED),
        asks="Does the map point at the cause?", answer=_in_words(found, LOCATED), tables=_tables(found, LOCATED),
    )  # fmt: skip


def cells_removed(run: Run) -> Section:
    """Deletion and insertion of Sobol and saliency beside random maps and loudness."""
    found = run.compared
    ranked = [name for name in _names(found, REMOVED) if found.ranked(name)]
    return Section(
        "deletion", "Deletion and insertion",
        f"{_clips(found)} clips, evenly from all that the model can answer to. Cells are removed in the order of the map "
        "(deletion, lower is better), or added to the baseline (insertion, higher is better); the area under the score. Random "
        "knows nothing, Loudness nothing of the model. Differences are means over the same clips with 95 % intervals, "
        "each for itself; p of paired Wilcoxon tests, corrected (Holm). Both take clips as independent."
        + _verdicts(found, REMOVED),
        asks="Do the maps beat chance and loudness?", answer=_in_words(found, REMOVED), tables=_tables(found, REMOVED),
        pictures={f"ranks-{name}": found.picture(name) for name in ranked},
    )  # fmt: skip


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
        tables[name] = rows.drop(columns=["metric", "better"]).dropna(axis=1, how="all")
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
    said = "; ".join(_against_controls(row) for row in rows) + "."
    return f"{said} Intervals are uncorrected, p is corrected (Holm)." if "p = " in said else said


def _against_controls(row: dict) -> str:
    known = [name for name in ("random", "loudness") if not np.isnan(row[f"p_{name}"])]
    if not known:
        return f"Sobol, {row['metric']} ({row['better']} is better), {row['mean']:.2f}: too few clips for a comparison"
    what = {"random": "a random map", "loudness": "loudness"}
    said = [
        f"{row[f'minus_{name}']:+.2f} [{row[f'minus_{name}_low']:.2f}, {row[f'minus_{name}_high']:.2f}] against {what[name]}, "
        f"p = {row[f'p_{name}']:.2g}"
        for name in known
    ]
    return f"Sobol, {row['metric']} ({row['better']} is better), {row['mean']:.2f}: {'; '.join(said)}"


def _verdicts(found: Comparison, judges: tuple[Metric, ...]) -> str:
    return "\n\n" + "\n\n".join(found.verdict(name) for name in _names(found, judges))
