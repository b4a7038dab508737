"""Studies as folders: what is drawn is what was handed over, the page grows with its sections, and a stop loses nothing."""

import numpy as np
import pandas as pd
import pytest

import earwitness as ew
from earwitness.axes import Axis
from earwitness.errors import InputError
from earwitness.reports.charts import draw_picture
from earwitness.reports.folders import MOST_ROWS, markdown_table, page_text, write_folder
from earwitness.studies.pages import Bars, Curves, Heat, Page, Picture, Ranks, Section

PAGE = Page("A study", "What for.", "earwitness study none")
TABLE = pd.DataFrame({"name": ["a|b", "c"], "value": [0.123456789, 2.0]})
CURVES = Curves([1, 2, 3], {"up": [1, 4, 9], "down": [3, 2, 1]}, "x (s)", "y", errors={"up": [[1, 1, 1], [2, 2, 2]]})


def section(name="q1-first", **known):
    return Section(name, "Q1. The first", "Some text.", **known)


class TestPictures:
    def test_curves_are_the_numbers(self):
        (axes,) = draw_picture(Picture([CURVES], "")).axes
        drawn = {line.get_label(): line for line in axes.containers}
        np.testing.assert_array_equal(drawn["up"][0].get_ydata(), [1, 4, 9])
        np.testing.assert_array_equal(drawn["down"][0].get_xdata(), [1, 2, 3])
        ends = np.array([path.vertices[:, 1] for path in drawn["up"][2][0].get_paths()])
        np.testing.assert_array_equal(ends, [[0, 3], [3, 6], [8, 11]])
        assert axes.get_xlabel() == "x (s)"

    def test_bars_are_the_numbers(self):
        (axes,) = draw_picture(Picture([Bars(["a", "b"], {"one": [1, -2], "two": [3, 4]}, "y")], "")).axes
        assert [bar.get_height() for bar in axes.patches] == [1, -2, 3, 4]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
        centres = np.array([bar.get_x() + bar.get_width() / 2 for bar in axes.patches]).reshape(2, 2)
        np.testing.assert_allclose(centres.mean(0), [0, 1])

    def test_a_legend_covers_no_bar(self):
        groups = {name: np.ones(7) for name in ("important", "random, scattered", "random, same shape")}
        names = [f"emotion {letter}" for letter in "abcdefg"]  # tilted: the least room
        figure = draw_picture(Picture([Bars(names, groups, "y", "title")] * 4, "", columns=2))
        figure.canvas.draw()
        for axes in figure.axes:
            legend = axes.get_legend().get_window_extent()
            assert not any(legend.overlaps(bar.get_window_extent()) for bar in axes.patches)

    @pytest.mark.parametrize(
        ("methods", "shown"), [(4, ["1", "2", "3", "4"]), (25, ["1", "5", "10", "15", "20", "25"])]
    )
    def test_many_ranks_are_numbered_in_fives(self, methods, shown):
        names = [f"method {number}" for number in range(methods)]
        (axes,) = draw_picture(Picture([Ranks(names, np.arange(1.0, methods + 1), 99.0, [])], "")).axes
        assert [text.get_text() for text in axes.texts if text.get_text().isdigit()] == shown

    @pytest.mark.parametrize(("kind", "limits"), [("level", (-3, 2)), ("importance", (0, 3)), ("effect", (-3, 3))])
    def test_heat_is_the_numbers_in_the_colours_of_its_kind(self, kind, limits):
        places = Axis("frequency", "Hz", (0, 500, 1000)), Axis("time", "s", (0, 0.1, 0.2, 0.3))
        values = np.array([[1.0, 2, 0], [-3, 0, 1]])
        axes, scale = draw_picture(Picture([Heat(values, places, kind=kind, unit="logit")], "")).axes
        (mesh,) = axes.collections
        np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(2, 3), values)
        assert mesh.get_clim() == limits if kind != "importance" else mesh.get_clim()[0] == 0
        assert scale.get_ylabel() == "logit"

    def test_panels_fill_rows(self):
        figure = draw_picture(Picture([CURVES] * 3, "", columns=2))
        assert len(figure.axes) == 4 and not figure.axes[3].axison and figure.axes[2].axison


class TestTables:
    def test_markdown(self):
        assert markdown_table(TABLE).splitlines() == [
            "| name | value |", "|---|---|", "| a\\|b | 0.123 |", "| c | 2 |",
        ]  # fmt: skip

    def test_cells_that_hold_dashes(self):
        lines = markdown_table(pd.DataFrame({"a---b": ["x---y"]})).splitlines()
        assert lines == ["| a---b |", "|---|", "| x---y |"]

    def test_csv_has_six_digits(self, tmp_path):
        list(write_folder(PAGE, [section(tables={"numbers": TABLE})], tmp_path))
        assert (tmp_path / "q1-first-numbers.csv").read_text() == "name,value\na|b,0.123457\nc,2\n"

    def test_long_tables_are_linked_to_only(self):
        long = pd.DataFrame({"value": np.arange(MOST_ROWS + 1)})
        text = page_text(PAGE, [section(tables={"long": long})])
        assert "[q1-first-long.csv](q1-first-long.csv)" in text and "| value |" not in text


class TestFolders:
    def test_everything_is_there(self, tmp_path):
        whole = section(
            asks="Why?", answer="Because of 3.", tables={"t": TABLE}, pictures={"p": Picture([CURVES], "Up and down.")},
            sounds={"s": ew.Audio(np.full(800, 0.25), 8000)},
        )  # fmt: skip
        list(write_folder(PAGE, [whole], tmp_path / "deep" / "out"))
        folder = tmp_path / "deep" / "out"
        assert sorted(p.name for p in folder.iterdir()) == [
            "README.md",
            "q1-first-p.png",
            "q1-first-s.wav",
            "q1-first-t.csv",
        ]
        text = (folder / "README.md").read_text()
        for part in (
            "# A study",
            "`earwitness study none`",
            "| Why? | Because of 3. |",
            "[q1](#q1-the-first)",
            "Unfinished",
        ):
            assert (part in text) == (part != "Unfinished")
        assert "![Up and down.](q1-first-p.png)" in text and "[s](q1-first-s.wav)" in text
        assert ew.load(folder / "q1-first-s.wav").samples.mean() == pytest.approx(0.25, abs=1e-4)

    def test_a_stop_leaves_what_is_finished(self, tmp_path):
        def chapters():
            yield section("01-one", tables={"t": TABLE})
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(write_folder(PAGE, chapters(), tmp_path))
        assert (tmp_path / "01-one-t.csv").is_file()
        assert "**Unfinished" in (tmp_path / "README.md").read_text()

    def test_a_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="cannot make the folder"):
            list(write_folder(PAGE, [section()], tmp_path / "file"))

    def test_the_same_sections_make_the_same_files(self, tmp_path):
        whole = section(tables={"t": TABLE}, pictures={"p": Picture([CURVES], "")})
        for name in ("a", "b"):
            list(write_folder(PAGE, [whole], tmp_path / name))
        for file in (tmp_path / "a").iterdir():
            assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
