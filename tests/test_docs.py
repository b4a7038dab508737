"""What the documentation tells people to type works, in the order in which it stands there; what it points to is there."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from earwitness import checks

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """The code blocks of a page in some languages, with their language, in their order."""
    found = [(match[2], textwrap.dedent(match[3])) for match in FENCE.finditer(page.read_text(encoding="utf-8"))]
    return [block for block in found if block[0] in languages]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with the models of the project in it."""
    if not (ROOT / "models" / "tones" / "config.json").is_file():
        pytest.skip("models/tones is not there: earwitness train tones --out models/tones")
    shutil.copytree(ROOT / "models" / "tones", tmp_path / "models" / "tones")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def walk(page: Path) -> None:
    """Run every block of a page, Python and shell, in the folder where we are."""
    names = {"__name__": page.stem}
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for number, (language, code) in enumerate(blocks(page, "python", "sh")):
        if language == "python":
            exec(compile(code, f"{page.name}, block {number + 1}", "exec"), names)
        else:
            done = subprocess.run(["sh", "-ec", code], env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{code}\n{done.stderr}"


def test_the_page_on_hugging_face_can_be_walked(project: Path) -> None:
    walk(ROOT / "docs" / "hugging-face.md")
    assert {"kept.wav", "cam.png"} <= {path.name for path in project.iterdir()}


def test_the_page_on_music_genre_can_be_walked(project: Path) -> None:
    walk(ROOT / "docs" / "music-genre.md")
    assert {"kept.wav", "why.png", "verdict", "my-vgg"} <= {path.name for path in project.iterdir()}


def test_the_page_on_the_speech_studies_can_be_walked(project: Path) -> None:
    walk(ROOT / "docs" / "speech-studies.md")
    assert "about 16 arrays" in (project / "emotion" / "README.md").read_text(encoding="utf-8")


def test_the_tour_can_be_walked(project: Path) -> None:
    walk(ROOT / "docs" / "tour.md")
    made = {"scene.wav", "cause.wav", "why.png", "kept.wav", "removed.wav", "why.npz", "why.json"}
    assert made <= {path.name for path in project.iterdir()}
    assert {"plot.png", "kept.wav", "removed.wav", "explanation.json"} <= {
        path.name for path in (project / "why").iterdir()
    }


def test_the_method_and_the_metric_of_the_contributors_guide_obey_the_laws() -> None:
    names: dict = {"__name__": "guide"}
    for _, code in blocks(ROOT / "CONTRIBUTING.md", "python"):
        exec(code, names)
    checks.check_explainer(names["LeaveOneOut"]())
    checks.check_metric(names["Agreement"]())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
