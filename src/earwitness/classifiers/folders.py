"""A classifier as a folder: `config.json`, `model.safetensors`, and a model card `README.md`.

Networks of the zoo are built again from their constructor arguments. Any other network can be saved too; to load it, its
architecture has to be given, since code is never loaded from a folder.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from earwitness import frontends
from earwitness.classifiers import zoo
from earwitness.classifiers.base import Classifier
from earwitness.errors import ModelError, UsageError, unknown
from earwitness.extras import need
from earwitness.fingerprints import arguments
from earwitness.frontends.pictures import picture_in_words

FORMAT = 1


def save_classifier(classifier: Classifier, folder: str | os.PathLike, card: str) -> None:
    """Write a classifier; `card` is the text of its model card (what it was trained on, how well it does, credit).

    A Hugging Face model is written as transformers does. Each file appears whole; others in the folder stay.
    """
    folder = Path(folder)
    if hasattr(classifier.network, "save_pretrained"):
        _save_pretrained(classifier, folder, card)
        return
    config = {
        "format": FORMAT,
        "network": _described(classifier.network),
        "frontend": None if classifier.frontend is None else _described(classifier.frontend),
        "labels": list(classifier.labels),
        "duration": classifier.duration,
        "outputs": classifier.outputs,
        "baseline": classifier.baseline,
        "notes": list(classifier.notes),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        weights = {k: v.contiguous().clone() for k, v in classifier.network.state_dict().items()}  # tied: each its own
        _whole(folder / "model.safetensors", lambda part: save_file(weights, part))
        _whole(folder / "README.md", lambda part: part.write_text(card))
        _whole(folder / "config.json", lambda part: part.write_text(json.dumps(config, indent=2) + "\n"))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot write the classifier to {folder}: {error}") from error


def _save_pretrained(classifier: Classifier, folder: Path, card: str) -> None:
    """As transformers writes it, `config.json` last."""
    part = folder / ".part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        cast(Any, classifier.network).save_pretrained(part)
        (part / "README.md").write_text(card)
        for path in sorted(part.iterdir(), key=lambda path: path.name == "config.json"):
            path.replace(folder / path.name)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot write the classifier to {folder}: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_classifier(
    folder: str | os.PathLike,
    network: nn.Module | None = None,
    device: str = "auto",
    frontend: "frontends.FrontEnd | str | None" = None,
) -> Classifier:
    """Read a classifier that `save_classifier` wrote, or one of Hugging Face, in evaluation mode.

    folder: either's; or a Hugging Face id, "owner/name", where there is no folder "owner": see `hugging_face`.
    network: the architecture, if it is not one of the zoo's.  device: "auto" (cuda where there is one), "cpu", "cuda".
    frontend: for a model that brings none, such as Hugging Face's image classifiers: a front end, or how a sound becomes a
        picture in words, "mel:sample_rate=22050,mean=0.5,std=0.5": see `frontends.pictures.picture_in_words`.
    """
    folder = Path(folder)
    given = picture_in_words(frontend) if isinstance(frontend, str) else frontend
    if _is_hugging_face(folder):
        hub = need("earwitness.classifiers.hub", "hf", "a Hugging Face model")
        return hub.hugging_face(folder, given, device=device)
    if not (folder / "config.json").is_file():
        what = "the folder has no config.json" if folder.is_dir() else "there is no such folder"
        raise ModelError(
            f"no classifier at {folder}: {what}. `earwitness train` makes one; a Hugging Face model is its folder, or owner/name"
        )
    try:
        config = json.loads((folder / "config.json").read_text())
        if config["format"] != FORMAT:
            raise ModelError(
                f"{folder} has format {config['format']}; this version of earwitness reads format {FORMAT}"
            )
        described = config["frontend"]
        own = given if described is None else cast(frontends.FrontEnd, _built(described, frontends))
        network = _built(config["network"], zoo) if network is None else network
        network.load_state_dict(load_file(folder / "model.safetensors"))
        settings = {name: config[name] for name in ("labels", "duration", "outputs", "baseline") if name in config}
        classifier = Classifier(network, own, **settings)
        classifier.notes = tuple(config.get("notes", ()))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder} is not a classifier that can be read: {str(error).strip()}") from error
    if described is not None and given is not None:
        raise UsageError(f"the classifier in {folder} brings its own front end, {described['class']}: give it no other")
    # channels last: the same numbers, and convolutions on a CPU take less than half the time
    classifier.to(find_device(device))
    classifier.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing in torch's stub
    return classifier.eval()


def _is_hugging_face(folder: Path) -> bool:
    """Whether transformers wrote the folder, or it is no folder and reads like an id."""
    try:
        return "model_type" in json.loads((folder / "config.json").read_text())
    except (OSError, ValueError, TypeError):
        owner = folder.parent
        return (
            not folder.is_absolute() and owner.name not in ("", "..") and len(folder.parts) == 2 and not owner.exists()
        )


def find_device(name: str) -> torch.device:
    """The device called "auto", "cpu" or "cuda"."""
    if name not in ("auto", "cpu", "cuda"):
        raise unknown("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available here: use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    """A file that appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink()


def _described(part: nn.Module) -> dict:
    return {"class": type(part).__name__, "arguments": _plain(arguments(part))}


def _plain(values: dict) -> dict:
    """What JSON can hold; a foreign network's other arguments are left out."""
    plain = str | int | float | bool | None
    listed = {k: v if isinstance(v, list | tuple) else [v] for k, v in values.items()}
    return {k: v for k, v in values.items() if all(isinstance(item, plain) for item in listed[k])}


def _built(described: dict, module) -> nn.Module:
    name = described["class"]
    if name not in module.__all__:
        raise ModelError(
            f"{name} is not one of {', '.join(module.__all__)}: give the architecture, load_classifier(.., network=)"
        )
    return getattr(module, name)(**described["arguments"])
