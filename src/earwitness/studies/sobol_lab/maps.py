"""Sobol maps of the lab's network, and how well they are known: grids, samples, runs with other masks.

A map is an estimate from random masks. Its error is known in two ways that check each other: each map reports standard errors,
and maps from other seeds of the masks scatter. Both are given as root mean squares over the cells.
"""

from typing import Any

import numpy as np
import pandas as pd

from earwitness.audio import Audio
from earwitness.components import Grid
from earwitness.data.synthetic import Scene
from earwitness.explainers import Sobol
from earwitness.explanations import Explanation
from earwitness.statistics import rank_stability
from earwitness.studies.pages import Curves, Heat, Picture, Section
from earwitness.studies.repeated_maps import STABLE, equal_designs, known_of, sized
from earwitness.studies.sobol_lab.lab import LAB, SNRS, Lab, lab_frontend, mass_at

SNR = 10.0  # dB, of the clips that are shown
SPANNED = 0.25  # of the fullest cell's filling: what a cell needs for the tone to reach into it
Shape = tuple[int, int]  # rows and columns of a grid


def sobol_maps(lab: Lab) -> Section:
    """Maps of a low, a high and a misclassified clip."""
    low, high = lab.scenes(2, snr_db=SNR)
    lost, snr = _misclassified(lab)
    (other,) = (label for label in LAB.labels if label != lost.label)
    asked = [(low, SNR, low.label), (high, SNR, high.label), (lost, snr, other), (lost, snr, lost.label)]
    found = [explained(lab, scene, target) for scene, _, target in asked]
    table = pd.DataFrame({"clip": s.label, "snr_db": db, **_map(e)} for (s, db, _), e in zip(asked, found, strict=True))
    same = rank_stability([e.values for e in found[2:]])
    rows, columns = found[0].shape
    heard, sounds = _listened(high.audio, found[1])
    return Section(
        "07-sobol-maps", "7. Sobol maps",
        f"The spectrogram is cut into {rows} x {columns} cells. Each gets a random level between what silence would be (0) and "
        "what it is (1). The total Sobol index of a cell is the share of the variance of the logit that is still open when the "
        "levels of all other cells are known: its own effect, and its part in every interaction. "
        f"{middle(lab.settings.samples)} designs cost {found[0].evaluations:,} evaluations. The row of its tone holds "
        f"{table['tone_row'].iloc[0]:.0%} of the low clip's map and {table['tone_row'].iloc[1]:.0%} of the high one's, in "
        f"{1 / rows:.0%} of the cells. The indices sum to {table['sum_of_indices'].iloc[0]:.2f} and "
        f"{table['sum_of_indices'].iloc[1]:.2f}: what exceeds 1 is interaction, the rest is added up cell by cell.\n\n"
        "An index has no sign; the slope of the logit on a cell's level, fitted to the same evaluations, has one. The "
        f"misclassified clip (at {snr:g} dB) shows what it is for: the maps for the predicted label, {other}, and for the true "
        f"one, {lost.label}, rank the cells with a Spearman correlation of {same:.2f}, though one asks what speaks for the error "
        f"and the other what speaks for the truth. The slopes say which: {table['cells_for'].iloc[2]:.0%} of the cells speak for "
        f"{other}, {table['cells_for'].iloc[3]:.0%} for {lost.label}. And all count from silence, which gets the logits "
        f"{table['logit_of_silence'].iloc[2]:.1f} for {other} and {table['logit_of_silence'].iloc[3]:.1f} for {lost.label} "
        "before any cell is heard: a label can win by what silence is called.\n\n"
        f"The sounds are those of the high clip: the fifth of its cells that speak most for {high.label}, and what is left "
        "without them.",
        tables={"maps": table, "heard": heard},
        pictures={"low": _shown(low, found[0]), "high": _shown(high, found[1]), "lost": _compared(lost, *found[2:])},
        sounds=sounds,
    )  # fmt: skip


def grids_and_samples(lab: Lab) -> Section:
    """Grids and samples against each other: cost, error, rank stability."""
    sides, samples, repeats = lab.settings.grids, lab.settings.samples, lab.settings.repeats
    runs = {(side, designs): repeated(lab, (side, side), designs) for side in sides for designs in samples}
    table = pd.DataFrame(known_of(found) for found in runs.values())
    ratio = table["stderr"] / table["scatter"]
    panels = [
        Heat(e.values, map_axes(e), f"{side} x {side}, {designs} designs", e.kind, "index")
        for (side, designs), (e, *_) in runs.items()
    ]
    by_grid = {f"{side} x {side}": rows for side, rows in table.groupby(table["rows"])}
    curves = [
        Curves(samples, {name: rows[column] for name, rows in by_grid.items()}, "designs", label, logarithmic=scale)
        for column, label, scale in (
            ("stderr", "reported standard error", "xy"),
            ("scatter", f"scatter over {repeats} seeds", "xy"),
            ("rank_stability", "rank stability", "x"),
        )
    ]
    return Section(
        "08-grids-and-samples", "8. Grids and samples",
        f"One high clip at {SNR:g} dB, every grid with every number of designs, {repeats} times with other masks. A design costs "
        "one evaluation for each cell and one more, so a map costs designs x (cells + 1). The standard error that a map reports "
        f"of itself is {ratio.min():.2f} to {ratio.max():.2f} times the scatter over the seeds; each is a guess from a few "
        "numbers (a jackknife over eight blocks; so many seeds). Rank stability is the mean Spearman correlation of all pairs "
        f"of seeds: {table['rank_stability'].min():.3f} at the least, "
        f"{sized(table, int(np.argmin(table['rank_stability'])))}. Estimator: importance-sampled pairs on scrambled Sobol' "
        "sequences, the default of earwitness; the published one stands in the next chapter.",
        tables={"runs": table},
        pictures={
            "maps": Picture(panels, "The map of the first seed. Each has its own scale.", columns=len(samples)),
            "curves": Picture(curves, "Error and rank stability over the number of designs."),
        },
    )  # fmt: skip


def finer_grids(lab: Lab) -> Section:
    """Why estimation gets harder as the grid gets finer, at equal cost."""
    table = pd.DataFrame(known_of(at_equal_cost(lab, (side, side))) for side in lab.settings.grids)
    cells = table["rows"] * table["columns"]
    growth = _exponent(cells, table["relative_error"])
    first, last = table.iloc[0], table.iloc[-1]
    harder = first["relative_error"] < last["relative_error"]
    curves = [
        Curves(cells, {"reported": table["relative_error"], "scatter": table["scatter"] / table["mean_index"]},
               "cells", "error / mean index", logarithmic="xy"),
        Curves(cells, {"rank stability": table["rank_stability"]}, "cells", "rank stability", logarithmic="x"),
    ]  # fmt: skip
    return Section(
        "q7-finer-grids", "Q7. Finer grids",
        "A map costs designs x (cells + 1) evaluations: for the same money, d cells get designs in proportion to 1/d. And the "
        "indices of d cells share about 1, so that a mean index is 1/d. With N designs an error goes as 1 over the root of N. If "
        "it did not depend on the size of the index, the relative error at equal cost would grow as d^1.5 (d for the smaller "
        "index, the root of d for the fewer designs); if it were a fixed part of the index, as d^0.5. Measured: "
        f"d^{growth:.2f}.",
        asks="Why does estimation get harder as the grid gets finer?",
        answer=f"{'It does' if harder else 'Here it does not'}: from {int(cells.iloc[0])} to {int(cells.iloc[-1])} cells at "
        f"about {first['evaluations']:,.0f} evaluations the standard error goes from {first['relative_error']:.0%} to "
        f"{last['relative_error']:.0%} of the mean index and rank stability from {first['rank_stability']:.3f} to "
        f"{last['rank_stability']:.3f}, as each cell gets {first['designs'] / last['designs']:.1f} times fewer designs and an "
        f"index {first['mean_index'] / last['mean_index']:.1f} times smaller.",
        tables={"equal-cost": table}, pictures={"equal-cost": Picture(curves, "At equal cost.", columns=2)},
    )  # fmt: skip


def more_samples(lab: Lab) -> Section:
    """The grid is fixed and the number of designs grows."""
    samples, side = lab.settings.samples, middle(lab.settings.grids)
    runs = [repeated(lab, (side, side), designs) for designs in samples]
    table = pd.DataFrame(known_of(found) for found in runs)
    best = np.mean([e.values for e in runs[-1]], 0)
    table["spearman_with_most"] = [float(np.mean([rank_stability([e.values, best]) for e in found])) for found in runs]
    tops = [[int(e.values.argmax()) for e in found] for found in runs]
    table["runs_with_its_top_cell"] = [sum(top == best.argmax() for top in found) for found in tops]
    two = np.argsort(best, axis=None)[-2:]
    second, top = best.flat[two]
    error = np.sqrt(np.mean([np.sum(e.stderr.flat[two] ** 2) for e in runs[-1] if e.stderr is not None]))
    slope = {name: _exponent(samples, table[name]) for name in ("stderr", "scatter")}
    root = table["stderr"].iloc[0] * np.sqrt(samples[0] / np.array(samples))
    lines = {"reported": table["stderr"], "scatter over seeds": table["scatter"], "1 / root of N": root}
    curves = [
        Curves(samples, lines, "designs", "error of an index", logarithmic="xy"),
        Curves(samples, {"between seeds": table["rank_stability"], "with the best map": table["spearman_with_most"]},
               "designs", "Spearman correlation", logarithmic="x"),
    ]  # fmt: skip
    first, last = table.iloc[0], table.iloc[-1]
    return Section(
        "e5-more-samples", "E5. More samples",
        f"The {side} x {side} grid of the same clip. Independent masks would make the error fall as N^-0.5: four times the "
        "designs, half the error. A Sobol' sequence spreads its points more evenly than chance does and can do better. The best "
        f"map is the mean of the {lab.settings.repeats} with the most designs. Its two best cells, of {second:.3f} and "
        f"{top:.3f}, lie {(top - second) / error:.1f} standard errors of one map (of that difference) apart: a top cell is only "
        "as sure as its lead.",
        asks="The grid is fixed: what do more samples change?",
        answer=f"From {samples[0]} to {samples[-1]} designs the reported error falls as N^{slope['stderr']:.2f}, the scatter as "
        f"N^{slope['scatter']:.2f}; rank stability goes from {first['rank_stability']:.3f} to {last['rank_stability']:.3f}, and "
        f"{int(first['runs_with_its_top_cell'])}, then {int(last['runs_with_its_top_cell'])} of {lab.settings.repeats} runs name "
        "the top cell of the best map.",
        tables={"samples": table}, pictures={"samples": Picture(curves, "Error and ranks over designs.", columns=2)},
    )  # fmt: skip


def choosing_the_grid(lab: Lab) -> Section:
    """Two criteria for the grid, the size of the event and stability for the money, and what they choose."""
    side = middle(lab.settings.grids)
    shapes = [(s, s) for s in lab.settings.grids] + [(2 * side, side // 2)]
    table = pd.DataFrame(_fitted(at_equal_cost(lab, shape)) for shape in shapes)
    stable = [i for i, known in enumerate(table["rank_stability"]) if known >= STABLE]
    at = max(stable, key=lambda i: table["filled"][i]) if stable else int(np.argmax(table["rank_stability"]))
    square, tall = table[table["rows"] == side].iloc[0], table.iloc[-1]
    rule = (
        f"the fullest cells with a rank stability of at least {STABLE:g}"
        if stable
        else f"the greatest rank stability, as none reaches {STABLE:g}"
    )
    return Section(
        "q10-choosing-the-grid", "Q10. Choosing the grid",
        "First the size of the event: the tone is a thin line through the whole clip. A cell much larger than it mixes it with "
        "what is not the cause (the share of the cells of its row that it fills), and tones that share a row cannot be told "
        "apart; cells much smaller than it split its index among many (how many it spans: those that it fills at least a "
        "quarter as much as the fullest). Second, stability for the money: the rank stability over seeds at one cost for all, as "
        f"in Q7. The rule: of the grids with a rank stability of at least {STABLE:g}, the one whose cells the tone fills most. "
        "Cells need not be as many in time as in frequency: the last row of the table has as many cells as the middle one, cut "
        f"to the shape of the event. The tone fills {tall['filled']:.0%} of its cells instead of {square['filled']:.0%} and "
        f"spans {tall['spanned']} instead of {square['spanned']}.",
        asks="Which two criteria choose the grid?",
        answer=f"The size of the event (how much of its cells it fills) and rank stability at equal cost; here they choose "
        f"{sized(table, at)} ({rule}): {table['filled'][at]:.0%} filled, rank stability {table['rank_stability'][at]:.3f} "
        f"for {table['evaluations'][at]:,} evaluations.",
        tables={"grids": table},
    )  # fmt: skip


def middle(values: tuple[int, ...]) -> int:
    """The middle one of the settings' grids or samples."""
    return values[len(values) // 2]


def explained(lab: Lab, scene: Scene, target: str | None = None) -> Explanation:
    """The map of a scene with the middle grid and the middle number of designs."""
    side = middle(lab.settings.grids)
    return Sobol(middle(lab.settings.samples), lab.settings.seed)(lab.ask(scene, Grid(side, side), target))


def repeated(lab: Lab, shape: Shape, designs: int) -> list[Explanation]:
    """Maps of one high clip, `settings.repeats` of them, each with other masks."""

    def run() -> list[Explanation]:
        lab.say(f"{lab.settings.repeats} maps of {shape[0]} x {shape[1]} cells with {designs} designs")
        question = lab.ask(lab.scenes(2, snr_db=SNR)[1], Grid(*shape))
        return [Sobol(designs, lab.settings.seed + run)(question) for run in range(lab.settings.repeats)]

    return lab.once((shape, designs), run)


def at_equal_cost(lab: Lab, shape: Shape) -> list[Explanation]:
    """As `repeated`, with as many designs as cost what the middle ones cost on the middle grid."""
    cells = middle(lab.settings.grids) ** 2
    return repeated(lab, shape, equal_designs(middle(lab.settings.samples), cells, shape[0] * shape[1]))


def _fitted(runs: list[Explanation]) -> dict[str, Any]:
    """A row of a table: how the cells fit the tone, and how stable the map is."""
    question, (frequency, time) = runs[0].question, map_axes(runs[0])
    rows = [int(np.searchsorted(frequency.edges, hertz, side="right")) - 1 for hertz in LAB.frequencies]
    cause = question.cause if question is not None and question.cause is not None else np.zeros(runs[0].shape)
    known = known_of(runs)
    return {
        "rows": known["rows"], "columns": known["columns"],
        "cell_hz": round(frequency.edges[-1] / frequency.size), "cell_s": (time.edges[-1] - time.edges[0]) / time.size,
        "filled": float(cause[rows[1]].mean()), "spanned": int((cause >= SPANNED * cause.max()).sum()),
        "tones_apart": "yes" if rows[0] != rows[1] else "no",
        "evaluations": known["evaluations"], "rank_stability": known["rank_stability"],
    }  # fmt: skip


def _exponent(x: Any, y: Any) -> float:
    """The slope of log y on log x."""
    return float(np.polyfit(np.log(np.asarray(x, float)), np.log(np.asarray(y, float)), 1)[0])


def _misclassified(lab: Lab) -> tuple[Scene, float]:
    """The first clip that is called by the wrong name at the best signal-to-noise ratio at which there is one."""
    for snr in reversed(SNRS):
        made = lab.scenes(lab.settings.tested, snr_db=snr)
        wrong = np.flatnonzero(~lab.right(lab.classifier, made))
        if len(wrong):
            return made[wrong[0]], snr
    return made[0], snr


def _map(e: Explanation) -> dict[str, Any]:
    """What a table says of a map."""
    best = e.top(1)[0]
    return {
        "predicted": e.prediction.label if e.prediction else "", "asked": e.target, "logit": e.score,
        "logit_of_silence": e.baseline, "tone_row": mass_at(e, dict(zip(LAB.labels, LAB.frequencies, strict=True))[e.target]),
        "cells_for": float(np.mean(e.signed > 0)) if e.signed is not None else np.nan,
        "sum_of_indices": float(e.values.sum()), "top_cell": str(best),
    }  # fmt: skip


def _listened(clip: Audio, e: Explanation) -> tuple[pd.DataFrame, dict[str, Audio]]:
    """The best fifth of the cells, the rest, and all of it: what the model says to each, and the sounds."""
    parts = {"kept": e.hear(), "removed": e.hear(remove=True)}
    sounds = {"clip": clip} | {name: heard.audio for name, heard in parts.items()}
    scores = [e.score, *(heard.score for heard in parts.values())]
    said = [e.prediction, *(heard.prediction for heard in parts.values())]
    table = pd.DataFrame({
        "sound": list(sounds), "level_db": [audio.rms_db for audio in sounds.values()], f"logit_of_{e.target}": scores,
        "predicted": [p.label for p in said if p], "probability": [p.probability for p in said if p],
    })  # fmt: skip
    return table, sounds


def map_axes(e: Explanation) -> tuple[Any, Any]:
    """Frequency and time of a map."""
    frequency, time = e.axes
    return frequency, time


def _spectrogram(scene: Scene) -> Heat:
    frontend = lab_frontend(standardise=False)
    frequency, time = frontend.axes(len(scene.audio.samples))
    values = frontend(scene.audio.samples[None])[0, 0].numpy()
    return Heat(values, (frequency, time), f"a {scene.label} clip", unit="log(1 + |X|)")


def _heat(e: Explanation, what: str = "values") -> Heat:
    """The map of an explanation, its standard errors, or its slopes."""
    title, kind, unit = {
        "values": (f"Sobol, why {e.target}?", "importance", "total index"),
        "stderr": ("its standard errors", "importance", "standard error"),
        "signed": (f"slopes, for or against {e.target}", "effect", "logits"),
    }[what]
    return Heat(getattr(e, what), map_axes(e), title, kind, unit)


def _shown(scene: Scene, e: Explanation) -> Picture:
    panels = [_spectrogram(scene), *(_heat(e, what) for what in ("values", "stderr", "signed"))]
    return Picture(panels, f"A {scene.label} clip at {SNR:g} dB, rightly called {e.target}." if e.prediction and
                   e.prediction.label == scene.label else f"A {scene.label} clip.", columns=2)  # fmt: skip


def _compared(scene: Scene, predicted: Explanation, true: Explanation) -> Picture:
    panels = [_spectrogram(scene), _heat(predicted), _heat(predicted, "signed")]
    panels += [Heat(*scene.truth, "where the tone is heard"), _heat(true), _heat(true, "signed")]
    return Picture(panels, f"A {scene.label} clip, and why {predicted.target} (above) and {true.target} (below).")
