"""How much of the score's variance does each component carry?

Every component gets a random level in [0, 1]. The total-order index of component i,

    ST_i = E[ Var(value | all levels but i) ] / Var(value),

is the share of the variance that goes away when i alone is known last: its own effect and its part in all interactions. It is
an importance without a sign and without a unit; `signed` says for or against, `others["first_order"]` what i does alone.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, unknown
from earwitness.explainers.base import Attribution, Explainer
from earwitness.numerics.designs import SAMPLERS, block_sizes, unit_points
from earwitness.numerics.sobol_indices import ESTIMATORS, Pairs, first_order, jackknife, partners, slopes
from earwitness.questions import Question


@dataclass(frozen=True)
class Sobol(Explainer):
    """Total Sobol' indices over random masks.

    designs: base masks; each costs one evaluation and one more for every component.
    seed: of the masks; the same seed gives the same masks for any batch size.
    estimator: "importance" (importance-sampled Jansen, the default), "jansen", "saltelli" (the same as "homma"), "janon",
        "glen".
    sampler: "sobol" (scrambled), "sobol-plain", "halton", "lhs", "monte-carlo".
    amplitude: None mixes with the baseline (inpainting), levels 0 to 1; a number s scales each component by 1 - s to
        1 + s instead. Blurring is a baseline: `Grid(8, 8, baseline="blur")`.

    Values lie in [0, 1] up to sampling error and need not sum to 1: their excess over 1 is interaction. Standard errors are
    a jackknife over independent designs (Monte Carlo) or over independent scramblings (sequences); "sobol-plain" has none.
    A score that does not change gives zeros and a warning.

    Cost: designs x (components + 1) evaluations.
    Source: Fel et al. (2021), "Look at the Variance!"; see `numerics.sobol_indices` for the estimators.
    Differs: the second design matrix is not evaluated, as no estimator uses it; the default estimator and sampler (see
    `paper`); a constant score gives 0, not NaN.
    """

    designs: int = 32
    seed: int = 0
    estimator: str = "importance"
    sampler: str = "sobol"
    amplitude: float | None = None

    kind: ClassVar[str] = "importance"
    axioms: ClassVar[tuple[str, ...]] = ("dummy",)

    def __post_init__(self) -> None:
        if self.designs < 2:
            raise UsageError(f"Sobol needs 2 designs or more to see a variance, not {self.designs}")
        if self.estimator not in ESTIMATORS:
            raise unknown("estimator", self.estimator, ESTIMATORS)
        if self.sampler not in SAMPLERS:
            raise unknown("sampler", self.sampler, SAMPLERS)

    @classmethod
    def paper(cls, designs: int = 64) -> "Sobol":
        """The published setting: Jansen on a plain Sobol' sequence. Deterministic, so without standard errors."""
        return cls(designs, estimator="jansen", sampler="sobol-plain")

    def cost(self, size: int) -> int:
        return self.designs * (size + 1)

    def attribute(self, question: Question) -> Attribution:
        pairs, shape = self._evaluate(question), question.shape
        estimates = {"total": ESTIMATORS[self.estimator], "first_order": first_order, "slope": slopes}
        if np.ptp(pairs.a) <= 1e-9 * (1 + np.abs(pairs.a).max()) and np.ptp(pairs.c) <= 1e-9 * (
            1 + np.abs(pairs.c).max()
        ):
            zero = np.zeros(shape)
            return Attribution(zero, zero, zero, {"first_order": zero}, ("the score is the same for every mask",))
        found = {name: estimate(pairs).reshape(shape) for name, estimate in estimates.items()}
        errors = {name: jackknife(pairs, estimate) for name, estimate in estimates.items()}
        errors = {f"{name}_stderr": e.reshape(shape) for name, e in errors.items() if e is not None}
        others = {"first_order": found["first_order"], **errors}
        return Attribution(found["total"], errors.get("total_stderr"), found["slope"] / self._span, others)

    @property
    def _span(self) -> float:
        return 1.0 if self.amplitude is None else 2 * self.amplitude

    def _evaluate(self, question: Question) -> Pairs:
        """Draw and evaluate the designs, one independent block at a time."""
        rng, size, blocks = np.random.default_rng(self.seed), question.size, []
        for block, count in enumerate(block_sizes(self.sampler, self.designs)):
            x, u = np.split(unit_points(self.sampler, count, 2 * size, rng), 2, axis=1)
            z, weight = partners(x, u) if self.estimator == "importance" else (u, np.ones_like(u))
            rows = np.repeat(x[:, None], size + 1, axis=1)
            rows[:, np.arange(1, size + 1), np.arange(size)] = z
            masks = (1 - self._span / 2 + self._span * rows) if self.amplitude else rows
            y = question.value(masks.reshape(-1, *question.shape)).numpy().reshape(count, size + 1)
            blocks.append(Pairs(x, z, y[:, 0], y[:, 1:], weight, np.full(count, block)))
        return Pairs(*(np.concatenate([getattr(b, f) for b in blocks]) for f in Pairs.__dataclass_fields__))
