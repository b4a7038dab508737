"""The benchmark with planted causes: all methods on clips whose true cause is known, and a leaderboard with intervals.

Four families of planted causes (see `families`), a classifier for each, the same questions to every method (see `leaderboard`),
and a page (see `report`).

    result = run(Study(Settings(seed=0), Path("truth"), data=Path("data")))
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earwitness.studies.pages import Page, Section
from earwitness.studies.truth.families import FAMILIES
from earwitness.studies.truth.leaderboard import judged, pooled
from earwitness.studies.truth.report import (
    agreement_section,
    baseline_section,
    family_section,
    front,
    is_quick,
    leaderboard_section,
)
from earwitness.studies.truth.trials import QUICK, Settings, Study

__all__ = ["FAMILIES", "QUICK", "Result", "Settings", "Study", "run"]


@dataclass(frozen=True, eq=False)
class Result:
    """page, sections: for a report.  record: what the command line prints as JSON.  failures: how many rows failed."""

    page: Page
    sections: list[Section]
    record: dict[str, Any]
    failures: int


def run(study: Study, families: tuple[str, ...] = tuple(FAMILIES)) -> Result:
    """Train or load the classifiers, explain, judge. What is in the folder of the run is not computed again.

    families: names of `FAMILIES`; those whose recordings are missing are left out, and the page says so.
    """
    trials = {family: FAMILIES[family][1](study) for family in families}
    every, found = [trial for several in trials.values() for trial in several], {}
    for trial in every:
        study.say(f"{trial.name}: explaining {len(trial.clips)} clips")
        found[trial.name] = judged(study, trial)
        study.say(f"{trial.name}: {found[trial.name].told}")
    everything = pooled(found.values())
    families_told = [family_section(study, family, several, found) for family, several in trials.items() if several]
    sections = [leaderboard_section(study, found, everything), *families_told, agreement_section(found, everything)]
    sections.append(baseline_section(study, every))
    quick, failures = is_quick(study.settings), len(everything.everything.failures)
    ranks = {str(name): float(rank) for name, rank in everything.ranks.items()}
    record = {
        "study": "truth", "seed": study.settings.seed, "quick": quick, "out": str(study.out), "left_out": study.notes,
        "ranks": ranks, "answers": {section.name: section.answer for section in sections if section.answer},
        "failures": failures,
    }  # fmt: skip
    return Result(front(study, quick), sections, record, failures)


def run_words(
    out: Path, quick: bool, seed: int, data: Path | None, jobs: int, say: Callable[[str], None],
    progress: Callable[[int, int | None], None] | None,
) -> Result:  # fmt: skip
    """`earwitness study truth` as a function."""
    settings = replace(QUICK if quick else Settings(), seed=seed)
    return run(Study(settings, out, data, say, jobs, progress))
