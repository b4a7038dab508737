"""Sobol maps of the recordings, how well they are known, which grid they are worth, and what saliency says beside them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.errors import EarwitnessError
from earwitness.explainers import Saliency, Sobol
from earwitness.explanations import Explanation
from earwitness.statistics import mean_interval, rank_stability
from earwitness.studies.own_lab.changed_sounds import cell_power
from earwitness.studies.own_lab.runs import Run
from earwitness.studies.pages import Bars, Curves, Heat, Panel, Picture, Section
from earwitness.studies.repeated_maps import STABLE, equal_designs, known_of, sized
from earwitness.targets import find_target

KEEP = 0.2  # of the cells, to be heard


def sobol_maps(run: Run) -> Section:
    """Sobol maps of some clips, and of the surest error for both labels; what is kept and removed is heard by the model."""
    found = [run.explained(place) for place in run.shown]
    pictures = {
        f"clip-{number}": _picture(run, e, f"{run.clip(place).name}: {_said(e)}.")
        for number, (place, e) in enumerate(zip(run.shown, found, strict=True))
    }
    rows = [_row(run.clip(place).name, run.clip(place).label, e) for place, e in zip(run.shown, found, strict=True)]
    heard, sounds = [], {}
    for number, e in enumerate(found):
        table, audios = _listened(run.clip(run.shown[number]).name, e, _margin(run))
        heard.append(table)
        sounds |= {f"{number}-{name}": audio for name, audio in audios.items()} if run.settings.sounds else {}
    sums: Any = pd.DataFrame(rows)["sum_of_indices"]  # of the clips that are shown, without the surest error
    more, words = _surest_error(run, rows, pictures)
    table: Any = pd.DataFrame(rows)
    listened: Any = pd.concat(heard, ignore_index=True)
    kept: Any = listened[listened["sound"] == "kept"]
    removed: Any = listened[listened["sound"] == "removed"]
    return Section(
        "maps", "Sobol maps",
        f"Each clip is cut ({found[0].provenance['components']}); each cell gets random levels between what is there and what "
        f"stands there without it ({found[0].provenance['baseline']}). The total Sobol index of a cell is the share of the "
        f"score's variance that is open as long as its level is not known; {found[0].evaluations:,} evaluations a map. An "
        f"index has no sign; the slope of the score on the level has one. Kept: the {KEEP:.0%} of the cells that speak most "
        "for the target; removed: all but these. "
        + words,
        asks="Which cells matter, and are they enough?",
        answer=_enough(run, kept, removed) + f" The indices of a map sum to {sums.median():.2f} (median of {len(sums)}): what "
        "exceeds 1 is interaction of the cells, and error of the estimate.",
        tables={"maps": table, "heard": listened}, pictures=pictures | more, sounds=sounds,
    )  # fmt: skip


def _enough(run: Run, kept: Any, removed: Any) -> str:
    """In how many clips a fifth of the cells is enough, and in how many the rest is."""
    counts = kept["same"].sum(), removed["same"].sum()
    if _margin(run):
        return (
            f"Alone, the {KEEP:.0%} of the cells that speak most for {run.target} still give a score above 0 in {counts[0]} of "
            f"{len(kept)} clips; without them the rest gives one in {counts[1]} of {len(removed)}."
        )
    return (
        f"Alone, the {KEEP:.0%} of the cells that speak most for the label still get it in {counts[0]} of {len(kept)} clips; "
        f"without them the rest gets it in {counts[1]} of {len(removed)}."
    )


def _margin(run: Run) -> bool:
    """Whether the target is the margin between two labels, which no answer of the model can be called."""
    return run.target is not None and find_target(run.target, run.classifier.labels).against is not None


def _surest_error(run: Run, rows: list[dict], pictures: dict[str, Picture]) -> tuple[dict[str, Picture], str]:
    """The map of the surest error for the label that was given and for the true one; adds its rows."""
    truth = run.truth
    if run.target is not None or not len(truth) or truth["right"].all():
        return {}, ""
    wrong: Any = truth[~truth["right"].astype(bool)].sort_values(["probability", "clip"], ascending=[False, True])
    place, said, true = int(wrong["place"].iloc[0]), str(wrong["said"].iloc[0]), str(wrong["label"].iloc[0])
    given, missed = (run.explained(place, target=label) for label in (said, true))
    rows += [_row(run.clip(place).name, true, e) for e in (given, missed)]
    words = (
        f"\n\nThe surest error: {run.clip(place).name}, {true}, is called {said}. The maps for both labels rank the cells with a "
        f"Spearman correlation of {rank_stability([given.values, missed.values]):.2f}; the slopes with one of "
        f"{rank_stability([_signed(given), _signed(missed)]):.2f}."
    )
    caption = f"{run.clip(place).name}: {true}, called {said}. Above the map for {said}, below that for {true}."
    panels = [*_panels(given), *_panels(missed)]
    return {"error": Picture(panels, run.caption(caption))}, words


def _signed(e: Explanation) -> np.ndarray:
    return e.values if e.signed is None else e.signed


def _said(e: Explanation) -> str:
    return "" if e.prediction is None else f"{e.prediction.label}, {e.prediction.probability:.2f}"


def _picture(run: Run, e: Explanation, caption: str) -> Picture:
    return Picture(_panels(e), run.caption(caption))


def _panels(e: Explanation) -> list[Panel]:
    """The clip as the network sees it, the map, and the slopes."""
    axes = _plane(e)
    heats = [
        Heat(e.values, axes, f"Sobol, why {e.target}?", "importance", "total index"),
        Heat(_signed(e), axes, f"for or against {e.target}", "effect", f"slope ({e.unit})"),
    ]
    return [_seen(e), *heats]


def _plane(e: Explanation) -> tuple[Axis, Axis]:
    frequency, time = e.axes
    return frequency, time


def _seen(e: Explanation) -> Heat:
    """The features of the clip where they are a plane, else its level in the cells."""
    question: Any = e.question
    x, axes = question.x, question.classifier.axes(question.components.stage, len(question.audio.samples))
    if len(axes) < 2:
        level = 10 * np.log10(np.maximum(cell_power(question.audio, e.axes), 1e-12))
        return Heat(level - level.max(), _plane(e), _said(e), unit="dB")
    values = x.reshape(-1, *x.shape[-2:])[0].cpu().numpy()
    return Heat(values[:, : axes[-1].size], (axes[-2], axes[-1]), _said(e), unit="features")


def _row(name: str, label: str, e: Explanation) -> dict[str, Any]:
    best = e.top(1)[0]
    return {
        "clip": name, "label": label, "said": e.prediction.label if e.prediction else "", "asked": e.target, "score": e.score,
        "score_of_baseline": e.baseline, "sum_of_indices": float(e.values.sum()),
        "cells_for": float(np.mean(_signed(e) > 0)), "top_cell": str(best),
    }  # fmt: skip


def _listened(name: str, e: Explanation, margin: bool) -> tuple[pd.DataFrame, dict[str, Audio]]:
    """The model's answer to what is kept and to what is removed, as sounds.

    same: whether it is the label that was asked about; of a margin, whether its score is above 0.
    """
    parts = {"kept": e.hear(keep=KEEP), "removed": e.hear(keep=KEEP, remove=True)}
    rows = [
        {"clip": name, "asked": e.target, "sound": sound, "level_db": max(h.audio.rms_db, -200.0), "said": h.prediction.label,
         "probability": h.prediction.probability, "score": h.score,
         "same": h.score > 0 if margin else h.prediction.label == e.target}
        for sound, h in parts.items()
    ]  # fmt: skip
    return pd.DataFrame(rows), {sound: h.audio for sound, h in parts.items()}


def grids_and_designs(run: Run) -> Section:
    """Grids and designs against each other: cost, error, stability; and which grid is worth it."""
    if not run.gridded:
        return Section(
            "grids",
            "Grids and designs",
            "This model takes samples: its maps have bands and segments, not a grid to choose.",
        )
    s, place = run.settings, run.shown[0]
    sides = _sides(run, place)
    runs = {(side, designs): _repeated(run, place, side, designs) for side in sides.values() for designs in s.designs}
    table: Any = pd.DataFrame(known_of(found) for found in runs.values())
    cells, middle = _cells(run, place, run.grid), run.method.designs
    same_cost = {
        side: max(2, equal_designs(middle, math.prod(cells), math.prod(shape))) for shape, side in sides.items()
    }
    equal: Any = pd.DataFrame(known_of(_repeated(run, place, *pair)) for pair in same_cost.items())
    most = runs[sides[cells], max(s.designs)]
    return Section(
        "grids", "Grids and designs",
        f"One clip, {run.clip(place).name}, every grid with every number of designs, {s.repeats} times with other masks. A map "
        f"costs designs x (cells + 1) evaluations. {_reported(table)}At one cost for all, a grid counts as known from a rank "
        f"stability of {STABLE:g} on; of those the finest is chosen, and the most stable where none is. The published form of "
        "the method (Fel and others 2021) stands beside ours at the same cost. Both are ranked by how near they come to the "
        "mean of the maps with the most designs. That mean is made of other masks than either, but by our estimator, and of "
        "one clip: it may favour ours.",
        asks="Which grid, and how many designs?",
        answer=_choice(table, equal),
        tables={"runs": table, "equal-cost": equal, "published-form": _published_form(run, place, most)},
        pictures={
            "maps": Picture(
                _first_maps(runs), run.caption("The map of the first seed. Each has its own scale."), len(s.designs)
            ),
            "curves": Picture(_curves(table, s.designs), "Error and rank stability over the number of designs."),
        },
    )  # fmt: skip


def _choice(table: Any, equal: Any) -> str:
    """The grid that is chosen at one cost, and what grids with the most designs are worth."""
    if not table["mean_index"].any():
        return "The score of this clip does not move, whatever is taken away: there is nothing to choose by."
    at, rule = chosen(equal)
    return (
        f"{sized(equal, at)} ({rule}): rank stability {equal['rank_stability'][at]:.3f} for {equal['evaluations'][at]:,} "
        f"evaluations. With {table['designs'].max()} designs each: {_most(table)}."
    )


def _reported(table: Any) -> str:
    """How the standard error of the maps compares with their scatter; nothing where no map scatters."""
    some = table[table["scatter"] > 0]
    ratio = some["stderr"] / some["scatter"]
    words = f"The standard error that a map reports is {ratio.min():.2f} to {ratio.max():.2f} times the scatter over the seeds. "
    return words if len(some) else ""


def _cells(run: Run, place: int, side: int) -> tuple[int, ...]:
    """Rows and columns of a grid of a clip: no more than the features have."""
    return run.question(place, side).shape


def _sides(run: Run, place: int) -> dict[tuple[int, ...], int]:
    """The sides of the settings by the grid they give; of two that give the same the smaller."""
    found: dict[tuple[int, ...], int] = {}
    for side in run.settings.grids:
        found.setdefault(_cells(run, place, side), side)
    return found


def _curves(table: Any, designs: Sequence[int]) -> list[Curves]:
    by_grid = {f"{rows} x {columns}": part for (rows, columns), part in table.groupby(["rows", "columns"])}
    wanted = (("stderr", "reported standard error", "xy"), ("scatter", "scatter over seeds", "xy"))
    return [
        Curves(designs, {name: part[column] for name, part in by_grid.items()}, "designs", label, logarithmic=scale)
        for column, label, scale in (*wanted, ("rank_stability", "rank stability", "x"))
    ]


def _first_maps(runs: Mapping[tuple[int, int], list[Explanation]]) -> list[Panel]:
    return [
        Heat(e.values, _plane(e), f"{side} x {side}, {designs} designs", e.kind, "index")
        for (side, designs), (e, *_) in runs.items()
    ]


def _published_form(run: Run, place: int, with_most: Sequence[Explanation]) -> pd.DataFrame:
    """Ours and the published form at one cost, by the rank correlation with the mean of the maps with the most designs."""
    designs = 2 ** int(np.log2(run.method.designs))  # the published sequence wants a power of two
    best = np.mean([e.values for e in with_most], 0)
    ours = Sobol(designs, run.settings.seed + run.settings.repeats)  # masks that the mean has not seen
    rows = []
    for name, method in (("here", ours), ("published: Jansen, plain sequence", Sobol.paper(designs))):
        e = run.explained(place, method)
        known = {
            "form": name,
            "designs": designs,
            "evaluations": e.evaluations,
            "sum_of_indices": float(e.values.sum()),
        }
        rows.append(known | {"spearman_with_best": rank_stability([e.values, best])})
    return pd.DataFrame(rows)


def _repeated(run: Run, place: int, side: int, designs: int) -> list[Explanation]:
    run.say(f"{run.settings.repeats} maps of {side} x {side} cells with {designs} designs")
    seeds = range(run.settings.seed, run.settings.seed + run.settings.repeats)
    return [run.explained(place, Sobol(designs, seed), side) for seed in seeds]


def chosen(table: pd.DataFrame) -> tuple[int, str]:
    """The row of the grid that is chosen, and by which rule: the finest that is stable, else the most stable."""
    stable = [at for at, known in enumerate(table["rank_stability"]) if known >= STABLE]
    if stable:
        return max(
            stable, key=lambda at: table["rows"][at] * table["columns"][at]
        ), "the finest that is stable at this cost"
    return int(np.argmax(table["rank_stability"])), f"the most stable at this cost, as none reaches {STABLE:g}"


def _most(table: pd.DataFrame) -> str:
    best: Any = table[table["designs"] == table["designs"].max()]
    return ", ".join(f"{row['rows']} x {row['columns']} {row['rank_stability']:.3f}" for row in best.to_dict("records"))


def saliency_beside(run: Run) -> Section:
    """Saliency beside Sobol: do they agree, and where don't they?"""
    rows, panels = [], []
    try:
        for place in run.shown:
            sobol, gradient = run.explained(place), run.explained(place, Saliency())
            rows.append(_beside(run.clip(place).name, sobol, gradient))
            if len(panels) < 6:
                both = ((sobol, "Sobol", "total index"), (gradient, "saliency", "|gradient|"))
                panels += [Heat(e.values, _plane(e), f"{what}: {e.target}", e.kind, unit) for e, what, unit in both]
    except EarwitnessError as error:
        return Section("saliency", "Saliency beside Sobol", f"Not applicable: {error}")
    table: Any = pd.DataFrame(rows)
    found = table["rank_correlation"]
    words = f"{found.iloc[0]:.2f} on one clip"
    if len(table) > 1:
        mean = mean_interval(found.to_numpy())
        words = f"{mean.mean:.2f} [{mean.low:.2f}, {mean.high:.2f}] over {len(table)} clips"
    bars = Bars([str(name)[:20] for name in table["clip"]], {"rank correlation": found.to_numpy()}, "rank correlation")
    return Section(
        "saliency", "Saliency beside Sobol",
        "Saliency is the absolute gradient, summed over each cell: what an infinitely small change would do, at the clip "
        "itself. Sobol changes levels all the way down to the baseline. Where they differ most: the cell whose rank differs "
        "most between them.",
        asks="Does saliency say the same as Sobol?",
        answer=f"Their ranks correlate with {words}; the top cell is the same in {int(table['same_top'].sum())} of {len(table)}.",
        tables={"clips": table},
        pictures={
            "maps": Picture(panels, run.caption("Sobol and saliency of the same clips."), 2),
            "ranks": Picture([bars], "How far both agree on the ranks of the cells, clip by clip.", 1),
        },
    )  # fmt: skip


def _beside(name: str, sobol: Explanation, gradient: Explanation) -> dict[str, Any]:
    ranks = [np.argsort(np.argsort(e.values, axis=None)) for e in (sobol, gradient)]
    at = int(np.abs(ranks[0] - ranks[1]).argmax())
    size = sobol.values.size
    where = np.unravel_index(at, sobol.shape)
    digits = {"s": 2, "Hz": 0}
    place = ", ".join(
        f"{axis.edges[i]:.{digits[axis.unit]}f}-{axis.edges[i + 1]:.{digits[axis.unit]}f} {axis.unit}"
        for axis, i in zip(sobol.axes, where, strict=True)
    )
    return {
        "clip": name, "asked": sobol.target, "rank_correlation": rank_stability([sobol.values, gradient.values]),
        "same_top": bool(sobol.values.argmax() == gradient.values.argmax()), "differ_most_at": place,
        "rank_by_sobol": size - int(ranks[0][at]), "rank_by_saliency": size - int(ranks[1][at]),
    }  # fmt: skip
