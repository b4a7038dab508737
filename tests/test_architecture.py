"""The shape of the code: who imports whom, how long things are, what is named and explained.

The rows say in which order data flows. A module imports only from rows above its own, and from its own package; the checks
read the source and run nothing. Each is tried on planted mistakes as well: a check that finds nothing has to be able to.
"""

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

PACKAGE = "earwitness"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE

ROWS = (
    ("errors", "fingerprints", "statistics", "numerics", "audio", "axes", "extras", "naming", "writing"),
    ("frontends", "targets", "carrying"),
    ("classifiers", "data", "training"),
    ("components", "attacks"),
    ("questions",),
    ("explanations", "progress_bars"),
    ("explainers", "metrics"),
    ("checks", "studies"),
    ("reports",),
    ("cli", "__main__"),
)
ROW = {part: row for row, parts in enumerate(ROWS) for part in parts}
EVERYWHERE = ("errors", "writing")  # the modules of the first row that the others in it build on
LONERS = ("explainers", "metrics")  # one method or experiment per file: a file imports its base and never a sibling
EXCEPTIONS = (  # plotting is asked of the result: `plot` reaches down, inside the function
    ("explanations.explanation", "reports.figures"),
    ("studies.comparison", "reports.charts"),
)
LAZY = ("cli", "__main__")  # whose functions may import what they need when they run
ONLY_IN = {
    "matplotlib": lambda name: name.split(".")[0] == "reports",
    "soundfile": lambda name: name == "audio",
    "transformers": lambda name: name == "classifiers.hub",
    "typer": lambda name: name.split(".")[0] == "cli",
    "torchaudio": lambda name: False,
    "torchvision": lambda name: False,
    "pickle": lambda name: False,
}
CENTRAL = {
    "classifiers.base": "Classifier",
    "questions.base": "Question",
    "questions.audio": "AudioQuestion",
    "explanations.explanation": "Explanation",
    "explainers.base": "Explainer",
    "components.base": "Components",
    "audio": "Audio",
}
MOST_FILE, MOST_FUNCTION, MOST_CENTRAL, MOST_SOBOL = 400, 40, 60, 15
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Source:
    """One module: its name below the package ("" for the package itself) and its text."""

    name: str
    text: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def part(self) -> str:
        """The word that stands in the rows."""
        return self.name.split(".")[0]

    @property
    def home(self) -> str:
        """The package that the module lies in, or is."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def read_sources() -> list[Source]:
    sources = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        package = parts[-1] == "__init__"
        sources.append(Source(".".join(parts[:-1] if package else parts), path.read_text(encoding="utf-8"), package))
    return sources


SOURCES = read_sources()
NAMES = {source.name for source in SOURCES}
BY_NAME = {source.name: source for source in SOURCES}


@dataclass(frozen=True)
class Import:
    """One imported module: its full name, the line, and whether it stands inside a function."""

    module: str
    line: int
    inside: bool

    @property
    def ours(self) -> str | None:
        """The name below the package, or None for somebody else's module."""
        first, _, rest = self.module.partition(".")
        return rest if first == PACKAGE else None


def imports(source: Source, known: set[str]) -> Iterator[Import]:
    """What a module imports; `TYPE_CHECKING` blocks aside."""

    def walk(node: ast.AST, inside: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from walk(child, inside)
            return
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, inside) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                deeper = f"{module}.{alias.name}"
                is_module = deeper.removeprefix(f"{PACKAGE}.") in known and deeper.startswith(PACKAGE)
                yield Import(deeper if is_module else module, node.lineno, inside)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside or isinstance(node, FUNCTION))

    yield from walk(source.tree, False)


def import_faults(source: Source, known: set[str]) -> list[str]:
    """Every import that breaks the order of the rows, or stands where it may not."""
    faults = []
    if source.name and source.part not in ROW:
        faults.append(f"{source.name}: which row does it belong to? Say so in ROWS")
    for found in imports(source, known):
        fault = import_fault(source, found)
        if fault and (source.name, found.ours) not in EXCEPTIONS:
            faults.append(f"{source.name}:{found.line} imports {found.module}: {fault}")
        elif (source.name, found.ours) in EXCEPTIONS and not found.inside:
            faults.append(f"{source.name}:{found.line} may import {found.module} inside a function only")
    return faults


def import_fault(source: Source, found: Import) -> str | None:
    """What is wrong with one import, if anything is."""
    if found.module.startswith("."):
        return "relative; write the full name"
    if found.inside and source.part not in LAZY:
        return "inside a function; imports stand at the top"
    ours = found.ours
    if ours is None:
        allowed = ONLY_IN.get(found.module.split(".")[0])
        return "not here" if allowed and not allowed(source.name) else None
    part = ours.split(".")[0]
    if not part or not source.name or part in EVERYWHERE:
        return None
    if part != source.part:
        above = ROW.get(part, len(ROWS)) < ROW.get(source.part, -1)
        return None if above else "not in a row above"
    if part in LONERS and not source.is_package and ours.split(".")[-1] != "base":
        return "a sibling; share through the base, numerics or another row"
    return None


def code_lines(source: Source, node: ast.AST) -> int:
    """The lines of a definition that hold code: no docstrings, comments or blank lines."""
    skipped: set[int] = set()
    for inner in ast.walk(node):
        if isinstance(inner, (*FUNCTION, ast.ClassDef)) and ast.get_docstring(inner) is not None:
            skipped |= set(range(inner.body[0].lineno, inner.body[0].end_lineno + 1))
    quiet = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type not in quiet:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len((lines - skipped) & set(range(node.lineno, node.end_lineno + 1)))


def definitions(source: Source, kinds: type | tuple[type, ...]) -> list:
    return [node for node in ast.walk(source.tree) if isinstance(node, kinds)]


def definition(source: Source, name: str) -> ast.AST:
    return next(node for node in definitions(source, (*FUNCTION, ast.ClassDef)) if node.name == name)


def length_faults(source: Source) -> list[str]:
    """Files and functions that are longer than a reader's patience."""
    lengths = [(node.name, code_lines(source, node)) for node in definitions(source, FUNCTION)]
    faults = [f"{source.name}.{name}: {n} lines of code" for name, n in lengths if n > MOST_FUNCTION]
    lines = len(source.text.splitlines())
    return faults if lines <= MOST_FILE else [f"{source.name}: {lines} lines", *faults]


def docstring_faults(source: Source) -> list[str]:
    """The module's preface and the docstrings of its public functions and classes."""
    nodes = [node for node in source.tree.body if isinstance(node, (*FUNCTION, ast.ClassDef)) and node.name[0] != "_"]
    faults = [] if ast.get_docstring(source.tree) else [f"{source.name or PACKAGE}: no preface"]
    return faults + [f"{source.name}.{node.name}: no docstring" for node in nodes if not ast.get_docstring(node)]


def name_faults(sources: list[Source]) -> list[str]:
    """Modules with the name of a public function: `from package import name` would mean either."""
    functions = {
        node.name: source.name
        for source in sources
        for node in source.tree.body
        if isinstance(node, FUNCTION) and node.name[0] != "_"
    }
    return [
        f"module {source.name} and function {functions[name]}.{name}"
        for source in sources
        if (name := source.name.split(".")[-1]) in functions
    ]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name or PACKAGE)
class TestEveryModule:
    def test_it_imports_only_from_the_rows_above(self, source: Source) -> None:
        assert import_faults(source, NAMES) == []

    def test_it_is_short(self, source: Source) -> None:
        assert length_faults(source) == []

    def test_it_has_a_preface_and_docstrings(self, source: Source) -> None:
        assert docstring_faults(source) == []


def test_no_module_has_the_name_of_a_public_function() -> None:
    assert name_faults(SOURCES) == []


@pytest.mark.parametrize(("module", "name"), CENTRAL.items())
def test_the_central_classes_are_short(module: str, name: str) -> None:
    assert code_lines(BY_NAME[module], definition(BY_NAME[module], name)) <= MOST_CENTRAL


def test_sobol_is_a_few_lines_of_idea() -> None:
    source = BY_NAME["explainers.sobol"]
    assert code_lines(source, definition(source, "answer")) <= MOST_SOBOL


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("audio", "from earwitness.axes import Axis", "not in a row above"),
        ("audio", "from earwitness import questions", "not in a row above"),
        ("components.cells", "import earwitness.questions.base", "not in a row above"),
        ("explainers.sobol", "from earwitness.explainers.saliency import Saliency", "a sibling"),
        ("explainers.sobol", "from earwitness.explainers import Saliency", "a sibling"),
        ("metrics.deletion", "from earwitness.explainers import Sobol", "not in a row above"),
        ("explainers.sobol", "from .base import Explainer", "relative"),
        ("components.grid", "def cut():\n    import numpy", "inside a function"),
        ("explanations.explanation", "from earwitness.reports.figures import plot", "inside a function only"),
        ("studies.demo", "import matplotlib.pyplot as plt", "not here"),
        ("data.readers", "import soundfile", "not here"),
        ("frontends.mel", "from torchaudio import transforms", "not here"),
        ("reports.page", "def draw():\n    def inner():\n        import numpy", "inside a function"),
        ("surprise", "import numpy", "which row"),
    ],
)
def test_a_bad_import_is_found(name: str, text: str, fault: str) -> None:
    (found,) = import_faults(Source(name, text), NAMES)
    assert fault in found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("audio", "from earwitness.errors import InputError"),
        (
            "explainers.sobol",
            "from earwitness.explainers.base import Explainer\nfrom earwitness.numerics import designs",
        ),
        ("explanations.explanation", "def plot():\n    from earwitness.reports.figures import plot_explanation"),
        ("axes", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from earwitness.questions import Question"),
        ("cli", "def run():\n    from earwitness.studies import jobs"),
        ("reports.figures", "from matplotlib.figure import Figure"),
        ("classifiers.hub", "import transformers"),
        ("components.cells", "from earwitness.components.baselines import baseline_sounds"),
    ],
)
def test_a_good_import_passes(name: str, text: str) -> None:
    assert import_faults(Source(name, text), NAMES) == []


def test_lengths_count_code_and_nothing_else() -> None:
    body = "".join(f"    x{i} = 1  # one\n\n    # a comment\n" for i in range(MOST_FUNCTION - 1))
    text = f'"""A preface."""\n\n\ndef long():\n    """Several\n\n    lines.\n    """\n{body}'
    source = Source("axes", text)
    assert code_lines(source, definition(source, "long")) == MOST_FUNCTION
    assert length_faults(source) == []
    assert length_faults(Source("axes", text + "    y = 1\n")) == [f"axes.long: {MOST_FUNCTION + 1} lines of code"]
    assert length_faults(Source("axes", "\n" * (MOST_FILE + 1))) == [f"axes: {MOST_FILE + 1} lines"]


def test_what_is_unexplained_or_ambiguous_is_found() -> None:
    assert docstring_faults(Source("axes", "def f(): ...")) == ["axes: no preface", "axes.f: no docstring"]
    assert docstring_faults(Source("axes", '"""A preface."""\ndef _f(): ...')) == []
    assert name_faults([Source("studies.demo", "def demo(): ...")]) == [
        "module studies.demo and function studies.demo.demo"
    ]


HEAVY = ("torch", "numpy", "scipy", "pandas", "matplotlib", "soundfile", "typer", "rich")
LOOK = """
import sys
before = set(sys.modules)
import earwitness
print(*sorted(set(sys.modules) - before))
"""


def test_the_package_comes_without_its_weight() -> None:
    """`import earwitness` brings one module of ours and few others, none of the heavy ones."""
    loaded = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.split(".")[0] == PACKAGE] == [PACKAGE]
    assert not {name.split(".")[0] for name in loaded} & set(HEAVY)
    assert len(loaded) < 40


def test_every_public_name_is_there() -> None:
    import earwitness

    assert [name for name in earwitness.__all__ if not hasattr(earwitness, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = earwitness.nothing
