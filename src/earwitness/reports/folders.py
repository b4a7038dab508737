"""A study as a folder: `README.md`, its pictures (PNG), tables (CSV) and sounds (WAV).

Each section is written as soon as it comes, and the page with it: a run that is stopped leaves what it has finished.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

import earwitness
from earwitness.errors import InputError
from earwitness.reports.charts import draw_picture
from earwitness.reports.figures import save_figure
from earwitness.studies.pages import Page, Section
from earwitness.writing import appearing

MOST_ROWS = 20  # of a table on the page; longer ones are linked to
DPI = 80


def write_folder(page: Page, sections: Iterable[Section], folder: Path) -> Iterator[Section]:
    """Write sections as they come, and yield each once it is written; at the end the page says that it is whole.

    Files of an earlier run with the same names are replaced, others are left. Raises `InputError` where the folder can't be
    written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error}") from error
    done: list[Section] = []
    for section in sections:
        _write_files(section, folder)
        done.append(section)
        _write_text(page_text(page, done, whole=False), folder / "README.md")
        yield section
    _write_text(page_text(page, done), folder / "README.md")


def page_text(page: Page, sections: list[Section], whole: bool = True) -> str:
    """The page in Markdown."""
    unfinished = [] if whole else ["**Unfinished: the run is still going on, or was stopped.**"]
    parts = [
        f"# {page.title}",
        *unfinished,
        page.summary,
        f"Made by `{page.command}`, earwitness {earwitness.__version__}.",
    ]
    answered = [section for section in sections if section.answer]
    if answered:
        lines = ["| question | answer | |", "|---|---|---|"]
        lines += [
            f"| {_cell(s.asks)} | {_cell(s.answer)} | [{s.name.split('-')[0]}](#{_anchor(s.title)}) |" for s in answered
        ]
        parts += ["## Questions and answers", "\n".join(lines)]
    parts += [text for section in sections for text in _section_text(section)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section_text(section: Section) -> list[str]:
    parts = [f"## {section.title}"]
    if section.answer:
        parts.append(f"*{section.asks}* **{section.answer}**")
    parts.append(section.text)
    for name, picture in section.pictures.items():
        caption = picture.caption.strip()
        parts.append(f"![{caption}]({section.name}-{name}.png)\n\n*{caption}*")
    for name, table in section.tables.items():
        link = f"[{section.name}-{name}.csv]({section.name}-{name}.csv)"
        parts.append(link if len(table) > MOST_ROWS else f"{markdown_table(table)}\n\n{link}")
    if section.sounds:
        links = ", ".join(f"[{name}]({section.name}-{name}.wav)" for name in section.sounds)
        parts.append(f"To be heard: {links}.")
    return parts


def markdown_table(table: pd.DataFrame) -> str:
    """A table in Markdown; numbers with three digits."""
    rows = [table.columns, *table.itertuples(index=False)]
    lines = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(table.columns), *lines[1:]])


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value).replace("|", "\\|")
    if value != value:  # there is none
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _write_files(section: Section, folder: Path) -> None:
    for name, table in section.tables.items():
        _write_text(
            table.to_csv(index=False, float_format="%.6g", lineterminator="\n"), folder / f"{section.name}-{name}.csv"
        )
    for name, picture in section.pictures.items():
        save_figure(draw_picture(picture), folder / f"{section.name}-{name}.png", DPI)
    for name, sound in section.sounds.items():
        sound.save(folder / f"{section.name}-{name}.wav")


def _write_text(text: str, path: Path) -> None:
    with appearing(path) as part:
        part.write_text(text, encoding="utf-8")


def _anchor(title: str) -> str:
    """The anchor that Markdown viewers make of a title."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
