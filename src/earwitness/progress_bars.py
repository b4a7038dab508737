"""Watching: a progress bar on stderr while a model is being asked.

with ew.progress():
    explanation = ew.explain(classifier, audio, ew.Sobol(designs=256))
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from earwitness.questions import reporting


@contextmanager
def bar(what: str, console: Console | None = None) -> Iterator[Callable[[int, int | None], None]]:
    """A bar that vanishes when done; yields `advance(steps, expected)`. Shown only where stderr is a terminal."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda steps, expected: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(what, total=None)

        def advance(steps: int, expected: int | None) -> None:
            shown.update(task, advance=steps, total=expected)

        yield advance


@contextmanager
def progress(what: str = "asking the model", console: Console | None = None) -> Iterator[None]:
    """Show a bar on stderr while explainers inside ask their model."""
    with bar(what, console) as advance, reporting(advance):
        yield
