"""Components as rows: which ones are best, where they lie, and how the best become a mask."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from earwitness.axes import Axis
from earwitness.errors import UsageError

if TYPE_CHECKING:
    from earwitness.explanations.explanation import Explanation

UNITS = {"time": " s", "frequency": " Hz"}


@dataclass(frozen=True)
class Region:
    """One component. place: axis name to `[from, to]` or a name; value and stderr as in the explanation.

    Places along an axis without a unit have names, such as "component 2" or "frequency 16-32". Where an axis names its places,
    `place["name"]` is the component's.
    """

    place: dict[str, list[float] | str]
    value: float
    stderr: float | None

    def __str__(self) -> str:
        order = sorted(self.place, key=["name", "time", *self.place].index)  # time first, as one says it
        where = ", ".join(_place(name, self.place[name]) for name in order)
        return f"{where}: {self.value:.3g}" + ("" if self.stderr is None else f" ± {self.stderr:.2g}")


def _place(name: str, place: list[float] | str) -> str:
    if isinstance(place, str):
        return place
    digits = 2 if name == "time" else 0
    return f"{place[0]:.{digits}f}–{place[1]:.{digits}f}{UNITS.get(name, '')}"


def _named(axis: Axis, index: int) -> list[float] | str:
    place = axis.place(index)
    if axis.unit != "index" or isinstance(place, str):
        return place
    first, last = int(place[0]), int(place[1]) - 1
    return f"{axis.name} {first}" + (f"-{last}" if last > first else "")


def region(explanation: "Explanation", index: tuple[int, ...]) -> Region:
    """The component at an index of the array."""
    place = {axis.name: _named(axis, i) for axis, i in zip(explanation.axes, index, strict=True)}
    place |= called(explanation, index)
    stderr = None if explanation.stderr is None else float(explanation.stderr[index])
    return Region(place, float(explanation.values[index]), stderr)


def called(explanation: "Explanation", index: tuple[int, ...]) -> dict[str, str]:
    """{"name": ...} of a component whose axis has names beside its edges; {} otherwise."""
    names = [axis.names[i] for axis, i in zip(explanation.axes, index, strict=True) if axis.names]
    return {"name": ", ".join(names)} if names else {}


def top_regions(explanation: "Explanation", k: int) -> list[Region]:
    """The k components with the largest values, largest first; equal values in their order."""
    order = np.argsort(-explanation.values, axis=None, kind="stable")[:k]
    return [region(explanation, tuple(int(i) for i in np.unravel_index(flat, explanation.shape))) for flat in order]


def frame(explanation: "Explanation") -> pd.DataFrame:
    """One row a component, in the order of the array."""
    rows = []
    for index in np.ndindex(explanation.shape):
        row: dict[str, Any] = {}
        for axis, i in zip(explanation.axes, index, strict=True):
            place = axis.place(i)
            row |= {axis.name: axis.names[i]} if axis.names else {}
            row |= {axis.name: place} if axis.named else {f"{axis.name}_from": place[0], f"{axis.name}_to": place[1]}
        rows.append(row)
    maps = {
        "value": explanation.values,
        "stderr": explanation.stderr,
        "signed": explanation.signed,
        **explanation.others,
    }
    return pd.DataFrame(rows).assign(**{name: array.ravel() for name, array in maps.items() if array is not None})


def directed(explanation: "Explanation", against: bool) -> np.ndarray:
    """The values that are large for what argues for (against) the target.

    Shares and effects have a sign themselves; importances and masks take it from `signed`. Where there is none, all that is
    important is taken to argue for the target.
    """
    values, signed = explanation.values, explanation.signed
    if explanation.kind in ("share", "effect"):
        return -values if against else values
    if signed is None:
        if against:
            raise UsageError(
                f"{explanation.method} doesn't say what argues against the target: its values have no sign"
            )
        return values
    return np.where(signed < 0 if against else signed > 0, values, 0.0)


def best(values: np.ndarray, keep: float) -> np.ndarray:
    """1 for the best share `keep` of the values, as far as they are above 0; 0 elsewhere."""
    if not 0 < keep <= 1:
        raise UsageError(f"keep is a share of the components, above 0 and at most 1, not {keep!r}")
    return 1.0 * (order(values) < max(1, round(keep * values.size))) * (values > 0.0)


def order(values: np.ndarray) -> np.ndarray:
    """`[*shape]`, whole numbers: 0 for the largest value, 1 for the next; equal values in their order."""
    return np.argsort(np.argsort(-values, axis=None, kind="stable")).reshape(values.shape)


def soft(values: np.ndarray, kind: str) -> np.ndarray:
    """Masks as they are; anything else as a share of its largest value, what is below 0 as 0."""
    top = 1.0 if kind == "mask" else values.max()
    return np.clip(values / top, 0, 1) if top > 0 else np.zeros_like(values)
