"""Is the map true? Sobol, saliency and chance against the known cause, and maps that mislead.

The cause of each clip is known, so a map can be pointed at: does its best component lie on the cause, how much of its mass does,
and how fast does the score fall when components are removed in its order?
"""

import numpy as np
import pandas as pd

from earwitness.explainers import Random, Saliency, Sobol
from earwitness.explanations import Explanation
from earwitness.metrics import Deletion, MassAccuracy, Metric, PointingGame, Score
from earwitness.questions import AudioQuestion
from earwitness.statistics import holm, mean_interval, paired_difference
from earwitness.studies.pages import Bars, Curves, Heat, Picture, Section
from earwitness.studies.sobol_lab.lab import LAB, Lab, half_widths, mass_at

METRICS: dict[str, Metric] = {
    "pointing game": PointingGame(),
    "mass on the cause": MassAccuracy(),
    "deletion": Deletion(),
}
INTERFERER = 1300.0  # Hz: in a row of its own, the third


def against_the_cause(lab: Lab) -> Section:
    """Pointing game, mass and deletion of Sobol, saliency and chance."""
    rows, curves = [], {}
    for number, scene in enumerate(lab.scenes(lab.settings.explained)):
        lab.say(f"clip {number + 1} of {lab.settings.explained}: Sobol, saliency and chance against the cause")
        question = lab.ask(scene)
        for name, method in _methods(lab, number).items():
            scores = {metric: judge(question, method(question)) for metric, judge in METRICS.items()}
            rows.append({"clip": number, "label": scene.label, "method": name, **scores})
            curves.setdefault(name, []).append(_fall(scores["deletion"]))
    table = pd.DataFrame(rows)
    shares = np.asarray(scores["deletion"].shares)
    panel = Curves(
        shares, {name: np.mean(values, 0) for name, values in curves.items()}, "share of the components removed",
        "change of the score (logits)", errors={name: _error(values) for name, values in curves.items()},
    )  # fmt: skip
    means, tests = _means(table), _tests(table)
    return Section(
        "10-against-the-cause", "10. Is it true? Against the known cause, and against chance",
        f"{lab.settings.explained} clips of 0 to 20 dB; Sobol with {lab.settings.designs} designs on a grid of 8 x 8. The "
        "pointing game is won where the best component lies on the cause (components that it fills at least a quarter as much as "
        "any). Deletion is the area below the score (in logits) while components are removed, the best first: lower is better. "
        "Differences are means over clips with 95 % intervals, and the p of paired Wilcoxon tests, corrected together (Holm).\n\n"
        + _verdict(tests),
        tables={"means": means, "tests": tests, "clips": table},
        pictures={"deletion": Picture([panel], "The score while components are removed; bars are standard errors over clips.")},
    )  # fmt: skip


def _methods(lab: Lab, number: int) -> dict[str, Sobol | Saliency | Random]:
    """The three that are compared; chance has another map for each clip."""
    return {
        "Sobol": Sobol(lab.settings.designs, seed=lab.settings.seed),
        "saliency": Saliency(),
        "random": Random(seed=lab.settings.seed + number),
    }


def _fall(deletion: Score) -> np.ndarray:
    """By how much the score has changed from that of the whole clip."""
    values = np.asarray(deletion.values)
    return values - values[0]


def _error(curves: list[np.ndarray]) -> np.ndarray:
    return np.std(curves, 0, ddof=1) / np.sqrt(len(curves))


def _means(table: pd.DataFrame) -> pd.DataFrame:
    """The mean of each metric for each method, with its interval over clips."""
    found = []
    for metric in METRICS:
        for name, rows in table.groupby("method", sort=False):
            interval = mean_interval(rows[metric])
            found.append(
                {"metric": metric, "method": name, "mean": interval.mean, "low": interval.low, "high": interval.high}
            )
    return pd.DataFrame(found)


def _tests(table: pd.DataFrame) -> pd.DataFrame:
    """Paired differences over clips of Sobol to the others, and of saliency to chance."""
    wide = {metric: table.pivot_table(index="clip", columns="method", values=metric) for metric in METRICS}
    found = []
    for metric, values in wide.items():
        for first, second in (("Sobol", "random"), ("saliency", "random"), ("Sobol", "saliency")):
            d = paired_difference(values[first], values[second])
            found.append(
                {
                    "metric": metric,
                    "difference": f"{first} - {second}",
                    "mean": d.mean,
                    "low": d.low,
                    "high": d.high,
                    "p": d.p,
                }
            )
    tests = pd.DataFrame(found)
    tests["p_holm"] = holm(tests["p"])
    return tests


def _verdict(tests: pd.DataFrame) -> str:
    """What the tests say, a sentence a metric."""
    sentences = []
    for metric, judge in METRICS.items():
        words = []
        for row in pd.DataFrame(tests[tests["metric"] == metric]).to_dict("records"):
            first, second = row["difference"].split(" - ")
            good = (row["mean"] > 0) == (judge.better == "higher")
            said = "can't be told from" if row["p_holm"] >= 0.05 else "beats" if good else "loses to"
            words.append(f"{first} {said} {second} (p = {row['p_holm']:.1g})")
        sentences.append(f"**{metric.capitalize()}:** {', '.join(words)}.")
    return " ".join(sentences)


def zones(lab: Lab) -> Section:
    """Q8: where the mass of the maps lies, for each class."""
    places = {"220 Hz": 220.0, "880 Hz": 880.0, f"interferer ({INTERFERER:g} Hz)": INTERFERER}
    rows = []
    for scene in lab.scenes(max(4, lab.settings.explained // 2), interferer_hz=INTERFERER):
        explanation = Sobol(lab.settings.designs, seed=lab.settings.seed)(lab.ask(scene))
        shares = {name: mass_at(explanation, hertz) for name, hertz in places.items()}
        rows.append({"label": scene.label, **shares, "elsewhere": 1 - sum(shares.values())})
    table = pd.DataFrame(rows)
    names = [name for name in table.columns if name != "label"]
    intervals = {
        label: [mean_interval(table.loc[table["label"] == label, name]) for name in names] for label in LAB.labels
    }
    bars = Bars(
        names, {label: [i.mean for i in found] for label, found in intervals.items()}, "share of the mass",
        errors={label: half_widths(found) for label, found in intervals.items()},
    )  # fmt: skip
    low, high = intervals["low"], intervals["high"]
    summary = pd.DataFrame(
        {"label": label, "row": name, "mean": i.mean, "low": i.low, "high": i.high}
        for label, found in intervals.items() for name, i in zip(names, found, strict=True)
    )  # fmt: skip
    return Section(
        "q8-zones", "Q8. Which zones should matter, and do they?",
        "One should expect the row of the tone itself: of a grid of 8, row 0 for low (0 to 484 Hz) and row 1 for high (484 to "
        "984 Hz). The other tone's row may matter as well, since its silence tells the classes apart, but what is silent "
        "cannot be removed: with silence as its baseline Sobol does not see absence. The interferer's row should not matter. "
        f"It is held at {INTERFERER:g} Hz here, to have a row of its own. Intervals: 95 % over {len(rows) // 2} clips a class.",
        asks="Which zones should matter for each class?",
        answer=f"Of the mass, {low[0].mean:.0%} lies in the row of 220 Hz for low, {high[1].mean:.0%} in that of 880 Hz for "
        f"high; the interferer has {low[2].mean:.0%} and {high[2].mean:.0%}.",
        tables={"rows": summary}, pictures={"rows": Picture([bars], "Share of the Sobol mass in each row, by class.")},
    )  # fmt: skip


def misleading_map(lab: Lab) -> Section:
    """Q11: a smooth map on the loudest thing that is not the cause, and how it is caught."""
    table, shown = _nice_and_true(lab)
    wide = table.pivot_table(index="clip", columns="map", values="deletion")
    test = paired_difference(wide["nice"], wide["Sobol"])
    against = paired_difference(wide["nice"], wide["random"])
    means = pd.DataFrame(table.groupby("map", sort=False, as_index=False)[["roughness", *METRICS]].mean())
    caught = test.p < 0.05 and test.mean > 0
    blind = "no better than chance" if against.low <= 0 <= against.high or against.mean > 0 else "better than chance"
    return Section(
        "q11-misleading", "Q11. A map that looks nice and misleads",
        "Drawn by hand: a smooth ridge along the interferer, which is the loudest line beside the tone and goes on for the whole "
        "clip. It is smooth (roughness: mean absolute step between neighbours, as a share of the largest value) and follows "
        "something that one can see and hear. Whether the network cares is what deletion asks: remove what the ridge points at, "
        "and see whether the score goes.",
        asks="How can a map look nice and mislead, and what catches it?",
        answer=("Caught by deletion: " if caught else "NOT caught by deletion: ")
        + f"the area is {means['deletion'][0]:.2f} for the nice map, {means['deletion'][1]:.2f} for Sobol "
        f"(difference {test.mean:.2f}, {test.low:.2f} to {test.high:.2f}, p = {test.p:.1g}), and {blind} "
        f"({means['deletion'][2]:.2f}).",
        tables={"means": means, "clips": table},
        pictures={"maps": Picture(shown, "A clip, the map that was drawn by hand, Sobol's, and chance.", columns=4)},
    )  # fmt: skip


def _nice_and_true(lab: Lab) -> tuple[pd.DataFrame, list[Heat]]:
    """The scores of the three maps of each clip; and the first clip with its maps."""
    rows, shown = [], []
    count = max(8, lab.settings.explained // 2)
    for number, scene in enumerate(lab.scenes(count, interferer_hz=INTERFERER, interferer=0.6)):
        question = lab.ask(scene)
        nice = Explanation.of(question, _ridge(question), method="nice")
        maps = {"nice": nice, "Sobol": Sobol(lab.settings.designs, seed=lab.settings.seed)(question)}
        maps["random"] = Random(seed=number)(question)
        for name, explanation in maps.items():
            rows.append(
                {"clip": number, "map": name, "roughness": _roughness(explanation.values)}
                | {metric: judge(question, explanation) for metric, judge in METRICS.items()}
            )
        if not shown:
            features, axes = question.x[0].numpy(), question.classifier.axes("features", len(scene.audio.samples))
            places = question.axes[0], question.axes[1]
            shown = [Heat(features, (axes[0], axes[1]), f"the clip: {scene.label}")]
            shown += [Heat(e.values, places, name, "importance", "importance") for name, e in maps.items()]
    return pd.DataFrame(rows), shown


def _ridge(question: AudioQuestion) -> np.ndarray:
    """A smooth hill along the row of the interferer, highest in the middle of the clip."""
    frequency, time = question.axes
    rows = np.exp(-(((frequency.centers - INTERFERER) / 500) ** 2))
    middle = (time.edges[0] + time.edges[-1]) / 2
    return rows[:, None] * np.exp(-(((time.centers - middle) / middle) ** 2))


def _roughness(values: np.ndarray) -> float:
    steps = np.concatenate([np.abs(np.diff(values, axis=axis)).ravel() for axis in (0, 1)])
    return float(steps.mean() / np.abs(values).max())
