"""The first chapters: what is in the recordings, what of it reaches the network, and where the model errs."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from earwitness.classifiers.base import BlackBox
from earwitness.frontends import Waveform
from earwitness.frontends.extractors import ASTMel, WhisperMel
from earwitness.statistics import Interval, holm
from earwitness.studies.own_lab.by_source import share_of
from earwitness.studies.own_lab.published_accuracies import published_for
from earwitness.studies.own_lab.runs import Run
from earwitness.studies.pages import Bars, Curves, Heat, Panel, Picture, Section

DEAF = (
    "This model is a black box: what it computes of the sound is not known here, and the sound itself is what is cut."
)
SUREST = 10  # errors that are listed
MORE_LESS = {"level_db": ("louder", "quieter"), "seconds": ("longer", "shorter")}
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
    minutes, labels = survey["seconds"].sum() / 60, set(survey["label"]) - {""}
    named = f"{len(labels)} label{'s' * (len(labels) != 1)}"
    silence = (survey["silence"] * survey["seconds"]).sum() / max(survey["seconds"].sum(), 1e-12)
    return Section(
        "recordings", "The recordings",
        "For each label: how many recordings, their length, their level (RMS) and peak in dB of full scale, and how much of "
        "them is digital silence: 10 ms that never leave one step of 16 bits. Medians, and the shortest and longest. "
        + " ".join(run.material.notes),
        asks="What is in the recordings?",
        answer=f"{len(survey)} recordings, {minutes:.1f} minutes"
        + (f", {named}" if run.material.labelled else ", without labels: nobody can say what is right")
        + f"; {silence:.1%} of the time is digital silence. "
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
    rows: list[dict[str, Any]] = []
    for place in places:
        audio = run.clip(place).load(run.classifier.sample_rate)
        with torch.no_grad():
            x = frontend(audio.samples[None].to(run.classifier.device))[0].cpu()
        axes = run.classifier.axes("features", len(audio.samples))
        title = run.clip(place).label or run.clip(place).name
        panels.append(_panel(x, axes, title))
        rows.append({"clip": title} | _resolution(frontend, x, axes, audio.duration))
    key = "label" if run.material.labelled else "said"
    count = run.heard[key].replace("", np.nan).nunique()
    drawn = (
        "one clip of each label" if count == len(places) else f"one clip of each of {len(places)} of the {count} labels"
    )
    black = isinstance(run.classifier, BlackBox)
    return Section(
        "features", "What the network is given",
        f"The front end, `{type(frontend).__name__}`, of {drawn}: what stands in these pictures is all that the "
        "network knows of the sound. "
        + (DEAF if black else " ".join(f"{note[:1].upper()}{note[1:]}." for note in run.classifier.notes)),
        asks="What does the network see of a clip?", answer=_resolved(pd.DataFrame(rows)),
        tables={"resolution": pd.DataFrame(rows)},
        pictures={"classes": Picture(panels, run.caption(f"{drawn[0].upper()}{drawn[1:]}, as the network is given it."))},
    )  # fmt: skip


def _resolved(table: Any) -> str:
    """What the rows of the clips say: how much sound a place of the features is, and how much is filled up."""
    row, filled = table.iloc[0], table["filled_up"]
    high = (
        f" and {row['lowest_hz']:.3g} Hz (lowest) to {row['highest_hz']:.3g} Hz (highest) high"
        if "lowest_hz" in row
        else ""
    )
    share = f"{filled.min():.1%}" + (f" to {filled.max():.1%}" if np.ptp(filled) > 5e-4 else "")
    return (
        f"A place of the features is {row['seconds_a_place'] * 1000:.3g} ms long{high}; of what the network takes {share} is "
        "filled up behind the clip."
    )


def _one_a_label(run: Run) -> list[int]:
    """The first clip of each label; without labels, of each that the model gives."""
    key = "label" if run.material.labelled else "said"
    rows: Any = run.heard[run.heard[key] != ""]
    return [int(part["place"].iloc[0]) for _, part in rows.groupby(key, sort=True)][: run.settings.labels]


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
    whole = share_of(truth["right"], list(truth["source"]))
    recalls = pd.DataFrame([_recall(str(label), part) for label, part in truth.groupby("label", sort=True)])
    wrong: Any = (
        truth[~truth["right"].astype(bool)].sort_values(["probability", "clip"], ascending=[False, True]).head(SUREST)
    )
    related: Any = pd.DataFrame([_related(truth, name) for name in MORE_LESS]).assign(p=lambda rows: holm(rows["p"]))
    halves = pd.DataFrame([row for name in MORE_LESS for row in _halves(truth, name)])
    tables = {"recall": recalls, "confusion": _confusion(run), "level-and-length": related, "halves": halves}
    tables |= {"surest": wrong[["clip", "label", "said", "probability", "of_label"]]} if len(wrong) else {}
    most = float(truth["label"].value_counts(normalize=True).max())
    beside = published_for(run.classifier.labels, whole.mean, len(truth))
    tables |= {"published": beside} if len(beside) else {}
    return Section(
        "errors", "Errors",
        "Intervals are Wilson's, 95 %, of as many independent clips as tell what these tell, where several are of one source. "
        f"Who always says the most frequent label is right in {most:.1%}. Recall is the share of "
        f"a label's recordings that get it. {run.independence} Level and length: the rank correlation with being right, p of "
        "both tests corrected (Holm), and, for these, clips as independent; and the accuracy below the median and from it on."
        + _published_words(beside),
        asks="How often is the model right?", answer=_errors_in_words(whole, truth, wrong, related), tables=tables,
        pictures={"recall": Picture([_bars(recalls)], "Recall of each label, with 95 % intervals.", 1)},
    )  # fmt: skip


def _errors_in_words(whole: Interval, truth: Any, wrong: Any, related: Any) -> str:
    words = f"In {whole.mean:.1%} [{whole.low:.1%}, {whole.high:.1%}] of {len(truth)} recordings"
    if len(wrong):
        first = wrong.iloc[0]
        words += f"; the surest error calls {first['clip']} ({first['label']}) {first['said']} with {first['probability']:.2f}"
    found = [
        f"{MORE_LESS[row['quantity']][row['correlation'] < 0]} clips are more often right (rank correlation "
        f"{row['correlation']:+.2f}, p = {row['p']:.2g})"
        for row in related.to_dict("records")
        if row["p"] < 0.05
    ]
    return f"{words}. " + (
        f"{'; '.join(found).capitalize()}." if found else "No relation is found with level or length."
    )


def _recall(label: str, part: Any) -> dict[str, Any]:
    found = share_of(part["right"], list(part["source"]))
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


def _related(truth: Any, quantity: str) -> dict[str, Any]:
    """The rank correlation of a quantity with being right; 0 where either is the same for all, or for fewer than three clips."""
    values, right = truth[quantity].to_numpy(float), truth["right"].to_numpy(float)
    varied = len(right) > 2 and np.ptp(values) >= 1e-3 and np.ptp(right) > 0
    correlation, p = map(float, stats.spearmanr(values, right)) if varied else (0.0, 1.0)
    return {
        "quantity": quantity,
        "n": len(right),
        "median": float(np.median(values)),
        "correlation": correlation,
        "p": p,
    }


def _halves(truth: Any, quantity: str) -> list[dict[str, Any]]:
    """Accuracy below the median of a quantity and from it on; a part without clips has no row."""
    values, rows = truth[quantity].to_numpy(float), []
    for part, inside in (
        ("below the median", values < np.median(values)),
        ("from the median on", values >= np.median(values)),
    ):
        if inside.any():
            found = share_of(truth["right"][inside], list(truth["source"][inside]))
            known = {"n": int(inside.sum()), "accuracy": found.mean, "low": found.low, "high": found.high}
            rows.append({"quantity": quantity, "part": part, **known})
    return rows


def _bars(recalls: pd.DataFrame) -> Bars:
    mean = recalls["recall"].to_numpy()
    error = np.array([mean - recalls["low"].to_numpy(), recalls["high"].to_numpy() - mean])
    return Bars([str(name) for name in recalls["label"]], {"recall": mean}, "recall", errors={"recall": error})


def _published_words(beside: pd.DataFrame) -> str:
    return "" if beside.empty else " Published figures of this set stand in a table of their own, with what differs."
