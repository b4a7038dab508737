"""Emotion: which parts of a spectrogram make a network hear anger, by which method, and is that true?

A reproduction of a notebook that compares LIME, Grad-CAM, "LRP" and silence maps on Polish emotional speech, with what it lacks:
speakers that the model has never heard, regions of the same shape, intervals, and every other method. ResNet18s are trained here,
or any model and test set of one's own are taken.

    for section in chapters_of(Run(Settings(seed=0), Path("emotion"), Path("../shared/data"))): ...

Source: toster3d/Audio-Emotion-Recognition (2025), see `docs/references.md`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from earwitness.errors import UsageError
from earwitness.studies.emotion.measured import chapters_of
from earwitness.studies.emotion.own import own_findings, own_sections
from earwitness.studies.emotion.trials import QUICK, Run, Settings
from earwitness.studies.pages import Page, Section

__all__ = ["QUICK", "Run", "Settings", "chapters_of", "from_words", "own_findings"]

SUMMARY = (
    "Which parts of a spectrogram make a network hear an emotion, and which method says so truly? A reproduction of the "
    "comparison in [toster3d/Audio-Emotion-Recognition](https://github.com/toster3d/Audio-Emotion-Recognition): LIME, "
    "Grad-CAM, “LRP” and smooth silence maps, verified by what happens when important parts are set to the clip's mean. Beside "
    "them every other method, "
    "speakers that no model has heard, and random regions of the same shape. A clip is the unit of chance; intervals are 95 %."
)


def from_words(
    out: Path, data: Path | None, quick: bool, seed: int, *, model: Path | None, frontend: str | None,
    limit: int | None, jobs: int,
    say: Callable[[str], None], progress: Callable[[int, int | None], None] | None, command: str,
) -> tuple[Page, Iterator[Section]]:  # fmt: skip
    """`earwitness study emotion` as a function: the page, and its sections as they come."""
    if model is None and frontend is not None:
        raise UsageError("--frontend is how a sound becomes the picture of a model of your own: give --model too")
    if data is None:
        raise UsageError("give the folder of the recordings, --data (or $EARWITNESS_DATA)")
    settings = replace(QUICK if quick else Settings(), seed=seed)
    settings = settings if limit is None else replace(settings, clips=limit)
    run = Run(settings, out, data, say, jobs, progress)
    if model is None:
        return Page("Emotion: which explanation is true?", SUMMARY, command), chapters_of(run)
    found = own_findings(run, model, frontend)
    return Page(f"Emotion: {model.name}", found.summary, command), own_sections(found)
