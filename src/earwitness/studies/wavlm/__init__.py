"""GradientSHAP for WavLM: which frames of a word, and which neurons, make a speech model say so, and is that true?

A small WavLM is trained here on spoken digits, and on emotions of speakers that it then has to do without; or any model and
recordings of one's own are explained.

    for section in chapters(Run(Settings(seed=0), Path("wavlm"), Path("../shared/data"))): ...

Source: the exercise is described in `docs/references.md`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from earwitness.classifiers import Classifier, load_classifier
from earwitness.classifiers.hub import hugging_face
from earwitness.errors import UsageError
from earwitness.explainers import GradientSHAP
from earwitness.studies.pages import Page, Section
from earwitness.studies.wavlm.measured import chapters
from earwitness.studies.wavlm.own import own_clips
from earwitness.studies.wavlm.trials import QUICK, Run, Settings

__all__ = ["QUICK", "Run", "Settings", "chapters", "from_words", "own_clips"]


def from_words(
    out: Path, data: Path | None, quick: bool, seed: int, *, model: str | None, head: Path | None, labels: str | None,
    target: str | None, limit: int, layer: int | None, jobs: int, say: Callable[[str], None],
    progress: Callable[[int, int | None], None] | None, command: str,
) -> tuple[Page, Iterator[Section]]:  # fmt: skip
    """`earwitness study wavlm` as a function: the page, and its sections as they come."""
    settings = replace(QUICK if quick else Settings(), seed=seed)
    if data is None:
        raise UsageError("give the folder of the recordings, --data (or $EARWITNESS_DATA)")
    if model is None:
        if target is not None or head is not None:
            raise UsageError("--target and --head go with a model of your own, --model; without one the study is run")
        settings = settings if layer is None else replace(settings, layer=layer)
        return _front(settings, command), chapters(Run(settings, out, data, say, jobs, progress))
    method = GradientSHAP(settings.references, seed)
    sections = own_clips(
        _opened(model, head, labels), data, method, target=target, limit=limit, top=settings.top, layer=layer
    )
    title = f"GradientSHAP of {model}"
    return Page(title, "Frames of 25 ms, and neurons, of each recording.", command), sections


def _opened(model: str, head: Path | None, labels: str | None) -> Classifier:
    """The model, with a head of one's own if it is given."""
    if head is None:
        return load_classifier(model)
    if labels is None:
        raise UsageError("a head of one's own has classes of its own: name them, --labels happy,sad,...")
    return hugging_face(model, head=head, labels=labels.split(","))


def _front(settings: Settings, command: str) -> Page:
    return Page(
        "GradientSHAP for WavLM",
        "Which frames of a spoken word, and which neurons, make a speech model say what it says? And do the answers "
        "hold? A small WavLM (the real architecture, reduced) is trained on spoken digits and on acted emotions, and "
        f"asked with GradientSHAP in its true form: {settings.references} random points between a baseline and the "
        "clip, the gradient times the difference. Intervals are 95 %.",
        command,
    )
