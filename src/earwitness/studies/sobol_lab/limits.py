"""What Sobol shows that saliency does not, and the reverse, where both answers are known beforehand."""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from earwitness.classifiers import Classifier
from earwitness.components import Bins, Grid
from earwitness.data.synthetic import Tones
from earwitness.explainers import Saliency, Sobol
from earwitness.explanations import Explanation
from earwitness.questions import ask
from earwitness.studies.pages import Bars, Picture, Section
from earwitness.studies.sobol_lab.lab import Lab, lab_frontend, mass_at

LOW, HIGH = 220.0, 880.0
ROWS = slice(5, 10), slice(26, 31)  # of the STFT: 220 and 880 Hz with their skirts
BOTH = Tones(snr_db=30.0, depth=0.0, level=0.6, phase=0.0, interferer=0.5, interferer_hz=HIGH)


class Rule(nn.Module):
    """Hears by a rule in place of weights: one logit from the levels l and h of the rows of 220 and of 880 Hz.

    rule: "both", min(l, h): either alone is nothing.  "saturated", min(l, limit) / limit: enough is enough.
    """

    def __init__(self, rule: str, limit: float = 1.0) -> None:
        super().__init__()
        self.rule, self.limit = rule, limit

    def forward(self, x: Float[Tensor, "batch 1 bins frames"]) -> Float[Tensor, "batch 2"]:
        low, high = (x[:, 0, rows].mean((1, 2)) for rows in ROWS)
        heard = torch.minimum(low, high) if self.rule == "both" else low.clamp(max=self.limit) / self.limit
        return torch.stack([heard, torch.zeros_like(heard)], 1)


def sobol_and_saliency(lab: Lab) -> Section:
    """Q9: an interaction and a saturated rule that saliency cannot see; absence and fine detail that Sobol cannot."""
    rows = [*_known_rules(lab), *_absence(lab)]
    table = pd.DataFrame(rows)
    panels = []
    for case, part in table.groupby("case", sort=False):
        groups = {row["method"]: [row["220 Hz"], row["880 Hz"]] for row in part.to_dict("records")}
        panels.append(Bars(["row of 220 Hz", "row of 880 Hz"], groups, "share of the mass", str(case)))
    by = {(row["case"], row["method"]): row for row in rows}
    seen, fair = (by["both tones are needed", name] for name in ("saliency", "Sobol"))
    flat = by["saturated", "saliency"]
    absent = (
        by["a low clip, the lab's network", "saliency"]["880 Hz"],
        by["a low clip, the lab's network", "Sobol"]["880 Hz"],
    )
    fine = _detail(lab)
    return Section(
        "q9-sobol-and-saliency", "Q9. What Sobol shows that saliency does not, and the reverse",
        "**An interaction.** A rule that hears both tones, min(l, h) of their levels: one of them is worth nothing alone. At the "
        "clip itself only the weaker tone limits, so the gradient gives it everything. Sobol moves both and finds both; by how "
        "much the total indices add up to more than 1 is the interaction.\n\n"
        "**A saturated region.** A rule that has heard enough long before the level of this clip: its gradient is zero "
        "everywhere, though removing the tone changes everything.\n\n"
        "**The reverse.** A low clip of the lab's network: in the row of 880 Hz nothing sounds, so nothing can be removed and "
        "Sobol gives it nothing; the gradient tells that a sound there would change the answer. And one gradient knows every "
        f"bin: it points at {fine[0]:.0f} Hz for a tone of {fine[2]:g} Hz, where a grid of 8 rows only says {fine[1]}.",
        asks="What does Sobol show that saliency does not, and the reverse?",
        answer=f"Where both tones are needed saliency gives the stronger one {min(seen['220 Hz'], seen['880 Hz']):.0%} and Sobol "
        f"{min(fair['220 Hz'], fair['880 Hz']):.0%} (total indices add up to {fair['sum']:.2f}); where the rule is saturated the "
        f"gradient is {flat['sum']:.2g} everywhere. The reverse: what is absent gets {absent[0]:.0%} of saliency's mass and "
        f"{absent[1]:.0%} of Sobol's.",
        tables={"cases": table}, pictures={"cases": Picture(panels, "Where each method puts its mass.")},
    )  # fmt: skip


def _methods(lab: Lab) -> dict[str, Sobol | Saliency]:
    return {"saliency": Saliency(), "Sobol": Sobol(max(32, lab.settings.designs), seed=lab.settings.seed)}


def _row(case: str, name: str, explanation: Explanation) -> dict[str, str | float]:
    total = float(explanation.values.sum())
    shares = {f"{hertz:g} Hz": mass_at(explanation, hertz) if total else 0.0 for hertz in (LOW, HIGH)}
    return {"case": case, "method": name, **shares, "sum": total}


def _known_rules(lab: Lab) -> list[dict]:
    """Two rules, asked about a clip of both tones."""
    audio = BOTH(lab.settings.seed, "low").audio
    rows = []
    for case, rule in (("both tones are needed", Rule("both")), ("saturated", Rule("saturated", 0.5))):
        classifier = Classifier(rule, lab_frontend(standardise=False), ("heard", "not")).eval()
        question = ask(classifier, audio, Grid(8, 1), "heard")
        rows += [_row(case, name, method(question)) for name, method in _methods(lab).items()]
    return rows


def _absence(lab: Lab) -> list[dict]:
    """The lab's own network, asked about a clip without anything at 880 Hz."""
    scene = lab.scenes(1, snr_db=None, interferer=0.0)[0]
    question = lab.ask(scene)
    return [_row("a low clip, the lab's network", name, method(question)) for name, method in _methods(lab).items()]


def _detail(lab: Lab) -> tuple[float, str, float]:
    """The frequency of the steepest row of bins, the place of the best row of a grid, and the true frequency."""
    scene = lab.scenes(2, snr_db=20.0)[1]
    found = Saliency()(lab.ask(scene, Bins()))
    fine = float(found.axes[0].centers[int(np.abs(found.values).sum(1).argmax())])
    coarse = Sobol(max(32, lab.settings.designs), seed=lab.settings.seed)(lab.ask(scene))
    low, high = coarse.axes[0].place(int(coarse.values.sum(1).argmax()))
    return fine, f"{low:.0f} to {high:.0f} Hz", HIGH
