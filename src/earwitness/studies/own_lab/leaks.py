"""How well do quantities that should not tell the label tell it, without any model?

Each recording gets the label that is most frequent among its five nearest neighbours by a quantity (or by all of them, each as
its rank among all recordings), of those in the other fifths of the set: cross-validated accuracy. A source (a speaker, an
original recording that several clips are cut from) lies within one fifth, so that no clip finds its own sisters. Chance is what
comes out when the labels are shuffled, many times; what one source has under one label keeps together.

Source: nearest neighbours, Cover and Hart (1967); permutation tests, Ojala and Garriga (2010), "Permutation tests for studying
classifier performance".
Cannot see: of sources that have several labels, that their labels may go with who they are; the shuffle takes them as dealt out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial import distance

from earwitness.studies.own_lab.by_source import dealt_anew, source_numbers, unit_numbers

NEIGHBOURS, FOLDS = 5, 5
ROWS = 256  # whose distances are held at once


def leak_table(rows: pd.DataFrame, quantities: Sequence[str], permutations: int, seed: int) -> pd.DataFrame:
    """A row for each quantity that differs between recordings, and one for all of them together.

    rows: of recordings, with `label`, `source` ("" where it is not known: then a clip is its own) and the quantities.
    accuracy: cross-validated.  chance, low, high: of shuffled labels, mean and 95 %.  p: how often shuffled labels do as well.
    """
    labels = np.unique(rows["label"].to_numpy(str), return_inverse=True)[1]
    varied = {
        name: _ranks(rows[name].to_numpy(float)) for name in quantities if np.ptp(rows[name].to_numpy(float)) > 1e-9
    }
    sets = {name: values[:, None] for name, values in varied.items()}
    if len(varied) > 1:
        sets["all of these"] = np.stack(list(varied.values()), 1)
    folds, units = fold_numbers(list(rows["source"]), seed), unit_numbers(list(rows["source"]), labels)
    found = []
    for name, values in sets.items():
        near = nearest(values, folds, seed)
        accuracy = voted_accuracy(near, labels)
        rng = np.random.default_rng(seed)
        chance = np.array([voted_accuracy(near, dealt_anew(labels, units, rng)) for _ in range(permutations)])
        low, high = np.quantile(chance, [0.025, 0.975])
        p = (1 + int((chance >= accuracy - 1e-12).sum())) / (1 + permutations)
        found.append(
            {"quantity": name, "accuracy": accuracy, "chance": float(chance.mean()), "low": low, "high": high, "p": p}
        )
    return pd.DataFrame(found, columns=["quantity", "accuracy", "chance", "low", "high", "p"])


def fold_numbers(sources: Sequence[str], seed: int) -> np.ndarray:
    """`[N]`: the fifth that each recording is in: sources dealt out by chance, without a look at the labels.

    Folds that hold as much of every label fit the true labels and none of the shuffled ones, which makes chance too narrow.
    """
    numbers = source_numbers(sources)
    return (np.random.default_rng(seed).permutation(int(numbers.max()) + 1) % FOLDS)[numbers]


def nearest(values: np.ndarray, folds: np.ndarray, seed: int) -> np.ndarray:
    """`[N, k]`: the nearest neighbours of each row of `[N, quantities]` outside its own fold, nearest first.

    Among equally near ones chance decides, row by row: the order of the recordings is that of their labels.
    """
    rng, count = np.random.default_rng(seed), min(NEIGHBOURS, len(folds) - int(np.bincount(folds).max()))
    found = []
    for first in range(0, len(values), ROWS):
        part = slice(first, first + ROWS)
        apart = distance.cdist(values[part], values)
        apart[folds[part, None] == folds[None]] = np.inf
        found.append(np.lexsort((rng.random(apart.shape), apart), axis=1)[:, :count])
    return np.concatenate(found)


def voted_accuracy(near: np.ndarray, labels: np.ndarray) -> float:
    """How often the most frequent label of the neighbours (of equals, the nearest one's) is the right one."""
    votes = labels[near]
    counts = (votes[:, :, None] == votes[:, None]).sum(2)
    said = votes[np.arange(len(votes)), counts.argmax(1)] if near.shape[1] else np.full(len(near), -1)
    return float((said == labels).mean())


def shuffled_accuracy(
    said: Sequence[str], labels: Sequence[str], sources: Sequence[str], permutations: int, seed: int
) -> dict[str, Any]:
    """How often `said` is the label, beside labels shuffled as in `leak_table`: accuracy, chance, p."""
    names, true = np.unique(np.asarray(labels), return_inverse=True)
    answers = np.array([np.append(np.flatnonzero(names == name), -1)[0] for name in said])
    units, rng, accuracy = unit_numbers(sources, true), np.random.default_rng(seed), float((answers == true).mean())
    chance = np.array([(answers == dealt_anew(true, units, rng)).mean() for _ in range(permutations)])
    p = (1 + int((chance >= accuracy - 1e-12).sum())) / (1 + permutations)
    return {"accuracy": accuracy, "chance": float(chance.mean()), "p": p}


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 to 1, equal values sharing theirs."""
    return (stats.rankdata(values) - 1) / max(1, len(values) - 1)
