"""The chapters on maps: what a row of their tables says, and that they choose and compare what they claim to.

The networks of these labs have learnt for a moment only: the figures are nobody's, but they are counted and compared as ever.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.studies.repeated_maps import known_of
from earwitness.studies.sobol_lab import QUICK, Lab, maps
from earwitness.studies.sobol_lab.published import _upsampling


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab(replace(QUICK, clips=(64, 16), epochs=1, samples=(4, 8, 16), tested=20))


def test_a_row_of_measures():
    """Scatter and error are root mean squares over cells; four seeds, counted with three degrees of freedom."""
    game = ew.Game((2, 3), lambda m: (m.flatten(1) @ torch.arange(1.0, 7.0)) ** 2)
    runs = [ew.Sobol(16, seed)(game) for seed in range(4)]
    row = known_of(runs)
    assert (row["rows"], row["columns"], row["designs"], row["evaluations"]) == (2, 3, 16, 16 * 7 + 2)
    cells = [[e.values.flat[i] for e in runs] for i in range(6)]
    variance = [sum((v - sum(c) / 4) ** 2 for v in c) / 3 for c in cells]
    assert row["scatter"] == pytest.approx((sum(variance) / 6) ** 0.5)
    assert row["stderr"] == pytest.approx((sum(float(s) ** 2 for e in runs for s in e.stderr.flat) / 24) ** 0.5)
    assert row["relative_error"] == pytest.approx(row["stderr"] / np.mean(cells))


def test_exponents():
    assert maps._exponent([4, 16, 64], [8, 4, 2]) == pytest.approx(-0.5)


def test_finer_grids_cost_the_same(lab):
    table = maps.finer_grids(lab).tables["equal-cost"]
    asked = 8 * (16 + 1)
    assert (np.abs(table["evaluations"] - 2 - asked) <= (table["rows"] ** 2 + 1) / 2).all()
    assert table["designs"].tolist() == [27, 8, 4]


def test_the_rule_chooses(lab, monkeypatch):
    """The fullest of the stable grids; the most stable where none is stable enough."""
    section = maps.choosing_the_grid(lab)
    table = section.tables["grids"]
    for threshold in (-1.0, float(np.median(table["rank_stability"])), 2.0):
        monkeypatch.setattr(maps, "STABLE", threshold)
        stable = table[table["rank_stability"] >= threshold]
        row = stable.loc[stable["filled"].idxmax()] if len(stable) else table.loc[table["rank_stability"].idxmax()]
        assert f"choose {row['rows']} x {row['columns']} " in maps.choosing_the_grid(lab).answer
    known = dict(zip(zip(table["rows"], table["columns"], strict=True), table["tones_apart"], strict=True))
    assert known == {(2, 2): "no", (4, 4): "no", (6, 6): "yes", (8, 2): "yes"}  # rows of 2000, 1000, 667, 500 Hz


def test_the_tone_fills_a_constant_area(lab):
    """A cell of half the height is filled twice as much; rows are whole bins, so by a tenth more or less."""
    table = maps.choosing_the_grid(lab).tables["grids"]
    np.testing.assert_allclose(table["filled"] * table["cell_hz"], (table["filled"] * table["cell_hz"])[0], rtol=0.1)


def test_maps_of_both_labels(lab):
    """A low, a high and a misclassified clip; that one is asked for both labels. Kept and removed add up to the clip."""
    section = maps.sobol_maps(lab)
    table, sounds = section.tables["maps"], section.sounds
    assert table["clip"].tolist()[:2] == table["asked"].tolist()[:2] == ["low", "high"]
    assert set(table["asked"][2:]) == {"low", "high"} and table["clip"][3] == table["asked"][3]
    assert table["predicted"][2] == table["asked"][2]
    torch.testing.assert_close(
        sounds["kept"].samples + sounds["removed"].samples, sounds["clip"].samples, atol=1e-6, rtol=0
    )


def test_what_is_computed_is_computed_once(lab):
    runs = maps.repeated(lab, (2, 2), 4)
    assert maps.repeated(lab, (2, 2), 4) is runs
    assert [e.seed for e in runs] == [225, 226, 227]


@pytest.mark.parametrize("cells", [4, 8, 12])
def test_nearest_neighbours(lab, cells):
    """Bin i of n belongs to cell floor(i cells / n) by nearest neighbours, and here to the last whose edge floor(j n / cells) it
    has reached."""
    words = []
    for n, name in ((129, "rows"), (63, "columns")):
        theirs = [i * cells // n for i in range(n)]
        ours = [max(j for j in range(cells) if j * n // cells <= i) for i in range(n)]
        words.append(f"{sum(a != b for a, b in zip(theirs, ours, strict=True))} of {n} {name}")
    assert _upsampling(lab, (cells, cells)) == f"{words[0]} and {words[1]} in the neighbouring cell"
