"""The page of the study, as sections: the leaderboard, a section for each family, and whether faithfulness agrees."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from earwitness.components.base import Baseline
from earwitness.explainers import Loudness, Occlusion, Random, Sobol
from earwitness.metrics import ROCArea, on_cause
from earwitness.naming import kebab
from earwitness.studies.comparing import compare
from earwitness.studies.pages import Heat, Page, Picture, Section
from earwitness.studies.truth.families import FAMILIES, average_clip
from earwitness.studies.truth.leaderboard import (
    ROC,
    Judged,
    agreement,
    asked,
    by_trial,
    lifts,
    methods_of,
    settings_of,
    standings,
)
from earwitness.studies.truth.trials import QUICK, Settings, Study, Trial

MARKED = ("cheats", "drawn")  # families
ENOUGH = 0.95  # how often a cheat has to be right with its mark
Found = Mapping[str, Judged]


def front(study: Study, quick: bool) -> Page:
    """What stands above the sections."""
    s = study.settings
    left_out = "".join(f"\n\n**{note}**" for note in study.notes)
    return Page(
        "Planted causes",
        "An explanation can be checked where the cause of an answer is known, because somebody put it there. Here it is planted "
        "in four ways, and every method that needs no more than the model is asked why. All clips are held out, and the model "
        f"names them rightly; at most {s.clips} a trial, cut into {s.grid[0]} x {s.grid[1]} cells of what the network eats. "
        f"Methods that sample have about {s.evaluations:,} evaluations. Random knows nothing, Loudness and LevelSilenceMap "
        "nothing of the model. The ROC area is the chance that a cell of the cause has a larger value than one outside: 0.5 by "
        "chance, 1 at best. Intervals are 95 % bootstrap intervals over clips; p-values are corrected (Holm) over the methods."
        + left_out,
        f"earwitness study truth{' --quick' if quick else ''}{' --data FOLDER' if study.data else ''} --seed {s.seed}",
    )


def leaderboard_section(study: Study, found: Found, everything: Judged) -> Section:
    """All trials together."""
    clips = len(everything.roc.scores(ROC))
    tables = {
        "all": standings(everything),
        "trials": by_trial(found, everything),
        "settings": settings_of(study, everything),
    }
    return Section(
        "leaderboard", "Leaderboard",
        f"{clips} clips of {len(found)} trials; a trial counts as much as it has clips. By trial: the mean ROC area with its "
        "interval, and in brackets the mean rank (1 is best).",
        asks="Which methods point at the cause?", answer=everything.told, tables=tables,
        pictures={"ranks": everything.roc.picture(ROC)} if len(everything.ranks) else {},
    )  # fmt: skip


def family_section(study: Study, family: str, trials: list[Trial], found: Found) -> Section:
    """The trials of a family: what is planted, how well the model does, and what the methods found."""
    texts, tables, pictures, answers = [], {}, {}, []
    for trial in trials:
        one = found[trial.name]
        head = f"**{trial.title}.** " if len(trials) > 1 else ""
        texts.append(f"{head}{trial.text} {heard(trial)}")
        answers.append(f"{trial.title}: {one.told}" if len(trials) > 1 else one.told)
        tables[f"{trial.name}-accuracy"] = trial.accuracy
        tables[f"{trial.name}-methods"] = standings(one).merge(lifts(trial, one), on="explainer")
        pictures[trial.name] = picture(study, trial, one)
    return Section(
        family, FAMILIES[family][0], "\n\n".join(texts), asks=f"{FAMILIES[family][0]}: which methods find the cause?",
        answer=" ".join(answers), tables=tables, pictures=pictures,
    )  # fmt: skip


def heard(trial: Trial) -> str:
    """How well the model does with the cause and without, in words."""
    with_cause, without = trial.accuracy.to_dict("records")
    said = ", ".join(
        f"right in {row['right']:.1%} [{row['low']:.1%}, {row['high']:.1%}] {row['clips']} (n = {row['n']})"
        for row in (with_cause, without)
    )
    if trial.family not in MARKED:
        return f"The model is {said}."
    if with_cause["right"] >= ENOUGH and without["low"] <= 0.5 <= without["high"]:
        return f"The model is {said}: it goes by the mark, and by nothing else."
    return f"The model is {said}: below {ENOUGH:.0%}, or not at chance without the mark, so other things count as well."


def picture(study: Study, trial: Trial, found: Judged) -> Picture:
    """The first clip: what the network is given, its true cause, and every method's map."""
    clip = trial.clips[0]
    question = asked(trial, clip)
    places = trial.classifier.axes("features", len(clip.audio.samples))
    assert question.cause is not None  # every clip of a trial has one
    with torch.no_grad():
        features = trial.classifier.at("features", clip.audio.samples[None])[0, 0].numpy()
    cells = (question.axes[0], question.axes[1])
    cause = on_cause(question.cause).astype(float)
    panels = [
        Heat(features, (places[0], places[1]), clip.label),
        Heat(cause, cells, "the true cause", "importance"),
    ]
    names = list(found.roc.scores(ROC).columns)
    drawn = [method for method in methods_of(study.settings) if kebab(type(method)) in names]
    for method in drawn[: study.settings.maps]:
        explanation = method(question)
        area = ROCArea()(question, explanation)
        panels.append(Heat(explanation.values, cells, f"{explanation.method}: {area:.2f}", explanation.kind))
    return Picture(
        panels, f"{clip.name}: the clip, its cause, and each method's map with its ROC area. {trial.credit}".strip(), 4
    )


def baseline_section(study: Study, trials: list[Trial]) -> Section:
    """What different baselines make of the same clips: mean ROC areas of a signed method, and of one without sign."""
    rows, methods = [], (Occlusion(), Sobol(max(2, study.settings.evaluations // 250), seed=study.settings.seed))
    for trial in trials:
        baselines: dict[str, Baseline] = {"silence": "silence", "noise floor": "noise", "mean over time": "mean"}
        if trial.family in MARKED:
            baselines["average clip"] = average_clip(study)
        for name, baseline in baselines.items():
            study.say(f"{trial.name}: with {name} as baseline")
            summary = compare(
                trial.classifier, trial.clips, [*methods, Loudness(), Random(study.settings.seed)], [ROCArea()],
                study.out / "shards" / f"{trial.name}-baselines", components=study.grid(baseline),
                jobs=study.jobs, progress=study.progress,
            ).summary()  # fmt: skip
            for method, (mean, low, high) in zip(methods, summary[["mean", "low", "high"]].to_numpy()[:2], strict=True):
                known = {"trial": trial.name, "baseline": name, "method": type(method).__name__}
                rows.append(known | {"roc_area": mean, "low": low, "high": high})
    table = pd.DataFrame(rows)
    return Section(
        "baselines", "What is put in the place of a cell",
        "The same clips and the same two methods, with other things in the place of a removed cell: digital silence, the clip's "
        "noise floor, each frequency's mean over time, and (for marked clips) an average clip. A network that was never given "
        "silence answers to holes in a way that has nothing to do with what was in them. Where the cause is silence itself, "
        "masking with silence cannot take it away: a method without sign then gives the gap the least, and a signed one sees "
        "what further gaps do, not what this one does. The families use the noise floor for marks that sound, the average clip "
        "for the gap, and silence for scenes and mixtures.",
        asks="How much depends on the baseline?", answer=_on_baselines(table), tables={"areas": table},
    )  # fmt: skip


def _on_baselines(table: pd.DataFrame) -> str:
    """The areas of Sobol in words."""
    said = []
    sobol: Any = table[table["method"] == "Sobol"]
    for trial, rows in sobol.groupby("trial", sort=False):
        areas = ", ".join(f"{row['baseline']} {row['roc_area']:.2f}" for row in rows.to_dict("records"))
        said.append(f"{trial}: {areas}")
    return f"Mean ROC areas of Sobol. {'; '.join(said)}."


def agreement_section(found: Found, everything: Judged) -> Section:
    """Does faithfulness agree with truth?"""
    tables = {"all": agreement(everything), "without-controls": agreement(everything, controls=False)}
    rows = [{"trial": name} | row for name, one in found.items() for row in agreement(one).to_dict("records")]
    tables["trials"] = pd.DataFrame(rows)
    return Section(
        "agreement", "Does faithfulness agree with truth?",
        "For each clip methods are ranked by a metric of faithfulness, and by the ROC area; `per_clip` is the mean over clips "
        "of the correlation of these ranks with its interval, `of_means` that of the mean ranks. Deletion counts downwards. "
        "A metric of faithfulness need not agree: it asks what the model does when cells go, which is another question where "
        "a model needs only a part of the cause, or where the masks are strange to it.",
        asks="Does faithfulness rank the methods as the truth does?", answer=agreed(tables["without-controls"]), tables=tables,
    )  # fmt: skip


def agreed(table: pd.DataFrame) -> str:
    """The correlations in words, with the controls left out."""
    said = []
    for row in table.to_dict("records"):
        if np.isnan(row["low"]):
            said.append(f"{row['metric']}: too few clips to say")
            continue
        word = "yes" if row["low"] > 0 else "the other way round" if row["high"] < 0 else "not significantly"
        said.append(
            f"{row['metric']}: {word}, {row['per_clip']:.2f} [{row['low']:.2f}, {row['high']:.2f}] over {row['n']} clips"
        )
    return f"Without the controls, by rank correlation on each clip: {'; '.join(said)}."


def is_quick(settings: Settings) -> bool:
    """Whether these are the settings of `--quick`."""
    return settings.clips == QUICK.clips
