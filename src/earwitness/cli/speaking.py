"""What all commands share: their options, how they speak, and how errors are told.

Results go to stdout, everything else to stderr.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from earwitness.errors import EarwitnessError

EPILOG = "Exit codes: 0 ok, 2 usage, 3 bad input or model, 4 finished with failures, 5 --fail-on, 130 interrupted."
errors = Console(stderr=True, highlight=False)

Clip = Annotated[Path, typer.Argument(help="A recording: wav, flac, ogg, mp3, ...")]
Model = Annotated[Path, typer.Option("--model", "-m", help="The folder of a classifier, or a Hugging Face id.")]
Frontend = Annotated[
    str | None,
    typer.Option(
        "--frontend",
        help="How a sound becomes a picture, for models that look at pictures: linear, mel, erb or cqt, with options: "
        "mel:sample_rate=22050,n_mels=128,height=224,width=224,mean=0.5,std=0.5,duration=30.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results; made if it is not there.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of everything random.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks; errors are still told.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Target = Annotated[str | None, typer.Option(help='A label, or "a - b"; the predicted label if left out.')]
Baseline = Annotated[
    str | None,
    typer.Option(
        help="What replaces a component: silence, noise, zero, uniform, shuffle, mean, flat, minimum, blur, a sound file, or a "
        "folder of them, for the mean over them."
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="A small run, in a minute or two, to see that everything works.")]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that compute.")]
METHOD_HELP = "A method with its options: sobol, sobol:designs=64, saliency, ... (`earwitness methods` lists them)."
UNTIL_HELP = (
    "When a sampling method stops: rank=0.95, precision=0.1, evaluations=20000, seconds=30; the first that is reached."
)
COMPONENTS_HELP = (
    "How to cut the clip: grid:8,8, cells:bands=12,seconds=0.2, segments:0.1, words:phones.csv, stems:folder, ... "
    "(`earwitness methods` lists them)."
)


@contextmanager
def telling(resumes: bool = False) -> Iterator[None]:
    """Errors as one message on stderr and an exit code, never as a traceback.

    resumes: whether the command, given again, goes on where it was stopped.
    """
    try:
        yield
    except EarwitnessError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as interrupt:
        errors.print("interrupted: the same command goes on from here" if resumes else "interrupted")
        raise typer.Exit(130) from interrupt
    except BrokenPipeError as error:  # the reader of our output went away
        sys.stderr.close()
        raise typer.Exit(0) from error
    except OSError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(3) from error


@contextmanager
def watching(quiet: bool) -> Iterator[None]:
    """A bar on stderr while the model is asked."""
    from earwitness.progress_bars import progress

    with nullcontext() if quiet else progress(console=errors):
        yield


def remark(text: str, quiet: bool) -> None:
    """A line on stderr."""
    if not quiet:
        errors.print(escape(text), soft_wrap=True)


def print_json(record: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(record, allow_nan=False))
