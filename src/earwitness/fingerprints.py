"""SHA-256 fingerprints of anything that is stored or compared: class names, fields, arrays, state dicts; never `repr`.

Two objects have the same fingerprint if, and practically only if, they have the same content.
"""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


def fingerprint(thing: Any) -> str:
    """64 hexadecimal digits.

    thing: None, numbers, strings, arrays, tensors, paths (by their text), sequences, mappings, dataclasses, modules (by
    class, constructor arguments and state), functions (by source).
    """
    digest = hashlib.sha256()
    _feed(digest, thing)
    return digest.hexdigest()


def arguments(thing: object) -> dict[str, Any]:
    """The constructor arguments of an object that keeps each as an attribute of the same name."""
    names = [name for name in inspect.signature(type(thing).__init__).parameters if name != "self"]
    return {name: getattr(thing, name) for name in names if hasattr(thing, name)}


def _feed(digest, thing: Any) -> None:
    digest.update(f"<{type(thing).__module__}.{type(thing).__qualname__}>".encode())
    if isinstance(thing, torch.Tensor):
        thing = thing.detach().cpu().contiguous().numpy()
    if isinstance(thing, np.ndarray):
        digest.update(f"{thing.dtype.str}{thing.shape}".encode() + np.ascontiguousarray(thing).tobytes())
    elif thing is None or isinstance(thing, str | bytes | int | float | complex | Path | np.generic):
        digest.update(repr(thing).encode())
    elif isinstance(thing, nn.Module):
        simple = {k: v for k, v in arguments(thing).items() if not isinstance(v, nn.Module | torch.Tensor)}
        _feed(digest, simple)
        for name, part in thing.named_modules():
            digest.update(f"{name}:{type(part).__qualname__}".encode())
        for name, value in thing.state_dict().items():
            digest.update(name.encode())
            _feed(digest, value)
    elif is_dataclass(thing):
        _feed(digest, {f.name: getattr(thing, f.name) for f in fields(thing)})
    elif isinstance(thing, Mapping):
        for key in sorted(thing, key=str):
            _feed(digest, key)
            _feed(digest, thing[key])
    elif isinstance(thing, set | frozenset):
        for item in sorted(fingerprint(item) for item in thing):
            digest.update(item.encode())
    elif isinstance(thing, list | tuple):
        digest.update(f"{len(thing)}:".encode())
        for item in thing:
            _feed(digest, item)
    elif callable(thing):
        digest.update(_source(thing))
    else:
        _feed(digest, vars(thing))


def _source(function: Any) -> bytes:
    try:
        return inspect.getsource(function).encode()
    except (OSError, TypeError):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}".encode()
