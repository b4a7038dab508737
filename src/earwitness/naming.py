"""Names on the command line and in text: classes in kebab case, objects from a line of text, numbers with their nouns.

`Sobol` is "sobol", `KernelSHAP` "kernel-shap", `GradCAM` "grad-cam". Hyper-parameters follow a colon, by place or by name:
"sobol", "sobol:designs=64,estimator=jansen", "grid:8,16", "cells:bands=12,seconds=0.2".
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

from earwitness.errors import UsageError, unknown

T = TypeVar("T")


def kebab(thing: type) -> str:
    """The class name in kebab case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", thing.__name__).lower()


def several(count: int, what: str) -> str:
    """A number with its noun: "1 epoch", "2 epochs"."""
    return f"{count} {what}{'s' if count != 1 else ''}"


def named(classes: Iterable[type[T]]) -> dict[str, type[T]]:
    """Classes by their kebab-case names."""
    return {kebab(thing): thing for thing in classes}


def build(text: str, classes: Iterable[type[T]], what: str, **given: object) -> T:
    """The frozen dataclass that a line of text asks for; `given` are further fields, left out where the class has none.

    Raises `UsageError` for an unknown class (called `what`), an unknown or repeated field, or a value that the class refuses.
    """
    name = text.partition(":")[0]
    known = named(classes)
    if name not in known:
        raise unknown(what, name, known)
    thing = known[name]
    taken = [field for field in fields(cast(Any, thing)) if field.init]
    names = [field.name for field in taken]
    by_place = [field.name for field in taken if not field.kw_only]
    options = {key: value for key, value in given.items() if key in names and value is not None}
    options |= options_in(text, names, by_place)
    try:
        return thing(**options)
    except TypeError as error:
        lacking = [n for n in by_place if n not in options and getattr(thing, n, None) is None]
        needs = (
            f"{name} needs {lacking[0]}: {name}:{lacking[0].upper()}"
            if "missing" in str(error) and lacking
            else str(error)
        )
        raise UsageError(f"{text!r}: {needs}") from error


def options_in(text: str, names: Sequence[str], by_place: Sequence[str]) -> dict[str, object]:
    """The options behind the colon of "name:value,option=value", by their names.

    names: of all options that there are.  by_place: those that may be given without their names, in their order.
    Raises `UsageError` for an unknown option, or too many without a name.
    """
    name, _, rest = text.partition(":")
    options: dict[str, object] = {}
    for place, part in enumerate(part for part in rest.split(",") if part):
        key, equals, value = part.partition("=")
        if not equals:
            if place >= len(by_place):
                raise UsageError(f"{name} takes at most {len(by_place)} values without a name, in {text!r}")
            key, value = by_place[place], part
        if key.strip() not in names:
            raise unknown(f"option of {name}", key.strip(), names)
        options[key.strip()] = _value(value)
    return options


def _value(text: str) -> object:
    """A number, True, False or None where it reads like one; a word otherwise."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()
