"""How well do quantities that should not tell the label tell it, without any model?

Each recording gets the label that is most frequent among its five nearest neighbours by a quantity (or by all of them, each as
its rank among all recordings), of those in the other fifths of the set: cross-validated accuracy. Chance is what comes out when
the labels are shuffled, many times.

Source: nearest neighbours, Cover and Hart (1967); permutation tests, Ojala and Garriga (2010), "Permutation tests for studying
classifier performance".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

NEIGHBOURS, FOLDS = 5, 5


def leak_table(rows: pd.DataFrame, quantities: Sequence[str], permutations: int, seed: int) -> pd.DataFrame:
    """A row for each quantity that differs between recordings, and one for all of them together.

    rows: of recordings, with `label` and the quantities.
    accuracy: cross-validated.  chance, low, high: of shuffled labels, mean and 95 %.  p: how often shuffled labels do as well.
    """
    labels = np.unique(rows["label"].to_numpy(str), return_inverse=True)[1]
    varied = {
        name: _ranks(rows[name].to_numpy(float)) for name in quantities if np.ptp(rows[name].to_numpy(float)) > 1e-9
    }
    sets = {name: values[:, None] for name, values in varied.items()}
    if len(varied) > 1:
        sets["all of these"] = np.stack(list(varied.values()), 1)
    folds = fold_numbers(labels, seed)
    found = []
    for name, values in sets.items():
        near = nearest(values, folds)
        accuracy = voted_accuracy(near, labels)
        rng = np.random.default_rng(seed)
        chance = np.array([voted_accuracy(near, rng.permutation(labels)) for _ in range(permutations)])
        low, high = np.quantile(chance, [0.025, 0.975])
        p = (1 + int((chance >= accuracy).sum())) / (1 + permutations)
        found.append(
            {"quantity": name, "accuracy": accuracy, "chance": float(chance.mean()), "low": low, "high": high, "p": p}
        )
    return pd.DataFrame(found, columns=["quantity", "accuracy", "chance", "low", "high", "p"])


def fold_numbers(labels: np.ndarray, seed: int) -> np.ndarray:
    """`[N]`: the fifth that each recording is in, evenly over the labels, by chance."""
    rng, folds = np.random.default_rng(seed), np.zeros(len(labels), int)
    for number in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == number))
        folds[places] = (np.arange(len(places)) + number) % FOLDS
    return folds


def nearest(values: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """`[N, k]`: the nearest neighbours of each row of `[N, quantities]` outside its own fold, nearest first."""
    apart = np.linalg.norm(values[:, None] - values[None], axis=2)
    apart[folds[:, None] == folds[None]] = np.inf
    count = min(NEIGHBOURS, int(np.isfinite(apart).sum(1).min()))
    return np.argsort(apart, axis=1, kind="stable")[:, :count]


def voted_accuracy(near: np.ndarray, labels: np.ndarray) -> float:
    """How often the most frequent label of the neighbours (of equals, the nearest one's) is the right one."""
    votes = labels[near]
    counts = (votes[:, :, None] == votes[:, None]).sum(2)
    said = votes[np.arange(len(votes)), counts.argmax(1)]
    return float((said == labels).mean()) if near.shape[1] else 0.0


def shuffled_accuracy(said: Sequence[str], labels: Sequence[str], permutations: int, seed: int) -> dict[str, Any]:
    """How often `said` is the label, beside shuffled labels: accuracy, chance, p."""
    answers, true = np.asarray(said), np.asarray(labels)
    rng, accuracy = np.random.default_rng(seed), float((answers == true).mean())
    chance = np.array([(answers == rng.permutation(true)).mean() for _ in range(permutations)])
    p = (1 + int((chance >= accuracy - 1e-12).sum())) / (1 + permutations)
    return {"accuracy": accuracy, "chance": float(chance.mean()), "p": p}


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 to 1, equal values sharing theirs."""
    return (stats.rankdata(values) - 1) / max(1, len(values) - 1)
