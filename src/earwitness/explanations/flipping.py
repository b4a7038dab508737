"""What would it take for the model to decide otherwise?

Components go in the order of the explanation, the largest value first, until the model's own decision changes; and they come in
the same order, until it is there:

    fewest = min { k : decision( all but the best k ) != decision( clip ) }
    enough = min { k : decision( the best k alone ) == decision( clip ) }

A decision is a label, not a score: what a user of the model sees. A small `fewest` says that the explanation found what the
decision hangs on; a small `enough`, that it found what suffices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earwitness.audio import Audio
from earwitness.errors import UsageError
from earwitness.explanations import places
from earwitness.explanations.listening import Heard, listen
from earwitness.questions import AudioQuestion, decision, decisions

if TYPE_CHECKING:
    from earwitness.explanations.explanation import Explanation


@dataclass(frozen=True, eq=False)
class Flip:
    """The fewest components, in the order of an explanation, whose removal changes the decision; and that alone give it.

    decision: the model's label for the clip.  size: how many components there are.
    fewest: how many must go; None where the decision stays to the end.  becomes: the new decision, "" if there is none.
    enough: how many alone give the decision; 0 where the baseline gives it already.
    without, alone: those masks, `[*shape]`, 1 for what is kept; `without` is None where the decision stays.
    removed, kept: the sounds of both, with the model's answer to the very sound; None where there is no sound.
    """

    decision: str
    size: int
    fewest: int | None
    becomes: str
    without: np.ndarray | None
    enough: int
    alone: np.ndarray
    removed: Heard | None = None
    kept: Heard | None = None

    def __str__(self) -> str:
        if self.fewest is None:
            gone = f"it stays {self.decision} whatever is removed"
        else:
            gone = f"without the best {self.fewest} of {self.size} components it is {self.becomes}"
        alone = f"the best {self.enough} alone still give it" if self.enough else "the baseline alone gives it as well"
        return f"{self.decision}: {gone}; {alone}"


def flip(explanation: "Explanation") -> Flip:
    """See `Explanation.flip`."""
    question = explanation.question
    if not isinstance(question, AudioQuestion):
        raise UsageError(
            "a decision needs a classifier and its clip: this explanation is of a game, or has no question"
        )
    own, labels = decision(question), question.classifier.labels
    rank = places.order(places.directed(explanation, against=False))
    fewest, becomes = _first(question, lambda count: rank >= count, lambda found: found != own)
    enough, _ = _first(question, lambda count: rank < count, lambda found: found == own)
    assert enough is not None  # all components together are decided so
    alone, without = (rank < enough).astype(float), None if fewest is None else (rank >= fewest).astype(float)
    heard = isinstance(question.audio, Audio) and all(axis.name != "channel" for axis in question.axes)
    return Flip(
        labels[own],
        question.size,
        fewest,
        "" if fewest is None else labels[becomes],
        without,
        enough,
        alone,
        listen(explanation, 1 - without, True, False) if heard and without is not None else None,
        listen(explanation, alone, False, False) if heard else None,
    )


def _first(
    question: AudioQuestion, mask: Callable[[np.ndarray], np.ndarray], wanted: Callable[[np.ndarray], np.ndarray]
) -> tuple[int | None, int]:
    """The first count, from 0 to size, at which the decision is a wanted one; and that decision. A batch at a time."""
    for start in range(0, question.size + 1, question.batch):
        counts = np.arange(start, min(start + question.batch, question.size + 1))
        found = decisions(question, mask(counts.reshape(-1, *[1] * len(question.shape))))
        hits = np.flatnonzero(wanted(found))
        if len(hits):
            return int(counts[hits[0]]), int(found[hits[0]])
    return None, -1
