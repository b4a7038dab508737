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

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.errors import InputError, unknown
from earwitness.explanations import files, places
from earwitness.explanations.listening import Heard, Prediction, listen, predict
from earwitness.questions import AudioQuestion, Question

KINDS = ("share", "effect", "importance", "mask")
MOST = 0.1  # how much of their total shares may miss before it is said


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a method answered to a question.

    values, stderr, signed: `[*shape]` like the components; stderr and signed may be None.
    signed: for or against: the slope of the score on each component, in units of the target.
    others: further maps `[*shape]` by name.  kind: see above.  unit: of the score.  axes: of the components.
    score, baseline: value(1) and value(0); `total` is their difference.
    method, settings, target, labels, prediction, evaluations, seconds, seed, warnings, provenance: where it comes from.
    question: what was asked; None when loaded from a file.
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
    evaluations: int = 0
    seconds: float = 0.0
    seed: int | None = None
    warnings: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    question: Question | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(axis.size for axis in self.axes)
        if self.kind not in KINDS:
            raise unknown("kind of explanation", self.kind, KINDS)
        for name, array in {"values": self.values, "stderr": self.stderr, "signed": self.signed, **self.others}.items():
            if array is not None and np.shape(array) != shape:
                raise InputError(
                    f"{name} must be shaped like the components, {list(shape)}, not {list(np.shape(array))}"
                )
        if not np.all(np.isfinite(self.values)):
            raise InputError(f"{int((~np.isfinite(self.values)).sum())} values are NaN or infinite")
        missing = (
            (f"the shares miss {self.gap:.0%} of the total that they should add up to",)
            if (self.gap or 0) > MOST
            else ()
        )
        object.__setattr__(self, "warnings", tuple(dict.fromkeys((*self.warnings, *missing))))

    @classmethod
    def of(
        cls, question: Question, values: "np.ndarray | torch.Tensor", kind: str = "importance", **known: Any
    ) -> "Explanation":
        """Any map put on the table: another library's attribution, a drawing, a guess.

        values: `[*shape]` like the question's components.  kind: "share", "effect", "importance" or "mask".
        known: other fields of the explanation. `score` and `baseline` are asked for if they are not among them.
        """
        if "score" not in known:
            ends = question.value(np.stack([np.ones(question.shape), np.zeros(question.shape)])).tolist()
            known |= {"score": ends[0], "baseline": ends[1]}
        values = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
        where = {"axes": question.axes, "unit": question.unit, "provenance": provenance(question), "question": question}
        if isinstance(question, AudioQuestion):
            where["target"] = question.resolved.name(question.classifier.labels)
            where["prediction"] = predict(question, question.clip_logits)
        return cls(values=np.asarray(values, np.float64), kind=kind, **where, **known)

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

    def mask(self, keep: float | None = 0.2, *, against: bool = False) -> np.ndarray:
        """`[*shape]`, which components to keep: the best `keep` (a share of all) as 1, the others as 0.

        Only components with a value above 0 are kept, so there may be fewer. Equal values are taken in their order.
        keep=None gives a soft mask: the values themselves for kind "mask", else the values above 0 divided by the largest.
        against: those that argue most against the target; for importances that takes `signed`.
        """
        values = places.directed(self, against)
        return places.soft(values, self.kind) if keep is None else places.best(values, keep)

    def hear(
        self, keep: float | None = 0.2, *, remove: bool = False, against: bool = False, match_level: bool = False
    ) -> Heard:
        """The part of the clip that the explanation points at, and the model's answer to it.

        keep: as in `mask`.  remove: everything else instead; kept + removed = clip.  against: what argues against.
        match_level: as loud as the clip (at most +18 dB, peak at most -1 dB); otherwise at true level. The model answers
        to the sound at true level.
        Cost: one evaluation. Raises `UsageError` without a question, and where components have no place in the sound.
        """
        return listen(self, self.mask(keep, against=against), remove, match_level)

    def top(self, k: int = 5) -> list[places.Region]:
        """The k components with the largest values, largest first."""
        return places.top_regions(self, k)

    def to_frame(self) -> pd.DataFrame:
        """One row a component: `<axis>_from` and `<axis>_to` (or the name), value, stderr, signed, and all others."""
        return places.frame(self)

    def plot(self, path: str | os.PathLike | None = None):
        """A picture: the clip's spectrogram with the explanation beside it. Returns the figure; writes it, if asked to."""
        from earwitness.reports.figures import (
            plot_explanation,
        )  # the one import downwards: plotting is asked of the result

        return plot_explanation(self, path)

    def save(self, path: str | os.PathLike) -> None:
        """Write everything but the question to one `.npz` file, without pickle."""
        files.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Explanation":
        """Read what `save` wrote. It has no question: it can be read and plotted, but not heard."""
        return cls(**files.read(path))


def provenance(question: Question) -> dict[str, Any]:
    """Where an explanation comes from: the clip and what was done to it, the cut, the stage, the baseline, the batch."""
    record: dict[str, Any] = {"batch": question.batch}
    if isinstance(question, AudioQuestion):
        clip = question.audio
        record |= {
            "clip": list(clip.provenance) if isinstance(clip, Audio) else ["ready features"],
            "components": repr(question.factorization),
            "stage": question.components.stage,
            "baseline": question.components.note,
        }
    return record
