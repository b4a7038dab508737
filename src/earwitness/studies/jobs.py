"""`earwitness explain` as a function: a recording on disk in, files and one JSON object out.

The object has the fields `clip, model, method, target, prediction {label, probability}, label, score, unit, baseline, total,
evaluations, seconds, seed, components, files`; and beside them `settings, kind, time, stopped, numbers, heard, warnings,
provenance, version` and `fingerprints` (SHA-256 of the recording, at the model's rate, and of the model).
`components` lists `{time: [s, s], frequency: [Hz, Hz], value, stderr, signed}`; an axis that is not cut is given in full, and
components with names (words, sources) have them in `name` or `source`. With
`windows`, the fields of each window stand in a list of that name, and windows that failed in `failures`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

import earwitness
from earwitness.audio import Audio, load, sound_files
from earwitness.classifiers import Classifier, load_classifier
from earwitness.components import FACTORIZATIONS, DatasetMean, Factorization
from earwitness.components.base import Baseline
from earwitness.errors import EarwitnessError, InputError, UsageError
from earwitness.explainers import METHODS, Budget, Explainer
from earwitness.explainers.base import Sampled
from earwitness.explanations import Explanation, Heard, Prediction
from earwitness.explanations.places import called
from earwitness.fingerprints import fingerprint
from earwitness.frontends import FrontEnd, Picture
from earwitness.naming import build, kebab
from earwitness.questions.audio import SLACK, default_components
from earwitness.studies.explaining import explain
from earwitness.writing import appearing

LONG = 30.0  # seconds; few networks for pictures have seen more in one
TOP = 32767 / 32768  # the largest 16-bit sample
WRITTEN = (
    *"explanation.json map.npz plot.png kept.wav removed.wav clip.wav cause.wav".split(),
    *"verdict.json verdict.png flip-removed.wav flip-kept.wav".split(),
)


@dataclass(frozen=True)
class Job:
    """What is asked of each clip.

    components: how to cut it; None for the default, with `baseline` if one is given.
    keep: the share of components that is kept to be heard.  match_level: see `Explanation.hear`.
    model: where the classifier came from, for the record.
    """

    classifier: Classifier
    explainer: Explainer
    target: str | None = None
    components: Factorization | None = None
    baseline: Baseline | None = None
    keep: float = 0.2
    match_level: bool = False
    model: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise UsageError(f"keep is a share of the components, above 0 and at most 1, not {self.keep!r}")

    def run(self, audio: Audio, out: Path) -> tuple[Explanation, dict[str, Any]]:
        """Explain one clip; `out`: the folder for the files, made if it is not there."""
        if self.classifier.frontend is None:
            raise UsageError(
                "this model has no front end and takes ready features: explain it from Python, ew.explain(...)"
            )
        cut = self.components
        if cut is None and self.baseline is not None:
            cut = replace(default_components(self.classifier, audio, self.explainer.stage), baseline=self.baseline)
        explanation = explain(self.classifier, audio, self.explainer, self.target, cut)
        heard = {
            name: explanation.hear(self.keep, remove=name == "removed", match_level=self.match_level)
            for name in (() if _soundless(explanation) else ("kept", "removed"))
        }
        record = describe(explanation)
        record["warnings"] += (
            [] if heard else ["channels of a layer have no place in the sound: there is nothing to hear"]
        )
        lower = _without_clipping(heard)
        if lower:
            record["warnings"].append(f"the sounds are written {lower:.1f} dB lower, all alike, so that none clips")
        record["heard"] = {name: _said(sound) for name, sound in heard.items()}
        if not explanation.mask(self.keep).any():
            record["warnings"].append(f"no component argues for {explanation.target}: what is kept is silence")
        record["files"] = write_files(explanation, heard, out)
        return explanation, record


def _soundless(explanation: Explanation) -> bool:
    """Whether components have no place in the sound, as the channels and units of a layer."""
    return any(axis.name == "channel" for axis in explanation.axes)


def _without_clipping(heard: dict[str, Heard]) -> float:
    """Turn all sounds down alike, in place, until the loudest fits into 16 bit; returns by how many dB."""
    loudest = max((sound.audio.peak for sound in heard.values()), default=0.0)
    if loudest <= TOP:
        return 0.0
    lower = 20 * float(np.log10(loudest / TOP))
    for name, sound in heard.items():
        quieter = sound.audio.with_samples(sound.audio.samples * TOP / loudest, f"{lower:.1f} dB lower")
        heard[name] = replace(sound, audio=quieter, gain_db=sound.gain_db - lower)
    return lower


def make_job(
    model: Path,
    method: str,
    target: str | None = None,
    components: str | None = None,
    baseline: str | None = None,
    *,
    keep: float = 0.2,
    match_level: bool = False,
    seed: int | None = None,
    until: str | None = None,
    device: str = "auto",
    frontend: str | None = None,
) -> Job:
    """A job from words: the folder of a model, and method and components as `naming.build` takes them.

    baseline: a name, the path of a sound, or of a folder of sounds, for the mean over them.
    frontend: how a sound becomes a picture, for a model that brings no front end: see `load_classifier`.
    until: the fields of a `Budget`, "rank=0.95,evaluations=20000", for methods that sample.
    """
    explainer = build(method, METHODS, "method", seed=seed)
    if until is not None:
        if not isinstance(explainer, Sampled):
            sampling = ", ".join(kebab(m) for m in METHODS if issubclass(m, Sampled))
            raise UsageError(f"{kebab(type(explainer))} does not sample, so there is nothing to stop: take {sampling}")
        explainer = replace(explainer, until=build(f"budget:{until}", (Budget,), "stopping rule"))  # type: ignore[call-arg]
    given = load(baseline) if baseline and Path(baseline).is_file() else baseline
    if baseline and Path(baseline).is_dir():
        given = DatasetMean(sound_files(baseline))
    cut = build(components, FACTORIZATIONS, "kind of components", baseline=given) if components else None
    classifier = load_classifier(model, device=device, frontend=frontend)
    return Job(classifier, explainer, target, cut, given, keep, match_level, str(model))


def run_recording(
    job: Job, clip: Path, out: Path, at: float | None, windows: bool, told: Callable[[str], None]
) -> tuple[list[Explanation], dict[str, Any]]:
    """Explain a recording: one window of it (from `at` seconds on), or all. Writes `out`/explanation.json.

    told: gets remarks for people. Returns the explanation (none for `windows`) and the record.
    """
    if windows and at is not None:
        raise UsageError("--at chooses one window and --windows takes all: give one of them")
    if windows and job.classifier.duration is None:
        raise UsageError("this model takes recordings of any length: leave --windows out, or choose a part with --at")
    audio = load(clip, job.classifier.sample_rate)
    content = {"clip": fingerprint(audio.samples), "model": fingerprint(job.classifier)}
    head: dict[str, Any] = {"clip": str(clip), "model": job.model, "fingerprints": content}
    if windows:
        record = head | {"method": kebab(type(job.explainer)), "windows": [], "failures": []}
        make_folder(out)
        clear(out)
        try:
            run_windows(job, audio, out, told, record["windows"], record["failures"])
        finally:  # what was finished is kept, also after Ctrl-C
            write_json(record, out / "explanation.json")
        return [], record
    audio, said = first_window(audio, job.classifier, at)
    if said:
        told(said)
    explanation, record = job.run(audio, out)
    record["warnings"] += [said] if said else []
    write_json(head | record, out / "explanation.json")
    return [explanation], head | record


def describe(explanation: Explanation) -> dict[str, Any]:
    """An explanation as plain numbers and words."""
    audio: Audio = cast(Any, explanation.question).audio  # a job's explanations are of recordings
    full = {"time": [audio.start, audio.end], "frequency": [0.0, audio.sample_rate / 2]}
    components, cut = [], cast(Any, explanation.question).components
    for index in np.ndindex(explanation.shape):
        place = cut.place(index)
        maps = {"value": explanation.values, "stderr": explanation.stderr, "signed": explanation.signed}
        numbers = {name: None if array is None else float(array[index]) for name, array in maps.items()}
        components.append(full | place | called(explanation, index) | numbers)
    said = cast(Prediction, explanation.prediction)
    return {
        "method": explanation.method,
        "settings": explanation.settings,
        "kind": explanation.kind,
        "target": explanation.target,
        "label": explanation.target,
        "prediction": {"label": said.label, "probability": said.probability},
        "score": explanation.score,
        "unit": explanation.unit,
        "baseline": explanation.baseline,
        "total": explanation.total,
        "time": full["time"],
        "evaluations": explanation.evaluations,
        "seconds": round(explanation.seconds, 3),
        "seed": explanation.seed,
        "stopped": explanation.stopped,
        "numbers": explanation.numbers,
        "warnings": list(explanation.warnings),
        "provenance": explanation.provenance,
        "components": components,
        "version": earwitness.__version__,
    }


def _said(sound: Heard) -> dict[str, Any]:
    level = sound.audio.rms_db
    return {
        "label": sound.prediction.label,
        "probability": sound.prediction.probability,
        "score": sound.score,
        "level_db": level if np.isfinite(level) else None,
        "gain_db": sound.gain_db,
    }


def write_files(explanation: Explanation, heard: dict[str, Heard], out: Path) -> dict[str, str]:
    """The map, the sounds and the picture, into a folder; returns their paths."""
    make_folder(out)
    clear(out)
    files = {"map": out / "map.npz", **{name: out / f"{name}.wav" for name in heard}, "plot": out / "plot.png"}
    explanation.save(files["map"])
    for name, sound in heard.items():
        sound.save(files[name])
    explanation.plot(files["plot"])
    return {name: str(path) for name, path in files.items()}


def clear(out: Path) -> None:
    """Remove what an earlier run left in a folder (its own files, no others), so that results of two runs never mix."""
    for folder in (*out.glob("window-*"), out):
        for name in WRITTEN:
            (folder / name).unlink(missing_ok=True)
        if folder != out and not any(folder.iterdir()):
            folder.rmdir()


def make_folder(out: Path) -> None:
    """Make a folder, or say why not."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error}") from error


def write_json(record: dict[str, Any], path: Path) -> None:
    """Write a JSON object whole or not at all."""
    with appearing(path) as part:
        part.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


def first_window(audio: Audio, classifier: Classifier, at: float | None) -> tuple[Audio, str | None]:
    """The part of a recording that a model takes, and what should be said about it.

    at: where it starts, in seconds of the recording; None for the beginning.
    """
    longest = classifier.duration
    if at is None and (longest is None or audio.duration <= SLACK * longest):
        return audio, None if longest else _squeezed(audio, classifier.frontend)
    window = audio.window(audio.start if at is None else at, longest or audio.duration)
    if at is not None:
        return window, None
    return window, (
        f"the recording lasts {audio.duration:.1f} s and the model takes {longest:g} s: explained is its beginning, "
        f"{window.start:.1f}-{window.end:.1f} s. Choose with --at SECONDS, or explain all of it with --windows"
    )


def _squeezed(audio: Audio, frontend: FrontEnd | None) -> str | None:
    """What to say of a long recording that is made one picture, however long the sounds were that the model learned from."""
    if not isinstance(frontend, Picture) or audio.duration <= LONG:
        return None
    return (
        f"all {audio.duration:.1f} s of the recording are one picture, {audio.duration / frontend.width:.2f} s a column: if the "
        "model has learned from shorter sounds, say how long they were, --frontend ...,duration=30 (in Python, Picture(..., "
        "duration=30)), and explain a window with --at SECONDS, or all with --windows"
    )


def run_windows(job: Job, audio: Audio, out: Path, told: Callable[[str], None], records: list, failures: list) -> None:
    """Explain a recording window by window; a window that cannot be explained is a failure and not the end.

    Adds to the records and to the failures (`time`, `error`). `told` gets a line for each window.
    """
    for index, window in enumerate(audio.windows(cast(float, job.classifier.duration))):
        place = f"{window.start:.1f}-{window.end:.1f} s"
        try:
            _, record = job.run(window, out / f"window-{index:03d}")
        except UsageError:
            raise
        except EarwitnessError as error:
            failures.append({"time": [window.start, window.end], "error": str(error)})
            told(f"{place}: {error}")
        else:
            records.append(record)
            told(f"{place}: {record['prediction']['label']} ({record['prediction']['probability']:.2f})")
