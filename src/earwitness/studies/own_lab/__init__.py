"""The Sobol lab on one's own recordings and model: what is in them, where the model errs, what it goes by, and whether that is
true.

    material = gather(Path("clips"), classifier.labels)
    for section in chapters(Run(Settings(), classifier, material, Path("lab"))): ...

The lab of `earwitness study sobol-lab` makes its clips itself and knows their cause. Here the clips are anybody's: class folders,
a table (path, label, and fold, split or group), a plain folder without labels, or mixtures whose event is a file of its own.

Source: the exercise is described in `docs/references.md`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from earwitness.classifiers import load_classifier
from earwitness.errors import UsageError
from earwitness.studies.own_lab import against_controls, first_looks, mapped, shortcuts_taken
from earwitness.studies.own_lab.material import Material, gather
from earwitness.studies.own_lab.runs import QUICK, Run, Settings
from earwitness.studies.pages import Page, Section
from earwitness.targets import find_target

__all__ = ["CHAPTERS", "QUICK", "Material", "Run", "Settings", "chapters", "from_words", "gather"]

CHAPTERS: tuple[Callable[[Run], Section], ...] = (
    *(first_looks.what_there_is, first_looks.what_is_seen, first_looks.where_it_errs),
    *(mapped.sobol_maps, mapped.grids_and_designs, mapped.saliency_beside),
    *(against_controls.at_the_cause, against_controls.cells_removed),
    *(shortcuts_taken.leaks_in_the_data, shortcuts_taken.leaks_in_the_model, shortcuts_taken.mass_in_quiet_cells),
)


def chapters(run: Run) -> Iterator[Section]:
    """The sections, one after the other; `run.say` is told what is being done."""
    for chapter in CHAPTERS:
        run.say((chapter.__doc__ or "").split("\n")[0])
        yield chapter(run)


def from_words(
    data: Path, model: Path, out: Path, *,
    quick: bool, seed: int, grids: str | None, designs: str | None, clips: int | None, target: str | None,
    frontend: str | None, limit: int | None, seconds: float | None, group: str | None, known_only: bool,
    credit: str, sounds: bool, jobs: int, say: Callable[[str], None], progress: Callable[[int, int | None], None] | None,
    command: str,
) -> tuple[Page, Iterator[Section]]:  # fmt: skip
    """`earwitness study lab` as a function: the page, and its sections as they come."""
    classifier = load_classifier(model, frontend=frontend)
    if target is not None:
        find_target(target, classifier.labels)
    given = {"grids": _numbers(grids, "--grids"), "designs": _numbers(designs, "--designs"), "clips": clips}
    settings = replace(
        QUICK if quick else Settings(), seed=seed, sounds=sounds, **{name: value for name, value in given.items() if value}
    )  # fmt: skip
    material = gather(
        data, classifier.labels, model=model, group=group, target=target, limit=limit,
        seconds=seconds or classifier.duration, known_only=known_only,
    )  # fmt: skip
    run = Run(settings, classifier, material, out, target, credit, say, jobs, progress)
    return front_page(run, data, model, command), chapters(run)


def front_page(run: Run, data: Path, model: Path, command: str) -> Page:
    """What stands above the chapters."""
    summary = (
        f"What does `{model.name}` listen to in the {len(run.material.clips)} recordings of `{data.name}`, and is that true? "
        f"Intervals are 95 %. {run.credit}"
    )
    return Page(f"The Sobol lab on {data.name}", summary.strip(), command)


def _numbers(text: str | None, option: str) -> tuple[int, ...]:
    """ "4,8,12" as numbers, ascending; none where nothing is given."""
    try:
        found = tuple(sorted({int(part) for part in (text or "").split(",") if part.strip()}))
    except ValueError as error:
        raise UsageError(f"{option} takes whole numbers with commas, 4,8,12, not {text!r}") from error
    if found and found[0] < 2:
        raise UsageError(f"{option} takes numbers from 2 on, not {found[0]}")
    return found
