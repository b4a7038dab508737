"""What the tests of relevance share."""

import pytest
import torch

from earwitness.numerics.relevance import propagating
from earwitness.numerics.relevance_rules import Rules

PLAIN_RULES = Rules()


def _walked(function, x, relevance=None, rules=PLAIN_RULES, at_input=False):
    """The value, and the relevance of x; `relevance`: that of the value, by default the value itself."""
    with propagating(rules, at_input):
        start = x.detach().clone().requires_grad_()
        y = function(start)
        relevance = y.detach() if relevance is None else relevance
        each = torch.where(y == 0, 0.0, relevance / y).detach()
        (g,) = torch.autograd.grad(y, start, each, allow_unused=True)
    return y.detach(), x * (torch.zeros_like(x) if g is None else g)


@pytest.fixture
def walked():
    """The value of a function, and the relevance of what it is given."""
    return _walked
