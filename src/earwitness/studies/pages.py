"""What a study hands to a report: sections of text, tables, sounds, and pictures as data.

A study computes and draws nothing; `earwitness.reports` draws and computes nothing. Between them stand these few types. A
picture is a row of panels, and a panel is the numbers that are to be seen in it: a `Heat` map over time and frequency, `Curves`
over a number, `Bars` over names, or `Ranks` of methods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from earwitness.audio import Audio
from earwitness.axes import Axis


@dataclass(frozen=True, eq=False)
class Heat:
    """Numbers over frequency and time.

    values: `[frequency, time]`.  axes: their places.
    kind: "level" for what sounds (drawn grey), or the kind of an explanation ("importance", "effect", ...).
    unit: of the values, for the scale beside it; "" for no scale.
    """

    values: np.ndarray
    axes: tuple[Axis, Axis]
    title: str = ""
    kind: str = "level"
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Curves:
    """Lines over a number.

    x: `[n]`.  lines: a name and `[n]` values for each.
    errors: for some of the names half-widths, `[n]`, or `[2, n]` below and above.
    xlabel, ylabel: with their units.  logarithmic: "", "x", "y" or "xy".
    """

    x: ArrayLike
    lines: Mapping[str, ArrayLike]
    xlabel: str
    ylabel: str
    title: str = ""
    errors: Mapping[str, ArrayLike] = field(default_factory=dict)
    logarithmic: str = ""


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars over names, one group of bars a name.

    names: `[n]`.  groups: for each colour its name and `[n]` values.  errors: for some of the groups half-widths, as in `Curves`.
    """

    names: Sequence[str]
    groups: Mapping[str, ArrayLike]
    ylabel: str
    title: str = ""
    errors: Mapping[str, ArrayLike] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Ranks:
    """A critical-difference diagram: mean ranks on a line, and bars that join what doesn't differ.

    names: `[n]`, best first.  ranks: `[n]`, ascending.  critical: the difference that is significant.
    groups: first and last place of the methods that a bar joins.
    """

    names: Sequence[str]
    ranks: np.ndarray
    critical: float
    groups: Sequence[tuple[int, int]]
    title: str = ""


@dataclass(frozen=True, eq=False)
class Chance:
    """One number beside those that chance gives.

    random: `[n]`.  score, low, high: the number and its interval.  others: further numbers, by name.
    """

    random: ArrayLike
    score: float
    low: float
    high: float
    xlabel: str
    title: str = ""
    others: Mapping[str, float] = field(default_factory=dict)


Panel = Chance | Heat | Curves | Bars | Ranks


@dataclass(frozen=True, eq=False)
class Picture:
    """Panels side by side, at most `columns` in a row, with a caption that says what is to be seen."""

    panels: Sequence[Panel]
    caption: str
    columns: int = 3


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a page.

    name: the stem of its files, such as "q3-logarithm".  title.  text: Markdown.
    asks, answer: where it answers a question, that question and a sentence with the measured figure.
    tables, pictures, sounds: by the rest of their file names.
    """

    name: str
    title: str
    text: str
    asks: str = ""
    answer: str = ""
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    sounds: Mapping[str, Audio] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """What stands above the sections: a title, a summary (Markdown), and the command that makes the page."""

    title: str
    summary: str
    command: str
