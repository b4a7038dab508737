"""LRP against captum's: where it applies, the same numbers; where they differ, who is right.

captum's map is multiplied by the score, so that it adds up to it, as ours does (its documentation says that it sums to one). It
hooks onto modules of certain types and edits their weights; what is a function in between, it doesn't see.
"""

import copy

import numpy as np
import pytest
import torch
from captum.attr import LRP as CAPTUM_LRP
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule
from torch import nn

import earwitness as ew


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


def network(bias, norm=False):
    """Convolutions, pools, linear layers; every module once."""

    def block(inputs, outputs):
        middle = [nn.BatchNorm2d(outputs)] if norm else []
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), *middle, nn.ReLU()]

    head = [nn.Flatten(), nn.Linear(8 * 16, 12, bias=bias), nn.ReLU(), nn.Linear(12, 3, bias=bias)]
    net = nn.Sequential(*block(1, 6), nn.MaxPool2d(2), *block(6, 8), nn.AvgPool2d(2), *head)
    with torch.no_grad():
        for at, (name, value) in enumerate(net.state_dict().items()):
            if value.is_floating_point():
                noise = normal(*value.shape, seed=at + 1)
                value.copy_(0.5 + noise.abs() if "running_var" in name else noise / 4)
    return net.eval()


def captums(net, x, rules):
    """Their map, on a copy; `rules`: from a module to its rule, None for a module that has none."""
    twin = copy.deepcopy(net)
    for module in twin.modules():
        rule = EpsilonRule(1e-9) if isinstance(module, nn.Flatten) else rules(module)
        if rule is not None and not list(module.children()):
            module.rule = rule
    return CAPTUM_LRP(twin).attribute(x[None].clone().requires_grad_(), target=0)[0].detach().numpy()


def ours(net, x, *composite, **options):
    question = ew.ask(ew.Classifier(net, None, ["a", "b", "c"][: net(x[None]).shape[1]]), x, ew.Bins(), "a")
    return ew.LRP(*composite, **{"epsilon": 1e-9} | options)(question)


def quiet(module):
    return isinstance(module, nn.ReLU | nn.Sequential | nn.Flatten)


def by_kind(rule):
    """A rule for convolutions, epsilon for everything else, as in our composites."""

    def choose(module):
        if quiet(module):
            return None
        return rule() if isinstance(module, nn.Conv2d) else EpsilonRule(1e-9)

    return choose


def same(found, expected, near=1e-4):
    np.testing.assert_allclose(found, expected, atol=near * np.abs(expected).max())


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_epsilon(bias, norm):
    """Also with batch norms: under epsilon it is all one whether they are merged."""
    net, x = network(bias, norm), normal(1, 16, 16)
    found, theirs = ours(net, x, "epsilon"), captums(net, x, by_kind(lambda: EpsilonRule(1e-9)))
    same(found.values, theirs[0])
    if not bias and not norm:
        assert theirs.sum() == pytest.approx(found.score, rel=1e-3)


@pytest.mark.parametrize(("rule", "composite"), [(Alpha1_Beta0_Rule, "epsilon-plus"), (GammaRule, "gamma")])
def test_signed_rules_of_inputs_above_0_without_bias(rule, composite):
    """That is where both say the same: behind a ReLU, before one."""
    net, x = network(False), normal(1, 16, 16).abs()
    dense = {"dense": "epsilon"}
    same(ours(net, x, composite, **dense).values, captums(net, x, by_kind(rule))[0])


def pair(weights, bias=None):
    """One linear output of two inputs, as a convolution, followed by a plain sum."""
    convolution = nn.Conv2d(1, 1, (1, len(weights)), bias=bias is not None)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor(weights).reshape(1, 1, 1, -1))
        if bias is not None:
            convolution.bias.fill_(bias)
    return nn.Sequential(convolution, nn.Flatten())


def test_of_inputs_below_0_captum_counts_contributions_by_their_weight():
    """z = -1 + 2. Its alpha-1-beta-0 passes "only positive relevance", and yet hands -1 to the contribution of -1: it takes every
    input for positive. The gamma rule, too, then favours what argues against. Ours go by the sign of the contribution."""
    net, x = pair([1.0, 1.0]), torch.tensor([[[-1.0, 2.0]]])
    same(captums(net, x, by_kind(Alpha1_Beta0_Rule)), [[[-1.0, 2.0]]])
    same(ours(net, x, "epsilon-plus").values, [[0.0, 1.0]])
    net, x = pair([1.0, -1.0]), torch.tensor([[[-1.0, -2.0]]])
    same(captums(net, x, by_kind(GammaRule)), [[[-1.25 / 0.75, 2 / 0.75]]])
    same(ours(net, x, "gamma").values, [[-1 / 1.5, 2 * 1.25 / 1.5]])


def test_a_negative_bias_has_no_share_in_what_argues_for():
    """z = 3 - 1. Captum cuts weights at 0 and leaves biases as they are: what argued for gets 3 / 2 of the score."""
    net, x = pair([3.0, -1.0], -0.5), torch.tensor([[[1.0, 0.5]]])
    same(captums(net, x, by_kind(Alpha1_Beta0_Rule)), [[[3 / 2.5 * 2.0, 0.0]]])
    same(ours(net, x, "epsilon-plus").values, [[2.0, 0.0]])


class Residual(nn.Module):
    """x + 3 x, summed."""

    def __init__(self):
        super().__init__()
        self.scale, self.flat, self.head = nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(4, 1, bias=False)
        self.first = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.scale.weight, 3.0)
        nn.init.constant_(self.head.weight, 1.0)
        nn.init.constant_(self.first.weight, 1.0)

    def forward(self, x):
        x = self.first(x)
        return self.head(self.flat(x + self.scale(x)))


def test_a_sum_is_invisible_to_captum():
    """Each input of 1 owns 4 of the score of 16. Captum gives the whole relevance to either branch of "+": 8."""
    net, x = Residual(), torch.ones(1, 2, 2)
    found = ours(net, x, "epsilon")
    same(found.values, 4 * np.ones((2, 2)))
    assert found.score == pytest.approx(16)
    theirs = captums(net, x, lambda module: EpsilonRule(1e-9) if isinstance(module, nn.Conv2d | nn.Linear) else None)
    same(theirs[0], 8 * np.ones((2, 2)))


def test_a_module_that_is_used_twice():
    """Refused there; here 2 x 2 x, as the score."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 2.0)
    net = nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer)
    x = torch.full((1, 1, 1), 3.0)
    assert ours(net, x, "epsilon").values.item() == pytest.approx(12)
    with pytest.raises(RuntimeError, match="used more than once"):
        captums(net, x, lambda module: EpsilonRule(1e-9) if isinstance(module, nn.Linear) else None)


@pytest.mark.parametrize(
    "layer", [nn.GELU(), nn.LayerNorm(4), nn.GroupNorm(1, 1), nn.MultiheadAttention(4, 1)], ids=repr
)
def test_layers_that_captum_does_not_know(layer):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            x = x.flatten(1)[:, None]
            x = self.layer(x, x, x)[0] if isinstance(self.layer, nn.MultiheadAttention) else self.layer(x)
            return x[..., :2].sum((1, 2))[:, None]

    torch.manual_seed(0)
    net, x = Net().eval(), normal(1, 1, 4)
    assert np.abs(ours(net, x, "epsilon").values).max() > 0
    with pytest.raises(TypeError, match="has no rule defined"):
        captums(net, x, lambda module: None)
