"""Leaks and intervals where several clips come from one source, by hand, by slow replicas, and on noise."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import earwitness as ew
from earwitness.statistics import proportion_interval
from earwitness.studies.own_lab import gather
from earwitness.studies.own_lab.by_source import dealt_anew, mean_over, share_of, sign_p, source_numbers, unit_numbers
from earwitness.studies.own_lab.leaks import fold_numbers, leak_table, nearest, shuffled_accuracy, voted_accuracy


def test_clips_of_one_source_lie_in_one_fold():
    sources = ["a", "a", "", "b", "", "b", "a", *"cdefghijk"]
    folds = fold_numbers(sources, 0)
    assert folds[0] == folds[1] == folds[6] and folds[3] == folds[5]
    assert sorted(np.bincount(fold_numbers([""] * 50, 3))) == [10] * 5
    assert source_numbers(["", "0", "", "0"]).tolist() == source_numbers(["", "x", "", "x"]).tolist(), (
        "no name is a place"
    )


def test_labels_change_places_by_source():
    """Two clips of a, one of b, one of a source that has two labels: all deals of four units."""
    labels = np.array([0, 0, 1, 2, 3])
    units = unit_numbers(["a", "a", "b", "c", "c"], labels)
    rng = np.random.default_rng(0)
    found = {tuple(dealt_anew(labels, units, rng)) for _ in range(500)}
    assert found == {(p[0], *p) for p in permutations(range(4))}


def test_votes_of_neighbours_by_a_slow_replica():
    rng = np.random.default_rng(1)
    labels = rng.integers(3, size=30)
    values = rng.standard_normal((30, 2)) + labels[:, None]
    folds = fold_numbers([str(i // 2) for i in range(30)], 0)
    near, right = nearest(values, folds, 0), 0
    for i in range(30):
        others = sorted((np.linalg.norm(values[i] - values[j]), j) for j in range(30) if folds[j] != folds[i])[:5]
        assert near[i].tolist() == [j for _, j in others]
        votes = [labels[j] for _, j in others]
        most = max(votes.count(v) for v in votes)
        right += next(v for v in votes if votes.count(v) == most) == labels[i]
    assert voted_accuracy(near, labels) == pytest.approx(right / 30)


def test_chance_decides_among_equals():
    """Of 400 equal values each is a neighbour about as often as any other; the first of the list are no favourites."""
    near = nearest(np.zeros((400, 1)), fold_numbers([""] * 400, 0), 0)
    counts = np.bincount(near.ravel(), minlength=400)
    assert counts.max() < 20 and counts[:80].sum() == pytest.approx(400, abs=80)


def test_a_planted_leak_is_found_and_noise_is_not():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "label": ["a", "b"] * 30,
            "level_db": rng.standard_normal(60),
            "offset": [0.1, 0.2] * 30,
            "same": 1.0,
            "source": "",
        }
    )
    found = leak_table(rows, ("level_db", "offset", "same"), 200, 0).set_index("quantity")
    assert set(found.index) == {"level_db", "offset", "all of these"}
    known = {name: found.loc[name].to_dict() for name in ("offset", "level_db")}
    assert known["offset"]["accuracy"] == 1 and known["offset"]["p"] == pytest.approx(1 / 201)
    assert known["level_db"]["p"] > 0.05 and known["level_db"]["low"] < 0.5 < known["level_db"]["high"]


@pytest.mark.parametrize("clips", [1, 6])
def test_p_is_uniform_on_noise(clips):
    """Sources of one or six clips, all alike: p is below 0.05 in a twentieth of 150 sets, in fewer for ties."""
    low = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        level = np.repeat(rng.standard_normal(30), clips) + 1e-3 * rng.standard_normal(30 * clips)
        labels = np.repeat(rng.permutation(list("abcde") * 6), clips)
        rows = pd.DataFrame({"label": labels, "level": level, "source": np.repeat(np.arange(30).astype(str), clips)})
        low.append(leak_table(rows, ("level",), 39, seed)["p"].iloc[0] <= 0.05)
    assert sum(low) > 2 and stats.binomtest(sum(low), 150, 0.05, "greater").pvalue > 0.02


def test_chance_is_that_of_shuffled_labels():
    """Who always says "a" is right by chance alone; who knows one source of eight clips has known one thing."""
    assert shuffled_accuracy(["a"] * 8, ["a", "b"] * 4, [""] * 8, 100, 0) == {"accuracy": 0.5, "chance": 0.5, "p": 1.0}
    labels = ["a"] * 8 + ["b"] * 8
    alone = shuffled_accuracy(labels, labels, [""] * 16, 400, 0)
    together = shuffled_accuracy(labels, labels, labels, 400, 0)
    assert alone["p"] == pytest.approx(1 / 401) and together["p"] == pytest.approx(0.5, abs=0.1)


def test_a_share_over_sources():
    """Sources of three equal clips tell as much as one clip of each: N_eff is a third, but for S / (S - 1)."""
    right, sources = np.repeat([1, 1, 0, 1, 0, 0, 1, 1], 3), np.repeat(np.arange(8).astype(str), 3).tolist()
    found, n, p = share_of(right, sources), 8 * 7 / 8, 5 / 8
    z = stats.norm.ppf(0.975)
    apart = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    assert (found.mean, found.low, found.high) == pytest.approx((p, middle - apart, middle + apart))
    assert share_of(right, [""] * 24) == proportion_interval(15, 24)
    none, few = share_of([0] * 24, sources), proportion_interval(0, 8)
    assert (none.mean, none.low, none.high) == pytest.approx((few.mean, few.low, few.high), abs=1e-12)


def test_a_mean_over_sources():
    """Of equal clips within sources Student's interval of the sources."""
    values = np.array([0.0, 1, -1, 0, 1, 1])
    found, known = (
        mean_over(np.repeat(values, 2), list("aabbccddeeff")),
        stats.t.interval(0.95, 5, values.mean(), stats.sem(values)),
    )
    assert (found.low, found.high) == pytest.approx(known)
    assert sign_p([1, 1, -1, 1, 0, 1], list("aabcde")) == pytest.approx(stats.binomtest(3, 4).pvalue)
    assert sign_p([0, 0], ["", ""]) == 1


def test_sources_from_the_table(tmp_path):
    """The first column of the known names that tells anything."""
    table = pd.DataFrame({"path": ["a.wav", "b.wav"], "label": ["x", "y"], "source": "web", "speaker": ["ann", ""]})
    for name in table["path"]:
        ew.Audio(np.ones(100), 8000).save(tmp_path / name)
    table.to_csv(tmp_path / "metadata.csv", index=False)
    material = gather(tmp_path, ("x", "y"))
    assert material.source == "speaker" and [clip.source for clip in material.clips] == ["ann", ""]
    table.drop(columns="speaker").to_csv(tmp_path / "metadata.csv", index=False)
    assert gather(tmp_path, ("x", "y")).source == ""
