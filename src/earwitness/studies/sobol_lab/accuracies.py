"""Several classifiers on the same scenes: how often is each right, with how much noise, and who is better?

The scenes are the same for all classifiers and, but for one ingredient, for all values of this ingredient. So two classifiers
are compared clip by clip: a clip's score is the share of values (of noise levels, say) at which it is labelled rightly, and the
difference of two scores has an interval and a paired test over clips (`statistics.paired_difference`).

Accuracy mixes two things: whether a classifier can tell the labels apart, and whether its threshold, a margin of 0 between their
logits, still lies between them on clips unlike those that it has learnt from. Separation is the first alone:

    separation = P(margin of a high clip > margin of a low clip)          (the area under the ROC curve; 1/2 is chance)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from earwitness.classifiers import Classifier
from earwitness.data.synthetic import Range, Scene, Tones
from earwitness.statistics import Interval, PairedDifference, paired_difference, proportion_interval
from earwitness.studies.pages import Curves
from earwitness.studies.scene_training import logits_of
from earwitness.studies.sobol_lab.lab import LAB, Lab, half_widths

NOISY = (-24.0, -20.0, -16.0, -12.0, -8.0, -4.0)  # dB: from where hardly anything is heard to where nothing is missed
HOLDS = 0.9  # an accuracy below this has broken down
SNR_LABEL = "signal-to-noise ratio (dB)"


@dataclass(frozen=True, eq=False)
class Accuracies:
    """What came out.

    name: of what was varied, with its unit ("snr_db").  values: `[n]`, ascending (numbers, or ranges).
    margins: for each classifier `[n, clips]`, the logit of the second label minus that of the first.
    second: `[clips]` booleans, which clips have the second label.
    """

    name: str
    values: Sequence[Any]
    margins: Mapping[str, np.ndarray]
    second: np.ndarray

    def right(self, classifier: str) -> np.ndarray:
        """`[n, clips]` booleans: which are labelled rightly."""
        return (self.margins[classifier] > 0) == self.second

    def accuracy(self, classifier: str) -> np.ndarray:
        """`[n]`."""
        return self.right(classifier).mean(1)

    def separation(self, classifier: str) -> np.ndarray:
        """`[n]`: how often a clip of the second label has a greater margin than one of the first (ties count half)."""
        margins = self.margins[classifier]
        pairs = margins[:, self.second, None] - margins[:, None, ~self.second]
        return (np.sign(pairs) / 2 + 0.5).mean((1, 2))

    def intervals(self, classifier: str) -> list[Interval]:
        """Accuracy at each value."""
        return [proportion_interval(int(row.sum()), len(row)) for row in self.right(classifier)]

    def table(self) -> pd.DataFrame:
        """One row for each classifier and value: accuracy, its interval from low to high, and separation."""
        return pd.DataFrame(
            {
                self.name: value,
                "classifier": name,
                "accuracy": i.mean,
                "low": i.low,
                "high": i.high,
                "separation": apart,
            }
            for name in self.margins
            for value, i, apart in zip(self.values, self.intervals(name), self.separation(name), strict=True)
        )

    def curves(self, xlabel: str = SNR_LABEL, title: str = "") -> Curves:
        """Accuracy over the values, with intervals."""
        found = {name: self.intervals(name) for name in self.margins}
        lines = {name: [i.mean for i in intervals] for name, intervals in found.items()}
        errors = {name: half_widths(intervals) for name, intervals in found.items()}
        return Curves(self.values, lines, xlabel, "accuracy", title, errors)

    def separations(self, xlabel: str = SNR_LABEL, title: str = "") -> Curves:
        """Separation over the values."""
        return Curves(self.values, {name: self.separation(name) for name in self.margins}, xlabel, "separation", title)

    def difference(self, first: str, second: str) -> PairedDifference:
        """By how much the first is right more often than the second, over all values."""
        return paired_difference(self.right(first).mean(0), self.right(second).mean(0))

    def verdict(self, first: str, second: str) -> str:
        """In words: which of the two is right more often over all values, and by how much."""
        found = self.difference(first, second)
        if found.low <= 0 <= found.high:
            word = "there is no certain difference"
        else:
            word = f"'{first if found.mean > 0 else second}' is better"
        return f"{word} ({first}: {100 * found.mean:+.1f} points of accuracy [{100 * found.low:+.1f}, {100 * found.high:+.1f}])"

    def holds_down_to(self, classifier: str) -> float:
        """The value, between those measured, at which accuracy falls below 0.9 on the way down from the highest.

        The lowest value where it never does, infinity where it is below from the start.
        """
        return _falls(self.values, self.accuracy(classifier))

    def separates_down_to(self, classifier: str) -> float:
        """The same of separation."""
        return _falls(self.values, self.separation(classifier))


def _falls(values: Sequence[float], rates: np.ndarray) -> float:
    broken = np.flatnonzero(rates < HOLDS)
    if not len(broken):
        return float(values[0])
    last = int(broken[-1])
    if last == len(rates) - 1:
        return float("inf")
    return float(np.interp(HOLDS, rates[last : last + 2], values[last : last + 2]))


def margins_of(classifier: Classifier, x: torch.Tensor, stage: str = "waveform") -> np.ndarray:
    """`[N]`: the logit of the second label minus that of the first."""
    logits = logits_of(classifier, x, stage).double()
    return (logits[:, 1] - logits[:, 0]).numpy()


def clips_of(made: Sequence[Scene], labels: Sequence[str] = LAB.labels) -> tuple[torch.Tensor, np.ndarray]:
    """Samples `[N, time]`, and which `[N]` of the clips have the second label."""
    return torch.stack([scene.audio.samples for scene in made]), np.array([scene.label == labels[1] for scene in made])


def by_ingredient(
    lab: Lab, classifiers: Mapping[str, Classifier], name: str = "snr_db", values: Sequence[Any] = NOISY,
    recipe: Tones = LAB, **others: Range,
) -> Accuracies:  # fmt: skip
    """Accuracies on `settings.tested` scenes at each value of an ingredient of their recipe; `others` are held fixed.

    Cost: values x tested x classifiers forward passes.
    """
    margins, second = {net: [] for net in classifiers}, np.zeros(0)
    for value in values:
        x, second = clips_of(lab.scenes(lab.settings.tested, replace(recipe, **{name: value, **others})))
        for net, classifier in classifiers.items():
            margins[net].append(margins_of(classifier, x))
    return Accuracies(name, values, {net: np.array(rows) for net, rows in margins.items()}, second)
