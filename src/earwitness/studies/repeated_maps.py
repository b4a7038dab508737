"""What a Sobol map costs and how well it is known, from the same map made several times with other masks.

stderr       what the maps report of themselves, root mean square over cells
scatter      standard deviation over the repeats, root mean square over cells: the same, seen from outside
stability    mean Spearman correlation of all pairs of repeats
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from earwitness.explainers import Sobol
from earwitness.explanations import Explanation
from earwitness.statistics import rank_stability

STABLE = 0.95  # the rank stability that a grid must have to be chosen


def known_of(runs: Sequence[Explanation]) -> dict[str, Any]:
    """A row of a table: what a map of this size costs, and how well it is known. runs: two or more, with other seeds.

    relative_error: of the mean index; NaN where the score does not move and all indices are 0.
    """
    values = np.array([e.values for e in runs])
    mean = float(values.mean())
    stderr = float(np.sqrt(np.mean([e.stderr**2 for e in runs if e.stderr is not None])))
    return {
        "rows": runs[0].shape[0], "columns": runs[0].shape[1], "designs": designs_of(runs[0]),
        "evaluations": runs[0].evaluations, "mean_index": mean, "stderr": stderr,
        "scatter": float(np.sqrt(values.var(0, ddof=1).mean())), "relative_error": stderr / mean if mean else np.nan,
        "rank_stability": rank_stability(values),
    }  # fmt: skip


def designs_of(e: Explanation) -> int:
    """The designs of a Sobol map, from what it cost."""
    return (e.evaluations - 2) // (e.values.size + 1)  # two more are for the clip and its baseline


def equal_designs(designs: int, cells: int, others: int) -> int:
    """With so many designs a map of `others` cells costs what one of `cells` costs with `designs`."""
    return round(Sobol(designs).cost(cells) / (others + 1))


def sized(table: pd.DataFrame, at: int) -> str:
    """A row of a table of `known_of`: "8 x 8 with 64 designs"."""
    designs = f" with {table['designs'][at]} designs" if "designs" in table else ""
    return f"{table['rows'][at]} x {table['columns'][at]}{designs}"
