"""Every method obeys the laws that it claims; the control, which knows nothing, is caught."""

from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import ClassVar

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.checks import check_explainer, check_linear, check_reproducible
from earwitness.explainers import METHODS
from earwitness.explainers.base import Attribution


def total_indices(w):
    """Sobol's indices of a linear function of independent uniform inputs: each one's share of the variance."""
    return w**2 / (w**2).sum()


@dataclass(frozen=True)
class Shapley(ew.Explainer):
    """Exact Shapley values by enumeration: a share, to try the laws of shares on."""

    kind: ClassVar[str] = "share"
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry", "completeness")

    def cost(self, size: int) -> int:
        return 2**size

    def attribute(self, question: ew.Question) -> Attribution:
        n = question.size
        masks = np.array([[s >> i & 1 for i in range(n)] for s in range(2**n)], float)
        v = question.value(masks.reshape(-1, *question.shape)).numpy()
        values = np.zeros(n)
        for i in range(n):
            rest = [j for j in range(n) if j != i]
            for size in range(n):
                weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                for group in combinations(rest, size):
                    s = sum(1 << j for j in group)
                    values[i] += weight * (v[s | 1 << i] - v[s])
        return Attribution(values.reshape(question.shape))


LAWS = {
    "sobol": (ew.Sobol(designs=512), total_indices),
    "sobol, jansen": (ew.Sobol(designs=1024, estimator="jansen"), total_indices),
    "sobol, monte carlo": (ew.Sobol(designs=1024, sampler="monte-carlo"), total_indices),
    "sobol, lhs, glen": (ew.Sobol(designs=1024, sampler="lhs", estimator="glen"), total_indices),
    "sobol, halton": (ew.Sobol(designs=512, sampler="halton"), total_indices),
    "saliency": (ew.Saliency(), np.abs),
    "shapley": (Shapley(), None),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", LAWS)
def test_laws(name, seed):
    explainer, expected = LAWS[name]
    check_explainer(explainer, expected, seed)


def test_no_method_is_left_out():
    tried = {type(explainer) for explainer, _ in LAWS.values()} | {ew.Random}
    assert set(METHODS) <= tried


def test_the_control_is_reproducible_and_knows_nothing():
    game = ew.Game(5, lambda m: m.sum(1))
    check_reproducible(ew.Random(seed=3))
    assert not np.array_equal(ew.Random(seed=3)(game).values, ew.Random(seed=4)(game).values)
    with pytest.raises(AssertionError, match="least and most important"):
        check_linear(ew.Random(seed=3))


def test_the_paper_s_setting_finds_the_weights_too():
    """Unscrambled it reports no error; with 256 designs it is known to be within 0.009 of the truth."""
    weights = np.arange(1.0, 17.0)
    found = ew.Sobol.paper(designs=256)(ew.Game(16, lambda m: m.double() @ torch.as_tensor(weights)))
    assert found.stderr is None
    np.testing.assert_allclose(found.values, total_indices(weights), atol=0.01)
