"""The command line: results on stdout, everything else on stderr.

Exit codes: 0 ok; 2 usage (unknown option, method or label); 3 bad input or model (also a file that isn't there); 4 finished
with failures; 5 a verdict that was not to be (`--fail-on`); 130 interrupted.

Nothing heavy is imported before a command runs, so that `earwitness --help` answers at once.
"""

import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import earwitness
from earwitness.cli.speaking import (
    COMPONENTS_HELP,
    EPILOG,
    METHOD_HELP,
    UNTIL_HELP,
    Baseline,
    Clip,
    Device,
    Frontend,
    Jobs,
    Json,
    Model,
    Out,
    Quiet,
    Seed,
    Target,
    errors,
    print_json,
    remark,
    telling,
    watching,
)
from earwitness.cli.studying import study
from earwitness.errors import UsageError

app = typer.Typer(
    name="earwitness",
    help="Explain any audio classifier, hear the explanation, and cross-examine it.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(study)


def main() -> None:
    """The entry point of the console script."""
    app()


def _version(asked: bool) -> None:
    if asked:
        print(f"earwitness {earwitness.__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Explain any audio classifier, hear the explanation, and cross-examine it."""


@app.command("explain", epilog=EPILOG)
def explain_command(
    clip: Clip,
    model: Model,
    frontend: Frontend = None,
    method: Annotated[str, typer.Option(help=METHOD_HELP)] = "sobol",
    target: Target = None,
    components: Annotated[str | None, typer.Option(help=COMPONENTS_HELP)] = None,
    baseline: Baseline = None,
    keep: Annotated[float, typer.Option(help="The share of the components that is kept to be heard.")] = 0.2,
    match_level: Annotated[bool, typer.Option("--match-level", help="Write sounds as loud as the clip.")] = False,
    at: Annotated[float | None, typer.Option(help="Explain the window that starts at this second.")] = None,
    windows: Annotated[bool, typer.Option("--windows", help="Explain the whole recording, window by window.")] = False,
    out: Out = Path("why"),
    seed: Seed = None,
    until: Annotated[str | None, typer.Option(help=UNTIL_HELP)] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain what a classifier says to a recording: a map, a picture, what is kept and what is removed as sounds."""
    with telling(), watching(quiet):
        from earwitness.studies import jobs

        job = jobs.make_job(
            model, method, target, components, baseline,
            keep=keep, match_level=match_level, seed=seed, until=until, device=device, frontend=frontend,
        )  # fmt: skip
        explanations, record = jobs.run_recording(job, clip, out, at, windows, lambda line: remark(line, quiet))
        show(explanations, record, out, as_json)
        if any(explanation.stopped == "interrupted" for explanation in explanations):
            raise typer.Exit(130)
        if record.get("failures"):
            raise typer.Exit(4)


def show(explanations: list, record: dict[str, Any], out: Path, as_json: bool) -> None:
    """The results on stdout: one JSON object, or a summary in words."""
    if as_json:
        print_json(record)
    elif explanations:
        from earwitness.studies.summaries import summary

        print("\n".join(summary(explanations[0], record, out)))
    else:
        print(f"{len(record['windows'])} windows explained, {len(record['failures'])} failed: {out}")


@app.command("verify", epilog=EPILOG)
def verify_command(
    clip: Clip,
    model: Model,
    frontend: Frontend = None,
    method: Annotated[str, typer.Option(help=METHOD_HELP)] = "sobol",
    target: Target = None,
    components: Annotated[str | None, typer.Option(help=COMPONENTS_HELP)] = None,
    baseline: Baseline = None,
    at: Annotated[float | None, typer.Option(help="Verify the window that starts at this second.")] = None,
    out: Out = Path("verdict"),
    seed: Seed = None,
    until: Annotated[str | None, typer.Option(help=UNTIL_HELP)] = None,
    fail_on: Annotated[
        str | None, typer.Option(help='Exit with 5 for this outcome or a worse one: "can\'t tell" or "does not stand".')
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain a recording and cross-examine the explanation: does it stand against random maps of its own shape?"""
    with telling(), watching(quiet):
        from earwitness.reports.charts import plot_picture
        from earwitness.studies import cross_examining, jobs

        failing = () if fail_on is None else cross_examining.failing(fail_on)
        job = jobs.make_job(
            model, method, target, components, baseline, seed=seed, until=until, device=device, frontend=frontend
        )
        verdict, record = cross_examining.cross_examine(job, clip, out, at, seed or 0, lambda line: remark(line, quiet))
        if verdict.tests:
            plot_picture(verdict.picture(), out / "verdict.png")
        if as_json:
            print_json(record)
        else:
            print(f"{record['method']}, {record['target']}: {verdict}")
            print(f"all of it: {out}")
        if verdict.outcome in failing:
            raise typer.Exit(5)


@app.command("methods")
def methods_command(as_json: Json = False) -> None:
    """List the methods, the ways to cut a clip, and the metrics."""
    with telling():
        from earwitness.studies.listing import everything

        found = everything()
        if as_json:
            print_json(found)
            return
        for rows in found.values():
            print_table(rows)


@app.command("layers")
def layers_command(model: Model, frontend: Frontend = None, as_json: Json = False) -> None:
    """List the layers of a model that one can ask about: --components units:LAYER."""
    with telling():
        from earwitness.classifiers import load_classifier
        from earwitness.studies.listing import layers_of

        rows = layers_of(load_classifier(model, frontend=frontend))
        print_json({"layers": rows}) if as_json else print_table(rows)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Rows of the same fields, on stdout."""
    table = Table(*(head.replace("_", " ") for head in rows[0]))
    for row in rows:
        cells = (", ".join(map(str, cell)) if isinstance(cell, list) else str(cell) for cell in row.values())
        table.add_row(*map(escape, cells))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


@app.command("compare", epilog=EPILOG)
def compare_command(
    model: Model,
    clips: Annotated[
        Path, typer.Option(help="A folder of recordings or of classes, or a table (path, label) of them.")
    ],
    methods: Annotated[str, typer.Option(help="With commas: sobol,lime:samples=512,saliency.")] = "sobol,saliency",
    metrics: Annotated[str, typer.Option(help="With commas: deletion,insertion:steps=16.")] = "deletion,insertion",
    frontend: Frontend = None,
    target: Annotated[
        str | None, typer.Option(help='A label, or "a - b"; each clip\'s predicted label if left out.')
    ] = None,
    components: Annotated[str | None, typer.Option(help=COMPONENTS_HELP)] = None,
    out: Out = Path("comparison"),
    seed: Seed = None,
    jobs: Jobs = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many clips.")] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare methods over a data set by metrics, beside controls. The same command again goes on where it was stopped."""
    with telling(resumes=True):
        from earwitness.progress_bars import bar
        from earwitness.reports.folders import write_folder
        from earwitness.studies import comparing_words as words

        with nullcontext(None) if quiet else bar("comparing", errors) as advance:
            found = words.compare_words(
                model, clips, methods, metrics, out, components=components, target=target, seed=seed, jobs=jobs,
                limit=limit, device=device, frontend=frontend, progress=advance,
            )  # fmt: skip
        list(
            write_folder(words.front_page(shlex.join(["earwitness", *sys.argv[1:]]), found), words.sections(found), out)
        )
        for note in (*found.notes, *words.reasons(found)):
            remark(note, quiet)
        if as_json:
            print_json(words.as_record(found, out))
        else:
            print(f"{found}\n\nthe page: {out / 'README.md'}")
        if len(found.failures):
            raise typer.Exit(4)


@app.command("train", epilog=EPILOG)
def train_command(
    name: Annotated[
        str,
        typer.Argument(help="tones, esc10, esc50, fsdd, speech_commands, speech_commands_ast, folder, or manifest."),
    ],
    out: Out,
    data: Annotated[Path | None, typer.Option(help="The folder (or CSV manifest) of the data set.")] = None,
    held_out: Annotated[str | None, typer.Option(help="The fold or split that is not trained on.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data; each data set has its default.")
    ] = None,
    seed: Seed = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the classifier that lies in the folder.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a small classifier. A run that was stopped goes on where it was when the same command is given again."""
    with telling(resumes=True):
        from earwitness.progress_bars import bar
        from earwitness.studies.recipes import train

        if (out / "config.json").exists() and not force:
            raise UsageError(f"{out} holds a classifier already: choose another folder, or --force to replace it")

        with nullcontext(None) if quiet else bar(f"training {name}", errors) as advance:

            def told(epoch: int, of: int, record: dict[str, float]) -> None:
                figures = ", ".join(f"{key} {value:.3f}" for key, value in record.items() if key != "epoch")
                remark(f"epoch {epoch} of {of}: {figures}", quiet)
                if advance is not None:
                    advance(1, of)

            figures = train(name, data, out, epochs=epochs, seed=seed, held_out=held_out, progress=told)
        if as_json:
            print_json({"name": name, "model": str(out), **figures})
        else:
            print(f"model: {out}")
            for key, value in figures.items():
                print(f"{key}: {value:.4g}" if isinstance(value, float) else f"{key}: {value}")


@app.command("demo", epilog=EPILOG)
def demo_command(
    clip: Annotated[Path | None, typer.Option(help="Explain this recording instead of the synthetic scene.")] = None,
    model: Annotated[Path | None, typer.Option("--model", "-m", help="The folder of a classifier.")] = None,
    out: Out = Path("demo"),
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain a synthetic scene whose true cause is known, with a small model that comes with the project."""
    with telling(), watching(quiet):
        from earwitness.studies.demonstration import demo

        explanation, record = demo(clip, model, out, seed=seed or 0)
        if not as_json:
            print("\n".join(record["story"]))
        show([explanation], record, out, as_json)
