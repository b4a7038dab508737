"""The checks catch what they are for: each is given something that breaks one law."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import earwitness as ew
from earwitness import checks
from earwitness.components import Regions
from earwitness.explainers.base import Attribution


@pytest.fixture
def components(listener, tone):
    return ew.Grid(3, 4)(listener, tone()[0])


@pytest.fixture
def question(listener, tone):
    return ew.ask(listener, tone()[0], ew.Grid(3, 4))


def broken(components, **changes):
    """The same components with some of their methods exchanged."""
    names = ("stage", "x", "baselines", "axes", "groups", "note")
    return type("Broken", (Regions,), changes)(*(getattr(components, name) for name in names))


@pytest.mark.parametrize(
    ("law", "mix"),
    [
        ("mix\\(1\\), the clip", lambda c, m: 1.0001 * c.x * m.mean() + 0 * c.x),
        ("mix\\(0\\), the baseline", lambda c, m: Regions.mix(c, m) + 0.001 * (1 - m.mean())),
        ("mix of a mixture", lambda c, m: Regions.mix(c, m**2)),
        ("collected map", lambda c, m: Regions.mix(c, m.flip(2))),
        ("mix\\(1\\), the clip", lambda c, m: Regions.mix(c, m) * torch.nan),
    ],
)
def test_broken_mix(components, law, mix):
    cut = broken(components, mix=lambda self, masks, baseline=0: mix(self, masks))
    with pytest.raises(AssertionError, match=law):
        checks.check_components(cut)


def test_broken_sound(listener, tone):
    cut = ew.Segments(count=4)(listener, tone()[0])
    whole = cut.sound
    cut.sound = lambda mask: 0.999 * whole(mask)
    with pytest.raises(AssertionError, match=r"kept \+ removed"):
        checks.check_components(cut)


class Nosy(nn.Module):
    """A network that a given function is let loose on, each time that it is asked."""

    def __init__(self, inner, act):
        super().__init__()
        self.inner, self.act = inner, act
        self.register_buffer("asked", torch.zeros(1))

    def forward(self, x):
        return self.act(self, self.inner(x), x)


def count_up(network, logits, x):
    network.asked += 1
    return logits


def train_on(network, logits, x):
    network.inner.train()
    return logits


def draw(network, logits, x):
    torch.rand(1)
    return logits


def draw_with_numpy(network, logits, x):
    np.random.rand()
    return logits


@pytest.mark.parametrize(
    ("law", "act"),
    [
        ("asking must not change network.asked", count_up),
        ("asking must not change torch's random state", draw),
        ("asking must not change numpy's random state", draw_with_numpy),
        ("values in batches of", lambda network, logits, x: logits + 0.001 * len(x)),
        ("the gradient, added up", lambda network, logits, x: 1.1 * logits - 0.1 * logits.detach()),
    ],
)
def test_networks_that_break_a_law(listener, tone, law, act):
    nosy = ew.Classifier(Nosy(listener.network, act), listener.frontend, listener.labels).eval()
    with pytest.raises(AssertionError, match=law):
        checks.check_question(ew.ask(nosy, tone()[0], ew.Grid(3, 4), "low"))


def test_modes_are_put_back_even_where_the_network_changes_them(listener, tone):
    nosy = ew.Classifier(Nosy(listener.network, train_on), listener.frontend, listener.labels).eval()
    checks.check_question(ew.ask(nosy, tone()[0], ew.Grid(3, 4), "low"))


def test_a_stale_cache_is_caught(question):
    @dataclass(frozen=True, eq=False)
    class Stale(ew.AudioQuestion):
        @property
        def x(self):
            return question.x

        def mix(self, masks, baseline=0):
            return question.mix(masks, baseline)

    stale = Stale(question.classifier, question.audio, question.factorization, "low")
    with pytest.raises(AssertionError, match="replaced"):
        checks.check_replaced(stale)


@dataclass(frozen=True)
class Made(ew.Explainer):
    """A method made of a function."""

    function: object
    of: str = "effect"
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry", "completeness")

    @property
    def kind(self):
        return self.of

    def cost(self, size):
        return 0

    def attribute(self, question):
        return self.function(question)


def slopes(question):
    return question.gradient(np.full((1, *question.shape), 0.5))[0].numpy()


@pytest.mark.parametrize(
    ("check", "law", "function"),
    [
        ("linear", "numbers of a linear game", lambda q: Attribution(1.01 * slopes(q))),
        ("linear", "sample more", lambda q: Attribution(slopes(q), stderr=np.full(q.shape, 9.0))),
        ("linear", "numbers of a linear game", lambda q: Attribution(slopes(q) + 1, stderr=np.full(q.shape, 0.1))),
        ("dummy", "without effect", lambda q: Attribution(slopes(q) + 0.01)),
        ("symmetry", "equal component", lambda q: Attribution(np.arange(q.size) * 1.0)),
        ("completeness", "sum of the shares", lambda q: Attribution(slopes(q) * 3)),
        ("reproducible", "same bits", lambda q: Attribution(np.random.default_rng().random(q.shape))),
        ("reproducible", "numpy's random state", lambda q: Attribution(np.random.random(q.shape))),
        (
            "reproducible",
            "batch size",
            lambda q: Attribution(q.value(np.full((1, *q.shape), 1 / q.batch)).numpy() + slopes(q)),
        ),
    ],
)
def test_methods_that_break_a_law(check, law, function):
    if law == "same bits":
        np.random.seed(0)
    with pytest.raises(AssertionError, match=law):
        getattr(checks, f"check_{check}")(Made(function))


def test_a_right_method_passes():
    checks.check_linear(Made(lambda q: Attribution(slopes(q))))
    checks.check_dummy(Made(lambda q: Attribution(slopes(q))))
    checks.check_symmetry(Made(lambda q: Attribution(slopes(q))))


def test_hearing_is_checked(question, monkeypatch):
    checks.check_hearing(question)
    real = ew.Explanation.hear
    monkeypatch.setattr(ew.Explanation, "hear", lambda self, keep, remove: real(self, keep))
    with pytest.raises(AssertionError, match=r"kept \+ removed, the clip"):
        checks.check_hearing(question)
