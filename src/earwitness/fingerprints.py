"""SHA-256 fingerprints of anything that is stored or compared: class names, fields, arrays, state dicts; never `repr`.

Two objects have the same fingerprint if, and practically only if, they have the same content.
"""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


def fingerprint(thing: Any) -> str:
    """64 hexadecimal digits.

    thing: None, numbers, strings, arrays, tensors, paths (by their text), sequences, mappings, dataclasses, modules (by
        the class and constructor arguments of every part, and their state), functions (by their code, defaults and what
        they close over; not by globals that they use), other objects by their attributes.
    Raises `TypeError` for anything else.
    """
    digest = hashlib.sha256()
    _feed(digest, thing)
    return digest.hexdigest()


def arguments(thing: object) -> dict[str, Any]:
    """The constructor arguments of an object that keeps each as an attribute of the same name."""
    names = [name for name in inspect.signature(type(thing).__init__).parameters if name != "self"]
    return {name: getattr(thing, name) for name in names if hasattr(thing, name)}


def _feed(digest, thing: Any, inside: tuple[int, ...] = ()) -> None:
    """inside: the identities of the objects that the thing is a part of, so that one which holds itself comes to an end."""
    digest.update(f"<{type(thing).__module__}.{type(thing).__qualname__}>".encode())
    if thing is None or isinstance(
        thing, str | bytes | int | float | complex | Path | np.generic | torch.dtype | torch.device
    ):
        digest.update(repr(thing).encode())
    elif isinstance(thing, torch.Tensor | np.ndarray):
        digest.update(_array(thing))
    elif isinstance(thing, set | frozenset):
        _feed(digest, sorted(fingerprint(item) for item in thing))
    elif isinstance(thing, list | tuple):
        digest.update(f"{len(thing)}:".encode())
        for item in thing:
            _feed(digest, item, inside)
    elif isinstance(thing, Mapping):
        _feed(digest, [(key, thing[key]) for key in sorted(thing, key=str)], inside)
    elif id(thing) in inside:
        digest.update(f"{len(inside) - inside.index(id(thing))} up".encode())
    else:
        _feed(digest, _content(thing), (*inside, id(thing)))


def _array(array: torch.Tensor | np.ndarray) -> bytes:
    """Type, shape and content."""
    kind = str(array.dtype)
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().contiguous()
        array = (array.view(torch.int16) if array.dtype == torch.bfloat16 else array).numpy()  # numpy has no bfloat16
    return f"{kind}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()


def _content(thing: Any) -> Any:
    """What an object is made of, in simpler things."""
    if isinstance(thing, nn.Module):
        parts = [(name, type(part).__qualname__, _simple(part)) for name, part in thing.named_modules()]
        return parts, dict(thing.state_dict())
    if is_dataclass(thing) and not isinstance(thing, type):
        return {f.name: getattr(thing, f.name) for f in fields(thing)}
    if isinstance(thing, partial):
        return thing.func, thing.args, thing.keywords
    if inspect.ismethod(thing):
        return thing.__self__, thing.__func__
    if inspect.isfunction(thing):
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        return thing.__code__, thing.__defaults__, thing.__kwdefaults__, [cell for cell in cells if cell is not thing]
    if inspect.iscode(thing):
        return thing.co_code, thing.co_names, thing.co_consts
    if inspect.isbuiltin(thing) or isinstance(thing, type | np.ufunc):
        return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', thing)}"
    return vars(thing)


def _simple(part: nn.Module) -> dict[str, Any]:
    """The constructor arguments that are not parts or parameters themselves."""
    return {k: v for k, v in arguments(part).items() if not isinstance(v, nn.Module | torch.Tensor)}
