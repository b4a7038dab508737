"""Files that appear whole or not at all: whoever reads a folder while it is written, or after a full disk, finds no halves."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from earwitness.errors import InputError


@contextmanager
def appearing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield the path to write to; what was written there becomes `path`, in one step, if nothing goes wrong.

    An older file at `path` stays until then. Raises `InputError` where the file can't be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}") from error
    except RuntimeError as error:  # as libraries report a full disk
        raise InputError(f"cannot write {path}: {error} Is the disk full?") from error
    finally:
        with suppress(OSError):
            part.unlink()
