"""The lab as a notebook: its cells are short, it opens, and it runs from top to bottom with the answers that it promises."""

import ast
import json
import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile

SCRIPT = Path(__file__).parents[2] / "examples" / "sobol_lab.py"
MARKS = {"# %%": "code", "# %% [markdown]": "markdown"}
LONGEST = 15  # lines of code in a cell
METHODS = "Sobol", "random"
QUESTIONS = [f"Q{number}." for number in range(1, 13)]


def cells(text: str) -> list[tuple[str, list[str]]]:
    """The cells of a percent script: what each is, and its lines without blank ones around them."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("# %%"):
            found.append((MARKS[line], []))
        else:
            found[-1][1].append(line)
    return [(kind, "\n".join(lines).strip("\n").split("\n")) for kind, lines in found]


def notebook(text: str) -> dict:
    """The same as an nbformat 4 notebook, as jupytext makes it: markdown without its comment signs, code as it stands."""
    made = []
    for kind, lines in cells(text):
        if kind == "markdown":
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        source = [f"{line}\n" for line in lines[:-1]] + lines[-1:]
        outputs = {"execution_count": None, "outputs": []} if kind == "code" else {}
        made.append({"cell_type": kind, "metadata": {}, "source": source, **outputs})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}


@pytest.fixture(scope="module")
def text() -> str:
    return SCRIPT.read_text(encoding="utf-8")


def test_every_cell_is_short_and_whole(text: str) -> None:
    for kind, lines in cells(text):
        code = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if kind == "markdown":
            assert code == [] and lines != [""]
        else:
            assert 0 < len(code) <= LONGEST, "\n".join(lines)
            ast.parse("\n".join(lines))


def test_it_opens_as_a_notebook(text: str) -> None:
    made = json.loads(json.dumps(notebook(text)))["cells"]
    assert made[0]["cell_type"] == "markdown" and made[0]["source"][0].startswith("# Sobol attribution")
    kinds = [(kind, len(list(run))) for kind, run in groupby(made, lambda cell: cell["cell_type"])]
    assert max(count for kind, count in kinds if kind == "code") <= 3  # text never lags far behind
    for cell in made:
        assert all(line.endswith("\n") for line in cell["source"][:-1]) and not cell["source"][-1].endswith("\n")
        assert ("outputs" in cell) == ("execution_count" in cell) == (cell["cell_type"] == "code")
    code = "".join("".join(cell["source"]) + "\n" for cell in made if cell["cell_type"] == "code")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(text))  # nothing is lost on the way


def test_it_asks_the_questions_of_the_course(text: str) -> None:
    asked = [lines[0] for kind, lines in cells(text) if kind == "markdown" and lines[0].startswith("# **Q")]
    assert [line.split("**")[1].split()[0] for line in asked] == QUESTIONS


def test_it_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """One test, since the run is what costs: as one would start it, but quickly."""
    environment = os.environ | {
        "EARWITNESS_QUICK": "1", "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::RuntimeWarning",
    }  # fmt: skip
    command = [sys.executable, "-B", str(SCRIPT)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert SCRIPT.name not in done.stderr  # no warning about a line of ours

    (accuracy,) = numbers(r"accuracy on clips that it has not seen: ([\d.]+)", done.stdout)
    assert accuracy >= 0.9
    sobol, chance = (numbers(rf"{name}: pointing game ([\d.]+), deletion (\S+)", done.stdout) for name in METHODS)
    assert sobol[0] > chance[0] and sobol[1] < chance[1]

    (folder,) = tmp_path.iterdir()  # it writes nowhere but where it says
    assert folder.name == "sobol-lab-notebook"
    assert {path.suffix for path in folder.iterdir()} == {".png", ".wav"}
    clip, kept, removed = (soundfile.read(folder / f"{name}.wav")[0] for name in ("clip", "kept", "removed"))
    np.testing.assert_allclose(kept + removed, clip, atol=2e-4)  # three times rounded to 16 bits


def numbers(pattern: str, printed: str) -> list[float]:
    """The numbers in what was printed, by the pattern around them."""
    match = re.search(pattern, printed)
    assert match, f"no {pattern!r} in\n{printed}"
    return [float(number) for number in match.groups()]
