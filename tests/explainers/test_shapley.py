"""Shapley values: closed forms, completeness, the exact mode, antithetic orders written again, calibrated errors."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

import earwitness as ew

W = torch.tensor([3.0, -2.0, 1.0, 0.0, 0.5], dtype=torch.float64)
FORMS = {  # on five components
    "linear": (lambda m: 1 + m @ W, W.numpy()),
    "energy": (lambda m: m.square() @ W, W.numpy()),
    "and": (lambda m: 5 * m.prod(1), 5 * [1]),
    "max": (lambda m: m[:, :4].amax(1), [0.25, 0.25, 0.25, 0.25, 0]),
    "unanimity": (lambda m: m[:, 0] * m[:, 2] - 2 * m[:, 3] * m[:, 4], [0.5, 0, 0.5, -1, -1]),
    "additive": (lambda m: m[:, 0] ** 3 + torch.sin(m[:, 1]), [1, np.sin(1), 0, 0, 0]),
    "third order": (lambda m: 6 * m[:, 0] * m[:, 1] * m[:, 2] + m[:, 2] * m[:, 3], [2, 2, 2.5, 0.5, 0]),
}
NOISY = {  # on twelve, with closed forms: unanimity games share evenly among their members
    "products": (
        lambda m: 3 * m[:, 0] * m[:, 1] * m[:, 2] + m[:, 2] * m[:, 3] - 2 * m[:, 4] * m[:, 5] * m[:, 6] + m[:, 7],
        [1, 1, 1.5, 0.5, -2 / 3, -2 / 3, -2 / 3, 1, 0, 0, 0, 0],
    ),
    "max": (lambda m: m[:, :4].amax(1), [0.25] * 4 + [0] * 8),
}


def game(function, size=5):
    return ew.Game(size, lambda m: function(m.double()))


@pytest.mark.parametrize("name", FORMS)
def test_closed_forms_are_exact_where_components_are_few(name):
    function, expected = FORMS[name]
    found = ew.Shapley()(game(function))
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert (found.kind, found.stopped, found.stderr.max(), found.evaluations) == ("share", "exact", 0, 32)
    assert ew.Shapley().cost(5) == 30


def test_a_single_component_has_it_all():
    found = ew.Shapley()(game(lambda m: 3 + 2 * m[:, 0], 1))
    assert (found.values.tolist(), found.evaluations) == ([2], 2)


@pytest.mark.parametrize("permutations", [1, 2, 3, 7, 40])
def test_shares_add_up_whatever_the_number(permutations):
    found = ew.Shapley(permutations, seed=4)(game(lambda m: torch.tanh(m @ torch.linspace(-1, 2, 12).double()), 12))
    assert found.stopped == ""
    np.testing.assert_allclose(found.values.sum(), found.total, atol=1e-9)
    assert found.evaluations == permutations * 2 * 11 + 2 == ew.Shapley(permutations).cost(12) + 2


def test_orders_are_walked_forwards_and_backwards():
    """Every mask is asked for; each backward walk holds the opposites of the forward one."""
    asked = []
    question = ew.Game((3, 4), lambda m: (asked.append(m.clone()), m.double().sum((1, 2)))[1])
    ew.Shapley(permutations=3, seed=1)(question)
    masks = torch.cat([rows for rows in asked if len(rows) == 11]).flatten(1).reshape(3, 2, 11, 12)
    assert (masks.sum(-1) == torch.arange(1, 12)).all()
    assert (masks.diff(dim=2) >= 0).all()  # one more at a time
    np.testing.assert_array_equal(masks[:, 1], 1 - masks[:, 0].flip(1))


def test_the_walk_written_again():
    """From the orders that the masks show: mean over orders of value(before and i) - value(before)."""

    def function(m):
        return torch.tanh(m @ torch.linspace(-1, 2, 12).double())

    asked = []
    question = ew.Game(12, lambda m: (asked.append(m.clone()), function(m.double()))[1])
    found = ew.Shapley(permutations=5, seed=2)(question)
    ends = torch.stack([torch.zeros(12), torch.ones(12)])
    total, walks = np.zeros(12), [rows for rows in asked if len(rows) == 11]
    for rows in walks:
        walk = torch.cat([ends[:1], rows, ends[1:]]).double()
        for before, after in pairwise(walk):
            total[int((after - before).argmax())] += float(function(after[None]) - function(before[None]))
    np.testing.assert_allclose(found.values, total / len(walks), atol=1e-12)


def test_all_orders_written_out():
    def function(m):
        return torch.relu(m @ W - 0.5) + m[:, 0] * m[:, 3] ** 2

    orders, total = list(permutations(range(5))), np.zeros(5)
    for order in orders:
        mask = torch.zeros(1, 5, dtype=torch.float64)
        for i in order:
            before = float(function(mask))
            mask[0, i] = 1
            total[i] += float(function(mask)) - before
    np.testing.assert_allclose(ew.Shapley()(game(function)).values, total / len(orders), atol=1e-12)


@pytest.mark.parametrize("name", NOISY)
def test_intervals_cover(name):
    """Of 200 seeds x the components with any error, nominal 95 %: 90 to 99 %; no bias."""
    function, expected = NOISY[name]
    found = [ew.Shapley(16, seed).attribute(game(function, 12)) for seed in range(200)]
    values, errors = (np.array([getattr(each, part) for each in found]) for part in ("values", "stderr"))
    unsure = errors.max(0) > 1e-9
    np.testing.assert_allclose(values[:, ~unsure] - np.array(expected)[~unsure], 0, atol=1e-9)
    assert 0.9 <= (np.abs(values - expected) <= 1.96 * errors)[:, unsure].mean() <= 0.99
    assert (np.abs(values.mean(0) - expected) <= 4 * values.std(0) / np.sqrt(200) + 1e-9).all()
    assert unsure.sum() >= 4


def test_second_order_needs_one_pair_of_orders():
    """What walks in both directions are for: pairs of components come out exactly."""

    def function(m):
        return m[:, 0] * m[:, 1] - 3 * m[:, 2] * m[:, 7] + m[:, 4]

    expected = np.zeros(12)
    expected[[0, 1, 2, 7, 4]] = [0.5, 0.5, -1.5, -1.5, 1]
    np.testing.assert_allclose(ew.Shapley(1)(game(function, 12)).values, expected, atol=1e-9)


def test_budgets():
    function, expected = NOISY["products"]
    spent = ew.Shapley(until=ew.Budget(evaluations=500))(game(function, 12))
    assert spent.evaluations == 22 * 22 + 2 and "500 evaluations is spent" in spent.stopped
    aimed = ew.Shapley(until=ew.Budget(precision=0.05))(game(function, 12))
    assert aimed.stderr.max() <= 0.05 * np.abs(aimed.values).max()
    assert (np.abs(aimed.values - expected) <= 4 * aimed.stderr + 1e-9).all()


@pytest.mark.parametrize(("evaluations", "stopped"), [(32, "exact"), (31, "budget")])
def test_exact_only_where_the_budget_pays_for_it(evaluations, stopped):
    found = ew.Shapley(until=ew.Budget(evaluations=evaluations))(game(FORMS["third order"][0]))
    assert stopped in found.stopped and found.evaluations <= evaluations


def test_exact_as_soon_as_it_costs_no_more():
    found = ew.Shapley(permutations=1)(game(lambda m: m[:, 0] * m[:, 1], 2))
    assert (found.stopped, found.evaluations) == ("exact", 4)
    assert ew.Shapley(permutations=2)(game(lambda m: m.prod(1), 4)).stopped == ""  # 12 are fewer than 14


def test_few_components_are_exact_under_any_other_aim():
    found = ew.Shapley(until=ew.Budget(rank=0.9))(game(FORMS["third order"][0]))
    assert (found.stopped, found.evaluations) == ("exact", 32)


def test_what_makes_no_sense():
    with pytest.raises(ew.UsageError, match="permutations must be a whole number above 0"):
        ew.Shapley(permutations=0)
    with pytest.raises(ew.UsageError, match="too few for 12 components: give 68 or more"):
        ew.Shapley(until=ew.Budget(evaluations=50))(game(NOISY["max"][0], 12))
