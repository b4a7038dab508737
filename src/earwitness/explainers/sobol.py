"""How much of the score's variance does each component carry?

Every component gets a random level in [0, 1]. The total-order index of component i,

    ST_i = E[ Var(value | all levels but i) ] / Var(value),

is the share of the variance that goes away when i alone is known last: its own effect and its part in all interactions. It is
an importance without a sign and without a unit; `signed` says for or against, `others["first_order"]` what i does alone.
"""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, positive, unknown, whole
from earwitness.explainers.base import Attribution, Budget, Sampled
from earwitness.numerics.blocks import ENOUGH, Sums, joined
from earwitness.numerics.designs import SAMPLERS, block_sizes, exchanges, some_points
from earwitness.numerics.sobol_indices import (
    ESTIMATORS,
    WIDE,
    combined,
    first_order,
    levelled,
    pair_sums,
    partners,
    slopes,
)
from earwitness.questions import Question

FLAT = 4 * float(np.finfo(np.float32).eps)  # of the largest score: what single precision cannot tell from a constant
CONSTANT = "the score is the same for every mask"
NUMBERS = 2**21  # levels in the masks that are made at once: 16 MB


@dataclass(frozen=True)
class Sobol(Sampled):
    """Total Sobol' indices over random masks.

    designs: base masks, 2 or more; each costs one evaluation and one more for every component.
    seed: of the masks; the same seed gives the same masks for any batch size.
    estimator: "importance" (importance-sampled Jansen, the default), "jansen", "saltelli" (the same as "homma"), "janon",
        "glen".
        For a score that jumps (hard decisions) take "jansen": weights of close pairs then scatter the default.
    sampler: "sobol" (scrambled), "sobol-plain", "halton", "lhs", "monte-carlo".
    amplitude: None mixes with the baseline (inpainting), levels 0 to 1; a number s in (0, 1] scales each component by 1 - s
        to 1 + s instead. Blurring is a baseline: `Grid(8, 8, baseline="blur")`.
    until: a `Budget` in place of `designs`.

    Values lie in [0, 1] (those of the published estimators only up to sampling error) and need not sum to 1: their excess over
    1 is interaction. Standard errors are a jackknife over independent blocks of designs: Monte Carlo points, hypercubes, or
    scramblings of a sequence; "sobol-plain" and fewer than 3 designs have none.
    `signed` is the least-squares slope of the score on each level, in units of the score: for (+) or against (-).
    `others`: "first_order", and "first_order_stderr", "signed_stderr". A score that does not change gives zeros and a warning.

    Cost: designs x (components + 1) evaluations for each baseline. Memory: at most 32 blocks of 16 (components + 2)^2 bytes
    (2 MB for 64 components) are kept, however many the designs; at the peak, while asking, 44 MB for 32,768 or 65,536.
    Evaluations to a rank correlation of 0.95 with the converged map of 64 components, beside the published setting: 486 and
    2,076 on synthetic sounds, 681 and 1,945 on a real mixture against its noise floor, more than 3,120 on the same against
    silence (`benchmarks/estimators.py`). The standard errors say how it is for yours.
    Source: Fel et al. (2021), "Look at the Variance!"; see `numerics.sobol_indices` for the estimators.
    Differs: the second design matrix is not evaluated, as no estimator uses it; the default estimator and sampler (see
    `paper`); a constant score gives 0, not NaN; amplitude is centred on the clip as it is, where the well-known
    implementation multiplies by (level - 1/2) s and so never shows the model the clip.
    """

    designs: int = 32
    seed: int = 0
    estimator: str = "importance"
    sampler: str = "sobol"
    amplitude: float | None = None
    until: Budget | None = None

    kind: ClassVar[str] = "importance"
    axioms: ClassVar[tuple[str, ...]] = ("dummy",)

    def __post_init__(self) -> None:
        whole(least=2, designs=self.designs)  # one has no variance
        whole(least=0, seed=self.seed)
        positive(amplitude=self.amplitude)
        if self.estimator not in ESTIMATORS:
            raise unknown("estimator", self.estimator, ESTIMATORS)
        if self.sampler not in SAMPLERS:
            raise unknown("sampler", self.sampler, SAMPLERS)
        if self.until is not None and self.sampler == "sobol-plain":
            raise UsageError('a plain sequence has no independent parts to stop after: take sampler="sobol"')
        if self.amplitude is not None and not 0 < self.amplitude <= 1:
            raise UsageError(
                f"amplitude is a share of each component's own level, above 0 and up to 1, not {self.amplitude}"
            )

    @classmethod
    def paper(cls, designs: int = 64) -> "Sobol":
        """The published setting: Jansen on a plain Sobol' sequence. Deterministic, so without standard errors."""
        return cls(designs, estimator="jansen", sampler="sobol-plain")

    def points(self, size: int) -> int:
        return self.designs

    def price(self, size: int) -> int:
        return size + 1

    def block_sizes(self, points: int) -> list[int]:
        return block_sizes(self.sampler, points)

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        """Ask at one block of designs, a bounded number of them and of masks at a time."""
        parts = some_points(self.sampler, points, 2 * question.size, rng)
        return reduce(combined, (self._asked(question, *np.split(part, 2, axis=1)) for part in parts))

    def _asked(self, question: Question, x: np.ndarray, u: np.ndarray) -> Sums:
        z, weight = partners(x, u) if self.estimator == "importance" else (u, np.ones_like(u))
        at_once = question.batch * max(1, NUMBERS // (question.batch * question.size))
        y = np.empty(len(x) * self.price(question.size))  # filled in place: small results between large masks scatter
        for number, rows in enumerate(exchanges(x, z, at_once)):
            masks = self._levels(rows).reshape(-1, *question.shape)
            y[number * at_once :][: len(rows)] = question.value(masks).numpy()
        y = y.reshape(len(x), -1)
        return pair_sums(x, z, y[:, 0], y[:, 1:], weight)

    def join(self, blocks: list[Sums]) -> list[Sums]:
        return joined(blocks, combined)

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        levels = 1 if self.amplitude is None else 2 * self.amplitude  # how many a point's coordinate goes through
        return {
            "values": ESTIMATORS[self.estimator](sums),
            "signed": slopes(sums) / levels,
            "first_order": first_order(sums),
        }

    def answer(self, question: Question, blocks: list[Sums]) -> Attribution:
        if reason := self._nothing_to_share(blocks):
            return _zeros(question.shape, reason, known=reason == CONSTANT and len(blocks) >= ENOUGH)
        found = super().answer(question, levelled(blocks))
        if "first_order_stderr" in found.others:
            found.others["first_order_stderr"] /= WIDE
        return found

    def _levels(self, rows: np.ndarray) -> np.ndarray:
        """Mask levels for points of the unit cube."""
        return rows if self.amplitude is None else 1 + self.amplitude * (2 * rows - 1)

    def _nothing_to_share(self, blocks: list[Sums]) -> str:
        """Why there is no variance to share out; empty if there is."""
        base, every = np.split(np.max([block["reach"] for block in blocks], 0), 2)
        if not _flat(base):
            return ""
        if _flat(every):
            return CONSTANT
        if self.estimator == "importance":  # which knows the variance from the pairs as well
            return ""
        return 'the score is the same for every base mask: take more designs, or estimator="importance"'


def _zeros(shape: tuple[int, ...], reason: str, known: bool) -> Attribution:
    """Nothing, and why; with standard errors of 0 where that is known."""
    values, stderr, signed, first = np.zeros((4, *shape))
    return Attribution(values, stderr if known else None, signed, {"first_order": first}, warnings=(reason,))


def _flat(reach: np.ndarray) -> bool:
    """Whether values, whose negative minimum and maximum these are, are the same but for the rounding of single precision."""
    return bool(reach.sum() <= FLAT * reach.max())
