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

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import earwitness
from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.carrying import carry_mask
from earwitness.errors import InputError, UsageError, unknown
from earwitness.questions import AudioQuestion, Question

KINDS = ("share", "effect", "importance", "mask")


@dataclass(frozen=True)
class Prediction:
    """A label and its probability."""

    label: str
    probability: float


@dataclass(frozen=True)
class Region:
    """One component. place: axis name to `[from, to]` or a name; value and stderr as in the explanation."""

    place: dict[str, list[float] | str]
    value: float
    stderr: float | None

    def __str__(self) -> str:
        where = [
            _interval(*self.place[name]) if name in self.place and not isinstance(self.place[name], str) else None
            for name in ("time", "frequency")
        ]
        units = (" s", " Hz")
        parts = [text + unit for text, unit in zip(where, units, strict=True) if text]
        parts += [f"{name} {place}" for name, place in self.place.items() if name not in ("time", "frequency")]
        return f"{', '.join(parts)}: {self.value:.3g}" + ("" if self.stderr is None else f" ± {self.stderr:.2g}")


def _interval(low: float, high: float) -> str:
    return f"{low:.2f}–{high:.2f}" if high < 100 else f"{low:.0f}–{high:.0f}"


@dataclass(frozen=True, eq=False)
class Heard:
    """A part of a clip, and what the model says to that very sound.

    audio: the sound.  score: of the target.  prediction: the model's own label.  mask: what was kept, `[*shape]`.
    gain_db: how much louder the sound was made; 0 at true level.
    """

    audio: Audio
    score: float
    prediction: Prediction
    mask: np.ndarray
    gain_db: float = 0.0

    def save(self, path: str | os.PathLike) -> float:
        """Write the sound; see `Audio.save`."""
        return self.audio.save(path)

    def __str__(self) -> str:
        louder = f", made {self.gain_db:+.1f} dB louder" if self.gain_db else ""
        return (
            f"{self.prediction.label} ({self.prediction.probability:.2f}), target score {self.score:.2f}, "
            f"level {self.audio.rms_db:.1f} dB{louder}"
        )


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

    @classmethod
    def of(
        cls,
        question: Question,
        values: "np.ndarray | torch.Tensor",
        kind: str = "importance",
        *,
        ends: tuple[float, float] | None = None,
        warnings: tuple[str, ...] = (),
        **known: Any,
    ) -> "Explanation":
        """Any map put on the table: another library's attribution, a drawing, a guess.

        values: `[*shape]` like the question's components.  kind: "share", "effect", "importance" or "mask".
        ends: value(1) and value(0), which are asked for if not given.
        """
        if ends is None:
            score, baseline = question.value(np.stack([np.ones(question.shape), np.zeros(question.shape)])).tolist()
        else:
            score, baseline = ends
        real = isinstance(question, AudioQuestion)
        explanation = cls(
            values=_array(values),
            kind=kind,
            axes=question.axes,
            unit=question.unit,
            score=score,
            baseline=baseline,
            target=question.resolved.name(question.classifier.labels) if real else "score",
            prediction=_prediction(question, question.clip_logits) if real else None,
            provenance=_provenance(question),
            question=question,
            warnings=warnings,
            **known,
        )
        if kind == "share" and explanation.gap > 0.1:
            said = f"the shares miss {explanation.gap:.0%} of the total that they should add up to"
            explanation = replace(explanation, warnings=(*warnings, said))
        return explanation

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
        values = self.values
        if against:
            values = self.signed if self.signed is not None else self.values
            if self.signed is None and self.kind in ("importance", "mask"):
                raise UsageError(f"{self.method} doesn't say what argues against the target: its values have no sign")
            values = -values
        if keep is None:
            top = values.max()
            return (
                np.clip(values, 0, 1) if self.kind == "mask" else np.clip(values / top, 0, 1) if top > 0 else 0 * values
            )
        if not 0 < keep <= 1:
            raise UsageError(f"keep is a share of the components, above 0 and at most 1, not {keep!r}")
        order = np.argsort(-values, axis=None, kind="stable")[: max(1, round(keep * values.size))]
        mask = np.zeros(values.size)
        mask[order] = values.flat[order] > 0
        return mask.reshape(values.shape)

    def hear(
        self, keep: float | None = 0.2, *, remove: bool = False, against: bool = False, match_level: bool = False
    ) -> Heard:
        """The part of the clip that the explanation points at, and the model's answer to it.

        keep: as in `mask`.  remove: everything else instead; kept + removed = clip.  against: what argues against.
        match_level: as loud as the clip (at most +18 dB, peak at most -1 dB); otherwise at true level. The model answers
        to the sound at true level.
        Cost: one evaluation. Raises `UsageError` without a question, and where components have no place in the sound.
        """
        question = self._asked()
        mask = self.mask(keep, against=against)
        audio = _sound(question, mask, remove)
        logits = question.answer(audio)
        gain = _matching_gain(audio, question.audio) if match_level else 0.0
        if gain:
            audio = audio.with_samples(audio.samples * 10 ** (gain / 20), f"level changed by {gain:+.1f} dB")
        return Heard(
            audio,
            float(question.resolved(logits)[0]),
            _prediction(question, logits[0]),
            1 - mask if remove else mask,
            gain,
        )

    def top(self, k: int = 5) -> list[Region]:
        """The k components with the largest values, largest first."""
        order = np.argsort(-self.values, axis=None, kind="stable")[:k]
        return [self._region(np.unravel_index(i, self.shape)) for i in order]

    def regions(self) -> list[Region]:
        """All components, in the order of the array."""
        return [self._region(index) for index in np.ndindex(self.shape)]

    def to_frame(self) -> pd.DataFrame:
        """One row a component: `<axis>_from` and `<axis>_to` (or the name), value, stderr, signed, and all others."""
        rows = []
        for index in np.ndindex(self.shape):
            row: dict[str, Any] = {}
            for axis, i in zip(self.axes, index, strict=True):
                place = axis.place(i)
                row |= (
                    {axis.name: place} if axis.named else {f"{axis.name}_from": place[0], f"{axis.name}_to": place[1]}
                )
            rows.append(row)
        frame = pd.DataFrame(rows)
        maps = {"value": self.values, "stderr": self.stderr, "signed": self.signed, **self.others}
        for name, array in maps.items():
            if array is not None:
                frame[name] = array.ravel()
        return frame

    def plot(self, path: str | os.PathLike | None = None):
        """A picture: the clip's spectrogram with the explanation beside it. Returns the figure; writes it, if asked to."""
        from earwitness.reports.figures import plot_explanation  # the one import downwards, see DESIGN

        return plot_explanation(self, path)

    def save(self, path: str | os.PathLike) -> None:
        """Write everything but the question to one `.npz` file, without pickle."""
        arrays = {"values": self.values, "stderr": self.stderr, "signed": self.signed}
        arrays |= {f"others.{name}": array for name, array in self.others.items()}
        head = {k: v for k, v in vars(self).items() if k not in (*arrays, "others", "question", "axes", "prediction")}
        head["axes"] = [asdict(axis) for axis in self.axes]
        head["prediction"] = asdict(self.prediction) if self.prediction else None
        head["version"] = earwitness.__version__
        path = Path(path)
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as file:
                np.savez(file, head=np.array(json.dumps(head)), **{k: v for k, v in arrays.items() if v is not None})
            part.replace(path)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error}") from error
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Explanation":
        """Read what `save` wrote. It has no question: it can be read and plotted, but not heard."""
        try:
            with np.load(path, allow_pickle=False) as file:
                head, arrays = json.loads(str(file["head"])), {k: file[k] for k in file.files if k != "head"}
            head.pop("version")
            head["axes"] = tuple(Axis(**axis) for axis in head["axes"])
            head["prediction"] = Prediction(**head["prediction"]) if head["prediction"] else None
            head["warnings"] = tuple(head["warnings"])
            others = {k.removeprefix("others."): v for k, v in arrays.items() if k.startswith("others.")}
            return cls(**{k: v for k, v in arrays.items() if not k.startswith("others.")}, others=others, **head)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not an explanation that earwitness saved: {error}") from error

    def _region(self, index: tuple) -> Region:
        place = {axis.name: axis.place(i) for axis, i in zip(self.axes, index, strict=True)}
        return Region(place, float(self.values[index]), None if self.stderr is None else float(self.stderr[index]))

    def _asked(self) -> AudioQuestion:
        if self.question is None:
            raise UsageError("this explanation was loaded from a file and has no question: ask again to hear it")
        if not isinstance(self.question, AudioQuestion) or not isinstance(self.question.audio, Audio):
            raise UsageError(
                "there is no sound behind this explanation (a game, or ready features): it cannot be heard"
            )
        return self.question


def _array(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def _prediction(question: AudioQuestion, logits: torch.Tensor) -> Prediction:
    probabilities = question.classifier.probabilities(logits[None])[0]
    best = int(probabilities.argmax())
    return Prediction(question.classifier.labels[best], float(probabilities[best]))


def _sound(question: AudioQuestion, mask: np.ndarray, remove: bool) -> Audio:
    """What a mask keeps: as the model was given it at the waveform stage, else carried to the clip; or the rest."""
    clip = question.audio
    kept = question.components.sound(torch.as_tensor(mask, dtype=torch.float32, device=clip.samples.device))
    if kept is None:
        kept = carry_mask(mask, question.axes, clip).samples
    return clip.with_samples(clip.samples - kept if remove else kept, "removed" if remove else "kept")


def _matching_gain(audio: Audio, clip: Audio) -> float:
    if audio.peak == 0:
        return 0.0
    return min(clip.rms_db - audio.rms_db, 18.0, -1.0 - 20 * float(np.log10(audio.peak)))


def _provenance(question: Question) -> dict[str, Any]:
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
