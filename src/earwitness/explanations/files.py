"""Explanations on disk: one `.npz` file of arrays and a JSON head, without pickle, written whole or not at all."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

import earwitness
from earwitness.axes import Axis
from earwitness.errors import InputError
from earwitness.explanations.listening import Prediction
from earwitness.writing import appearing

if TYPE_CHECKING:
    from earwitness.explanations.explanation import Explanation

ARRAYS = ("values", "stderr", "signed")


def write(explanation: "Explanation", path: str | os.PathLike) -> None:
    """Everything but the question and the explainer."""
    arrays = {name: getattr(explanation, name) for name in ARRAYS}
    arrays |= {f"others.{name}": array for name, array in explanation.others.items()}
    head = {k: v for k, v in vars(explanation).items() if k not in (*ARRAYS, "others", "question", "explainer")}
    head["axes"] = [asdict(axis) for axis in explanation.axes]
    head["prediction"] = asdict(explanation.prediction) if explanation.prediction else None
    head["version"] = earwitness.__version__
    with appearing(path) as part, part.open("wb") as file:
        np.savez(file, head=np.array(json.dumps(head)), **{k: v for k, v in arrays.items() if v is not None})


def read(path: str | os.PathLike, make: Callable[..., "Explanation"]) -> "Explanation":
    """The explanation that `write` wrote; `make` takes its fields."""
    try:
        with np.load(path, allow_pickle=False) as file:
            head, arrays = json.loads(str(file["head"])), {k: file[k] for k in file.files if k != "head"}
        head.pop("version")
        head["axes"] = tuple(Axis(**axis) for axis in head["axes"])
        head["prediction"] = Prediction(**head["prediction"]) if head["prediction"] else None
        head["warnings"] = tuple(head["warnings"])
        head["others"] = {k.removeprefix("others."): v for k, v in arrays.items() if k.startswith("others.")}
        return make(**head, **{k: v for k, v in arrays.items() if k in ARRAYS})
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, AttributeError) as error:
        raise InputError(f"{path} is not an explanation that earwitness saved: {error}") from error
