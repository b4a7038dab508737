"""Where tokens, frames and patches of Hugging Face's models stand in the clip.

A frame of wav2vec2 and its kin sees as many samples as its convolutions reach over: kernels (10, 3, 3, 3, 3, 2, 2) with
strides (5, 2, 2, 2, 2, 2, 2) make 400 samples every 320. A patch of AST sees 16 rows and 16 frames, every 10 of each; one of ViT
16, every 16.

Source: the configurations and forward passes of transformers 5.
"""

import math
from collections.abc import Iterator
from typing import Any

from earwitness.axes import Axis
from earwitness.classifiers.layouts import Layout, Spans, evenly, strided

Shape = tuple[int, ...]


def place_of(config: Any, layer: str, shape: Shape, axes: tuple[Axis, ...]) -> Layout | None:
    """The layout of a layer's output `[*shape]`, for features with these axes; None where nobody knows.

    config: of a model of transformers.
    """
    rows = rows_of(config, axes)
    if rows is not None:
        return _in_a_row(rows, layer, shape)
    grids = list(_grids(config, axes))
    for along, grid in grids:
        for channels, places in ((0, shape[1:]), (-1, shape[:-1])):
            if places == grid:
                return Layout(along, grid, channels)
        special = shape[0] - math.prod(grid)
        if len(shape) == 2 and special >= 0 and (special == 0 or grid == grids[0][1]):
            return Layout(along, grid, -1, special)
    return None


def _in_a_row(rows: list[tuple[Spans, int]], layer: str, shape: Shape) -> Layout | None:
    """`[frames, channels]`, or `[channels, frames]` in front of the transformer."""
    if len(shape) != 2:
        return None
    order = (0, -1) if "conv" in layer.split(".")[-1] or "feature_extractor" in layer else (-1, 0)
    for channels in order:
        for spans, size in rows:
            if shape[0 if channels == -1 else 1] == size:
                return Layout((spans,), (size,), channels)
    return None


def rows_of(config: Any, axes: tuple[Axis, ...]) -> list[tuple[Spans, int]] | None:
    """For models of frames: each row of places that their layers may have, the last first, and how many places it has."""
    time = axes[-1]
    if hasattr(config, "conv_stride"):
        return _convolved(time, config.conv_kernel, config.conv_stride, getattr(config, "squeeze_factor", 1))
    if config.model_type == "whisper":
        size = config.max_source_positions
        return [(strided(time, -2, 5, 2, size), size), (strided(time, -1, 3, 1, 2 * size), 2 * size)]
    if config.model_type == "wav2vec2-bert":
        size = (time.size + 1) // 2
        return [(strided(time, 0, 2, 2, size), size), (strided(time, 0, 2, 2, time.size // 2), time.size // 2)]
    return None


def _convolved(time: Axis, kernels: list[int], strides: list[int], squeeze: int) -> list[tuple[Spans, int]]:
    """What the frames behind each convolution see of the samples."""
    rows, size, reach, step = [], time.size, 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        size, reach, step = (size - kernel) // stride + 1, reach + (kernel - 1) * step, step * stride
        rows.append((strided(time, 0, reach, step, size), size))
    if squeeze > 1:  # SEW takes so many frames as one
        size, reach, step = size // squeeze, reach + (squeeze - 1) * step, step * squeeze
        rows.append((strided(time, 0, reach, step, size), size))
    return rows[::-1]


def _grids(config: Any, axes: tuple[Axis, ...]) -> Iterator[tuple[tuple[Spans, ...], Shape]]:
    """For models of pictures: the patches, then ever coarser grids."""
    frequency, time = axes[-2:]
    if hasattr(config, "frequency_stride"):
        size, steps = config.patch_size, (config.frequency_stride, config.time_stride)
        grid = tuple(
            (whole - size) // step + 1
            for whole, step in zip((config.num_mel_bins, config.max_length), steps, strict=True)
        )
        places = zip(axes[-2:], steps, grid, strict=True)
        yield tuple(strided(axis, 0, size, step, count) for axis, step, count in places), grid
        return
    patch = getattr(config, "patch_size", None)
    for step in dict.fromkeys(([patch] if isinstance(patch, int) else []) + [1, 2, 4, 8, 16, 32, 64]):
        grid = math.ceil(frequency.size / step), math.ceil(time.size / step)
        yield (evenly(frequency, grid[0]), evenly(time, grid[1])), grid
