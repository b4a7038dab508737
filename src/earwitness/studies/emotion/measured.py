"""The sections of the study: what the models have learnt, what the maps show, and what is left of the comparison.

Each takes `Findings`: the clips of one set that were named rightly, and what all methods came to on them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from earwitness.errors import InputError
from earwitness.naming import several
from earwitness.statistics import rank_stability
from earwitness.studies.answering import figures_of, heard_rightly
from earwitness.studies.comparing_words import reasons
from earwitness.studies.comparison import LEVEL, Comparison, readable
from earwitness.studies.emotion.contenders import (
    DROP,
    LIME_NAME,
    LOGIT,
    NOTEBOOK,
    PUBLISHED,
    SCATTERED,
    SHIFTED,
    SILENCE_NAME,
)
from earwitness.studies.emotion.drawing import drop_picture, efficiency_picture, side_by_side
from earwitness.studies.emotion.judging import Trial, beyond_random, chosen, judged_together, per_clip, per_emotion
from earwitness.studies.emotion.trials import NEMO, Corpus, Run
from earwitness.studies.finished_parts import Finished
from earwitness.studies.pages import Section

PUBLISHED_ACCURACIES = {
    "the notebook's ResNet18 on mel spectrograms, test": 0.9130,
    "the same, validation": 0.9303,
    "the same network in the notebook's comparison of inputs, mel": 0.8885,
    "random forest on MFCC, the paper of nEMO": 0.8395,
}
SHOWN = 2  # clips of each emotion in a figure


@dataclass(eq=False)
class Findings:
    """What was found on one set of clips.

    run: its settings, and what it is told.  name: of its shards.  count: clips of each emotion.
    source: makes the trials, with all clips that were named rightly.  credit: of the recordings.
    unheard: whether the models have never heard the clips' speakers.
    """

    run: Run
    name: str
    count: int
    source: Callable[[], Sequence[Trial]]
    credit: str
    unheard: bool = False

    @cached_property
    def trials(self) -> list[Trial]:
        """The clips that are explained, by the models that are asked about them."""
        found = chosen(self.source(), self.count)
        if not found:
            raise InputError(
                "no clip is named rightly by the model: there is nothing to say about emotions. Do the labels match?"
            )
        return found

    @cached_property
    def all(self) -> Comparison:
        """All methods."""
        folder = self.run.out / "shards" / self.name
        return judged_together(self.trials, self.run.settings, folder, self.run.jobs, self.run.progress)

    @cached_property
    def few(self) -> Comparison:
        """The notebook's methods and the controls."""
        table: Any = self.all.table
        names = [*NOTEBOOK, self.all.random, self.all.loudness]
        return Comparison(table[table["explainer"].isin(names)], self.all.random, self.all.loudness)

    @property
    def clips(self) -> int:
        """How many clips there are."""
        return sum(len(trial.clips) for trial in self.trials)


def of_corpus(run: Run, corpus: Corpus, count: int) -> Findings:
    """Findings on a set of recordings, by models that have not heard the speakers."""

    def source() -> Iterator[Trial]:
        for split in run.corpora[corpus][1:]:
            classifier = run.model(corpus, split)
            right, _ = heard_rightly(classifier, split.test)
            hits = [clip for clip, hit in zip(split.test, right, strict=True) if hit]
            yield Trial(split.name, classifier, hits)

    return Findings(run, corpus.name, count, lambda: list(source()), corpus.credit, unheard=True)


def accuracy_section(run: Run, corpus: Corpus) -> Section:
    """How well emotions are heard, of known and of unknown speakers."""
    table: Any = _accuracies(run, corpus)
    apart: Any = table[~table["left out"].str.startswith(("random", "all"))]
    known: Any = table[table["left out"] == "random, test"].iloc[0]
    recipe, mean = run.recipe(corpus), apart["accuracy"].mean()
    classes = len({clip.label for clip in run.corpora[corpus][0].training})
    return Section(
        f"{corpus.name}-accuracy", f"{corpus.title}: what the models hear",
        f"A ResNet18 with one input channel, {recipe.width} channels in its first blocks and dropout {recipe.dropout:g}, on mel "
        f"spectrograms of 128 bands by 141 columns ({recipe.sample_rate / 1000:g} kHz, {recipe.seconds:g} s), standardised "
        f"with the mean and deviation of its training clips, which are learnt at {len(recipe.speeds)} speeds "
        f"({recipe.speeds[0]:g} to {recipe.speeds[-1]:g}, pitch and all); {recipe.epochs} epochs, the last counts. First with "
        f"{corpus.together} speakers left out at a time, then with the notebook's random split (64 % to learn from, 16 % to "
        "validate, 20 % to test), in which each voice is heard in training. Intervals are Wilson's; recall is the mean over "
        "emotions, and “all of them” pools the clips of all speakers that were left out. The recipe was chosen on EmoDB by "
        "models that learnt from six of its speakers and were tested on others; every speaker took part in that, so the figures "
        f"for EmoDB may flatter. {corpus.credit}",
        asks=f"How well are emotions heard on {corpus.title}?",
        answer=f"speakers that were never heard: accuracy {mean:.3f} and recall {apart['recall'].mean():.3f}, means over "
        f"{several(len(apart), 'model')}, of which the worst has {apart['accuracy'].min():.2f} and the best "
        f"{apart['accuracy'].max():.2f}. "
        f"A linear classifier on log-mel statistics, each speaker left out in turn, has {corpus.linear:.2f}, chance "
        f"{1 / classes:.2f}. Random split: {known['accuracy']:.3f} [{known['low']:.2f}, {known['high']:.2f}].",
        tables={"splits": table} | ({"published": _published()} if corpus.name == NEMO.name else {}),
    )  # fmt: skip


def _accuracies(run: Run, corpus: Corpus) -> pd.DataFrame:
    """A row for each split, and one for all speakers that were left out."""
    rows, every, clips = [], [], []
    for split in run.corpora[corpus][1:]:
        right, figures = heard_rightly(run.model(corpus, split), split.test)
        every.append(right)
        clips += split.test
        rows.append({"left out": ", ".join(split.left_out), "trained on": len(split.training), **figures})
    rows.append({"left out": "all of them", "trained on": "", **figures_of(np.concatenate(every), clips)})
    split = run.corpora[corpus][0]
    for part, clips in (("validation", split.validation), ("test", split.test)):
        _, figures = heard_rightly(run.model(corpus, split), clips)
        rows.append({"left out": f"random, {part}", "trained on": len(split.training), **figures})
    return pd.DataFrame(rows)


def _published() -> pd.DataFrame:
    """The accuracies that were published, on all of nEMO, split at random."""
    return pd.DataFrame({"published": list(PUBLISHED_ACCURACIES), "accuracy": list(PUBLISHED_ACCURACIES.values())})


def figure_section(found: Findings) -> Section:
    """Two clips of each emotion, by the notebook's four methods."""
    kept = Finished(found.run.out / "shards" / "finished")
    pictures = side_by_side(found.trials, found.run.settings, SHOWN, found.credit, kept)
    who = " by a model that had never heard the speaker" if found.unheard else ""
    return Section(
        "maps", "Two clips of each emotion",
        "As in the notebook's figure, each clip with LIME (rectangles, effects on the logit), Grad-CAM (the last stage's few "
        "places, enlarged), gradient x input (which the notebook calls LRP) and the probability of silence (which never looks at "
        "the model). In the last column what is bright is silent. Frequency goes upwards; the notebook's figure has its low "
        f"frequencies at the top. Clips were named rightly{who}.{_unexplained(found)}",
        pictures=pictures,
    )  # fmt: skip


def _unexplained(found: Findings) -> str:
    """A sentence on the emotions that no model named rightly."""
    known = {label for trial in found.trials for label in trial.classifier.labels}
    missing = sorted(known - {clip.label for trial in found.trials for clip in trial.clips})
    return f" Not explained, since none of their clips was named rightly: {', '.join(missing)}." if missing else ""


def published_section(found: Findings) -> Section:
    """The notebook's verification, to the letter."""
    scores: Any = found.all.scores(PUBLISHED)[[name for name in NOTEBOOK if name in found.all.scores(PUBLISHED)]]
    tested: Any = beyond_random(found.few, PUBLISHED)
    best = str(scores.mean().idxmax())
    equal = {regions: found.all.scores(regions)[best].mean() for regions in (SCATTERED, SHIFTED)}
    said = found.few.verdict(PUBLISHED).removeprefix(f"{PUBLISHED}: ")
    labels = found.all.table.drop_duplicates("clip")["label"].to_numpy()
    emotions = scores.groupby(labels).mean().reset_index(names="emotion")
    return Section(
        "notebook", "The notebook's form, to the letter",
        "What is important is set to the mean of the clip: LIME's positive rectangles among its 30 largest, what lies above the "
        "80th percentile for Grad-CAM and gradient x input, what is silent with a probability above one half. Efficiency is "
        "how much further the probability falls than without as many single bins, drawn once; for silence the other way round. "
        "Above 0 the notebook calls a method effective, and it names the one with the largest mean. It takes two clips "
        "of each emotion and no seed, and areas differ between methods. No figures were published: the notebook stops at a "
        "missing file. p-values are of Wilcoxon's test, corrected (Holm).",
        asks="Which method would the notebook name?",
        answer=f"{best}, with a mean efficiency of {scores[best].mean():+.3f}. Where each method removes its "
        "most important fifth (a silence map the least silent), it "
        f"has {equal[SCATTERED]:+.3f} against scattered bins and {equal[SHIFTED]:+.3f} against its own shape elsewhere. Tested "
        f"clip by clip beside the controls: {said}",
        tables={"methods": tested[tested["explainer"].isin(NOTEBOOK)], "emotions": emotions},
    )  # fmt: skip


def emotion_section(found: Findings) -> Section:
    """Drops for each emotion: the most important fifth against others."""
    table = per_emotion(found.all)
    few: Any = table[table["explainer"].isin(NOTEBOOK)]
    each = (
        few.groupby("explainer")[SCATTERED].agg(["min", "max"]).round(2) + 0.0
    ).iterrows()  # + 0: no negative nought
    spans = "; ".join(f"{name} {row['min']:+.2f} to {row['max']:+.2f}" for name, row in each)
    fall: Any = table[table["explainer"] == LIME_NAME].set_index("label")[f"random drop, {SCATTERED}"]
    surer = (
        f" Without scattered bins the model is surer of {', '.join(fall.index[fall < 0])}." if (fall < 0).any() else ""
    )
    return Section(
        "emotions", "Important against random, emotion by emotion",
        "How far the probability of the emotion falls without the most important fifth of the bins, and without other fifths: "
        f"single bins drawn anywhere, {found.run.settings.draws} times (scattered), or the same shape elsewhere (shifted). Each "
        "method removes exactly as many bins; equal values in a random order. A negative drop means that the model is surer "
        f"without. With at most {found.count} clips of an emotion, nothing is tested here. All clips: `emotions-clips.csv`.",
        asks="How far do the emotions differ?",
        answer=f"mean efficiencies against scattered bins, over emotions: {spans}. Scattered bins alone take between "
        f"{fall.min():+.2f} ({fall.idxmin()}) and {fall.max():+.2f} ({fall.idxmax()}) of the probability.{surer}",
        tables={"emotions": table, "clips": per_clip(found.all)},
        pictures={
            "drops": drop_picture(few, found.credit),
            "efficiency": efficiency_picture(found.all, SCATTERED, found.credit),
        },
    )  # fmt: skip


def comparison_section(found: Findings) -> Section:
    """All methods, all experiments."""
    summary: Any = found.all.summary()
    tables = {
        metric.replace(LOGIT, "-logit"): readable(rows.sort_values("rank", kind="stable"))
        for metric, rows in summary.groupby("metric", sort=False)
    }
    verdicts = [
        found.all.verdict(metric) for metric in found.all.metrics if metric not in (PUBLISHED, DROP, DROP + LOGIT)
    ]
    ranked = [metric for metric in (SCATTERED, SHIFTED) if found.all.ranked(metric)]
    return Section(
        "comparison", "All methods",
        "Each method on the same clips. LIME, Sobol, Shapley, KernelSHAP, HSIC, RISE and occlusion are asked about 8 x 12 "
        "rectangles, the CAM family and conductance about the places of the last stage, all others about single bins; all are "
        "judged by single bins. Efficiencies are in probability, or of the logit, which also moves where the model is sure. "
        "random knows nothing, loudness nothing of the model, nor does level-silence-map, which puts what is silent last. "
        "`notebook-lrp` is the gradient times the "
        "input, `gradient-input` the gradient times what removing takes away, `lrp` layer-wise relevance propagation.\n\n"
        "The sentences test pairs of methods clip by clip (Wilcoxon's signed ranks, corrected by Holm), the pictures join mean "
        "ranks (Nemenyi). They may differ: a tiny difference, the same on all clips, is certain for the first and little for the "
        "second. How large differences are stands in the tables, as means with their intervals.\n\n"
        + "\n".join(f"- {line}" for line in [*verdicts, *reasons(found.all)]),
        asks="Which method is best?",
        answer=f"against scattered bins {_first(found.all, SCATTERED)}; against the same shape elsewhere "
        f"{_first(found.all, SHIFTED)} ({found.clips} clips, Holm-corrected Wilcoxon tests of all pairs).",
        tables=tables, pictures={metric: found.all.picture(metric) for metric in ranked},
    )  # fmt: skip


def _first(found: Comparison, metric: str) -> str:
    """Which method has the best mean rank, and whether it differs from every other."""
    if not found.ranked(metric):
        return "there is nothing to rank"
    ranks = found.ranks(metric)
    alone = "is best" in found.verdict(metric)
    others = "and differs from every other" if alone else "and does not differ from every other: none is named the best"
    return f"{ranks.index[0]} has the best mean rank, {ranks.iloc[0]:.1f} of {len(ranks)}, {others}"


def control_section(found: Findings) -> Section:
    """Are the conclusions those of shape-matched controls?"""
    both = {regions: beyond_random(found.all, regions).set_index("explainer") for regions in (SCATTERED, SHIFTED)}
    first, second = (both[regions] for regions in (SCATTERED, SHIFTED))
    names = [name for name in first.index if name in second.index]
    table = pd.DataFrame({"explainer": names})
    for regions, rows in both.items():
        rows: Any = rows.loc[names]
        table[regions] = [f"{m:+.3f} [{a:+.3f}, {b:+.3f}]" for m, a, b in rows[["mean", "low", "high"]].to_numpy()]
        table[f"p, {regions}"] = rows["p"].to_numpy()
        table[f"verdict, {regions}"] = rows["verdict"].to_numpy()
    means = [side.loc[names, "mean"].to_numpy() for side in (first, second)]
    agrees = rank_stability(means) if len(names) > 1 else np.nan
    changed = [n for n in names if first.loc[n, "verdict"] != second.loc[n, "verdict"]]
    counts = [sum(side.loc[names, "verdict"] == "better") for side in (first, second)]
    tops = [str(max(names, key=lambda name, m=side: m.loc[name, "mean"])) for side in (first, second)]
    held = _held(len(names), len(changed), any(counts), found.clips)
    falls: dict[str, Any] = {
        regions: (found.all.scores(DROP) - found.all.scores(regions))[LIME_NAME].mean() for regions in both
    }
    return Section(
        "controls", "Scattered bins against the same shape",
        "Single bins strewn over a spectrogram surprise a network in another way than a block does, so a method that marks "
        "blocks is compared with what it never could have marked. Here the same maps are held against both. better, worse: "
        f"the efficiency differs from 0 at {LEVEL:.0%} (Wilcoxon's test on clips, Holm-corrected over the methods).",
        asks="Do the conclusions hold with regions of the same shape?",
        answer=f"{held}: {counts[0]} maps beat scattered bins and {counts[1]} their own shape "
        f"elsewhere, of {len(names)} with the controls; the verdict changes for {', '.join(changed) or 'none'}. The largest mean "
        f"is that of {tops[0]} (scattered) and of {tops[1]} (same shape); the two orders of methods correlate at {agrees:.2f} "
        f"(Spearman). Single bins drawn anywhere take {falls[SCATTERED]:.2f} of the probability by themselves, LIME's shape put "
        f"elsewhere {falls[SHIFTED]:.2f}."
        f"{_beside_loudness(found, second)}",
        tables={"methods": table},
        pictures={"efficiency": efficiency_picture(found.few, None, found.credit)},
    )  # fmt: skip


def _held(methods: int, changed: int, any_better: bool, clips: int) -> str:
    """Whether verdicts on so many methods, of which so many changed, hold."""
    if methods * 2.0 ** (1 - clips) >= LEVEL:  # Wilcoxon's smallest p, times Holm's factor
        return f"{clips} clips are too few to tell"
    if not any_better:
        return "there is nothing to hold"
    return f"{methods - changed} of {methods} do" if changed else "yes"


def _beside_loudness(found: Findings, shifted: Any) -> str:
    """Which controls that know nothing of the model pass as well, and who beats the loud parts."""
    control = found.all.loudness
    known = [name for name in (control, SILENCE_NAME) if name in shifted.index]
    passing = [name for name in known if shifted.loc[name, "verdict"] == "better"]
    if not passing:
        return ""
    names = " and ".join(f"{name} ({shifted.loc[name, 'mean']:+.2f})" for name in passing)
    said = (
        f" Against its own shape {names} {'passes' if len(passing) == 1 else 'pass'} too, knowing nothing of the model"
    )
    if control not in passing:
        return f"{said}."
    table: Any = found.all.summary()
    rows = table[(table["metric"] == SHIFTED) & (table["p_loudness"] < LEVEL) & (table["minus_loudness"] > 0)]
    better = ", ".join(rows.sort_values("mean", ascending=False)["explainer"]) or "none"
    return f"{said}: moved, what was loud lies where it is quieter. Better than {control}: {better}."


def nemo_section(found: Findings) -> Section:
    """The set that may not be shown: numbers alone."""
    tables = {regions: beyond_random(found.all, regions) for regions in (SCATTERED, SHIFTED)}
    here = sum(len(s.test) for c, splits in found.run.corpora.items() if c.name == NEMO.name for s in splits[1:])
    beaten = {r: ", ".join(rows[rows["verdict"] == "better"]["explainer"]) or "none" for r, rows in tables.items()}
    return Section(
        "polish", "The same on some of the notebook's recordings",
        f"nEMO, of which the licence allows no pictures here: figures alone, on clips (at most {found.count} of each emotion) "
        "that are named rightly by models that have not heard their speakers. These models hear little: see their accuracies "
        f"above. The notebook learns from all of its 4,481 clips, here are {here}; its split is random, so every voice and many "
        f"sentences are known, and no accuracy was published with speakers left out. {found.credit}",
        asks="And on recordings of the notebook?",
        answer=f"{found.clips} clips; methods that beat scattered bins: {beaten[SCATTERED]}; their own shape elsewhere: "
        f"{beaten[SHIFTED]}. Against the same shape {_first(found.all, SHIFTED)}.",
        tables={**tables, "clips": per_clip(found.all)},
    )  # fmt: skip


EVIDENCE: tuple[Callable[[Findings], Section], ...] = (
    figure_section, published_section, emotion_section, comparison_section, control_section,
)  # fmt: skip


def sections_about(found: Findings) -> Iterator[Section]:
    """The sections about one set of clips that may be shown."""
    for make in EVIDENCE:
        found.run.say((make.__doc__ or "").split("\n")[0])
        yield make(found)


def chapters_of(run: Run) -> Iterator[Section]:
    """The sections, one after the other; `run.say` is told what is being done."""
    for corpus in run.corpora:
        run.say(f"{corpus.title}: the models")
        yield accuracy_section(run, corpus)
        found = of_corpus(run, corpus, run.settings.clips if corpus.open else run.settings.further)
        try:
            _ = found.trials
        except InputError:
            yield Section(
                f"{corpus.name}-none", f"{corpus.title}: explanations", "No clip was named rightly: none is explained."
            )
            continue
        if corpus.open:
            yield from sections_about(found)
        else:
            yield nemo_section(found)
