"""An explanation is a record of numbers and what can be done with it: read, masked, heard, plotted, saved."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from earwitness.audio import Audio
from earwitness.explanations import files, places
from earwitness.explanations.flipping import Flip, flip
from earwitness.explanations.listening import Heard, listen, predict
from earwitness.explanations.record import Record
from earwitness.questions import AudioQuestion, Question


@dataclass(frozen=True, eq=False)
class Explanation(Record):
    """What a method answered to a question: see `Record` for its fields.

    Made by calling an explainer, or from any map with `Explanation.of`.
    """

    @classmethod
    def of(
        cls, question: Question, values: "np.ndarray | torch.Tensor", kind: str = "importance", **known: Any
    ) -> "Explanation":
        """Any map put on the table: another library's attribution, a drawing, a guess.

        values: `[*shape]` like the question's components, or `[*x]` or `[1, *x]` like what stands at its stage (captum's maps):
            these are summed over each component.  kind: "share", "effect", "importance" or "mask".
        known: other fields of the explanation. `score` and `baseline` are asked for if they are not among them.
        Cost: two evaluations and baseline, if they are.
        """
        if "score" not in known:
            known["score"], known["baseline"] = question.ends()
        given = torch.as_tensor(values).detach().cpu()
        if given.shape != question.shape and given.shape in (question.x.shape, (1, *question.x.shape)):
            given = question.collect(given.reshape(question.x.shape).to(question.x)).cpu()
        where = {"axes": question.axes, "unit": question.unit, "provenance": provenance(question), "question": question}
        if isinstance(question, AudioQuestion):
            where["target"] = question.resolved.name(question.classifier.labels)
            where["prediction"] = predict(question, question.clip_logits)
        return cls(values=given.double().numpy(), kind=kind, **where, **known)

    def mask(self, keep: float | None = 0.2, *, against: bool = False) -> np.ndarray:
        """`[*shape]`, which components to keep: the best `keep` (a share of all) as 1, the others as 0.

        The best are those that argue most for the target: where importances come with `signed`, those with a slope above 0.
        Only values above 0 are kept, so there may be fewer. Equal values are taken in their order.
        keep=None gives a soft mask: the values themselves for kind "mask", else the values above 0 divided by the largest.
        against: those that argue most against the target instead; for importances that takes `signed`.
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

    def flip(self) -> Flip:
        """The fewest components whose removal changes the model's decision, and the fewest that alone still give it.

        Both in the order of the explanation, the largest first (for importances with `signed`, of those that argue for the
        target); so a better explanation needs fewer. With the new decision, and both sounds.
        Cost: up to 2 (components + 1) + 1 evaluations for each baseline, and two for the sounds. Raises `UsageError` where the
        model decides for another label than the explained one, and for games.
        """
        return flip(self)

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
        """Write everything but the question and the explainer to one `.npz` file, without pickle."""
        files.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Explanation":
        """Read what `save` wrote. It has no question: it can be read and plotted, but not heard."""
        return files.read(path, cls)


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
        record |= {"model": list(question.classifier.notes)} if question.classifier.notes else {}
        record |= {"cut": list(question.components.done)} if question.components.done else {}
    return record
