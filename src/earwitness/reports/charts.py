"""Pictures of a study: draws the panels of `earwitness.studies.pages`, in the reader's own matplotlib style."""

import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earwitness.reports.figures import draw_heat, save_figure
from earwitness.studies.pages import Bars, Chance, Curves, Heat, Panel, Picture, Ranks

WIDTH, HEIGHT = 4.2, 3.2  # inches of a panel
WIDE, LINE = 7.0, 0.28  # of a panel of ranks: its width, and the height of a line of text


def draw_picture(picture: Picture) -> Figure:
    """All panels of a picture, row by row."""
    columns = min(picture.columns, len(picture.panels))
    rows = -(-len(picture.panels) // columns)
    sizes = [_size(panel) for panel in picture.panels]
    width, height = (max(size[side] for size in sizes) for side in (0, 1))
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(places, picture.panels, strict=False):
        _draw(figure, axes, panel)
        axes.set_title(panel.title, fontsize="medium")
    for axes in places[len(picture.panels) :]:
        axes.set_axis_off()
    return figure


def plot_picture(picture: Picture, path: str | os.PathLike | None = None) -> Figure:
    """Draw a picture, and write it, if asked to."""
    figure = draw_picture(picture)
    if path is not None:
        save_figure(figure, path)
    return figure


def _size(panel: Panel) -> tuple[float, float]:
    """Inches."""
    if isinstance(panel, Ranks):
        return WIDE, LINE * (5 + len(panel.groups) + (len(panel.names) + 1) // 2 * _lines(panel))
    bars = len(panel.names) * len(panel.groups) if isinstance(panel, Bars) else 0
    return max(WIDTH, 0.12 * bars), HEIGHT


def _draw(figure: Figure, axes: Axes, panel: Panel) -> None:
    match panel:
        case Heat():
            draw_heat(figure, axes, panel.values, panel.axes, panel.kind, panel.unit)
        case Curves():
            _draw_curves(axes, panel)
        case Bars():
            _draw_bars(axes, panel)
        case Ranks():
            _draw_ranks(axes, panel)
        case Chance():
            _draw_chance(axes, panel)


def _draw_curves(axes: Axes, panel: Curves) -> None:
    marker = "o" if len(np.asarray(panel.x)) <= 16 else ""
    for name, values in panel.lines.items():
        gaps = bool(np.isnan(np.asarray(values, float)).any())  # a line would not show a number between two gaps
        axes.errorbar(
            panel.x, values, panel.errors.get(name), label=name, marker="o" if gaps else marker, markersize=4, capsize=2,
            linestyle="" if gaps else "-", linewidth=1.2,
        )  # fmt: skip
    axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel)
    for name, scale in (("x", axes.set_xscale), ("y", axes.set_yscale)):
        if name in panel.logarithmic:
            scale("log")
    if "x" in panel.logarithmic and marker:  # few numbers: those themselves, not powers of ten
        axes.set_xticks(np.asarray(panel.x), [f"{x:g}" for x in np.asarray(panel.x)])
        axes.set_xticks([], minor=True)
    if len(panel.lines) > 1:
        axes.legend(fontsize="small")


def _draw_bars(axes: Axes, panel: Bars) -> None:
    places, width = np.arange(len(panel.names)), 0.8 / len(panel.groups)
    for number, (name, values) in enumerate(panel.groups.items()):
        offset = (number - (len(panel.groups) - 1) / 2) * width
        axes.bar(places + offset, values, width, yerr=panel.errors.get(name), label=name, capsize=2)
    tilted = sum(len(name) for name in panel.names) > 40
    axes.set_xticks(places, panel.names, rotation=30 if tilted else 0, ha="right" if tilted else "center")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(ylabel=panel.ylabel)
    if len(panel.groups) > 4:  # more would cover the bars
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    elif len(panel.groups) > 1:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.14 * (len(panel.groups) + 0.5) * (high - low))  # room for the legend above the bars
        axes.legend(fontsize="small", loc="upper left")


def _draw_chance(axes: Axes, panel: Chance) -> None:
    """A histogram of chance; the number as a line, its interval as a band behind it."""
    axes.hist(np.asarray(panel.random), bins=20, color="0.8", label="random maps")
    axes.axvspan(panel.low, panel.high, color="C0", alpha=0.2, linewidth=0)
    axes.axvline(panel.score, color="C0", linewidth=2, label="the explanation")
    for number, (name, value) in enumerate(panel.others.items()):
        axes.axvline(value, color=f"C{number + 1}", linestyle="--", linewidth=1.2, label=name)
    axes.set(xlabel=panel.xlabel, ylabel="maps")
    axes.margins(y=0.45)  # room for the legend above the bars
    axes.legend(fontsize="small", loc="upper center")


def _draw_ranks(axes: Axes, panel: Ranks) -> None:
    """Ranks on a line, the best on the left; below it the bars, then the names: the better half on the left."""
    last, half, step = len(panel.names), (len(panel.names) + 1) // 2, _lines(panel)
    lowest = 1 + len(panel.groups)  # line of text of the first name
    axes.set(xlim=(1 - 0.35 * (last - 1), last + 0.35 * (last - 1)), ylim=(-(lowest + half * step), 2.2))
    axes.set_axis_off()
    axes.hlines(0, 1, last, color="black", linewidth=1)
    for rank in range(1, last + 1):
        axes.vlines(rank, 0, 0.25, color="black", linewidth=1)
        if last <= 13 or rank == 1 or rank % 5 == 0:
            axes.text(rank, 0.4, str(rank), ha="center", va="bottom", fontsize="small")
    if panel.critical <= last - 1:
        axes.errorbar(1 + panel.critical / 2, 1.6, xerr=panel.critical / 2, color="black", capsize=3, linewidth=1)
    start = 1 + (panel.critical if panel.critical <= last - 1 else 0)
    axes.text(start, 1.6, f"  critical difference {panel.critical:.2f}", va="center", fontsize="small")
    for number, (first, final) in enumerate(panel.groups):
        axes.hlines(-0.6 - number, panel.ranks[first] - 0.03, panel.ranks[final] + 0.03, color="C0", linewidth=4)
    for place, (name, rank) in enumerate(zip(panel.names, panel.ranks, strict=True)):
        left = place < half
        y = -(lowest + step * (place if left else last - 1 - place))
        end, said = (1 - 0.05 * last if left else last + 0.05 * last), f" {_in_lines(name)} ({rank:.2f}) "
        axes.plot([rank, rank, end], [0, y, y], color="0.4", linewidth=0.8)
        axes.text(end, y, said, ha="right" if left else "left", va="center")


def _in_lines(name: str) -> str:
    """A long name in several lines."""
    return name if len(name) <= 32 else name.replace(":", ":\n ").replace(",", ",\n ")


def _lines(panel: Ranks) -> int:
    """Lines of the longest name."""
    return max(_in_lines(name).count("\n") + 1 for name in panel.names)
