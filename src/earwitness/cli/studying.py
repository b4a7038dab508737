"""The studies as commands: `earwitness study NAME`."""

import json
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from earwitness.cli.speaking import (
    EPILOG,
    Frontend,
    Jobs,
    Json,
    Model,
    Out,
    Quick,
    Quiet,
    Seed,
    Target,
    errors,
    remark,
    telling,
    watching,
)

study = typer.Typer(
    name="study", help="Published studies, each run as one command.", no_args_is_help=True, epilog=EPILOG
)


@study.command("sobol-lab", epilog=EPILOG)
def sobol_lab_command(
    out: Out = Path("sobol-lab"),
    quick: Quick = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 225,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A course on Sobol attribution for audio: its steps run, its questions answered with measurements.

    The folder holds README.md with its pictures, tables (CSV) and sounds. Each section is written when it is done.
    """
    with telling(), watching(quiet):
        from earwitness.studies import sobol_lab

        settings = sobol_lab.settings_for(quick, seed)
        found = sobol_lab.chapters(settings, lambda line: remark(line, quiet))
        record = {"study": "sobol-lab", "seed": seed, "quick": quick, "out": str(out)}
        write_study(sobol_lab.front_page(settings), found, record, as_json)


@study.command("truth", epilog=EPILOG)
def truth_command(
    out: Out = Path("truth"), quick: Quick = False, seed: Seed = 0, jobs: Jobs = 1, as_json: Json = False, quiet: Quiet = False,
    data: Annotated[Path | None, typer.Option(envvar="EARWITNESS_DATA", help="The folder of the recordings.")] = None,
) -> None:  # fmt: skip
    """All methods on clips whose true cause is known, since it was planted. The same command goes on where it was stopped."""
    with telling(resumes=True):
        from earwitness.progress_bars import bar
        from earwitness.studies import truth

        with nullcontext(None) if quiet else bar("explaining", errors) as advance:
            found = truth.run_words(out, quick, seed or 0, data, jobs, lambda line: remark(line, quiet), advance)
        write_study(found.page, found.sections, found.record, as_json)
        if found.record["failures"]:
            raise typer.Exit(4)


@study.command("wavlm", epilog=EPILOG)
def wavlm_command(
    out: Out = Path("wavlm"), quick: Quick = False, seed: Seed = 0, jobs: Jobs = 1, as_json: Json = False, quiet: Quiet = False,
    data: Annotated[Path | None, typer.Option(
        envvar="EARWITNESS_DATA", help="The folder of the recordings; with --model your own, or one recording.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Explain this model: its folder, or an id.")] = None,
    head: Annotated[Path | None, typer.Option(help="With --model: the weights of a classifier head for a backbone.")] = None,
    labels: Annotated[str | None, typer.Option(help="The classes of --head: happy,sad,...")] = None,
    target: Target = None,
    limit: Annotated[int, typer.Option(min=1, help="With --model: only so many recordings.")] = 100,
    layer: Annotated[int | None, typer.Option(min=0, help="A transformer layer, from 0, whose neurons are explained.")] = None,
) -> None:  # fmt: skip
    """GradientSHAP for WavLM: frames and neurons of spoken words, checked. The same command goes on where it was stopped."""
    with telling(resumes=True):
        from earwitness.progress_bars import bar
        from earwitness.studies import wavlm

        with nullcontext(None) if quiet else bar("explaining", errors) as advance:
            front, sections = wavlm.from_words(
                out, data, quick, seed or 0, model=model, head=head, labels=labels, target=target, limit=limit, layer=layer,
                jobs=jobs, say=lambda line: remark(line, quiet), progress=advance,
                command=shlex.join(["earwitness", *sys.argv[1:]]),
            )  # fmt: skip
            record = {"study": "wavlm", "seed": seed or 0, "quick": quick, "out": str(out), "model": model}
            write_study(front, sections, record, as_json)


@study.command("emotion", epilog=EPILOG)
def emotion_command(
    out: Out = Path("emotion"), quick: Quick = False, seed: Seed = 0, jobs: Jobs = 1, as_json: Json = False, quiet: Quiet = False,
    data: Annotated[Path | None, typer.Option(envvar="EARWITNESS_DATA", help="The folder of the recordings; with --model your "
        "own: X_test.npy, y_test.npy and label_map.json, class folders, or a metadata.csv.")] = None,
    model: Annotated[Path | None, typer.Option("--model", "-m", help="Ask this model: its folder, a checkpoint of a ResNet18 "
        "with torchvision's names, or a folder of these, of which the newest is taken.")] = None,
    frontend: Frontend = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Clips of each emotion that are explained.")] = None,
) -> None:  # fmt: skip
    """Explanations of speech emotion, compared and verified. The same command goes on where it was stopped."""
    with telling(resumes=True):
        from earwitness.progress_bars import bar
        from earwitness.studies import emotion

        with nullcontext(None) if quiet else bar("explaining", errors) as advance:
            front, sections = emotion.from_words(
                out, data, quick, seed or 0, model=model, frontend=frontend, limit=limit, jobs=jobs,
                say=lambda line: remark(line, quiet), progress=advance, command=shlex.join(["earwitness", *sys.argv[1:]]),
            )  # fmt: skip
            record = {"study": "emotion", "seed": seed or 0, "quick": quick, "out": str(out)}
            record |= {"model": None if model is None else str(model)}
            write_study(front, sections, record, as_json)


@study.command("lab", epilog=EPILOG)
def lab_command(
    data: Annotated[Path, typer.Option(
        help="Class folders, a folder or table with path and label, a folder without labels, or mixtures with their events.")],
    model: Model,
    out: Out = Path("lab"), quick: Quick = False, seed: Seed = 0, jobs: Jobs = 1, as_json: Json = False, quiet: Quiet = False,
    grids: Annotated[str | None, typer.Option(help="Rows and columns of the maps that are compared: 4,8,12.")] = None,
    designs: Annotated[str | None, typer.Option(help="Designs of the maps that are compared: 16,64,256.")] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="Recordings that are explained and shown.")] = None,
    target: Target = None, frontend: Frontend = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many recordings, evenly from all labels.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.01, help="Only so much of each, from its beginning.")] = None,
    group: Annotated[str | None, typer.Option(help="Only this fold, split or group: what the model has not seen.")] = None,
    known_only: Annotated[bool, typer.Option("--known-only", help="Leave out recordings whose label the model lacks.")] = False,
    credit: Annotated[str, typer.Option(help="Credit of the recordings, for the captions.")] = "",
    sounds: Annotated[bool, typer.Option("--sounds", help="Write what is kept and removed as WAV; look up the licence.")] = False,
) -> None:  # fmt: skip
    """The Sobol lab on recordings and a model of your own. The same command goes on where it was stopped."""
    with telling(resumes=True):
        from earwitness.progress_bars import bar
        from earwitness.studies import own_lab

        with nullcontext(None) if quiet else bar("explaining", errors) as advance:
            front, sections = own_lab.from_words(
                data, model, out, quick=quick, seed=seed or 0, grids=grids, designs=designs, clips=clips, target=target,
                frontend=frontend, limit=limit, seconds=seconds, group=group, known_only=known_only, credit=credit,
                sounds=sounds, jobs=jobs,
                say=lambda line: remark(line, quiet), progress=advance, command=shlex.join(["earwitness", *sys.argv[1:]]),
            )  # fmt: skip
            record = {"study": "lab", "seed": seed or 0, "quick": quick, "out": str(out), "model": str(model)}
            write_study(front, sections, record, as_json)


def write_study(front: Any, sections: Any, record: dict[str, Any], as_json: bool) -> None:
    """The sections of a study as they come, into the folder of its record; their answers on stdout."""
    from earwitness.reports.folders import write_folder

    done = list(write_folder(front, sections, Path(record["out"])))
    answers = {section.name.split("-")[0]: section.answer for section in done if section.answer}
    lines = [
        *(f"{name}: {answer}" for name, answer in answers.items()),
        f"the page: {Path(record['out']) / 'README.md'}",
    ]
    print(json.dumps({**record, "answers": answers}, allow_nan=False) if as_json else "\n".join(lines))
