"""Stopping: which limit was reached is said, none is exceeded, and stopping does not bias the answer or its errors."""

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.errors import UsageError
from earwitness.explainers.base import Budget
from earwitness.questions import Game, reporting

RNG = np.random.default_rng(0)
WEIGHTS = torch.tensor(RNG.standard_normal(16))
TRIPLES = torch.tensor(RNG.standard_normal((16, 16, 16)) / 8)
GAMES = {
    "third order": lambda m: torch.einsum("bi,bj,bk,ijk->b", m, m, m, TRIPLES) + m @ WEIGHTS,
    "sigmoid": lambda m: torch.sigmoid(m @ WEIGHTS),
    "largest": lambda m: (m * (1 + WEIGHTS.abs())).amax(1),
}


def game(name):
    return Game(16, lambda m: GAMES[name](m.double()))


def test_a_budget_needs_a_limit():
    with pytest.raises(UsageError, match="needs a limit"):
        Budget()
    for wrong in ({"rank": 1.0}, {"rank": 0}, {"precision": -1}, {"seconds": 0}, {"evaluations": 0}):
        with pytest.raises(UsageError):
            Budget(**wrong)


@pytest.mark.parametrize("method", [ew.LIME, ew.KernelSHAP, ew.Shapley])
@pytest.mark.parametrize("spare", [-1, 0, 1, 2])
def test_asking_every_mask_keeps_to_the_budget(method, spare):
    """Of 6 components there are 64 masks, or 62 and the ends."""
    found = method(until=Budget(evaluations=64 + spare))(Game(6, lambda m: m.double() @ WEIGHTS[:6]))
    assert found.evaluations <= 64 + spare


@pytest.mark.parametrize("method", [ew.Sobol, ew.Shapley])
@pytest.mark.parametrize("evaluations", [100, 1000, 1234, 5000])
def test_evaluations_are_never_exceeded_and_nearly_spent(method, evaluations):
    found = method(until=Budget(evaluations=evaluations))(game("third order"))
    assert 0.9 * evaluations - 32 < found.evaluations <= evaluations
    assert "evaluations is spent" in found.stopped


def test_too_few_evaluations_say_how_many():
    with pytest.raises(UsageError, match="give 53 or more"):
        ew.Sobol(until=Budget(evaluations=52))(game("third order"))
    ew.Sobol(until=Budget(evaluations=53))(game("third order"))


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("method", [ew.Sobol, ew.Shapley])
def test_precision_is_reached(method, name):
    found = method(until=Budget(precision=0.1, evaluations=60_000))(game(name))
    assert found.stderr.max() <= 0.1 * np.abs(found.values).max() and "largest standard error" in found.stopped


def test_seconds_stop():
    found = ew.Sobol(until=Budget(seconds=0.05))(game("sigmoid"))
    assert "0.05 s is spent" in found.stopped and found.seconds < 2


def test_an_interruption_gives_the_answer_so_far():
    asked = 0

    def impatient(rows, expected):
        nonlocal asked
        asked += rows
        if asked > 600:
            raise KeyboardInterrupt

    with reporting(impatient):
        try:
            found = ew.Sobol(until=Budget(rank=0.999999, evaluations=10**6)).attribute(game("sigmoid"))
        except KeyboardInterrupt:
            pytest.fail("the answer so far was lost")
    assert found.stopped == "interrupted" and np.isfinite(found.values).all() and found.stderr is not None


def test_without_a_budget_an_interruption_is_one():
    def impatient(rows, expected):
        raise KeyboardInterrupt

    with reporting(impatient), pytest.raises(KeyboardInterrupt):
        ew.Sobol()(game("sigmoid"))


def test_the_same_seed_stops_at_the_same_place():
    first, second = (ew.Sobol(until=Budget(rank=0.95))(game("sigmoid")) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    assert first.stopped == second.stopped and first.evaluations == second.evaluations


def test_a_plain_sequence_cannot_stop():
    with pytest.raises(UsageError, match="no independent parts"):
        ew.Sobol(sampler="sobol-plain", until=Budget(rank=0.9))


@pytest.mark.parametrize(
    "name, precision",
    [("third order", 0.1), ("largest", 0.2)]
    + [pytest.param(name, 0.05, marks=pytest.mark.reference) for name in GAMES],
)
def test_stopping_does_not_bias(name, precision):
    """200 seeds: mean errors within what chance allows, and 88 % or more of the nominal 95 % intervals cover the truth.

    The first game is looked at once or several times. The second, looked at after each block from the third on, would stop after
    about 7, many by luck: 70 % would cover.
    """
    truth = ew.Shapley(permutations=20000, until=Budget(evaluations=70_000))(game(name))
    assert truth.stopped == "exact"
    errors, covered = [], []
    for seed in range(200):
        found = ew.Shapley(seed=seed, until=Budget(precision=precision, evaluations=20_000))(game(name))
        errors.append(found.values - truth.values)
        covered.append(np.abs(errors[-1]) <= 1.96 * found.stderr)
    errors = np.array(errors)
    score = np.abs(errors.mean(0)) / np.maximum(errors.std(0, ddof=1) / np.sqrt(200), 1e-12)
    assert np.mean(score < 2) >= 0.8 and score.max() < 3.5  # of 16: 95 % are expected below 2
    assert np.mean(covered) >= 0.88


@pytest.mark.parametrize("method", [ew.Sobol, ew.LIME, ew.GradientSHAP])
def test_a_budget_is_of_all_baselines_together(cnn, tone, method):
    question = ew.ask(cnn(ew.LogSTFT(8000, 256, 64)), tone()[0], ew.Grid(2, 4, baseline=("silence", "noise", "mean")))
    found = method(until=ew.Budget(evaluations=900))(question)
    assert 600 < found.evaluations <= 900
