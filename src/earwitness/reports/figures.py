"""Pictures of explanations, in the reader's own matplotlib style; importances in viridis, signed numbers in PuOr about 0.

This module draws what it is given and computes no explanation.
"""

import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.carrying import analyse, window_length
from earwitness.errors import InputError
from earwitness.explanations import Explanation
from earwitness.writing import appearing

SIGNED = ("share", "effect")


def spectrogram_db(audio: Audio, range_db: float = 80.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`[bins + 1]` hertz and `[frames + 1]` seconds of the edges, and the level `[bins, frames]` in dB."""
    n_fft = window_length(audio.sample_rate)
    frames = 1 + len(audio.samples) // (n_fft // 4)
    magnitude = analyse(audio.samples.cpu(), n_fft)[:, :frames].abs().numpy()
    level = 20 * np.log10(np.maximum(magnitude, 1e-12) / max(magnitude.max(), 1e-12))
    hop = n_fft // 4 / audio.sample_rate
    times = audio.start + np.clip((np.arange(magnitude.shape[1] + 1) - 0.5) * hop, 0, audio.duration)
    bins = np.clip((np.arange(magnitude.shape[0] + 1) - 0.5) * audio.sample_rate / n_fft, 0, audio.sample_rate / 2)
    return bins, times, np.maximum(level, -range_db)


def _frequency_scale(axes: Axes, top: float) -> None:
    """Hertz on a scale that gives low frequencies room (linear to 500 Hz, logarithmic above)."""
    axes.set_yscale("symlog", linthresh=500, linscale=0.6, subs=[2, 5])
    axes.set_ylim(0, top)
    ticks = [t for t in (0, 250, 500, 1000, 2000, 4000, 8000, 16000) if t <= top]
    axes.set_yticks(ticks, [f"{t / 1000:g} k" if t >= 1000 else str(t) for t in ticks])
    axes.set_yticks([], minor=True)


def _draw_spectrogram(axes: Axes, audio: Audio) -> None:
    bins, times, level = spectrogram_db(audio)
    axes.pcolormesh(times, bins, level, cmap="gray_r", rasterized=True)
    _frequency_scale(axes, audio.sample_rate / 2)
    axes.set(xlabel="time (s)", ylabel="frequency (Hz)")


def draw_heat(figure: Figure, axes: Axes, values: np.ndarray, places: tuple[Axis, Axis], kind: str, unit: str) -> None:
    """Values `[frequency, time]` in the colours of their kind, with a scale beside them where they have a unit."""
    frequency, time = places
    mesh = axes.pcolormesh(time.edges, frequency.edges, values, rasterized=True, **_colours(values, kind))
    if unit:
        figure.colorbar(mesh, ax=axes, label=unit)
    axes.set(xlabel=_axis_label(time), ylabel=_axis_label(frequency))
    if frequency.unit == "Hz":
        _frequency_scale(axes, frequency.edges[-1])


def _colours(values: np.ndarray, kind: str) -> dict:
    """Sound in greys, signed numbers in PuOr about 0, everything else in viridis from 0."""
    if kind == "level":
        return {"cmap": "gray_r"}
    limit = max(float(np.abs(values).max()), 1e-12)
    return {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit} if kind in SIGNED else {"cmap": "viridis", "vmin": 0}


def _draw_map(figure: Figure, axes: Axes, explanation: Explanation) -> None:
    kind, (values, places) = explanation.kind, _laid_out(explanation)
    if len(places) > 1 and places[0].name == "channel":  # of a layer, and its places: they are what can be seen
        values, places, kind = values.sum(0), places[1:], f"{kind}, summed over channels"
    named = {axis.name: axis for axis in places}
    label = f"{kind} ({explanation.unit})" if explanation.kind in SIGNED else kind
    kind = explanation.kind
    if set(named) == {"frequency", "time"}:
        order = [axis.name for axis in places]
        grid = values if order == ["frequency", "time"] else values.T
        draw_heat(figure, axes, grid, (named["frequency"], named["time"]), kind, label)
        return
    if len(places) == 2 and places[0].named:
        _draw_sources(figure, axes, values, places, kind, label if kind in SIGNED else "")
        return
    if len(places) != 1:
        raise InputError(f"no picture for components over {list(named)}")
    (axis,) = places
    error = explanation.stderr
    if axis.name == "frequency" and axis.unit == "Hz":
        edges = np.asarray(axis.edges)
        axes.barh(edges[:-1], values, np.diff(edges), align="edge", xerr=error, edgecolor="white")
        _frequency_scale(axes, edges[-1])
        axes.set(ylabel=_axis_label(axis), xlabel=label)
    elif axis.named:
        axes.bar(axis.edges, values, yerr=error)
        axes.set(ylabel=label)
    else:
        edges = np.asarray(axis.edges)
        axes.bar(edges[:-1], values, np.diff(edges), align="edge", yerr=error, edgecolor="white", linewidth=0.3)
        axes.set(xlabel=_axis_label(axis), ylabel=label, xlim=(edges[0], edges[-1]))
        if axis.names and axis.unit == "s":
            axes.secondary_xaxis("top").set_xticks(axis.centers, axis.names, rotation=90, fontsize="small")


def _laid_out(explanation: Explanation) -> tuple[np.ndarray, tuple[Axis, ...]]:
    """Values where they are seen: superpixels at their bins, everything else along its axes."""
    components = getattr(explanation.question, "components", None)
    return (explanation.values, explanation.axes) if components is None else components.laid_out(explanation.values)


def _draw_sources(figure: Figure, axes: Axes, values: np.ndarray, places: tuple, kind: str, unit: str) -> None:
    """Values `[sources, time]`: a row for each source, by its name."""
    rows = Axis("source", "", tuple(range(places[0].size + 1)))
    draw_heat(figure, axes, values, (rows, places[1]), kind, unit)
    axes.set_yticks(rows.centers, places[0].edges)
    axes.set_ylabel("")


def _axis_label(axis: Axis) -> str:
    return f"{axis.name} ({axis.unit})"


def plot_explanation(explanation: Explanation, path: str | os.PathLike | None = None) -> Figure:
    """The clip's spectrogram (where there is a clip) and the explanation, side by side on the same scales."""
    audio = getattr(explanation.question, "audio", None)
    heard = isinstance(audio, Audio)
    figure = Figure(figsize=(11 if heard else 6, 4), layout="constrained")
    panels = figure.subplots(1, 2 if heard else 1, squeeze=False)[0]
    if heard:
        _draw_spectrogram(panels[0], audio)
        said = explanation.prediction
        panels[0].set_title("the clip" + (f": {said.label} ({said.probability:.2f})" if said else ""))
    _draw_map(figure, panels[-1], explanation)
    asked = f": why {explanation.target}?" if heard else ""
    panels[-1].set_title(f"{explanation.method}{asked}")
    if path is not None:
        save_figure(figure, path)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike, dpi: int = 130) -> None:
    """Write a figure whole or not at all."""
    try:
        with appearing(path) as part:
            figure.savefig(part, dpi=dpi)
    except ValueError as error:  # a suffix that matplotlib doesn't write
        raise InputError(f"cannot write {path}: {error}") from error
