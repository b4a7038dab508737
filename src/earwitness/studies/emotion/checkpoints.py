"""Checkpoints of the notebook's network, read into ours: torchvision's names for a ResNet18, and a dropout before the last layer.

| theirs | ours |
|---|---|
| `conv1`, `bn1` | `stem.0`, `stem.1` |
| `layer2.0.conv1`, `.bn1`, ... | the same |
| `layer2.0.downsample.0`, `.1` | `layer2.0.shortcut.0`, `.1` |
| the one matrix, such as `fc.1.weight`, and its bias | `head.1.weight`, `head.1.bias` |

Our own names are taken as they are. A prefix (`resnet.`, `model.`, `module.`) is taken away, and weights that lie one level down,
beside an optimiser, are found.
Source: the names of He et al.'s network in torchvision; toster3d/Audio-Emotion-Recognition (2025), `AudioResNet`.
"""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from earwitness.classifiers.zoo import ResNet18
from earwitness.errors import InputError, ModelError

SUFFIXES = (".pt", ".pth", ".safetensors")
INSIDE = ("model_state_dict", "state_dict", "model", "net")
POINTER = b"version https://git-lfs"
STAMP = re.compile(r"(\d{8})[-_T]?(\d{6})")
PART = re.compile(r"(?:^|\.)((?:layer\d\.\d\.)?(?:conv\d|bn\d|downsample)\..*)")  # behind any prefix


def newest(place: Path) -> Path:
    """The newest checkpoint in a folder, by the time stamp in its name (20250515_090117), or else by the file's own time.

    place: the folder; a file is itself. Raises `InputError` where there is none.
    """
    if place.is_file():
        return place
    found = [path for path in place.glob("*") if path.suffix in SUFFIXES] if place.is_dir() else []
    if not found:
        raise InputError(f"no checkpoint at {place}: no file there ends in {', '.join(SUFFIXES)}")
    return max(found, key=lambda path: (_stamp(path), path.name))


def _stamp(path: Path) -> str:
    named = STAMP.search(path.stem)
    return "".join(named.groups()) if named else time.strftime("%Y%m%d%H%M%S", time.localtime(path.stat().st_mtime))


def read_resnet(path: Path, classes: int) -> ResNet18:
    """A ResNet18 with the weights of a checkpoint. Raises `ModelError` for anything else."""
    weights = in_our_names(_weights(path), path)
    if len(weights["head.1.weight"]) != classes:
        raise ModelError(
            f"{path.name} tells {len(weights['head.1.weight'])} classes apart and the label map names {classes}: "
            "they must be the same"
        )
    network = ResNet18(classes, len(weights["stem.0.weight"]))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(
            f"{path.name} does not fit a ResNet18 with one input channel: {_first_lines(error)}"
        ) from error
    return network.eval()


def in_our_names(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Weights by the names of `ResNet18`; `ModelError` where they are not those of a ResNet18."""
    if {"stem.0.weight", "head.1.weight"} <= set(state):
        return dict(state)
    found: dict[str, Tensor] = {}
    rest = dict(state)
    for name in [name for name in state if PART.search(name)]:
        place = cast(re.Match, PART.search(name))[1].replace("downsample", "shortcut")
        plain = place if place.startswith("layer") else place.replace("conv1", "stem.0").replace("bn1", "stem.1")
        found[plain] = rest.pop(name)
    matrices = [name for name, values in rest.items() if values.ndim == 2 and name.endswith("weight")]
    if len(matrices) == 1:
        weight = rest.pop(matrices[0])
        bias = rest.pop(matrices[0].removesuffix("weight") + "bias", torch.zeros(len(weight)))
        found |= {"head.1.weight": weight, "head.1.bias": bias}
    if rest or "stem.0.weight" not in found or "head.1.weight" not in found:
        raise ModelError(
            f"{path.name} holds no ResNet18 with torchvision's names (resnet.conv1, resnet.layer1.0.conv1, ..., fc): it has "
            f"{', '.join([*rest, *state][:4]) or 'nothing'}"
        )
    return found


def _weights(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by their names."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise ModelError(
                f"{path.name} is a Git LFS pointer of {path.stat().st_size} bytes, not the weights: fetch them with git lfs pull"
            )
    try:
        state: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path.name} cannot be read: {_first_lines(error)}") from error
    except Exception as error:  # torch raises many kinds for a broken file
        raise ModelError(f"{path.name} is no checkpoint of weights alone: {_first_lines(error)}") from error
    state = next(
        (state[key] for key in INSIDE if isinstance(state, Mapping) and isinstance(state.get(key), Mapping)), state
    )
    if not isinstance(state, Mapping):
        raise ModelError(f"{path.name} holds a {type(state).__name__}, not weights by their names")
    return {str(name): values for name, values in state.items() if isinstance(values, Tensor)}


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
