"""Is an explanation true? One call that holds it against maps that know nothing, and says what came out.

    stands            in every test it beats its random maps (Holm-corrected p < 0.05), and its own arithmetic holds
    does not stand    in some test it is no better than three in four of its random maps, error bars included; or its
                      arithmetic fails
    can't tell        anything between; fewer than 8 components, a constant output, or a map that is the same everywhere

A random map is the explanation itself with its values in other places: turned round along time and frequency, or exchanged
where places have no order (`numerics.rearranging`). So it is as sparse, as rough and as large; only what it knows of the clip is
gone, and

    p = (1 + number of random maps that score at least as well) / (1 + number of random maps)

How much a right map would score depends on the clip and the model; that no shape-matched map does as well does not. A map that
is right but for a shift is among its own random maps, and loses to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import pandas as pd

from earwitness.errors import EarwitnessError, UsageError, whole
from earwitness.explainers import Loudness
from earwitness.explanations import Explanation
from earwitness.explanations.flipping import Flip
from earwitness.explanations.places import directed
from earwitness.metrics import Deletion, Insertion, Metric, MuFidelity
from earwitness.naming import kebab
from earwitness.numerics.rearranging import rearranged
from earwitness.questions import Question, counting, remembering_values
from earwitness.statistics import holm
from earwitness.studies.pages import Chance, Picture

OUTCOMES = ("stands", "does not stand", "can't tell")
LEVEL = 0.05
FEWEST = 8  # components
UPPER = 75  # percentile of the random maps
REDRAWN = 20  # maps within the error bars
GAP, FIT = 0.1, 0.5  # of the total that may miss; R² of a surrogate
TESTS = (Deletion(steps=8), Insertion(steps=8), MuFidelity())


@dataclass(frozen=True, eq=False)
class Trial:
    """One test. score: of the explanation.  low, high: its 95 % interval, from the explanation's own error bars.

    random: `[maps]`, the scores of its random maps.  p, corrected: before and after Holm's correction over the tests.
    loudness: the score of the loudness of the components; None for what has none.  better: "higher" or "lower".
    """

    name: str
    better: str
    score: float
    low: float
    high: float
    random: np.ndarray
    p: float
    corrected: float
    loudness: float | None

    @property
    def unlike_chance(self) -> bool:
        """Whether it beats its random maps."""
        return self.corrected < LEVEL

    @property
    def as_good(self) -> np.ndarray:
        """`[maps]`, which random maps score at least as well."""
        return self.random >= self.score if self.better == "higher" else self.random <= self.score

    @property
    def like_chance(self) -> bool:
        """Whether even the better end of its interval is worse than the best quarter of the random maps."""
        if self.better == "higher":
            return self.high < np.percentile(self.random, UPPER)
        return self.low > np.percentile(self.random, 100 - UPPER)

    @property
    def beats_loudness(self) -> bool | None:
        """Whether it is better than Loudness, error bars included; None where there is none."""
        if self.loudness is None:
            return None
        return self.low > self.loudness if self.better == "higher" else self.high < self.loudness

    def __str__(self) -> str:
        interval = "" if self.low == self.high else f" [{self.low:.3g}, {self.high:.3g}]"
        loudness = "" if self.loudness is None else f", Loudness {self.loudness:.3g}"
        return (
            f"{self.name} {self.score:.3g}{interval}: better than {(~self.as_good).sum()} of {len(self.random)} random maps "
            f"(median {np.median(self.random):.3g}{loudness}), corrected p = {self.corrected:.2g}"
        )


@dataclass(frozen=True, eq=False)
class Verdict:
    """What came out. outcome: "stands", "does not stand" or "can't tell".

    reasons: why, in words.  tests: what it had to face.  arithmetic: what of the explanation's own numbers fails.
    remarks: what does not decide: Loudness, what could not be done.  flip: what changes the decision; None where nothing can.
    evaluations: of the model.  seed: of the random maps.
    """

    outcome: str
    reasons: tuple[str, ...]
    tests: tuple[Trial, ...]
    arithmetic: tuple[str, ...]
    remarks: tuple[str, ...]
    flip: Flip | None
    evaluations: int
    seed: int

    def to_frame(self) -> pd.DataFrame:
        """One row a test."""
        columns = ("name", "better", "score", "low", "high", "p", "corrected", "loudness")
        rows = [{name: getattr(test, name) for name in columns} for test in self.tests]
        table = pd.DataFrame(rows, columns=pd.Index(columns))
        table.insert(5, "random_median", [float(np.median(test.random)) for test in self.tests])
        return table.assign(random_maps=[len(test.random) for test in self.tests])

    def picture(self) -> Picture:
        """Each test's score beside those of its random maps: `earwitness.reports.charts.plot_picture(picture, path)` draws it."""
        panels = [
            Chance(
                test.random, test.score, test.low, test.high,
                f"{test.name}, {test.better} is better", f"corrected p = {test.corrected:.2g}",
                {} if test.loudness is None else {"Loudness": test.loudness},
            )
            for test in self.tests
        ]  # fmt: skip
        return Picture(panels, f"{self.outcome}: the explanation beside its random maps.")

    def __str__(self) -> str:
        lines = [f"{self.outcome}: {'; '.join(self.reasons)}", *map(str, self.tests)]
        lines += [f"decision: {self.flip}"] if self.flip else []
        return "\n  ".join([*lines, *self.remarks])


def verify(
    explanation: Explanation,
    question: Question | None = None,
    *,
    tests: Sequence[Metric] = TESTS,
    maps: int = 99,
    seed: int = 0,
) -> Verdict:
    """Hold an explanation against random maps of its own shape, and say whether it stands.

    question: what was asked; needed for an explanation that was loaded from a file or made elsewhere.
    tests: metrics; by default deletion and insertion in 8 steps, and mu-fidelity.
    maps: how many random maps at most, 20 or more for each test, or nothing could come out significant.
    seed: of the random maps.

    Importances that come with `signed` are tested as what argues for the target. The interval of a score is 1.96 standard
    deviations over 20 maps that are drawn within the error bars, about the score. Loudness does not decide, but it is said
    where an explanation is no better; for a game it is left out.
    Cost: with the default tests about 15 evaluations for each random map, 500 more, and those of `flip`, for each baseline.
    Raises `UsageError` without a question.
    Source: permutation tests, Phipson and Smyth (2010) for p; Holm (1979).
    Cannot see: what no test asks about. Components that only matter together may fail; a right map of a model that is wrong
        stands; so does a map that is right for this baseline alone.
    """
    if not tests:
        raise UsageError("a verdict needs one test or more")
    whole(least=ceil(len(tests) / LEVEL), maps=maps)
    question = question or explanation.question
    if question is None:
        raise UsageError(
            "this explanation was loaded from a file and has no question: ask again, verify(explanation, question=...)"
        )
    if explanation.shape != question.shape:
        raise UsageError(
            f"the explanation has {list(explanation.shape)} components and the question {list(question.shape)}"
        )
    asked = replace(explanation, question=question)
    with counting() as count, remembering_values():
        random = _random_maps(asked, len(tests), maps, seed)
        powerless = _powerless(question, len(random), len(tests), seed)
        found = () if powerless else _trials(asked, question, tests, random, seed)
        flip, remark = _flip(asked)
    arithmetic = _arithmetic(asked)
    outcome, reasons = _outcome(powerless, found, arithmetic)
    remarks = tuple(line for line in (_only_along(asked, random, found), _beside_loudness(found), remark) if line)
    return Verdict(outcome, reasons, found, arithmetic, remarks, flip, count.evaluations, seed)


def _outcome(powerless: str, tests: Sequence[Trial], arithmetic: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The outcome, and why."""
    if powerless:
        return OUTCOMES[2], (powerless,)
    failed = [f"no better than chance in {test.name}" for test in tests if test.like_chance]
    if failed or arithmetic:
        return OUTCOMES[1], (*failed, *arithmetic)
    unclear = [f"{test.name} is better than chance, but not surely" for test in tests if not test.unlike_chance]
    if unclear:
        return OUTCOMES[2], tuple(unclear)
    return OUTCOMES[0], (f"better than chance in {', '.join(test.name for test in tests)}",)


def _powerless(question: Question, maps: int, tests: int, seed: int) -> str:
    """Why no test could tell; empty if it can."""
    if question.size < FEWEST:
        return (
            f"{question.size} components are too few to tell chance from knowledge; cut the clip into {FEWEST} or more"
        )
    probes = np.random.default_rng(seed).random((FEWEST, *question.shape)).round()
    values = question.value(np.concatenate([probes, np.ones((1, *question.shape)), np.zeros((1, *question.shape))]))
    if float(np.ptp(values.numpy())) == 0:
        return "the model says the same to every mask"
    if maps < tests / LEVEL:
        return f"the map can be rearranged in {maps} ways only, too few for {tests} tests"
    return ""


def _random_maps(explanation: Explanation, tests: int, maps: int, seed: int) -> np.ndarray:
    """`[maps, *shape]`; axes of names, and of components without a place, have no order."""
    ordered = tuple(not axis.named and axis.name != "component" for axis in explanation.axes)
    return rearranged(directed(explanation, against=False), ordered, ceil(tests / LEVEL), maps, seed)


def _trials(
    explanation: Explanation, question: Question, tests: Sequence[Metric], random: np.ndarray, seed: int
) -> tuple[Trial, ...]:
    """Every test of the explanation, of its random maps, of maps within its error bars, and of the loudness."""
    values, ends = directed(explanation, against=False), dict(zip(("score", "baseline"), question.ends(), strict=True))
    redrawn = _redrawn(explanation, values, seed)
    loudness = _loudness(question)

    def scores(test: Metric, rows: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        return np.array([test(question, Explanation.of(question, row, "effect", **ends)) for row in rows], dtype=float)

    found = []
    for test in tests:
        score, chance = float(scores(test, [values])[0]), scores(test, random)
        spread = 1.96 * float(scores(test, redrawn).std(ddof=1)) if len(redrawn) else 0.0
        loud = None if loudness is None else float(scores(test, [loudness])[0])
        name = kebab(type(test)).replace("-", " ")
        trial = Trial(name, test.better, score, score - spread, score + spread, chance, 1.0, 1.0, loud)
        found.append(replace(trial, p=(1 + int(trial.as_good.sum())) / (1 + len(chance))))
    corrected = holm([trial.p for trial in found])
    return tuple(replace(trial, corrected=float(p)) for trial, p in zip(found, corrected, strict=True))


def _redrawn(explanation: Explanation, values: np.ndarray, seed: int) -> np.ndarray:
    """`[maps, *shape]`: the values, moved within their error bars; none where there are no error bars."""
    if explanation.stderr is None or not explanation.stderr.any():
        return np.empty((0, *values.shape))
    rng = np.random.default_rng(seed)
    return values + explanation.stderr * rng.standard_normal((REDRAWN, *values.shape))


def _loudness(question: Question) -> np.ndarray | None:
    """`[*shape]`; None where components have no place in a sound."""
    try:
        return Loudness().attribute(question).values
    except UsageError:
        return None


def _arithmetic(explanation: Explanation) -> tuple[str, ...]:
    """What fails of the explanation's own numbers."""
    failed, stderr = [], explanation.stderr
    missing = abs(float(explanation.values.sum()) - explanation.total)
    noise = 0.0 if stderr is None else 2 * float(np.sqrt((stderr**2).sum()))
    if explanation.kind == "share" and missing > GAP * abs(explanation.total) + noise:
        failed.append(f"the shares add up to {explanation.values.sum():.3g} and should to {explanation.total:.3g}")
    fidelity = explanation.numbers.get("fidelity")
    if fidelity is not None and fidelity < FIT:
        failed.append(f"the surrogate explains {fidelity:.0%} of what the model says to its own masks")
    if stderr is not None and np.mean(stderr**2) > explanation.values.var():
        failed.append("its error bars are larger than the differences between its values")
    return tuple(failed)


def _flip(explanation: Explanation) -> tuple[Flip | None, str]:
    """The flip, or why there is none."""
    try:
        return explanation.flip(), ""
    except EarwitnessError as error:
        return None, f"no flip: {error}"


def _only_along(explanation: Explanation, random: np.ndarray, tests: Sequence[Trial]) -> str:
    """Whether all that stands in the way are turns along one axis, as where a sound is the same from beginning to end."""
    rivals = {row.tobytes() for test in tests if not test.unlike_chance for row in random[test.as_good]}
    values = directed(explanation, against=False)
    for number, axis in enumerate(explanation.axes):
        turns = {np.roll(values, step, number).tobytes() for step in range(axis.size)}
        if rivals and rivals <= turns and len(explanation.axes) > 1:
            return f"only its turns along {axis.name} do as well: where a clip is the same along {axis.name}, don't cut it so"
    return ""


def _beside_loudness(tests: Sequence[Trial]) -> str:
    """What Loudness says to it."""
    if not tests:
        return ""
    if tests[0].loudness is None:
        return "not held against Loudness: these components have no place in a sound"
    level = [test.name for test in tests if not test.beats_loudness]
    return f"no better than Loudness in {', '.join(level)}" if level else "better than Loudness in every test"
