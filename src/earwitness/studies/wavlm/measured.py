"""The sections of the study: what the model has learnt, which frames and neurons it goes by, and whether that is true."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from earwitness.components import Words
from earwitness.data.readers import Clip
from earwitness.explainers import GradientSHAP, IntegratedGradients, Saliency
from earwitness.explanations import Explanation
from earwitness.metrics import Completeness, Deletion, Insertion, ParameterRandomisation
from earwitness.naming import several
from earwitness.statistics import mean_interval, signed_rank_p
from earwitness.studies.answering import heard_rightly
from earwitness.studies.comparing import compare
from earwitness.studies.comparison import LEVEL
from earwitness.studies.explaining import explain
from earwitness.studies.pages import Bars, Picture, Section
from earwitness.studies.wavlm.asking import (
    OVER_FRAMES,
    frame_picture,
    its_frames,
    its_neurons,
    over_frames,
    stage_of_sound,
    top_frames,
)
from earwitness.studies.wavlm.trials import DIGITS_CREDIT, EMOTION_CREDIT, LINEAR, Run, spread

REPEATS = 8  # seeds with which the sum of the shares is looked at
PHONES_CAPTION = "Kinds of phones: how much they carry, and how long they last."
VOWELS = set("aeiouyAEIOUY269@")  # how the phones of vowels begin, X-SAMPA


def digit_section(run: Run) -> Section:
    """The digits: how well they are learnt."""
    classifier, test = run.digit_model, run.digits["test"]
    _, figures = heard_rightly(classifier, test)
    table = pd.DataFrame(
        [{"model": "WavLM, trained here", **figures}, {"model": "linear", "accuracy": LINEAR["digits"]}]
    )
    parameters = sum(weights.numel() for weights in classifier.network.parameters())
    return Section(
        "digits", "Spoken digits",
        f"A WavLM of {parameters:,} parameters (192 channels, 4 transformer layers), trained from nothing for "
        f"{several(run.settings.epochs, 'epoch')} on the {len(run.digits['train'])} training clips of the Free Spoken Digit "
        f"Dataset, tested on the {len(test)} of its official split. No epoch was chosen: the last one counts. Beside "
        "it a linear classifier on log-mel statistics, whose figure was measured on these clips before and is only quoted.",
        asks="Does the model hear the digits?",
        answer=f"Right in {figures['accuracy']:.3f} [{figures['low']:.3f}, {figures['high']:.3f}] of {figures['n']:.0f} test "
        f"clips; linear {LINEAR['digits']:.2f}.",
        tables={"accuracy": table},
    )  # fmt: skip


def explained(run: Run) -> list[Clip]:
    """The clips that are explained: rightly named, all digits alike; any, where the model names none rightly."""
    right, _ = heard_rightly(run.digit_model, run.digits["test"])
    hits = [clip for clip, hit in zip(run.digits["test"], right, strict=True) if hit]
    return spread(hits or run.digits["test"], run.settings.clips)


def frame_section(run: Run) -> Section:
    """Frames: which stretches of 25 ms make the model say so."""
    clips, rows, pictures, tables = explained(run), [], {}, {}
    cut = its_frames(run.digit_model)
    for number, clip in enumerate(clips):
        found = [run.explained(clip, GradientSHAP(run.settings.references, seed), cut) for seed in range(REPEATS)]
        rows.append(_sum_row(clip, found))
        if number in (0, len(clips) // 2):
            what = f"{clip.path.stem}: the sound, its spectrogram, and what each frame adds to the logit, with standard errors."
            caption = f"{what} {DIGITS_CREDIT}"
            pictures[f"clip-{number}"] = frame_picture(found[0], run.settings.top, caption)
            tables[f"top-{number}"] = top_frames(found[0], run.settings.top)
    table: Any = pd.DataFrame(rows)
    width = stats.t.ppf(0.975, REPEATS - 1) * table["stderr"]
    inside = int((table["sum"].sub(table["total"]).abs() <= width).sum())
    above = int((table["sum"] > table["total"]).sum())
    return Section(
        "frames", "Frames of 25 ms",
        "The frames are the model's own: frame k hears the samples from 320 k to 320 k + 400. A sample that two "
        f"frames hear belongs to both by halves. GradientSHAP with {run.settings.references} points between silence "
        f"and the clip. The shares add up to the total, the clip's logit less that of silence, on average over such points: the "
        f"table has the mean sum of {REPEATS} seeds, its standard error, the total, and how far one seed alone is off, as a "
        "share of the total. Silence can be the baseline here, because this WavLM normalises frame by frame; one that "
        "normalises over the whole clip is asked from noise. Rightly named test clips, all digits alike. In tables and pictures "
        "a frame stands for the 20 ms around its middle.",
        asks="Do the frames' shares add up?",
        answer=f"On average: in {inside} of {len(table)} clips the mean sum of {REPEATS} seeds meets the total within its 95 % "
        f"interval, whose half is {(width / table['total'].abs()).median():.0%} of the total (median). It lies above the total "
        f"in {above} clips: all have the same random points and err alike. One seed alone is off by "
        f"{table['gap_of_one'].median():.0%} of the total (median).",
        tables={"sums": table, **tables}, pictures=pictures,
    )  # fmt: skip


def _sum_row(clip: Clip, found: list[Explanation]) -> dict:
    sums = np.array([one.values.sum() for one in found])
    return {
        "clip": clip.path.stem, "label": clip.label, "total": found[0].total, "sum": sums.mean(),
        "stderr": sums.std(ddof=1) / np.sqrt(len(sums)), "gap_of_one": found[0].gap,
    }  # fmt: skip


def published_section(run: Run) -> Section:
    """The published form: the gradient times the input."""
    rows, cut = [], its_frames(run.digit_model)
    for clip in explained(run):
        ours = run.explained(clip, run.method, cut)
        theirs = run.explained(clip, GradientSHAP.published(run.settings.seed), cut)
        best = [set(np.argsort(-np.abs(one.values))[: run.settings.top // 2].tolist()) for one in (ours, theirs)]
        rows.append(
            {
                "clip": clip.path.stem, "frames": ours.values.size, "total": ours.total, "sum": ours.values.sum(),
                "published_sum": theirs.values.sum(), "gap": ours.gap,
                "published_gap": abs(theirs.values.sum() - ours.total) / abs(ours.total),
                "rank_correlation": _by_rank(ours.values, theirs.values),
                "top_shared": len(best[0] & best[1]) / len(best[0]),
            }
        )  # fmt: skip
    table: Any = pd.DataFrame(rows)
    apart = signed_rank_p(table["published_gap"] - table["gap"]) if len(table) > 1 else np.nan
    agrees = mean_interval(table["rank_correlation"])
    return Section(
        "published", "The published form",
        "The study that made GradientSHAP for WavLM known takes Gaussian noise with the clip's mean and deviation as "
        "references and multiplies the gradient by the input, not by the difference to the reference. Nothing then "
        "adds up, and where layers are normalised a gradient has hardly any part along the input. Here "
        "both are asked about the same frames, with one seed and at the same cost.",
        asks="What does gradient x input miss?",
        answer=f"The total: its sum is off by {table['published_gap'].median():.0%} (median; at most "
        f"{table['published_gap'].max():.0%}), that of GradientSHAP with as many points by {table['gap'].median():.0%} (at most "
        f"{table['gap'].max():.0%}; paired test p = {apart:.2g}). "
        f"Its frames correlate with GradientSHAP's by rank at {agrees.mean:.2f} [{agrees.low:.2f}, {agrees.high:.2f}].",
        tables={"clips": table},
    )  # fmt: skip


def _by_rank(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation."""
    return float(np.corrcoef(stats.rankdata(first), stats.rankdata(second))[0, 1])


def neuron_section(run: Run) -> Section:
    """Neurons: which channels of a layer, and how their frames are put together."""
    tables, agreement = [], []
    cut = its_neurons(run.digit_model, run.settings.layer)
    for clip in explained(run):
        each = over_frames(run.explained(clip, run.method, cut).values)
        tables.append(each.assign(clip=clip.path.stem, label=clip.label, neuron=np.arange(len(each))))
        agreement.append(each.abs().rank().corr())
    every: Any = pd.concat(tables)
    ranks: Any = sum(agreement) / len(agreement)
    mean = every.groupby("neuron")["sum"].agg(["mean", "std"]).sort_values("mean", key=np.abs, ascending=False)
    top = mean.head(run.settings.top).reset_index()
    other = [float(ranks.loc["sum", way]) for way in OVER_FRAMES if way not in ("sum", "mean")]
    labels = every.pivot_table(index="label", columns="neuron", values="sum")[top["neuron"].head(8)]
    bars = Bars(
        [str(name) for name in labels.columns], {str(label): row.to_numpy() for label, row in labels.iterrows()},
        "mean share of the logit", f"neurons of layer {run.settings.layer}, by their numbers",
    )  # fmt: skip
    return Section(
        "neurons", f"Neurons of layer {run.settings.layer}",
        f"Shares of all numbers behind transformer layer {run.settings.layer} (from 0), between what stands there for "
        "silence and for the clip; over frames their mean, sum, maximum (with its sign) or norm. The table of neurons "
        "is sorted by the mean sum over clips.",
        asks="Does it matter how a neuron's frames are put together?",
        answer="Somewhat: the order of the neurons by the sum over frames correlates with that by the maximum at {:.2f}, with "
        "that by the norm at {:.2f} (absolute values, mean over clips); sum and mean give the same order.".format(*other),
        tables={"top": top, "ways": ranks.reset_index(names="over_frames")},
        pictures={"top": Picture([bars], f"The eight neurons with the largest mean share, by digit. {DIGITS_CREDIT}", 1)},
    )  # fmt: skip


def check_section(run: Run) -> Section:
    """Checks: is it true, and does it know the model?"""
    methods = [
        run.method,
        GradientSHAP.published(run.settings.seed),
        IntegratedGradients(run.settings.references),
        Saliency(),
    ]
    metrics = [
        Deletion(),
        Insertion(),
        Completeness(),
        ParameterRandomisation(steps=run.settings.steps, seed=run.settings.seed),
    ]
    found = compare(
        run.digit_model, explained(run), methods, metrics, run.out / "shards" / "digits",
        components=its_frames(run.digit_model), jobs=run.jobs, progress=run.progress,
    )  # fmt: skip
    pictures = {metric.partition(":")[0]: found.picture(metric) for metric in found.metrics if found.ranked(metric)}
    table: Any = found.summary()
    ours = next(
        str(name) for name in table["explainer"] if str(name).startswith("gradient-shap") and "weight" not in name
    )
    rows = [
        table[(table["metric"] == name) & (table["explainer"] == ours)].iloc[0] for name in ("deletion", "insertion")
    ]
    return Section(
        "checks", "Is it true?",
        "Deletion and insertion of frames, completeness, and whether the map changes when the model forgets what it has learnt "
        "(parameter randomisation: the rank correlation with the map of a model with shuffled weights; near 0 is best). "
        "GradientSHAP, its published form, integrated gradients and saliency, beside a random map and the loudness of each "
        "frame. Differences are means over the same clips with their 95 % intervals; a control counts as beaten where Wilcoxon's "
        "paired test, corrected over the methods (Holm), has p below 0.05.\n\n"
        + "\n\n".join(found.verdict(metric) for metric in found.metrics if found.ranked(metric)),
        asks="Does GradientSHAP beat chance and loudness?",
        answer=f"{_beaten(rows, 'random', 'Chance')} {_beaten(rows, 'loudness', 'Loudness')} "
        + "; ".join(_against_controls(row) for row in rows) + ".",
        tables={"summary": table}, pictures=pictures,
    )  # fmt: skip


def _beaten(rows: list[Any], control: str, name: str) -> str:
    """In which experiments a control is beaten for certain."""
    signs = {"higher": 1, "lower": -1}
    won = [r["metric"] for r in rows if r[f"p_{control}"] < LEVEL and signs[r["better"]] * r[f"minus_{control}"] > 0]
    return f"{name}: {'yes' if len(won) == len(rows) else 'in ' + ', '.join(won) + ' only' if won else 'not shown'}."


def _against_controls(row: Any) -> str:
    """A row of the summary: the differences to the controls, with their intervals."""
    said = [
        f"{row[f'minus_{name}']:+.2f} [{row[f'minus_{name}_low']:.2f}, {row[f'minus_{name}_high']:.2f}] against {what}"
        for name, what in (("random", "a random map"), ("loudness", "loudness"))
    ]
    return f"{row['metric']} ({row['better']} is better) {row['mean']:.2f}: {', '.join(said)}"


def emotion_section(run: Run) -> Section:
    """Emotion: speakers that the model has never heard."""
    rows = []
    for pair in run.pairs:
        run.say(f"speakers {' and '.join(pair)} are left out")
        _, figures = heard_rightly(run.emotion_model(pair), [clip for who in pair for clip in run.emotions[who]])
        rows.append({"left_out": ", ".join(pair), **figures})
    table: Any = pd.DataFrame(rows)
    return Section(
        "emotion", "Emotions of speakers that it has never heard",
        "Seven acted emotions, ten speakers, clips of two seconds. Two speakers are left out, five times; each model "
        f"begins with what the digits have taught and learns for {several(run.settings.emotion_epochs, 'epoch')}. The linear "
        "classifier's figure is from leaving one speaker out, with more to learn from.",
        asks="Does it hear emotion in new voices?",
        answer=f"{'Better' if table['accuracy'].mean() > LINEAR['emotion'] else 'No better'} than a linear classifier: accuracy "
        f"{table['accuracy'].mean():.3f} and recall {table['recall'].mean():.3f}, means over {several(len(table), 'pair')} "
        f"({table['accuracy'].min():.2f} to {table['accuracy'].max():.2f}); linear {LINEAR['emotion']:.2f}.",
        tables={"pairs": table},
    )  # fmt: skip


def phone_section(run: Run) -> Section:
    """Phones: which of them carry the emotion."""
    rows, heard = [], []
    for pair in run.pairs:
        classifier, clips = run.emotion_model(pair), [clip for who in pair for clip in run.emotions[who]]
        right, _ = heard_rightly(classifier, clips)
        heard.extend(right)
        hits = [clip for clip, hit in zip(clips, right, strict=True) if hit]
        for clip in spread(hits, max(1, run.settings.clips // len(run.pairs))):
            cut = Words(run.phones, stage=stage_of_sound(classifier))
            found = explain(classifier, clip.path, run.method, clip.label, cut)
            each = found.to_frame().assign(clip=clip.path.stem, emotion=clip.label, total=found.total)
            rows.append(each.assign(seconds=each["time_to"] - each["time_from"], kind=kinds_of(list(each["time"]))))
    if not rows:
        return Section(
            "phones", "Phones", f"No clip of the speakers that were left out was named rightly. {EMOTION_CREDIT}"
        )
    every = pd.concat(rows, ignore_index=True)
    kinds: Any = _by_kind(every)
    picture = Bars(
        list(kinds["kind"]),
        {"of the sum of |shares|": kinds["share"], "of the time": kinds["time"]},
        "part of the clip",
    )
    return Section(
        "phones", "Phones",
        "Which phones carry the emotion? Shares of the hand-labelled phones of each rightly named clip of a speaker "
        "who was left out. A remark in the labels on how a phone was spoken (voiceless, nasal) counts with that phone; what lies "
        f"between phones is a pause. The models are right in {np.mean(heard):.0%} of clips only: what is true of them need not "
        f"be true of emotion. A kind's part of the sum of absolute shares, beside its part of the time. {EMOTION_CREDIT}",
        asks="Do vowels carry the emotion?",
        answer=_of_vowels(kinds) + "; ".join(
            f"{row['kind']}s have {row['share']:.0%} of the sum of |shares| in {row['time']:.0%} of the time, "
            f"{row['difference']:+.0%} [{row['low']:.0%}, {row['high']:.0%}]"
            for row in kinds.to_dict("records")
        )
        + f" ({every['clip'].nunique()} clips).",
        tables={"kinds": kinds, "phones": every.drop(columns=["total"])},
        pictures={"kinds": Picture([picture], f"{PHONES_CAPTION} {EMOTION_CREDIT}", 1)},
    )  # fmt: skip


def _of_vowels(kinds: Any) -> str:
    """Whether vowels have more of the shares than of the time, for certain."""
    rows = kinds[kinds["kind"] == "vowel"].to_dict("records")
    if not rows:
        return ""
    return "More than their time: " if rows[0]["low"] > 0 else "Less than their time: " if rows[0]["high"] < 0 else (
        "No more than their time, as far as can be seen: "
    )  # fmt: skip


def kinds_of(names: Sequence[str]) -> list[str]:
    """ "vowel", "consonant" or "pause" for each phone of a clip, in order.

    A remark on articulation ("-sth", voiceless; "+nas", nasal) goes on with the phone before it; "_d", "." and "(" are silence.
    """
    found: list[str] = []
    for name in names:
        bare = name.split()[0].lstrip("'\"[")
        if bare[:1] in ("+", "-"):
            found.append(found[-1] if found else "pause")
        elif name.startswith("gap") or bare[:1] in ("_", ".", "("):
            found.append("pause")
        else:
            found.append("vowel" if bare.lstrip("!?")[:1] in VOWELS else "consonant")
    return found


def _by_kind(every: pd.DataFrame) -> pd.DataFrame:
    """A kind's part of the absolute shares and of the time, means over clips, and their difference with its interval."""
    every = every.assign(size=every["value"].abs())
    sums = every.pivot_table(index="clip", columns="kind", values=["size", "seconds"], aggfunc="sum", fill_value=0.0)
    share, time = (sums[what].div(sums[what].sum(axis=1), axis=0) for what in ("size", "seconds"))
    rows = []
    for kind in share.columns:
        more = mean_interval(share[kind] - time[kind])
        known = {"kind": kind, "share": share[kind].mean(), "time": time[kind].mean()}
        rows.append(known | {"difference": more.mean, "low": more.low, "high": more.high})
    return pd.DataFrame(rows)


CHAPTERS: tuple[Callable[[Run], Section], ...] = (
    *(digit_section, frame_section, published_section, neuron_section, check_section),
    *(emotion_section, phone_section),
)


def chapters(run: Run) -> Iterator[Section]:
    """The sections, one after the other; `run.say` is told what is being done."""
    for chapter in CHAPTERS:
        run.say((chapter.__doc__ or "").split("\n")[0])
        yield chapter(run)
