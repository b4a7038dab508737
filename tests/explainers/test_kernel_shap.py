"""KernelSHAP: Shapley's values of games that can be solved by hand, their sum, and how far its errors can be trusted."""

from itertools import permutations

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.checks import check_explainer
from earwitness.explainers.kernel_shap import SIZES
from earwitness.questions import remembering_ends

W = np.array([3.0, -2.0, 1.5, 1.0, 1.0, 0.5, -0.5, 0.0, 0.25, 2.0])
N = len(W)
HIDDEN = torch.tensor(np.random.default_rng(4).normal(size=(N, 6)))


def linear(m):
    return 5 + m @ torch.tensor(W)


def additive(m):
    return torch.sin(3 * m[:, 0]) + torch.exp(m[:, 1]) - 2 * m[:, 4] ** 2


def both(m):
    return m[:, 0] * m[:, 1] * 2


def unanimity(m):
    return m[:, 2:7].prod(1) * 10


def largest(m):
    return (m * torch.arange(1, N + 1)).amax(1)


def third_order(m):
    return m[:, 0] * m[:, 1] * m[:, 2] * 3 - 6 * m[:, 3] * m[:, 4] * m[:, 5] + linear(m) / 4


def network(m):
    hidden = torch.relu(m @ HIDDEN - 0.3)
    return torch.tanh(hidden.sum(1) / 3 - 1) * 2 + hidden[:, 0]


GAMES = {f.__name__: f for f in (linear, additive, both, unanimity, largest, third_order, network)}
KNOWN = {
    "linear": W,
    "additive": [np.sin(3), np.e - 1, 0, 0, -2] + [0] * 5,
    "both": [1, 1] + [0] * 8,
    "unanimity": [0, 0] + [2] * 5 + [0] * 3,
    "largest": [
        sum(1 / (N - k) for k in range(i + 1)) for i in range(N)
    ],  # an airport: each stretch is shared by who uses it
    "third_order": W / 4 + np.array([1] * 3 + [-2] * 3 + [0] * 4),
}


def game(name: str) -> ew.Game:
    return ew.Game(N, lambda m: GAMES[name](m.double()))


LAWFUL = [
    ew.KernelSHAP(),
    *(ew.KernelSHAP(64, seed=3, sizes=sizes) for sizes in SIZES),
    ew.KernelSHAP(20),
    ew.KernelSHAP(until=ew.Budget(evaluations=100)),
    ew.KernelSHAP(until=ew.Budget(precision=0.05)),
]


@pytest.mark.parametrize("explainer", LAWFUL, ids=repr)
def test_laws(explainer):
    check_explainer(explainer)


@pytest.mark.parametrize("name", KNOWN)
def test_all_coalitions_give_shapleys_values(name):
    found = ew.KernelSHAP(1022)(game(name))
    np.testing.assert_allclose(found.values, KNOWN[name], atol=1e-11)
    assert found.stopped == "exact" and (found.stderr == 0).all() and found.evaluations == 1022 + 2


def test_and_the_average_over_all_orders():
    question = ew.Game(5, lambda m: network(torch.nn.functional.pad(m.double(), (0, N - 5))))
    added = np.zeros(5)
    for order in permutations(range(5)):
        masks = np.tril(np.ones((6, 5)), -1)[:, np.argsort(order)]
        added[list(order)] += np.diff(question.value(masks).numpy()) / 120
    np.testing.assert_allclose(ew.KernelSHAP()(question).values, added, atol=1e-12)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", ["linear", "additive"])
def test_a_sample_is_enough_where_nothing_interacts(name, sizes):
    """And where it interacts in pairs only: opposites cancel what is even."""
    found = ew.KernelSHAP(64, sizes=sizes)(game(name))
    np.testing.assert_allclose(found.values, KNOWN[name], atol=1e-11)
    pairs = ew.Game(N, lambda m: both(m.double()) + GAMES[name](m.double()))
    np.testing.assert_allclose(ew.KernelSHAP(64)(pairs).values, np.add(KNOWN["both"], KNOWN[name]), atol=1e-11)


@pytest.mark.parametrize("samples", [8, 18, 20, 40, 500])
@pytest.mark.parametrize("name", GAMES)
def test_shares_add_up_whatever_the_samples(name, samples):
    found = ew.KernelSHAP(samples, seed=2)(game(name))
    assert found.values.sum() == pytest.approx(found.total, rel=1e-10)
    assert any("are few for 10 components" in line for line in found.warnings) == (samples < 40)


def test_one_component_and_two():
    assert ew.KernelSHAP()(ew.Game(1, lambda m: 3 + 2 * m[:, 0])).values.tolist() == [2]
    np.testing.assert_allclose(ew.KernelSHAP()(ew.Game(2, lambda m: m.double().prod(1))).values, [0.5, 0.5])


def test_nothing_explodes_at_one_pair_a_component():
    """Regression on n pairs for n components has errors up to several times the values; here they are 0.6 at most."""
    question = ew.Game(64, lambda m: m[:, :32].double().sum(1) + torch.sin(7 * m.double().cumsum(1)).sum(1) / 30)
    truth = ew.KernelSHAP(1 << 15)(question).values
    off = [np.linalg.norm(ew.KernelSHAP(128, seed)(question).values - truth) for seed in range(10)]
    assert max(off) < 0.6 * np.linalg.norm(truth)


def test_leverage_scores_are_worth_it():
    """Thirty seeds, 32 components: the mean squared error is well below that of sizes drawn by the kernel (0.6 of it)."""
    weights = torch.tensor(np.random.default_rng(0).normal(size=(32, 8))) / 2
    question = ew.Game(32, lambda m: torch.relu(m.double() @ weights - weights.sum(0) * 0.4).sum(1))
    truth = ew.KernelSHAP(1 << 14, seed=77)(question).values
    off = {
        sizes: np.mean([((ew.KernelSHAP(128, s, sizes)(question).values - truth) ** 2).sum() for s in range(30)])
        for sizes in SIZES
    }
    assert off["leverage"] < 0.8 * off["kernel"]


@pytest.mark.parametrize("budget", [ew.Budget(evaluations=300), ew.Budget(precision=0.02), ew.Budget(rank=0.97)])
def test_a_budget_stops_it(budget):
    """Two games beside each other share nothing: the values are those of each."""
    question = ew.Game(2 * N, lambda m: third_order(m.double()[:, :N]) + network(m.double()[:, N:]))
    found = ew.KernelSHAP(until=budget)(question)
    truth = np.concatenate([ew.KernelSHAP()(game(name)).values for name in ("third_order", "network")])
    assert found.stopped and (budget.evaluations is None or found.evaluations <= budget.evaluations)
    assert (np.abs(found.values - truth) < 5 * found.stderr + 1e-9).all()


CASES = [("network", 256, "leverage"), ("network", 256, "kernel"), ("largest", 32, "leverage")]
MORE = [*((name, 256, "leverage") for name in ("unanimity", "largest", "third_order")), ("network", 40, "leverage")]


@pytest.mark.parametrize(
    "name, samples, sizes", [*CASES, *(pytest.param(*case, marks=pytest.mark.reference) for case in MORE)]
)
def test_intervals_cover_shapleys_values(name, samples, sizes):
    """200 seeds, nominal 95 %: 90 to 99 % cover them; with few coalitions a little more may."""
    question = game(name)
    with remembering_ends():
        truth = ew.KernelSHAP().attribute(question).values
        found = [ew.KernelSHAP(samples, seed, sizes).attribute(question) for seed in range(200)]
    inside = np.mean([np.abs(f.values - truth) <= 1.96 * f.stderr for f in found])
    assert 0.9 <= inside <= (0.999 if samples < 64 else 0.99)


@pytest.mark.parametrize("options", [{"samples": 4}, {"samples": 9.5}, {"seed": -1}, {"sizes": "x"}])
def test_bad_options(options):
    with pytest.raises(ew.UsageError):
        ew.KernelSHAP(**options)
