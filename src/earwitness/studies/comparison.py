"""What a comparison found: a table, means with intervals, paired tests, ranks, and a sentence that claims no more than these.

Clips are the unit of chance, and scores are compared on the same clips only. A method is called the best on a metric only if

- Friedman's test finds that the methods differ at all, and
- it differs from every other method in Wilcoxon's paired test, corrected for all pairs (Holm).

Source: Demšar (2006), JMLR 7, 1-30; Benavoli, Corani, Mangili (2016), JMLR 17, 1-10, for pairwise Wilcoxon tests.
Differs: Nemenyi's critical difference is drawn, as everywhere, but not used for the sentence: by it, whether two methods differ
depends on which others take part.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, cast

import numpy as np
import pandas as pd

from earwitness.errors import UsageError, unknown
from earwitness.statistics import (
    Friedman,
    friedman,
    holm,
    mean_interval,
    nemenyi_difference,
    paired_difference,
    signed_rank_p,
)
from earwitness.studies.comparing_rows import FAILED, NOT_APPLICABLE, OK
from earwitness.studies.pages import Picture, Ranks
from earwitness.studies.shards import SCHEMA, Row

DIRECTIONS = {"higher": 1, "lower": -1}
LEVEL = 0.05


def tidy(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as a table with the same types whatever it holds."""
    table = pd.DataFrame(rows, columns=SCHEMA.names)
    kinds = {"string": "str", "double": "float64", "int64": "Int64"}
    return table.astype({field.name: kinds[str(field.type)] for field in SCHEMA})


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    table: a row for each clip, method and metric, in this order: `clip, label, explainer, metric, better` ("higher" or "lower"),
        `status` ("ok", "not applicable", "failed"), `score`, `target`, `seconds` and `evaluations` (of the explanation),
        `seed`, `reason`, `key`.
    random, loudness: the names of the controls; None where there is none.
    notes: what there is to say about it, one line each.
    """

    table: pd.DataFrame
    random: str
    loudness: str | None
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics."""
        return list(self.table["metric"].unique())

    @property
    def failures(self) -> pd.DataFrame:
        """The rows that failed; what is not applicable is none of them."""
        return cast(pd.DataFrame, self.table[self.table["status"] == FAILED])

    def scores(self, metric: str) -> pd.DataFrame:
        """`[clips, methods]`: the scores of a metric; NaN where there is none. Clips by their place in the table."""
        rows = self._rows(metric)
        methods = list(rows["explainer"].unique())
        values = rows["score"].where(rows["status"] == OK).to_numpy().reshape(-1, len(methods))
        return pd.DataFrame(values, columns=methods)

    def complete(self, metric: str) -> pd.DataFrame:
        """The scores of the methods that have any, on the clips on which all of these have one."""
        return self.scores(metric).dropna(axis=1, how="all").dropna()

    def ranked(self, metric: str) -> bool:
        """True where there is something to rank: two methods on two clips, and a better."""
        return self._sign(metric) != 0 and min(self.complete(metric).shape) > 1

    def ranks(self, metric: str) -> pd.Series:
        """The mean rank of each method over clips, best first; 1 is the best, equal scores share their ranks."""
        found = self._friedman(metric)
        return pd.Series(found.ranks, self.complete(metric).columns, name="rank").sort_values(kind="stable")

    def summary(self) -> pd.DataFrame:
        """A row for each metric and method: means over clips, and differences to the controls.

        n: clips with a score.  mean, low, high: with its 95 % bootstrap interval, NaN for fewer than two clips.
        rank: the mean rank, on the clips on which all methods have a score.
        minus_random, minus_random_low, minus_random_high: the mean difference to Random on the same clips, with its interval;
            p_random: of Wilcoxon's paired test, corrected (Holm) over the methods of the metric.  The same for Loudness.
        not_applicable, failed: rows without a score.
        """
        return self._summary.copy()

    @cached_property
    def _summary(self) -> pd.DataFrame:
        return pd.concat([self._summary_of(metric) for metric in self.metrics], ignore_index=True)

    def _summary_of(self, metric: str) -> pd.DataFrame:
        rows, scores = self._rows(metric), self.scores(metric)
        table = pd.DataFrame({"metric": metric, "explainer": scores.columns, "better": rows["better"].iloc[0]})
        table["n"] = scores.notna().sum().to_numpy()
        intervals = [_interval(scores[name].dropna().to_numpy()) for name in scores]
        table[["mean", "low", "high"]] = np.array(intervals).reshape(-1, 3)
        ranks = self.ranks(metric) if self.ranked(metric) else pd.Series(dtype=float)
        table["rank"] = ranks.reindex(scores.columns).to_numpy()
        for control, name in (("random", self.random), ("loudness", self.loudness)):
            columns = [f"minus_{control}", f"minus_{control}_low", f"minus_{control}_high", f"p_{control}"]
            table[columns] = _against(scores, name)
        counts = pd.crosstab(rows["explainer"], rows["status"]).reindex(scores.columns)
        for column, status in (("not_applicable", NOT_APPLICABLE), ("failed", FAILED)):
            table[column] = counts[status].to_numpy() if status in counts else 0
        return table

    def critical_difference(self, metric: str) -> float:
        """How far two mean ranks must lie apart to differ significantly, by Nemenyi's test at 5 %."""
        clips, methods = self.complete(metric).shape
        return nemenyi_difference(methods, clips, LEVEL)

    def verdict(self, metric: str) -> str:
        """One sentence: the best method, if the clips show that it is, else that they don't."""
        if not self.ranked(metric):
            return f"{metric}: nothing to compare, as fewer than two methods have scores on two or more same clips."
        found, ranks = self._friedman(metric), self.ranks(metric)
        clips = f"{found.clips} clips"
        best, *others = names = [str(name) for name in ranks.index]
        differing = self._pairs(metric)
        equal = [name for name in others if not differing[frozenset((best, name))] < LEVEL]
        said = f"Friedman p = {found.p:.2g}, {clips}"
        if found.p >= LEVEL:
            return f"{metric}: no significant difference among {', '.join(names)} ({said})."
        if equal:
            worse = [name for name in others if name not in equal]
            rest = f"; worse: {', '.join(worse)}" if worse else ""
            tests = f"{said}, Holm-corrected Wilcoxon tests of all pairs{_too_few(found.clips, len(differing))}"
            return (
                f"{metric}: no significant difference between {best}, which has the best mean rank ({ranks[best]:.2f}), and "
                f"{', '.join(equal)}{rest} ({tests})."
            )
        worst = max(differing[frozenset((best, name))] for name in others)
        control = " (a control: it knows nothing of the model)" if best in (self.random, self.loudness) else ""
        return (
            f"{metric}: {best}{control} is best: mean rank {ranks[best]:.2f} of {len(ranks)}, different from every other "
            f"(p at most {worst:.2g} in Holm-corrected Wilcoxon tests of all pairs; {said})."
        )

    def picture(self, metric: str) -> Picture:
        """The critical-difference diagram of a metric, as data."""
        ranks, apart = self.ranks(metric), self.critical_difference(metric)
        clips = len(self.complete(metric))
        panel = Ranks(list(ranks.index), ranks.to_numpy(), apart, _groups(ranks.to_numpy(), apart), metric)
        return Picture(
            [panel],
            f"Mean ranks over {clips} clips, the best on the left. Methods that a bar joins are no further apart than Nemenyi's "
            f"critical difference at 5 % ({apart:.2f}).",
        )

    def plot(self, path: str | os.PathLike | None = None):
        """A critical-difference diagram for each metric. Returns the figure; writes it, if asked to."""
        from earwitness.reports.charts import plot_picture  # asked of the result, as `Explanation.plot`

        ranked = [metric for metric in self.metrics if self.ranked(metric)]
        if not ranked:
            raise UsageError("there is nothing to draw: no two methods have scores on two or more same clips")
        panels = [panel for metric in ranked for panel in self.picture(metric).panels]
        return plot_picture(Picture(panels, "", columns=1), path)

    def __str__(self) -> str:
        clips = len(self.table) // max(1, self.table.groupby(["explainer", "metric"]).ngroups)
        status = self.table["status"].value_counts()
        counted = ", ".join(f"{status[name]} {name}" for name in (OK, NOT_APPLICABLE, FAILED) if name in status)
        lines = [f"{clips} clips, {len(self.table)} rows: {counted}"]
        for metric, rows in self._summary.groupby("metric", sort=False):
            lines += ["", f"{metric} ({rows['better'].iloc[0]} is better)", readable(rows).to_string(index=False)]
            lines += [self.verdict(str(metric))]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _rows(self, metric: str) -> Any:
        """The rows of a metric, a table."""
        if metric not in self.metrics:
            raise unknown("metric of this comparison", metric, self.metrics)
        return self.table[self.table["metric"] == metric]

    def _friedman(self, metric: str) -> Friedman:
        scores = self.complete(metric)
        return friedman(-self._sign(metric) * scores.to_numpy())

    def _sign(self, metric: str) -> int:
        """1 where higher is better, -1 where lower is; 0 where neither is."""
        return DIRECTIONS.get(self._rows(metric)["better"].iloc[0], 0)

    def _pairs(self, metric: str) -> dict[frozenset[str], float]:
        """The p-value of each pair of methods, corrected over all pairs."""
        scores = self.complete(metric)
        pairs = list(combinations(scores.columns, 2))
        p = holm([signed_rank_p(scores[one] - scores[other]) for one, other in pairs])
        return {frozenset(pair): float(value) for pair, value in zip(pairs, p, strict=True)}


def readable(summary: pd.DataFrame) -> pd.DataFrame:
    """A summary for people: means and differences with their intervals in one column each."""
    table = pd.DataFrame(summary[["explainer", "n"]])
    table["mean [95 %]"] = [_between(*row) for row in summary[["mean", "low", "high"]].to_numpy()]
    for control in ("random", "loudness"):
        columns = [f"minus_{control}", f"minus_{control}_low", f"minus_{control}_high", f"p_{control}"]
        rows = summary[columns].to_numpy()
        if not np.isnan(rows[:, 0]).all():
            table[f"minus {control}"] = [_between(*row[:3], sign="+") for row in rows]
            table[f"p ({control})"] = ["" if np.isnan(row[3]) else f"{row[3]:.2g}" for row in rows]
    table["rank"] = ["" if np.isnan(rank) else f"{rank:.2f}" for rank in summary["rank"]]
    return table


def _between(mean: float, low: float, high: float, sign: str = "") -> str:
    if np.isnan(mean):
        return ""
    interval = "" if np.isnan(low) else f" [{low:{sign}.3g}, {high:{sign}.3g}]"
    return f"{mean:{sign}.3g}{interval}"


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    """A mean with its interval, as far as there are values for them."""
    if len(values) < 2:
        return (float(values[0]) if len(values) else np.nan), np.nan, np.nan
    found = mean_interval(values)
    return found.mean, found.low, found.high


def _against(scores: pd.DataFrame, control: str | None) -> np.ndarray:
    """`[methods, 4]`: the mean difference of each to a control, its interval, and p corrected over the methods."""
    found = np.full((scores.shape[1], 4), np.nan)
    for number, name in enumerate(scores):
        if control not in (None, name) and control in scores:
            pairs = scores[[name, control]].dropna()
            if len(pairs) > 1:
                test = paired_difference(pairs[name], pairs[control])
                found[number] = test.mean, test.low, test.high, test.p
    tested = ~np.isnan(found[:, 3])
    found[tested, 3] = holm(found[tested, 3])
    return found


def _groups(ranks: np.ndarray, apart: float) -> list[tuple[int, int]]:
    """First and last place of each longest run of sorted ranks that lie no further apart than `apart`; two methods or more."""
    ends = [(first, int(np.searchsorted(ranks, rank + apart, side="right")) - 1) for first, rank in enumerate(ranks)]
    longest = [(first, last) for number, (first, last) in enumerate(ends) if number == 0 or last > ends[number - 1][1]]
    return [(first, last) for first, last in longest if last > first]


def _too_few(clips: int, pairs: int) -> str:
    """A remark where not even equal signs on all clips could be significant: p is 2^(1 - clips) then, times `pairs`."""
    needed = 1 + int(np.ceil(np.log2(pairs / LEVEL)))
    return f"; with fewer than {needed} clips they can't find any" if clips < needed else ""
