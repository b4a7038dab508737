"""Axes: where along time, frequency or anything else the numbers of an array stand.

An axis of n places has n + 1 edges, in its unit, ascending; an axis of names (labels of stems, say) has n names and no
unit. Places between edges may have names as well (words, say). An array with axes can be carried to other axes by the overlap
of their places: see `overlap` and `carry`.
"""

from dataclasses import dataclass, replace

import numpy as np

from earwitness.errors import InputError


@dataclass(frozen=True)
class Axis:
    """One axis of an array.

    name: "time", "frequency", "component", ...
    unit: "s", "Hz", "index", or "" for names.
    edges: n + 1 ascending numbers, or n names.
    names: what n places between edges are called beside; none by default.
    """

    name: str
    unit: str
    edges: tuple
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        edges = tuple(edge if isinstance(edge, str) else float(edge) for edge in self.edges)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "names", tuple(self.names))
        if not self.named and (len(edges) < 2 or not np.all(np.diff(edges) > 0)):
            raise InputError(f"the edges of the {self.name} axis must ascend, two or more: {edges[:8]}")
        if self.names and len(self.names) != self.size:
            raise InputError(f"the {self.name} axis has {self.size} places and {len(self.names)} names for them")

    @property
    def named(self) -> bool:
        """True where places have names, not positions."""
        return bool(self.edges) and isinstance(self.edges[0], str)

    @property
    def size(self) -> int:
        """The number of places."""
        return len(self.edges) if self.named else len(self.edges) - 1

    @property
    def centers(self) -> np.ndarray:
        """The middle of each place, in the axis' unit (0, 1, 2, ... for names)."""
        if self.named:
            return np.arange(self.size, dtype=float)
        edges = np.asarray(self.edges)
        return (edges[1:] + edges[:-1]) / 2

    def place(self, index: int) -> list[float] | str:
        """`[from, to]` of one place, or its name."""
        return self.edges[index] if self.named else [self.edges[index], self.edges[index + 1]]

    def shifted(self, by: float) -> "Axis":
        """The same places, `by` later (in the axis' unit)."""
        return self if by == 0 else replace(self, edges=tuple(edge + by for edge in self.edges))

    def resized(self, size: int) -> "Axis":
        """The same extent in `size` places, which share out those of this axis evenly, by their number."""
        edges = np.interp(np.linspace(0, self.size, size + 1), np.arange(self.size + 1), self.edges)
        return Axis(self.name, self.unit, tuple(edges))

    def coarser(self, groups: int) -> "tuple[Axis, np.ndarray]":
        """The axis in `groups` nearly equal groups of neighbours, and the group of each place."""
        if not 1 <= groups <= self.size:
            raise InputError(
                f"the {self.name} axis has {self.size} places, so it cannot be cut into {groups}: ask for fewer, or take a "
                "longer clip"
            )
        bounds = np.arange(groups + 1) * self.size // groups
        group = np.repeat(np.arange(groups), np.diff(bounds))
        return Axis(self.name, self.unit, tuple(np.asarray(self.edges)[bounds])), group


def counted(name: str, size: int) -> Axis:
    """An axis without a unit: places 0, 1, 2, ..., `size` - 1."""
    return Axis(name, "index", tuple(range(size + 1)))


def overlap(source: Axis, target: Axis) -> np.ndarray:
    """`[target, source]`: the share of each target place that each source place covers."""
    s, t = np.asarray(source.edges, float), np.asarray(target.edges, float)
    shared = np.minimum(t[1:, None], s[None, 1:]) - np.maximum(t[:-1, None], s[None, :-1])
    return np.clip(shared, 0, None) / np.diff(t)[:, None]


def carry(values: np.ndarray, source: tuple[Axis, ...], target: tuple[Axis, ...]) -> np.ndarray:
    """Average `values` (on `source` axes) over the places of the `target` axes, matched by name.

    A source axis that the target lacks is averaged out; a target axis that the source lacks is an error.
    """
    names = [axis.name for axis in source]
    missing = [axis.name for axis in target if axis.name not in names]
    if missing:
        raise InputError(f"cannot carry a map over {names} to an axis that it lacks: {', '.join(missing)}")
    units = {axis.name: axis.unit for axis in source}
    for axis in target:
        if axis.unit != units[axis.name]:
            raise InputError(f"the {axis.name} of the map is in {units[axis.name]!r} and is wanted in {axis.unit!r}")
    for place in reversed(range(len(source))):
        if names[place] not in [axis.name for axis in target]:
            values = np.average(values, axis=place, weights=np.diff(source[place].edges))
            source, names = source[:place] + source[place + 1 :], names[:place] + names[place + 1 :]
    for axis in target:
        place = names.index(axis.name)
        values = np.moveaxis(np.tensordot(overlap(source[place], axis), values, (1, place)), 0, place)
    return np.transpose(values, [names.index(axis.name) for axis in target])
