"""What is handed to others: it installs anywhere, pins what it needs, and tells nothing about the machine it was made on."""

import importlib.metadata as metadata
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import earwitness

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FORBIDDEN = ("torchaudio", "torchvision")  # their wheels need a CUDA build of torch
# in pieces, so that this file passes too
PLACES = re.compile(
    r"(?:^|[^\w.~/-])/(?:" + "|".join(("work", "root", "opt", "home", "farm", "Users", "mnt")) + r")(?:/|\b)"
)
REGISTRIES = re.compile(
    "|".join(("py" + "pi", "python" + "hosted", "index" + "-url", "find" + "-links")), re.IGNORECASE
)


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def requirements() -> list[Requirement]:
    """Everything that pyproject.toml names: the core, the extras, the groups."""
    project = PROJECT["project"]
    named = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    return [Requirement(text) for part in named for text in part]


def closure(name: str, extras: frozenset[str]) -> set[str]:
    """The names of all packages that a package brings, as far as they are installed here."""
    found, waiting = set(), [(canonicalize_name(name), extras)]
    while waiting:
        package, chosen = waiting.pop()
        if (package, chosen) in found:
            continue
        found.add((package, chosen))
        try:
            texts = metadata.requires(package) or []
        except metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, texts):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *chosen)):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return {package for package, _ in found}


def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: no list of the files that are handed out")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def tells(text: str) -> list[str]:
    """The lines that name a place on one machine, or a registry of packages."""
    return [line.strip() for line in text.splitlines() if PLACES.search(line) or REGISTRIES.search(line)]


def test_constraints_are_public_versions() -> None:
    assert [f"{name}=={version}" for name, version in pins().items() if version.local] == []
    assert pins()["torch"] == Version("2.13.0")


def test_constraints_hold_no_cuda_packages_and_nothing_forbidden() -> None:
    assert [name for name in pins() if name.startswith(("nvidia", "cuda", "triton")) or name in FORBIDDEN] == []


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_what_is_required_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    pinned = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pinned), f"{requirement} and {pinned}"


def test_nothing_brings_what_is_forbidden() -> None:
    brought = closure("earwitness", frozenset(PROJECT["project"]["optional-dependencies"]))
    assert "numpy" in brought  # it is looked for where it can be found
    assert brought & set(FORBIDDEN) == set()


def test_what_is_brought_is_pinned() -> None:
    installed = {canonicalize_name(d.metadata["Name"]) for d in metadata.distributions()}
    brought = closure("earwitness", frozenset({"test"})) & installed
    unpinned = brought - set(pins()) - {"earwitness", "pip", "setuptools", "wheel"}
    assert {name for name in unpinned if not name.startswith(("nvidia", "cuda", "triton"))} == set()


def test_no_file_tells_about_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {line[:120]}" for line in tells(text)]
    assert found == []


@pytest.mark.parametrize(
    "text", ["see /" + "work/data", 'open("/' + 'root/x")', "pip --index" + "-url x", "from Py" + "PI"]
)
def test_a_tell_is_found(text: str) -> None:
    assert tells(text) == [text]


@pytest.mark.parametrize("text", ["../shared/data", "#!/usr/bin/env bash", "kept/removed", "at work/play", "~/opt/x"])
def test_a_plain_line_tells_nothing(text: str) -> None:
    assert tells(text) == []


def test_the_version_is_said_once_everywhere() -> None:
    assert metadata.version("earwitness") == earwitness.__version__
    assert f"\nversion: {earwitness.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {earwitness.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", ["setup", "demo", "test", "references", "studies", "bench", "lock", "lint"])
def test_make_knows_its_targets(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=True)
