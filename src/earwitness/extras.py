"""Packages that are not always installed, imported when they are needed: the extras of `pip install earwitness[...]`."""

from importlib import import_module
from types import ModuleType

from earwitness.errors import UsageError


def need(module: str, extra: str, what: str) -> ModuleType:
    """A module of an extra. Raises `UsageError`, saying how to install it, where it is missing or broken.

    module: its full name.  extra: which installs it.  what: is asked for, in words.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{what} needs a package that is not here ({error}): pip install earwitness[{extra}]"
        ) from error
