"""Where is the spectrogram dark?

    t = clip(s + n, 0, 1),      s = (x - min x) / (max x - min x),      n ~ Normal(0, noise^2)
    silence_i = share of noisy copies t in which t_i <= their `percentile`-th percentile,           value_i = 1 - silence_i

The model is never asked. A control beside `Loudness`: the map is the same for every model and every class. Masking what it
calls silent should change nothing; where that holds, nothing is known of the model: the quiet parts of nearly every clip can go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, positive, whole
from earwitness.explainers.base import Attribution, Explainer
from earwitness.questions import AudioQuestion, Question


@dataclass(frozen=True)
class LevelSilenceMap(Explainer):
    """One minus the probability that a number of the features is among the lowest, when noise is added: a control.

    samples: noisy copies, 2 or more.  seed: of the noise.
    noise: its standard deviation, as a share of the range of the clip's features.
    percentile: how much of each copy counts as silent, in percent, above 0 and below 100.

    Needs a cut of the features; a component has the mean of its numbers. `others["silence"]` is the probability. Values lie in
    [0, 1]. Clipping makes ties at 0, and all of them count: where the noise drives more than `percentile` % of the numbers below
    0, more is silent than was asked for.
    Cost: none. Raises `UsageError` where nothing can be quiet: for a bare game, and at other stages.
    Source: the "smooth silence map" of toster3d/Audio-Emotion-Recognition (2025), with the settings of its notebook (its function
        has 20, 0.05 and 20). Notebook and README call it "Smooth Saliency Maps", which are something else: a mean of gradients
        (`SmoothGrad`). It never calls the model: `SilenceMap` does.
    Differs: one minus it, so that what is silent comes last, as in every other map of importance; the noise has a seed.
    Cannot see: the model. Of features that are no levels (samples, standardised cepstra) the lowest are not the quietest.
    """

    samples: int = 30
    noise: float = 0.03
    percentile: float = 25.0
    seed: int = 0

    kind: ClassVar[str] = "importance"
    stage: ClassVar[str | None] = "features"

    def __post_init__(self) -> None:
        whole(least=2, samples=self.samples)
        whole(least=0, seed=self.seed)
        positive(noise=self.noise, percentile=self.percentile)
        if self.percentile >= 100:
            raise UsageError(
                f"the percentile of the features that count as silent is below 100, not {self.percentile!r}"
            )

    def cost(self, size: int) -> int:
        return 0

    def attribute(self, question: Question) -> Attribution:
        if not isinstance(question, AudioQuestion):
            raise UsageError(
                "a bare game has no quiet parts: LevelSilenceMap needs a clip, ew.ask(classifier, audio, ...)"
            )
        copies = np.stack([_share(question, marks) for marks in self._marks(question)])
        silence, error = copies.mean(0), copies.std(0, ddof=1) / np.sqrt(self.samples)
        return Attribution(1 - silence, error, others={"silence": silence})

    def _marks(self, question: Question) -> Iterator[np.ndarray]:
        """Copy by copy, `[*x]`: 1 where a number is among the lowest."""
        rng, x = np.random.default_rng(self.seed), question.x.double().cpu().numpy()
        level = (x - x.min()) / (np.ptp(x) + 1e-10)
        for _ in range(self.samples):
            copy = np.clip(level + self.noise * rng.standard_normal(x.shape), 0, 1)
            yield copy <= np.percentile(copy, self.percentile)


def _share(question: Question, marks: np.ndarray) -> np.ndarray:
    """`[*shape]`: which share of each component's numbers is marked."""
    ones = question.x.new_ones(question.x.shape)
    marked = question.collect(ones.new_tensor(marks))
    return (marked / question.collect(ones)).double().cpu().numpy()
