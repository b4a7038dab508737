"""The same content, the same fingerprint; anything else, another."""

from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import earwitness as ew
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.fingerprints import fingerprint


@dataclass(frozen=True, eq=False)
class Settings:
    """A dataclass with a tensor and a hidden field."""

    name: str
    weights: torch.Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class Others(Settings):
    """The same fields, another class."""


def adds(number):
    return lambda x: x + number


class Adder:
    """An object that can be called, and has a method."""

    def __init__(self, number):
        self.number = number

    def __call__(self, x):
        return x + self.number


def cnn(seed=0, classes=2):
    torch.manual_seed(seed)
    return SmallSpecCNN(classes, (4,))


def black_box(number):
    return ew.BlackBox(adds(number), 8000, ["a"])


DIFFERENT = {
    "types": [1, 1.0, True, "1", b"1", None, np.float64(1), np.array(1), torch.tensor(1), Path("1"), [1], (1,), {1}],
    "arrays": [
        np.zeros(4),
        np.zeros((2, 2)),
        np.zeros(4, np.float32),
        np.array([0, 0, 0, 1.0]),
        np.array([0, 0, 1.0, 0]),
        np.arange(4.0).reshape(2, 2),
        np.arange(4.0).reshape(2, 2).T,
    ],
    "halves": [torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.float16), torch.zeros(2, dtype=torch.bfloat16)],
    "nesting": [[1, [2, 3]], [[1, 2], 3], [1, 2, 3], [[1, 2, 3]], [[], 1, 2, 3], [{1, 2}, {3}], [{1}, {2, 3}]],
    "mappings": [{"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "c": 2}}, {"a": {}, "b": 1, "c": 2}, {}, {"a": {"b": 1}}],
    "strings": ["ab", "a", ["a", "b"], ["ab"], "a', 'b"],
    "dataclasses": [
        Settings("a", torch.zeros(2)),
        Settings("a", torch.ones(2)),
        Settings("b", torch.zeros(2)),
        Others("a", torch.zeros(2)),
    ],
    "functions": [
        lambda x: x + 1, lambda x: x - 1, lambda x: x + 2, lambda x, y=1: x + y, lambda x, y=2: x + y,
        adds(1), adds(2), partial(adds, 1), partial(adds, 2), Adder(1), Adder(2), Adder(1).__call__, Adder(2).__call__,
        np.sin, np.cos, len, max, Adder,
    ],
    "modules": [cnn(0), cnn(1), cnn(0, classes=3), nn.MaxPool2d(2), nn.MaxPool2d(3), nn.Dropout(0.1), nn.Dropout(0.2)],
    "wholes": [
        nn.Sequential(nn.Flatten(), nn.MaxPool1d(2)),
        nn.Sequential(nn.Flatten(), nn.MaxPool1d(3)),
        nn.Sequential(nn.MaxPool1d(2), nn.Flatten()),
    ],
    "classifiers": [
        ew.Classifier(cnn(), None, ["a", "b"]),
        ew.Classifier(cnn(), None, ["b", "a"]),
        ew.Classifier(cnn(), ew.LogMel(8000, 256, 64), ["a", "b"]),
        ew.Classifier(cnn(), ew.LogMel(8000, 256, 128), ["a", "b"]),
        ew.Classifier(cnn(), ew.LogMel(8000, 256, 64, fmin=50.0), ["a", "b"]),
        ew.Classifier(cnn(), ew.LogERB(8000, 256, 64), ["a", "b"]),
        black_box(1),
        black_box(2),
    ],
    "ours": [ew.Sobol(), ew.Sobol(designs=8), ew.Saliency(), ew.Grid(8, 4), ew.Grid(4, 8), ew.Grid(8, 4, baseline="mean")],
    "audio": [ew.Audio([0.1, 0.2], 8000), ew.Audio([0.1, 0.3], 8000), ew.Audio([0.1, 0.2], 9000)],
}  # fmt: skip


@pytest.mark.parametrize("kind", DIFFERENT)
def test_other_content_other_fingerprint(kind):
    found = [fingerprint(thing) for thing in DIFFERENT[kind]]
    same = [(i, j) for i, j in combinations(range(len(found)), 2) if found[i] == found[j]]
    assert same == [], f"these share a fingerprint: {[(DIFFERENT[kind][i], DIFFERENT[kind][j]) for i, j in same]}"


@pytest.mark.filterwarnings("ignore:.*bands hold no bin")
@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, "a", None, {"x": np.arange(3)}],
        lambda: torch.arange(6.0).reshape(2, 3).T,
        lambda: Settings("a", torch.ones(3)),
        lambda: cnn(3),
        lambda: adds(3),
        lambda: partial(adds, number=3),
        lambda: black_box(3),
        lambda: ew.Classifier(cnn(), ew.LogMel(8000, 256, 64), ["a", "b"]),
        lambda: ew.Grid(4, 4, baseline=ew.Audio([0.1, 0.2], 8000)),
        lambda: ew.Sobol.paper(),
    ],
)
def test_the_same_content_made_twice_has_one_fingerprint(make):
    assert fingerprint(make()) == fingerprint(make())


def test_order_counts_in_sequences_only():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({1, 2, 3}) == fingerprint({3, 2, 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_layout_device_and_mode_do_not_count():
    x = torch.arange(6.0).reshape(2, 3)
    assert fingerprint(x.T.contiguous()) == fingerprint(x.T)
    assert fingerprint(cnn().train()) == fingerprint(cnn().eval())


def test_a_function_that_calls_itself():
    def down(n):
        return 0 if n == 0 else down(n - 1)

    assert len(fingerprint(down)) == 64


def test_an_object_that_holds_itself():
    """As configurations of Hugging Face's models do; where in it it stands counts."""

    class Knot:
        def __init__(self, *names):
            self.inner = self
            for name in names:
                self.inner.__dict__[name] = [self]

    assert fingerprint(Knot("a")) == fingerprint(Knot("a")) != fingerprint(Knot("b"))


def test_nothing_is_made_up():
    with pytest.raises(TypeError):
        fingerprint(object())


def test_it_stays_the_same_over_time():
    """Stored results are found again by their fingerprints: those of plain data must never change."""
    assert fingerprint((1, "a", np.arange(3, dtype=np.int32))).startswith("133ac7c0bca536ea")
