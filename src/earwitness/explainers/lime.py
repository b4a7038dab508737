"""Which straight line is most like the score, near the clip?

    minimise  sum_m w(m) (value(m) - a - sum_i b_i m_i)^2        over random masks m of zeros and ones

w(m) is the larger the more of the clip is kept. b_i is the effect of component i: by how much the score rises with it, on average
over what else is there. How much the line is like the score is its fidelity R²: the share of the variance of the score, over the
weighted masks, that the line explains.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from earwitness.errors import UsageError, positive, unknown, whole
from earwitness.explainers.base import Attribution, Budget, Sampled
from earwitness.numerics.binary_designs import DESIGNS, FOLDED, every_mask, full_set, random_masks
from earwitness.numerics.blocks import ENOUGH, FIRST, Sums, shared_out, stacked
from earwitness.numerics.surrogates import (
    Moments,
    enough,
    few,
    fidelity,
    forward_selection,
    highest_weights,
    moments,
    regression_sums,
    restricted,
    ridge_fit,
)
from earwitness.questions import Question

DISTANCES = {  # of a mask from the clip, from the share of components that are kept
    "cosine": lambda kept: 1 - np.sqrt(kept),
    "hamming": lambda kept: 1 - kept,
    "euclidean": lambda kept: np.sqrt(1 - kept),
}
SELECTIONS = {"forward": forward_selection, "highest": highest_weights}
FEW = 6  # features: so many are selected forward, more by their weights
FLAT = 4 * float(np.finfo(np.float32).eps)  # of the score: what single precision cannot tell from a constant
POOR = 0.5  # a fidelity below which the line is a poor picture of the score
CONSTANT = "the score is the same for every mask"


@dataclass(frozen=True)
class LIME(Sampled):
    """Coefficients of a local linear surrogate.

    samples: masks, 8 or more (an even number is taken).  seed: of the masks.  until: a `Budget` in place of `samples`.
    design: of the masks: "hadamard", "sobol", "paired" or "iid": see `numerics.binary_designs`.
    distance, width: w(m) = exp(-(d(m) / width)^2 / 2), where d is a distance from the clip in [0, 1]: "cosine" (1 - sqrt(share of
        components kept)), "hamming" (the share removed) or "euclidean" (its root). width=float("inf") weighs all masks alike: the
        coefficients are then Banzhaf values.
    ridge: the penalty on squared coefficients, as a share of the mean variance of a component in the masks. It is scale-free: it
        shrinks by about 1 / (1 + ridge), whatever the unit of the score and however many the samples.
    features: keep so many components only, the others get 0 (of two equal ones, perhaps); None keeps all.
    selection: "forward" (each the one that explains most of what is left), "highest" (the largest coefficients), or "auto"
        (forward for up to 6).

    Where there are no more than `samples` masks in all, 2^components, all of them are asked: the answer is exact.
    `numbers["fidelity"]` is R² on the masks that were asked. Standard errors are a jackknife over blocks of masks. What they
    are about is the fit to all 2^components masks with the same weights, ridge and selection: where `ridge` shrinks, the shrunk
    coefficients.
    Warns where the line says little: a constant score, too few masks for so many components, R² below 0.5.
    Cost: samples evaluations for each baseline, or 2^components.
    Source: Ribeiro et al. (2016); Haunschmid et al. (2020), audioLIME.
    Differs: masks are balanced and come with their opposites, which needs about 4 times fewer (the published "iid" is there);
    the penalty is scale-free, where a fixed one shrinks more the fewer the samples (ridge) or sets everything to 0 where a
    score is small (lasso); without a sparse choice all components are kept; the clip itself is no special first sample.
    """

    samples: int = 1024
    seed: int = 0
    design: str = "hadamard"
    distance: str = "cosine"
    width: float = 0.25
    ridge: float = 0.0
    features: int | None = None
    selection: str = "auto"
    until: Budget | None = None

    kind: ClassVar[str] = "effect"
    axioms: ClassVar[tuple[str, ...]] = ("symmetry",)

    def __post_init__(self) -> None:
        whole(least=8, samples=self.samples)
        whole(least=0, seed=self.seed)
        whole(features=self.features)
        positive(width=self.width)
        for what, asked, known in (
            ("design", self.design, DESIGNS),
            ("distance", self.distance, DISTANCES),
            ("selection", self.selection, ("auto", *SELECTIONS)),
        ):
            if asked not in known:
                raise unknown(what, asked, known)
        if not 0 <= self.ridge < np.inf:
            raise UsageError(f"ridge is a penalty, 0 or more, not {self.ridge}")

    @classmethod
    def audiolime(cls, samples: int = 1000, seed: int = 0) -> "LIME":
        """The settings of audioLIME 0.0.3: independent masks, cosine distance, width 0.25, all components, Ridge(alpha=1).

        Source: Haunschmid et al. (2020) and their code.
        Differs: alpha = 1 on sums over masks with weights of about 1/2 and variances of about 1/4 is the scale-free penalty
        8 / samples, which we take; the clip itself is no first sample; a seed decides (there `random_seed` has no effect);
        fewer masks than samples are all asked once.
        """
        return cls(samples, seed, design="iid", ridge=8 / samples)

    @classmethod
    def veracity(cls, samples: int = 8192, seed: int = 0) -> "LIME":
        """The settings of the veracity study (for 20 segments, with a baseline of the clip's mean): audioLIME, 8,192 samples.

        Source: Praher et al. (2021) and their code.  Differs: as `audiolime`.
        """
        return cls.audiolime(samples, seed)

    def points(self, size: int) -> int:
        return self.samples // self.price(size)

    def price(self, size: int) -> int:
        return 2 if self.design in FOLDED else 1

    def needed(self, size: int) -> int:
        return FIRST * (full_set(size) if self.design == "hadamard" else -(-enough(size) // FIRST))

    def cost(self, size: int) -> int:
        return min(super().cost(size), 2**size)

    def attribute(self, question: Question) -> Attribution:
        if 2**question.size <= self.allowed(question):
            found = self.answer(question, [self._asked(question, every_mask(question.size))])
            return replace(found, stderr=np.zeros(question.shape), stopped="exact")
        if self.until is not None:
            return super().attribute(question)
        rng, sizes = np.random.default_rng(self.seed), self._sizes(question.size)
        return self.answer(question, [self.draw(question, points, rng) for points in sizes])

    def draw(self, question: Question, points: int, rng: np.random.Generator) -> Sums:
        return self._asked(question, random_masks(self.design, points, question.size, rng))

    def estimate(self, question: Question, sums: Sums) -> dict[str, np.ndarray]:
        return {"values": self._fit(moments(sums))}

    def answer(self, question: Question, blocks: list[Sums]) -> Attribution:
        sums = stacked(blocks)
        found = moments(sums)
        if found.answers <= (FLAT * max(map(abs, question.ends()))) ** 2:
            return Attribution(*np.zeros((2, *question.shape)), warnings=(CONSTANT,))
        alike = fidelity(found, self._fit(found))
        warnings = _doubts(int(sums["rows"].sum()), question.size, alike)
        return replace(super().answer(question, blocks), warnings=warnings, numbers={"fidelity": alike})

    def weights(self, masks: np.ndarray) -> np.ndarray:
        """`[rows]`, 0 to 1: how much masks `[rows, components]` count."""
        return np.exp(-((DISTANCES[self.distance](masks.mean(1, dtype=float)) / self.width) ** 2) / 2)

    def _sizes(self, size: int) -> list[int]:
        """The points of each block: a full set, or nearly, where sets matter."""
        sets = self.samples // (full_set(size) * (4 if self.design == "sobol" else 2))
        blocks = FIRST if self.design in ("iid", "paired") else int(np.clip(sets, ENOUGH, FIRST))
        return shared_out(self.points(size), blocks)

    def _asked(self, question: Question, masks) -> Sums:
        _, empty = question.ends()
        return regression_sums(
            masks, lambda m: question.value(m.reshape(-1, *question.shape)).numpy() - empty, self.weights
        )

    def _fit(self, found: Moments) -> np.ndarray:
        if self.features is None:
            return ridge_fit(found, self.ridge)
        auto = "forward" if self.features <= FEW else "highest"
        select = SELECTIONS[auto if self.selection == "auto" else self.selection]
        return restricted(found, select(found, self.features), self.ridge)


def _doubts(rows: int, size: int, alike: float) -> tuple[str, ...]:
    """What to say where the line is not to be trusted."""
    warnings = []
    if rows < min(enough(size), 2**size):
        warnings.append(few(rows, size))
    if alike < POOR:
        warnings.append(
            f"the linear surrogate explains {alike:.0%} of the score's variance: a poor picture of the model"
        )
    return tuple(warnings)
