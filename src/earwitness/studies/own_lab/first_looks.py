"""The first chapters: what is in the recordings, what of it reaches the network, and where the model errs."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from earwitness.classifiers.base import BlackBox
from earwitness.frontends import Waveform
from earwitness.frontends.extractors import ASTMel, WhisperMel
from earwitness.statistics import Interval, proportion_interval
from earwitness.studies.own_lab.published_accuracies import published_for
from earwitness.studies.own_lab.runs import Run
from earwitness.studies.pages import Bars, Curves, Heat, Panel, Picture, Section

DEAF = (
    "This model is a black box: what it computes of the sound is not known here, and the sound itself is what is cut."
)
SUREST = 10  # errors that are listed
CUT = r"cut to [\d.]+-[\d.]+ s of [\d.]+ s"


def what_there_is(run: Run) -> Section:
    """The recordings: how many, how long, how loud, and what was left out."""
    survey: Any = run.survey
    rows = [_by_label(str(label) or "(not known)", part) for label, part in survey.groupby("label", sort=True)]
    left: Any = survey[survey["reason"] != ""][["clip", "label", "reason"]]
    changed: Any = (
        survey[survey["done"] != ""]["done"].str.replace(CUT, "cut to its beginning", regex=True).value_counts()
    )
    tables = {"labels": pd.DataFrame(rows)} | ({"left-out": left} if len(left) else {})
    tables |= {"done": changed.rename("recordings").reset_index()} if len(changed) else {}
    minutes = survey["seconds"].sum() / 60
    return Section(
        "recordings", "The recordings",
        "For each label: how many recordings, their length, their level (RMS) and peak in dB of full scale, and how much of "
        "them is digital silence: 10 ms that never leave one step of 16 bits. Medians, and the shortest and longest. "
        + " ".join(run.material.notes),
        asks="What is in the recordings?",
        answer=f"{len(survey)} recordings, {minutes:.1f} minutes"
        + (f", {survey['label'].nunique()} labels" if run.material.labelled else ", without labels: nobody can say what is right")
        + f"; {survey['silence'].mean():.1%} of the time is digital silence. "
        + (f"{len(left)} are left out: the table says why." if len(left) else "None is left out."),
        tables=tables,
    )  # fmt: skip


def _by_label(label: str, part: Any) -> dict[str, Any]:
    return {
        "label": label, "recordings": len(part), "seconds": part["seconds"].median(), "shortest_s": part["seconds"].min(),
        "longest_s": part["seconds"].max(), "level_db": part["level_db"].median(), "peak_db": part["peak_db"].median(),
        "silence": part["silence"].mean(), "band_hz": part["band_hz"].median(), "left_out": int((part["reason"] != "").sum()),
    }  # fmt: skip


def what_is_seen(run: Run) -> Section:
    """What the network really eats of a clip of each label."""
    frontend, places = run.classifier.frontend, _one_a_label(run)
    if frontend is None:
        return Section("features", "What the network is given", DEAF)
    panels: list[Panel] = []
    row: dict[str, Any] = {}
    for place in places:
        audio = run.clip(place).load(run.classifier.sample_rate)
        with torch.no_grad():
            x = frontend(audio.samples[None])[0]
        axes = run.classifier.axes("features", len(audio.samples))
        title = run.clip(place).label or run.clip(place).name
        panels.append(_panel(x, axes, title))
        row = _resolution(frontend, x, axes, audio.duration)
    words = (
        f"A place of the features is {row['seconds_a_place'] * 1000:.3g} ms long"
        + (
            f" and {row['lowest_hz']:.3g} Hz (lowest) to {row['highest_hz']:.3g} Hz (highest) high"
            if "lowest_hz" in row
            else ""
        )
        + f"; {row['filled_up']:.1%} of what the network takes is filled up behind the clip."
    )
    black = isinstance(run.classifier, BlackBox)
    return Section(
        "features", "What the network is given",
        f"The front end, `{type(frontend).__name__}`, of one clip of each label: what stands in these pictures is all that the "
        "network knows of the sound. "
        + (DEAF if black else " ".join(f"{note[:1].upper()}{note[1:]}." for note in run.classifier.notes)),
        asks="What does the network see of a clip?", answer=words,
        tables={"resolution": pd.DataFrame([row])},
        pictures={"classes": Picture(panels, run.caption("One clip of each label, as the network is given it."))},
    )  # fmt: skip


def _one_a_label(run: Run) -> list[int]:
    """The first clip of each label; without labels, of each that the model gives."""
    key = "label" if run.material.labelled else "said"
    return [int(part["place"].iloc[0]) for _, part in run.heard.groupby(key, sort=True)][: run.settings.labels]


def _panel(x: torch.Tensor, axes: Any, title: str) -> Panel:
    if len(axes) < 2:
        return Curves(axes[-1].centers, {"samples": x.reshape(-1).numpy()}, "time (s)", "amplitude", title)
    values = x.reshape(-1, *x.shape[-2:])[0].numpy()
    return Heat(values[:, : axes[-1].size], (axes[-2], axes[-1]), title, unit="features")


def _resolution(frontend: Any, x: torch.Tensor, axes: Any, seconds: float) -> dict[str, Any]:
    """The shape of the features, how much sound is in a place, and how much of what the network takes is no sound."""
    time = np.diff(axes[-1].edges)
    filled = _filled_up(frontend, axes[-1].size, seconds)
    row = {
        "shape": " x ".join(map(str, x.shape)),
        "seconds_a_place": float(np.median(time)),
        "filled_up": filled,
    }
    if len(axes) > 1 and axes[-2].unit == "Hz":
        height = np.diff(axes[-2].edges)
        row |= {"lowest_hz": float(height[0]), "highest_hz": float(height[-1]), "top_hz": axes[-2].edges[-1]}
    if isinstance(frontend, Waveform):
        row["standardised"] = "yes" if frontend.standardise else "no"
    return row | {"mean": float(x.mean()), "deviation": float(x.std())}


def _filled_up(frontend: Any, frames: int, seconds: float) -> float:
    """The share of what the network takes that no sound fills; front ends that take any length fill up nothing."""
    if isinstance(frontend, ASTMel):
        return 1 - frames / (frontend.max_frames or frames)
    return max(0.0, 1 - seconds / frontend.duration) if isinstance(frontend, WhisperMel) else 0.0


def where_it_errs(run: Run) -> Section:
    """Where the model errs: accuracy, recall, confusion, the surest errors, level and length."""
    truth = run.truth
    if not len(truth):
        said: Any = run.heard["said"].value_counts().rename_axis("said").reset_index(name="recordings")
        return Section(
            "errors", "Errors",
            "These recordings have no labels, so nobody can say what is right. What the model says to them:",
            tables={"said": said},
        )  # fmt: skip
    whole = proportion_interval(int(truth["right"].sum()), len(truth))
    recalls = pd.DataFrame([_recall(str(label), part) for label, part in truth.groupby("label", sort=True)])
    wrong: Any = (
        truth[~truth["right"].astype(bool)].sort_values(["probability", "clip"], ascending=[False, True]).head(SUREST)
    )
    splits = pd.concat([_halves(truth, name) for name in ("level_db", "seconds")], ignore_index=True)
    tables = {"recall": recalls, "confusion": _confusion(run), "level-and-length": splits}
    tables |= {"surest": wrong[["clip", "label", "said", "probability", "of_label"]]} if len(wrong) else {}
    most = float(truth["label"].value_counts(normalize=True).max())
    beside = published_for(run.classifier.labels, whole.mean, run.material)
    tables |= {"published": beside} if len(beside) else {}
    return Section(
        "errors", "Errors",
        f"Intervals are Wilson's, 95 %. Who always says the most frequent label is right in {most:.1%}. Recall is the share of "
        "a label's recordings that get it. The halves are parted at the median of the level, and of the length; p is of the "
        "rank correlation "
        "between the quantity and being right." + _published_words(beside),
        asks="How often is the model right?", answer=_errors_in_words(whole, truth, wrong, splits), tables=tables,
        pictures={"recall": Picture([_bars(recalls)], "Recall of each label, with 95 % intervals.", 1)},
    )  # fmt: skip


def _errors_in_words(whole: Interval, truth: Any, wrong: Any, splits: Any) -> str:
    words = f"In {whole.mean:.1%} [{whole.low:.1%}, {whole.high:.1%}] of {len(truth)} recordings"
    if len(wrong):
        first = wrong.iloc[0]
        words += f"; the surest error calls {first['clip']} ({first['label']}) {first['said']} with {first['probability']:.2f}"
    found = [row for row in splits.to_dict("records") if row["part"] == "upper half" and row["p"] < 0.05]
    related = ", ".join(f"{row['quantity']} (rank correlation {row['correlation']:+.2f})" for row in found)
    return words + (
        f". Being right goes with {related}." if found else ". Neither level nor length goes with being right."
    )


def _recall(label: str, part: Any) -> dict[str, Any]:
    found = proportion_interval(int(part["right"].sum()), len(part))
    other: Any = part[~part["right"].astype(bool)]["said"]
    return {
        "label": label, "recordings": len(part), "recall": found.mean, "low": found.low, "high": found.high,
        "most_often_called": str(other.value_counts().index[0]) if len(other) else "",
    }  # fmt: skip


def _confusion(run: Run) -> pd.DataFrame:
    """A row for each true label, a column for each that the model gave."""
    truth = run.truth
    found = pd.crosstab(truth["label"], truth["said"])
    return found.reset_index().rename(columns={"label": "true"}).rename_axis(None, axis=1)


def _halves(truth: Any, quantity: str) -> pd.DataFrame:
    """Accuracy below and above the median of a quantity; one row where it is the same for all."""
    values, right = truth[quantity].to_numpy(), truth["right"].astype(float).to_numpy()
    if np.ptp(values) < 1e-3:
        return pd.DataFrame([{"quantity": quantity, "part": f"all at {values[0]:.3g}", "n": len(right), "p": 1.0}])
    same = np.ptp(right) == 0
    correlation, p = (0.0, 1.0) if same else map(float, stats.spearmanr(values, right))
    rows = []
    for part, inside in (("lower half", values <= np.median(values)), ("upper half", values > np.median(values))):
        if inside.any():
            found = proportion_interval(int(right[inside].sum()), int(inside.sum()))
            known = {"n": int(inside.sum()), "accuracy": found.mean, "low": found.low, "high": found.high}
            rows.append({"quantity": quantity, "part": part, **known, "correlation": correlation, "p": p})
    return pd.DataFrame(rows)


def _bars(recalls: pd.DataFrame) -> Bars:
    mean = recalls["recall"].to_numpy()
    error = np.array([mean - recalls["low"].to_numpy(), recalls["high"].to_numpy() - mean])
    return Bars([str(name) for name in recalls["label"]], {"recall": mean}, "recall", errors={"recall": error})


def _published_words(beside: pd.DataFrame) -> str:
    return "" if beside.empty else " Published figures of this set stand in a table of their own, with what differs."
