"""Does the model still say the same when it hears only what the explanation keeps?

fidelity = 1 if decision( mask ) = decision( clip ), else 0
"""

from dataclasses import dataclass
from typing import ClassVar

from earwitness.explanations import Explanation
from earwitness.metrics.base import Metric, Score, check_share, values_of
from earwitness.questions import Question, decision, decisions


@dataclass(frozen=True)
class FidelityToInput(Metric):
    """1 if the masked clip gets the label that the clip gets, 0 if not; its mean over clips is published as Fid-In.

    keep: a share of the components for a mask of zeros and ones; None for the soft mask: see `Explanation.mask`.

    The label is that of the largest logit, averaged over the baselines; for a margin the larger of its two.
    Cost: two evaluations for each baseline. Raises `UsageError` for a game, and where the model gives the clip another label
    than the explained one: then the mask is about something else.
    Source: Paissan et al. (2023), "Posthoc Interpretation via Quantization"; the same number is published for L2I, L-MAC and AMT.
    Differs: the clip's label is the model's; a published table for L2I compared with class 0 by mistake, and shows about what
        chance gives. What the mask takes away becomes the question's baseline, not always zeros.
    Cannot see: how little is kept: the mask of everything has fidelity 1; how sure the model is; whether it knows masked clips,
        and whether its label for the baseline alone is the same already.
    """

    keep: float | None = None

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    family: ClassVar[str] = "faithfulness"

    def __post_init__(self) -> None:
        if self.keep is not None:
            check_share(keep=self.keep)

    def __call__(self, question: Question, explanation: Explanation) -> Score:
        values_of(question, explanation)
        own = decision(question)
        (masked,) = decisions(question, explanation.mask(self.keep)[None])
        return Score(float(masked == own))
