"""Several classifiers on the same scenes: how often is each right, with how much noise, and who is better?

The scenes are the same for all classifiers and, but for one ingredient, for all values of this ingredient. So two classifiers
are compared clip by clip: a clip's score is the share of values (of noise levels, say) at which it is labelled rightly, and the
difference of two scores has an interval and a paired test over clips (`statistics.paired_difference`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from earwitness.classifiers import Classifier
from earwitness.data.synthetic import Range, Tones
from earwitness.statistics import Interval, PairedDifference, paired_difference, proportion_interval
from earwitness.studies.pages import Curves
from earwitness.studies.sobol_lab.lab import LAB, SNRS, Lab, half_widths

NOISY = SNRS[:8]  # dB: from where nothing is heard up to where nothing is missed
HOLDS = 0.9  # an accuracy below this has broken down


@dataclass(frozen=True, eq=False)
class Accuracies:
    """What came out.

    name: of what was varied, with its unit ("snr_db").  values: `[n]`, ascending (numbers, or ranges).
    right: for each classifier `[n, clips]` booleans.
    """

    name: str
    values: Sequence[float]
    right: Mapping[str, np.ndarray]

    def intervals(self, classifier: str) -> list[Interval]:
        """Accuracy at each value."""
        return [proportion_interval(int(row.sum()), len(row)) for row in self.right[classifier]]

    def table(self) -> pd.DataFrame:
        """One row for each classifier and value: accuracy, and its interval from low to high."""
        return pd.DataFrame(
            {self.name: value, "classifier": name, "accuracy": i.mean, "low": i.low, "high": i.high}
            for name in self.right
            for value, i in zip(self.values, self.intervals(name), strict=True)
        )

    def curves(self, xlabel: str = "signal-to-noise ratio (dB)", title: str = "") -> Curves:
        """Accuracy over the values, with intervals."""
        found = {name: self.intervals(name) for name in self.right}
        lines = {name: [i.mean for i in intervals] for name, intervals in found.items()}
        errors = {name: half_widths(intervals) for name, intervals in found.items()}
        return Curves(self.values, lines, xlabel, "accuracy", title, errors)

    def mean(self, classifier: str) -> float:
        """Accuracy over all values."""
        return float(self.right[classifier].mean())

    def difference(self, first: str, second: str) -> PairedDifference:
        """By how much the first is right more often than the second, over all values."""
        return paired_difference(self.right[first].mean(0), self.right[second].mean(0))

    def verdict(self, first: str, second: str) -> str:
        """In words: which of the two is right more often over all values, and by how much."""
        found = self.difference(first, second)
        if found.low <= 0 <= found.high:
            word = "there is no certain difference"
        else:
            word = f"the one that is better is {first if found.mean > 0 else second}"
        return f"{word} ({first}: {100 * found.mean:+.1f} points of accuracy [{100 * found.low:+.1f}, {100 * found.high:+.1f}])"

    def holds_down_to(self, classifier: str) -> float:
        """The value, between those measured, at which accuracy falls below 0.9 on the way down from the highest.

        The lowest value where it never does, infinity where it is below from the start.
        """
        accuracy = self.right[classifier].mean(1)
        broken = np.flatnonzero(accuracy < HOLDS)
        if not len(broken):
            return float(self.values[0])
        last = int(broken[-1])
        if last == len(accuracy) - 1:
            return float("inf")
        return float(np.interp(HOLDS, accuracy[last : last + 2], self.values[last : last + 2]))


def by_ingredient(
    lab: Lab, classifiers: Mapping[str, Classifier], name: str = "snr_db", values: Sequence[Any] = NOISY,
    recipe: Tones = LAB, **others: Range,
) -> Accuracies:  # fmt: skip
    """Accuracies on `settings.tested` scenes at each value of an ingredient of their recipe; `others` are held fixed.

    Cost: values x tested x classifiers forward passes.
    """
    rows = []
    for value in values:
        made = lab.scenes(lab.settings.tested, replace(recipe, **{name: value, **others}))
        rows.append([lab.right(classifier, made) for classifier in classifiers.values()])
    return Accuracies(name, values, dict(zip(classifiers, np.swapaxes(rows, 0, 1), strict=True)))
