"""LRP: its settings, what it refuses, and what it says of relevance that did not arrive; figures by hand."""

import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

import earwitness as ew
from earwitness.explainers import METHODS
from earwitness.naming import build

# ---- what is told


def test_what_biases_keep_is_told():
    """score = 3 x + 1 of x = 1: three quarters arrive."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 1))
    nn.init.constant_(network[1].weight, 3.0)
    nn.init.constant_(network[1].bias, 1.0)
    question = ew.ask(ew.Classifier(network, None, ["a"]), torch.ones(1, 1, 1), ew.Bins())
    found = ew.LRP("epsilon")(question)
    assert found.values.item() == pytest.approx(3) and found.numbers["conserved"] == pytest.approx(3 / 4)
    (warning,) = found.warnings
    assert "75% of the score" in warning and "LRP.conservation(question)" in warning
    layers = ew.LRP("epsilon").conservation(question)
    assert layers == {"input": pytest.approx(3 / 4), "0": pytest.approx(3 / 4), "1": pytest.approx(1)}


class Difference(nn.Module):
    """The first number less the second."""

    def forward(self, x):
        return (x[:, 0, 0] - x[:, 0, 1])[..., :1]


def test_a_score_of_0():
    """2 - 2: each place has its part, and there is nothing of which they could be a share."""
    question = ew.ask(ew.Classifier(Difference(), None, ["a"]), torch.full((1, 2, 1), 2.0), ew.Bins())
    found = ew.LRP()(question)
    np.testing.assert_allclose(found.values[:, 0], [2, -2])
    assert found.warnings == ("the score is 0: there is nothing to share out",) and found.numbers == {}
    with pytest.raises(ew.ModelError, match="the score is 0"):
        ew.LRP().conservation(question)


class Attended(nn.Module):
    """Two tokens of one number each, scores and values at once: the sum of softmax(t) t."""

    def forward(self, x):
        tokens = x[:, 0, :, 0]
        return (tokens.softmax(1) * tokens).sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("tokens", "conserved", "told"),
    [
        ((2.0, 2.0), 1 / 2, "50%"),  # even attention: all that comes to the softmax stays there
        ((math.log(3), 0.0), 1 / 2 + math.log(3) / 8, "64%"),  # weights 3/4 and 1/4
        ((1.0, -1.0), 1 / 2 + 1 / math.sinh(2), "78%"),
        ((0.5, -0.5), 1 / 2 + 0.5 / math.sinh(1), None),  # 93%: less than a tenth is missing
    ],
)
def test_what_softmax_keeps_is_told(tokens, conserved, told):
    """Half goes to the values, w t / 2; of the other half variance / (2 mean) comes through the softmax."""
    features = torch.tensor(tokens).reshape(1, 2, 1)
    question = ew.ask(ew.Classifier(Attended(), None, ["a"]), features, ew.Bins())
    found = ew.LRP("epsilon")(question)
    assert found.numbers["conserved"] == pytest.approx(conserved, rel=1e-5)
    assert found.values.sum() == pytest.approx(conserved * found.score, rel=1e-5)
    assert [told in said for said in found.warnings] == ([True] if told else [])
    held = ew.LRP("epsilon", attention="held")(question)
    assert held.values.sum() == pytest.approx(held.score, rel=1e-5) and held.warnings == ()


class Mapping(nn.Module):
    """Answers several things, as models of transformers do; what counts is the first tensor."""

    def forward(self, x):
        return OrderedDict(loss=None, logits=x.mean(2, keepdim=True) / 2 + 1)


class Answering(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.flat = Mapping(), nn.Flatten()

    def forward(self, x):
        return self.flat(self.first(x)["logits"])


def test_layers_that_answer_a_mapping_are_in_the_account():
    """Of 3 / 2 + 1 the constant keeps 2 / 5, inside the layer."""
    question = ew.ask(ew.Classifier(Answering(), None, ["a"]), torch.full((1, 2, 1), 3.0), ew.Bins())
    layers = ew.LRP().conservation(question)
    assert layers == {"input": pytest.approx(3 / 5), "first": pytest.approx(1), "flat": pytest.approx(1)}


# ---- settings


def test_composites_on_the_command_line():
    assert build("lrp", METHODS, "method") == ew.LRP() == ew.LRP("epsilon-plus")
    asked_for = build("lrp:composite=epsilon-gamma-box,low=-80,high=0", METHODS, "method")
    assert asked_for == ew.LRP("epsilon-gamma-box", low=-80, high=0)
    assert asked_for.rules.first == "z-box" and asked_for.rules.convolution == "gamma"
    assert ew.LRP("epsilon-plus", dense="z-plus").rules == ew.LRP("excitation-backprop").rules


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_no_layers_and_no_gradient(tone):
    game = ew.Game(3, lambda m: m.sum(1))
    with pytest.raises(ew.UsageError, match="a game has no layers"):
        ew.LRP().conservation(game)
    box = ew.BlackBox(lambda x: np.abs(x).mean(1, keepdims=True), 8000, ["loud"])
    with pytest.raises(ew.ModelError, match="no gradient"):
        ew.LRP()(ew.ask(box, tone()[0], ew.Segments(count=3)))
    scripted = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(9, 1)))
    with pytest.raises(ew.ModelError, match="a compiled network"):
        ew.LRP()(ew.ask(ew.Classifier(nn.Sequential(scripted), None, ["a"]), torch.ones(1, 3, 3), ew.Bins()))
    compiled = nn.Flatten()
    compiled._orig_mod = nn.Flatten()  # as torch.compile leaves it
    with pytest.raises(ew.ModelError, match="a compiled network"):
        ew.LRP()(ew.ask(ew.Classifier(compiled, None, ["a"]), torch.ones(1, 1, 1), ew.Bins()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"composite": "epsilon_plus"}, "unknown composite 'epsilon_plus'. Did you mean epsilon-plus"),
        ({"convolution": "flat"}, "unknown rule for convolutions"),
        ({"alpha": 3.0}, "alpha - beta must be 1"),
    ],
)
def test_what_makes_no_sense(options, said):
    with pytest.raises(ew.UsageError, match=said):
        ew.LRP(**options)
