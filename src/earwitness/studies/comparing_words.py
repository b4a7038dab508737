"""`earwitness compare` as a function: words in, a comparison and its page out.

The folder holds `results.csv` (a row for each clip, method and metric), `summary.csv`, `README.md` with a section for each metric
(what came out, in a sentence, a table and a critical-difference diagram), and `shards/`, from which the same command goes on.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from earwitness.classifiers import load_classifier
from earwitness.components import FACTORIZATIONS
from earwitness.errors import UsageError, whole
from earwitness.explainers import METHODS, Random
from earwitness.metrics import METRICS
from earwitness.naming import build, named
from earwitness.studies.comparing import compare
from earwitness.studies.comparing_clips import clips_at
from earwitness.studies.comparing_rows import FAILED, NOT_APPLICABLE
from earwitness.studies.comparison import Comparison, readable
from earwitness.studies.pages import Page, Section
from earwitness.writing import appearing

TESTS = (
    "Differences are means over the same clips, with 95 % bootstrap intervals; p-values are of paired Wilcoxon tests, corrected "
    "(Holm) over the methods. Ranks: 1 is best, on the clips on which every method has a score. Random knows nothing "
    "and Loudness nothing of the model: by metrics of faithfulness and truth, what is no better than they are has told "
    "nothing. A picture joins methods by Nemenyi's difference of ranks, the sentence rests on the paired tests: with few "
    "clips they find less."
)


def compare_words(
    model: Path,
    clips: Path,
    methods: str,
    metrics: str,
    out: Path,
    *,
    components: str | None = None,
    target: str | None = None,
    seed: int | None = None,
    jobs: int = 1,
    limit: int | None = None,
    device: str = "auto",
    frontend: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Comparison:
    """Compare what words ask for, and write the tables. See `compare`.

    clips: a folder or a table, see `comparing_clips.clips_at`.  limit: only so many of them.
    frontend: how a sound becomes a picture, for a model that brings no front end: see `load_classifier`.
    methods, metrics: "sobol,lime:samples=512,saliency".  seed: of all of them, the controls included.
    """
    whole(limit=limit)
    explainers = [build(text, METHODS, "method", seed=seed) for text in listed(methods, METHODS)]
    judges = [build(text, METRICS, "metric", seed=seed) for text in listed(metrics, METRICS)]
    if seed is not None and not any(isinstance(explainer, Random) for explainer in explainers):
        explainers.append(Random(seed))
    cut = build(components, FACTORIZATIONS, "kind of components") if components else None
    found = compare(
        load_classifier(model, device=device, frontend=frontend), clips_at(clips)[:limit], explainers, judges, out / "shards",
        components=cut, target=target, jobs=jobs, progress=progress,
    )  # fmt: skip
    for name, table in (("results", found.table), ("summary", found.summary())):
        with appearing(out / f"{name}.csv") as part:
            table.to_csv(part, index=False, lineterminator="\n")
    return found


def listed(text: str, classes: Iterable[type]) -> list[str]:
    """The items of a list with commas, of which each may have options with commas: "sobol,lime:samples=512,seed=3,saliency"."""
    known, items = named(classes), []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, _ = part.partition(":")
        if name in known or colon or not items or ":" not in items[-1]:
            items.append(part)
        else:
            items[-1] += f",{part}"
    if not items:
        raise UsageError(f"{text!r} names nothing: give names with commas between them")
    return items


def front_page(command: str, found: Comparison) -> Page:
    """What stands above the sections."""
    notes = "".join(f"\n- {note}" for note in found.notes)
    summary = f"{counted(found)} All of it: [results.csv](results.csv), [summary.csv](summary.csv).\n\n{TESTS}"
    return Page("Explanations, compared", summary + (f"\n{notes}" if notes else ""), command)


def sections(found: Comparison) -> list[Section]:
    """A section for each metric, and one for what has no score."""
    made = []
    for metric, summary in found.summary().groupby("metric", sort=False):
        name, better = str(metric), str(summary["better"].iloc[0])
        pictures = {"ranks": found.picture(name)} if found.ranked(name) else {}
        text = f"{better.capitalize()} is better."
        asks, answer = f"Which method is best by {name}?", found.verdict(name).removeprefix(f"{name}: ")
        stem = re.sub(r"[^\w.]+", "_", name)
        made.append(Section(stem, name, text, asks, answer, {"means": readable(summary)}, pictures))
    gone = without_scores(found.table)
    text = "Rows without a score: what failed, and what does not apply to this question."
    return made + ([Section("without-scores", "Without a score", text, tables={"rows": gone})] if len(gone) else [])


def without_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Which rows lack a score, on how many clips, and why."""
    rows: Any = table[table["status"].isin([FAILED, NOT_APPLICABLE])]
    grouped = rows.groupby(["status", "explainer", "metric", "reason"], sort=False)["clip"]
    found = grouped.agg(clips="size", first_clip="first").reset_index()
    both = found.groupby(["status", "reason", "first_clip", "clips"], sort=False)
    return both.agg(methods=("explainer", _joined), metrics=("metric", _joined)).reset_index()


def reasons(found: Comparison) -> list[str]:
    """Why rows lack a score: a line for each reason."""
    rows = without_scores(found.table).to_dict("records")
    return [
        f"{row['status']}: {row['methods']}, {row['metrics']}, {row['clips']} clips ({row['first_clip']}): {row['reason']}"
        for row in rows
    ]


def counted(found: Comparison) -> str:
    """How much there is, in words."""
    table, failed = found.table, found.failures
    pairs = len(table[["explainer", "metric"]].drop_duplicates())
    return (
        f"{len(table) // pairs} clips, {table['explainer'].nunique()} methods, {table['metric'].nunique()} metrics: "
        f"{len(table)} rows, of which {len(failed)} failed, on {failed['clip'].nunique()} of the clips."
    )


def as_record(found: Comparison, out: Path) -> dict[str, Any]:
    """What the command line prints as JSON."""
    summary: Any = found.summary()
    reasons: Any = found.failures.drop_duplicates(["clip", "reason"])
    not_applicable: Any = found.table["status"] == NOT_APPLICABLE
    return {
        "out": str(out),
        "files": {name: str(out / f"{name}.csv") for name in ("results", "summary")} | {"page": str(out / "README.md")},
        "rows": len(found.table),
        "failures": reasons[["clip", "explainer", "metric", "reason"]].to_dict("records"),
        "not_applicable": int(not_applicable.sum()),
        "verdicts": {metric: found.verdict(metric) for metric in found.metrics},
        "summary": summary.astype(object).where(summary.notna(), None).to_dict("records"),
        "notes": list(found.notes),
    }


def _joined(names: pd.Series) -> str:
    return ", ".join(dict.fromkeys(map(str, names)))
