"""Pictures of a study: draws the panels of `earwitness.studies.pages`, in the reader's own matplotlib style."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earwitness.reports.figures import draw_heat
from earwitness.studies.pages import Bars, Curves, Heat, Panel, Picture

WIDTH, HEIGHT = 4.2, 3.2  # inches of a panel


def draw_picture(picture: Picture) -> Figure:
    """All panels of a picture, row by row."""
    columns = min(picture.columns, len(picture.panels))
    rows = -(-len(picture.panels) // columns)
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(places, picture.panels, strict=False):
        _draw(figure, axes, panel)
        axes.set_title(panel.title, fontsize="medium")
    for axes in places[len(picture.panels) :]:
        axes.set_axis_off()
    return figure


def _draw(figure: Figure, axes: Axes, panel: Panel) -> None:
    match panel:
        case Heat():
            draw_heat(figure, axes, panel.values, panel.axes, panel.kind, panel.unit)
        case Curves():
            _draw_curves(axes, panel)
        case Bars():
            _draw_bars(axes, panel)


def _draw_curves(axes: Axes, panel: Curves) -> None:
    marker = "o" if len(np.asarray(panel.x)) <= 16 else ""
    for name, values in panel.lines.items():
        axes.errorbar(
            panel.x, values, panel.errors.get(name), label=name, marker=marker, markersize=4, capsize=2, linewidth=1.2
        )
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
    if len(panel.groups) > 1:
        axes.legend(fontsize="small")
