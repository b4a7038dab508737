"""The demonstration: a scene whose true cause is known, explained, and held against the truth.

The components of the cause are those that it fills at least a quarter as much as any. The share of the explanation that lies on
them is compared with chance, the share that an even map would have there.
"""

from pathlib import Path
from typing import Any

from earwitness.audio import load
from earwitness.axes import carry
from earwitness.classifiers import Classifier, load_classifier
from earwitness.components import Grid
from earwitness.data.synthetic import Tones
from earwitness.errors import ModelError
from earwitness.explainers import Sobol
from earwitness.explanations import Explanation
from earwitness.metrics import on_cause
from earwitness.studies import jobs


def shipped_model(name: str) -> Path:
    """The folder of a model that comes with the project: `models/<name>` here, or beside the source of the package."""
    for base in (Path.cwd(), Path(__file__).resolve().parents[3]):
        if (base / "models" / name / "config.json").is_file():
            return base / "models" / name
    raise ModelError(f"models/{name} comes with the project's repository: run this there, or give --model FOLDER")


def demo(clip: Path | None, model: Path | None, out: Path, seed: int = 0) -> tuple[Explanation, dict[str, Any]]:
    """Explain the synthetic scene, or a recording, and write everything into a folder.

    Returns the explanation, and the record of `earwitness explain` with `story`, lines for people.
    Cost: a few thousand evaluations of a small network, some seconds.
    """
    folder = model or shipped_model("tones" if clip is None else "esc10")
    classifier = load_classifier(folder)
    explanation, record = _scene(classifier, out, seed) if clip is None else _recording(classifier, clip, out, seed)
    record = {"clip": str(clip or "synthetic scene"), "model": str(folder)} | record
    jobs.write_json(record, out / "explanation.json")
    return explanation, record


def _recording(classifier: Classifier, clip: Path, out: Path, seed: int) -> tuple[Explanation, dict[str, Any]]:
    audio, said = jobs.first_window(load(clip, classifier.sample_rate), classifier, None)
    explanation, record = jobs.Job(classifier, Sobol(seed=seed)).run(audio, out)
    return explanation, record | {"story": [said] if said else []}


def _scene(classifier: Classifier, out: Path, seed: int) -> tuple[Explanation, dict[str, Any]]:
    scene = Tones(snr_db=10.0)(seed, "high")
    explanation, record = jobs.Job(classifier, Sobol(seed=seed), scene.label, Grid(8, 8)).run(scene.audio, out)
    cause = on_cause(carry(*scene.truth, explanation.axes))
    share, chance = float(explanation.values[cause].sum() / max(explanation.values.sum(), 1e-12)), float(cause.mean())
    scene.audio.save(out / "clip.wav")
    scene.cause.save(out / "cause.wav")
    record["files"] |= {"clip": str(out / "clip.wav"), "cause": str(out / "cause.wav")}
    record["truth"] = {"share_on_cause": share, "chance": chance}
    story = [
        "A synthetic scene: a modulated tone of 880 Hz (the cause of the label high), another tone and noise.",
        f"{share:.0%} of the explanation lies on the components of the true cause; an even map would have {chance:.1%} there: "
        + ("the cause was found." if share > 3 * chance else "the cause was NOT found."),
    ]
    return explanation, record | {"story": story}
