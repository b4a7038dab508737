"""An explanation: one number for each component, with everything that is needed to read, hear and doubt it.

Four kinds of numbers, never confused:

| kind | meaning | unit | adds up to |
|---|---|---|---|
| "share" | part of value(1) - value(0) | the score's | `total` |
| "effect" | what changes when the component does | the score's | nothing |
| "importance" | how much it matters, without direction | none | nothing |
| "mask" | how much of it is kept, 0 to 1 | none | nothing |

`mask(keep=...)` is the one bridge from any kind to a mask; listening and metrics go over it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from earwitness.axes import Axis
from earwitness.errors import InputError, unknown
from earwitness.explanations.listening import Prediction
from earwitness.questions import Question

KINDS = ("share", "effect", "importance", "mask")
MOST = 0.1  # how much of their total shares may miss before it is said


@dataclass(frozen=True, eq=False)
class Record:
    """What a method answered to a question: the numbers, and where they come from.

    values, stderr, signed: `[*shape]` like the components; stderr and signed may be None.
    signed: for or against: the slope of the score on each component, in units of the target.
    others: further maps `[*shape]` by name.  numbers: further numbers by name ("fidelity": R² of a surrogate).
    kind: see above.  unit: of the score.  axes: of the components.
    score, baseline: value(1) and value(0); `total` is their difference.
    method, settings, target, prediction, evaluations, seconds, seed, warnings, provenance: where it comes from.
    stopped: why sampling stopped, where a `Budget` was given.
    question: what was asked; None when loaded from a file.
    explainer: what answered, so that it can be asked again; None when loaded from a file, or given.
    """

    values: np.ndarray
    kind: str
    axes: tuple[Axis, ...]
    unit: str
    score: float
    baseline: float
    method: str = "given"
    settings: str = ""
    target: str = ""
    prediction: Prediction | None = None
    stderr: np.ndarray | None = None
    signed: np.ndarray | None = None
    others: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    evaluations: int = 0
    seconds: float = 0.0
    seed: int | None = None
    warnings: tuple[str, ...] = ()
    stopped: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    question: Question | None = field(default=None, repr=False)
    explainer: Callable[[Question], "Record"] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(axis.size for axis in self.axes)
        if self.kind not in KINDS:
            raise unknown("kind of explanation", self.kind, KINDS)
        for name, array in {"values": self.values, "stderr": self.stderr, "signed": self.signed, **self.others}.items():
            if array is not None and np.shape(array) != shape:
                raise InputError(
                    f"{name} must be shaped like the components, {list(shape)}, not {list(np.shape(array))}"
                )
            if array is not None and not np.all(np.isfinite(array)):
                raise InputError(f"{int((~np.isfinite(array)).sum())} {name} are NaN or infinite")
        missing = (
            (f"the shares miss {self.gap:.0%} of the total that they should add up to",)
            if (self.gap or 0) > MOST
            else ()
        )
        object.__setattr__(self, "warnings", tuple(dict.fromkeys((*self.warnings, *missing))))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values."""
        return self.values.shape

    @property
    def total(self) -> float:
        """value(1) - value(0): what shares add up to."""
        return self.score - self.baseline

    @property
    def gap(self) -> float | None:
        """|sum - total| / |total|; None (not applicable) for anything but shares, and where the total is 0."""
        if self.kind != "share" or self.total == 0:
            return None
        return abs(float(self.values.sum()) - self.total) / abs(self.total)
