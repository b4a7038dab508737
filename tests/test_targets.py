"""Which number is explained: labels, numbers, margins, and what is no target."""

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.targets import Target, find_target

LABELS = ("dog", "cat", "rain - heavy", "cow")
LOGITS = torch.tensor([[1.0, 2.0, 4.0, 8.0], [0.5, 0.0, -1.0, 3.0]])


@pytest.mark.parametrize(
    ("asked", "expected", "name"),
    [
        ("dog", [1.0, 0.5], "dog"),
        ("cow", [8.0, 3.0], "cow"),
        (0, [1.0, 0.5], "dog"),
        (np.int64(3), [8.0, 3.0], "cow"),
        ("rain - heavy", [4.0, -1.0], "rain - heavy"),
        ("cow - dog", [7.0, 2.5], "cow - dog"),
        ("dog  -  cow", [-7.0, -2.5], "dog - cow"),
        (Target(1), [2.0, 0.0], "cat"),
        (Target(1, against=3), [-6.0, -3.0], "cat - cow"),
    ],
)
def test_numbers(asked, expected, name):
    target = find_target(asked, LABELS)
    assert target(LOGITS).tolist() == expected
    assert target.name(LABELS) == name


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("dgo", r"unknown label 'dgo'. Did you mean dog\?"),
        ("xyz", "unknown label 'xyz'. Known: dog, cat, rain - heavy, cow."),
        (4, r"no label number 4: there are 4, counted from 0 \(dog, cat"),
        (-1, "no label number -1"),
        (True, "unknown label True"),
        (1.0, "unknown label 1.0"),
        ("dog - dog", "the margin 'dog - dog' is always 0"),
        ("dog - horse", "unknown label 'horse'"),
        ("", "unknown label ''"),
        (["dog"], "unknown label"),
    ],
)
def test_what_is_no_target(asked, said):
    with pytest.raises(ew.UsageError, match=said):
        find_target(asked, LABELS)


def test_none_is_the_predicted_label(listener, tone):
    """And an unknown label is told when the question is put, not in the middle of a run."""
    for hertz, label in ((440, "low"), (880, "high")):
        question = ew.ask(listener, tone(hertz)[0], ew.Grid(2, 2))
        assert question.resolved.name(listener.labels) == label
    with pytest.raises(ew.UsageError, match=r"unknown label 'hihg'\. Did you mean high"):
        ew.ask(listener, tone()[0], ew.Grid(2, 2), "hihg")
