"""Does the model live on something else than the sound? Leaks in the data, and whether the model uses them."""

from typing import Any

import numpy as np
import pandas as pd

from earwitness.errors import EarwitnessError
from earwitness.statistics import holm, mean_interval
from earwitness.studies.own_lab.by_source import mean_over, share_of, sign_p, source_numbers
from earwitness.studies.own_lab.changed_sounds import FAINT_DB, LOWEST, Shared, cell_power, equalised, left_alone
from earwitness.studies.own_lab.leaks import leak_table, shuffled_accuracy
from earwitness.studies.own_lab.listening_through import QUANTITIES, Change
from earwitness.studies.own_lab.runs import Run
from earwitness.studies.pages import Bars, Picture, Section

QUIET_DB = -40.0  # below the loudest cell
LEVEL = 0.05


def leaks_in_the_data(run: Run) -> Section:
    """What tells the label without any model."""
    truth = run.truth
    if truth["label"].nunique() < 2:
        return Section(
            "leaks", "Leaks in the data", "Not applicable: without two labels or more there is nothing to tell."
        )
    if source_numbers(list(truth["source"])).max() == 0:
        return Section(
            "leaks",
            "Leaks in the data",
            "Not applicable: all clips are of one source: no other to compare.",
        )
    table: Any = leak_table(truth, QUANTITIES, run.settings.permutations, run.settings.seed)
    telling: Any = table[table["p"] < LEVEL / max(1, len(table))]
    names = ", ".join(f"{row['quantity']} {row['accuracy']:.0%}" for row in telling.to_dict("records"))
    above = (table["accuracy"] - table["chance"]).to_numpy()
    bars = Bars([str(name) for name in table["quantity"]], {"above chance": above}, "accuracy above chance",
                errors={"above chance": _around(table)})  # fmt: skip
    constant = [name for name in QUANTITIES if name not in set(table["quantity"])]
    return Section(
        "leaks", "What tells the label without any model",
        "The label of each recording from its five nearest neighbours by one quantity, among recordings of other sources, "
        "cross-validated; no model is asked. Shuffled labels change places by source: clips of one source and one label keep "
        "together. Where sources have several labels (speakers who say several words), this takes it that who they are does "
        "not go with what they are labelled. What is above the interval of shuffled labels can be used by a model that has "
        f"learnt from such recordings, be it fair (a chainsaw is loud) or not. {run.independence} "
        + (f"The same in all recordings: {', '.join(constant)}." if constant else ""),
        asks="Do accidental quantities tell the label?",
        answer=(f"Yes: {names} (chance {table['chance'].mean():.0%}), each with p below {LEVEL:g} divided by {len(table)}." if
        names
                else f"None does better than shuffled labels for certain (p below {LEVEL:g} divided by {len(table)})."),
        tables={"quantities": table},
        pictures={"quantities": Picture([bars], "How much better a quantity alone tells the label than shuffled labels do; "
                                        "in 95 % of the shuffles the difference is within the bar's interval.", 1)},
    )  # fmt: skip


def _around(table: pd.DataFrame) -> np.ndarray:
    """`[2, n]`: from the difference to chance down to that to the highest of 95 %, and up to that to the lowest."""
    return np.array([table["high"] - table["chance"], table["chance"] - table["low"]])


def leaks_in_the_model(run: Run) -> Section:
    """Whether the model uses them: each made the same in all clips, and parts with little of the sound, alone."""
    truth = run.truth
    if not len(truth):
        return Section(
            "uses", "Does the model use them?", "Not applicable: without labels nobody can say what is right."
        )
    rate = run.classifier.sample_rate or 0
    shared = Shared.of(truth, rate)
    same, alone = [], []
    for name, change in equalised(shared).items():
        rows: Any = truth[truth["seconds"] >= shared.seconds] if name == "length" else truth
        same.append(_equalised_row(name, _answered(run, rows, shared, name, change), rows))
    for name, change in left_alone(shared, rate).items():
        alone.append(_alone_row(name, _answered(run, truth, shared, name, change), truth, run))
    table: Any = pd.DataFrame(same).assign(p=lambda rows: holm(rows["p"]))
    rest: Any = pd.DataFrame(alone)
    return Section(
        "uses", "Does the model use them?",
        f"Each quantity is made the same in all clips: level (RMS to {shared.level_db:.1f} dB), offset (taken away), digital "
        f"silence (filled with noise {-FAINT_DB:.0f} dB below the clip), silence at the ends (cut off), length (cut to "
        f"{shared.seconds:.2f} s, which 19 of 20 last; shorter clips are left out of that row), "
        f"band ({LOWEST:.0f} Hz to {shared.band_hz:.0f} Hz, up to where nearly all reach). A loss "
        "means that the model needs it, or that the change took something that counts. p: sign tests that as many sources "
        "gain as lose, corrected (Holm) over the rows; the 95 % intervals of the differences are each for itself.\n\nThen "
        "parts with little of the sound, alone and at their own level; chance is that of shuffled labels. To be right there is "
        "unfair where the sound itself is elsewhere, as a spoken word is. It is fair where the sound is everywhere: the "
        f"quietest stretch of rain is rain. {run.independence}",
        asks="Does the model live on them, and what does it hear where there is little to hear?",
        answer=_used(table, rest, truth),
        tables={"equalised": table, "alone": rest},
    )  # fmt: skip


def _answered(run: Run, rows: Any, shared: Shared, name: str, change: Change) -> Any:
    clips = [run.clip(int(place)) for place in rows["place"]]
    return run.listener.answers_to(clips, name, shared, change)


def _equalised_row(name: str, answered: Any, truth: Any) -> dict[str, Any]:
    """Accuracy before and after, on the clips that still have an answer, and the difference with its interval."""
    there, before = (answered["reason"] == "").to_numpy(), truth["right"].astype(bool).to_numpy()
    sources = list(truth["source"].to_numpy()[there])
    after = (answered["said"] == answered["label"]).to_numpy()[there]
    row = {
        "made_the_same": name,
        "clips": int(there.sum()),
        "changed": int(answered["changed"].to_numpy()[there].sum()),
    }
    if there.sum() < 2:
        return row | dict.fromkeys(("before", "after", "difference", "low", "high"), np.nan) | {"p": 1.0}
    apart = after.astype(float) - before[there]
    found = mean_over(apart, sources)
    means = {"before": float(before[there].mean()), "after": float(after.mean())}
    return row | means | {"difference": found.mean, "low": found.low, "high": found.high, "p": sign_p(apart, sources)}


def _alone_row(name: str, answered: Any, truth: Any, run: Run) -> dict[str, Any]:
    rows = answered.assign(source=truth["source"].to_numpy())
    rows = rows[rows["reason"] == ""]
    if not len(rows):
        return {"what_is_left": name, "clips": 0, "accuracy": np.nan, "p": 1.0}
    said, labels, sources = (list(rows[name]) for name in ("said", "label", "source"))
    found = shuffled_accuracy(said, labels, sources, run.settings.permutations, run.settings.seed)
    share = share_of(rows["said"] == rows["label"], sources)
    most = rows["said"].value_counts()
    row = {
        "what_is_left": name,
        "clips": len(rows),
        "accuracy": found["accuracy"],
        "low": share.low,
        "high": share.high,
    }
    return row | {"chance": found["chance"], "p": found["p"], "most_often_said": f"{most.index[0]} ({most.iloc[0]})"}


def _used(table: Any, rest: Any, truth: Any) -> str:
    lost: Any = table[(table["p"] < LEVEL) & (table["difference"] < 0)]
    heard: Any = rest[rest["p"] < LEVEL / len(rest)]
    words = [f"{row['made_the_same']} {row['difference']:+.1%}" for row in lost.to_dict("records")]
    parts = [
        f"{row['what_is_left']} {row['accuracy']:.0%}, chance {row['chance']:.0%}" for row in heard.to_dict("records")
    ]
    first = (
        f"Accuracy falls when these are made the same: {', '.join(words)}"
        if words
        else "No equalisation costs accuracy for certain"
    )
    second = (
        f"it still does better than chance from {'; '.join(parts)}" if parts
        else f"from none of the {len(rest)} parts with little of the sound does it do better than chance for certain"
    )  # fmt: skip
    if truth["label"].nunique() < 2:
        second = "what it hears in the parts with little of the sound is not applicable: there is one label, and so no chance"
    return f"{first}; {second} ({len(truth)} clips)."


def mass_in_quiet_cells(run: Run) -> Section:
    """How much of the maps lies where the clip is quiet."""
    rows = []
    for place in run.shown:
        e = run.explained(place)
        try:
            rows.append(_quiet(run, place, e))
        except EarwitnessError as error:
            return Section("quiet", "Mass in quiet cells", f"Not applicable: {error}")
    table: Any = pd.DataFrame(rows)
    some: Any = table[table["quiet_cells"] > 0]
    if not len(some):
        answer = f"No cell of the explained clips is {-QUIET_DB:.0f} dB quieter than the loudest of its clip."
    else:
        more = some["mass"] - some["quiet_cells"]
        words = f"{more.iloc[0]:+.0%}"
        if len(some) > 1:
            found = mean_interval(more.to_numpy())
            words = f"{found.mean:+.0%} [{found.low:+.0%}, {found.high:+.0%}]"
        answer = (
            f"Quiet cells are {some['quiet_cells'].mean():.0%} of the map and hold {some['mass'].mean():.1%} of the mass: "
            f"{words}, {len(some)} of {len(table)} clips have any."
        )
    return Section(
        "quiet", "Mass in quiet cells",
        f"A cell is quiet where the mean power of the clip is {-QUIET_DB:.0f} dB or more below that of the loudest cell. Mass "
        "there means that the model goes by what is hardly heard, or by the silence itself: a gap can be evidence. A map that "
        "knew nothing would hold there what quiet cells are of all cells.",
        asks="Does the map lie where nothing sounds?", answer=answer, tables={"clips": table},
    )  # fmt: skip


def _quiet(run: Run, place: int, e: Any) -> dict[str, Any]:
    power = cell_power(e.question.audio, e.axes)
    quiet = 10 * np.log10(np.maximum(power, 1e-20) / power.max()) <= QUIET_DB
    total = float(e.values.sum())
    mass = float(e.values[quiet].sum()) / total if total > 0 else 0.0
    return {
        "clip": run.clip(place).name,
        "label": run.clip(place).label,
        "quiet_cells": float(quiet.mean()),
        "mass": mass,
    }
