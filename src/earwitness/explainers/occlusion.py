"""What does the score lose when something is taken away?

    effect_i = value(1) - value(1 without i)

The oldest question, and the easiest to understand. It is asked where everything else is there: what two components both say is
credited to neither.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from math import prod
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, whole
from earwitness.explainers.base import Attribution, Explainer
from earwitness.questions import Question

NUMBERS = 2**21  # levels in the masks that are made at once: 8 MB


@dataclass(frozen=True)
class Occlusion(Explainer):
    """The drop of the score when a component, or a sliding window of them, is removed.

    window: how many components are removed together, along each axis: a number, or one for each axis, such as (2, 3).
    stride: how far the window moves, likewise; at most as far as it is wide.

    Every window is whole, the last one ends where the axis ends. A window's effect is shared evenly among its components, and a
    component gets the mean over the windows that cover it. So a linear game gives back its weights where the window is 1;
    with larger ones it gives the weights smoothed (twice averaged over the window), and equal weights as they are.
    Wide windows find what neighbours say alike, and see less sharply; laws about single components hold for 1 only.

    Cost: one evaluation for each component, or for each window. Raises `UsageError` for windows that don't fit.
    Source: Zeiler and Fergus (2014).
    Differs: captum gives every component of a window the whole effect, so its numbers grow with the window; and its last window
    hangs over the edge.
    """

    window: int | tuple[int, ...] = 1
    stride: int | tuple[int, ...] = 1

    kind: ClassVar[str] = "effect"
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry")

    def __post_init__(self) -> None:
        for name, given in vars(self).copy().items():
            for number in given if isinstance(given, tuple) else (given,):
                whole(**{name: number})
        if self.window != 1:
            object.__setattr__(self, "axioms", ())

    def cost(self, size: int) -> int:
        return size

    def expected(self, question: Question) -> int:
        windows = prod(len(starts) for starts in self._starts(question.shape))
        return (windows + 2) * len(question.baselines)

    def attribute(self, question: Question) -> Attribution:
        full, shape = question.ends()[0], question.shape
        effects, times = np.zeros((2, *shape))
        for removed in self._removed(shape, max(1, NUMBERS // question.size)):
            each = (full - question.value(1 - removed).numpy()) / removed[0].sum()
            effects += np.tensordot(each, removed, 1)
            times += removed.sum(0)
        return Attribution(effects / times)

    def _removed(self, shape: tuple[int, ...], at_once: int) -> Iterator[np.ndarray]:
        """`[windows, *shape]`: 1 for what a window removes, so many windows at once."""
        corners = product(*self._starts(shape))
        sizes = self._each("window", shape)
        while block := list(islice(corners, at_once)):
            removed = np.zeros((len(block), *shape), np.float32)
            for row, corner in zip(removed, block, strict=True):
                row[tuple(slice(at, at + size) for at, size in zip(corner, sizes, strict=True))] = 1
            yield removed

    def _starts(self, shape: tuple[int, ...]) -> list[list[int]]:
        """Where the windows begin, along each axis."""
        windows, strides = self._each("window", shape), self._each("stride", shape)
        for size, window, stride in zip(shape, windows, strides, strict=True):
            if window > size:
                raise UsageError(f"a window of {windows} components is larger than the {shape} that there are")
            if stride > window:
                raise UsageError(f"windows of {windows} that move by {strides} leave gaps: take a smaller stride")
        axes = zip(shape, windows, strides, strict=True)
        return [sorted({*range(0, size - window, stride), size - window}) for size, window, stride in axes]

    def _each(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The window or the stride along each axis."""
        given = getattr(self, name)
        sizes = given if isinstance(given, tuple) else (given,) * len(shape)
        if len(sizes) != len(shape):
            raise UsageError(f"{name}={given} has {len(sizes)} numbers, and the components have {len(shape)} axes")
        return sizes
