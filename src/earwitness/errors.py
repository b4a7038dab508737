"""What can go wrong, in words that say what was asked, what came, and what to do.

Every error that earwitness raises on purpose is an `EarwitnessError`. Its class fixes the exit code of the command line:

| error | exit code | meaning |
|---|---|---|
| `UsageError` | 2 | an unknown option, method, label, or a combination that makes no sense |
| `InputError` | 3 | a recording or data set that cannot be used |
| `ModelError` | 3 | a classifier that cannot be used |
"""

from collections.abc import Iterable
from difflib import get_close_matches
from operator import index
from typing import SupportsFloat, SupportsIndex


class EarwitnessError(Exception):
    """Root of all errors that earwitness raises on purpose."""

    exit_code = 3


class UsageError(EarwitnessError, ValueError):
    """What was asked makes no sense: an unknown name, an option out of its range."""

    exit_code = 2


class InputError(EarwitnessError, ValueError):
    """A recording or data set cannot be used."""


class ModelError(EarwitnessError):
    """A classifier cannot be used: wrong shape, missing file, no gradient."""


def unknown(what: str, asked: object, known: Iterable[object]) -> UsageError:
    """The error for a name that nobody knows, with the nearest names that somebody does."""
    names = [str(name) for name in known]
    near = get_close_matches(str(asked), names, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
    return UsageError(f"unknown {what} {asked!r}. {hint}")


def positive(**options: object) -> None:
    """Raise a `UsageError` for the first option that is not a number above 0 (or None)."""
    for name, value in options.items():
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, SupportsFloat) or not float(value) > 0
        ):
            raise UsageError(f"{name} must be a number above 0, not {value!r}")


def whole(*, least: int = 1, **options: object) -> None:
    """Raise a `UsageError` for the first option that is not a whole number, `least` or more (or None)."""
    for name, value in options.items():
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, SupportsIndex) or index(value) < least
        ):
            wanted = "above 0" if least == 1 else f"{least} or more"
            raise UsageError(f"{name} must be a whole number {wanted}, not {value!r}")
