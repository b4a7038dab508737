"""Where did the score come from, if every layer hands back to its inputs what it was given?

    value_i = sum over component i of R,        R = x g at the input,        sum of all R = score, less what biases keep

The walk from the score back to the input, and why it needs to know nothing of the network's build: `numerics.relevance`. The
rules by which linear layers share: `numerics.relevance_rules`. Composites are the published choices of them:

| composite | convolutions | other linear layers | at the input | for |
|---|---|---|---|---|
| zero | zero | zero | | comparison: gradient x input, in networks of ReLU without bias |
| epsilon | epsilon | epsilon | | transformers, as AttnLRP on language |
| gamma | gamma | gamma | | transformers on spectrograms, as AttnLRP on pictures |
| epsilon-plus | z-plus | epsilon | | convolutions: the default |
| epsilon-plus-flat | z-plus | epsilon | flat | the same on spectrograms in decibels |
| epsilon-alpha2-beta1 | alpha-beta | epsilon | | what argues against, too |
| epsilon-alpha2-beta1-flat | alpha-beta | epsilon | flat | |
| epsilon-gamma-box | gamma | epsilon | z-box | inputs of a known range |
| excitation-backprop | z-plus | z-plus | | what argues for, alone |

**Waveforms in time and frequency** (DFT-LRP). Relevance that has come back to the samples, R = x g, goes on through an inverse
Fourier transform as through any linear layer; a sound c of those that add up to x = sum of c gets sum over time of c g. So bands
and cells of sound are explained at the waveform stage, and what they get adds up to what the samples got.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from earwitness.classifiers.layer_answers import answers_of
from earwitness.components.pieces import Pieces
from earwitness.errors import ModelError, UsageError, unknown
from earwitness.explainers.base import Attribution, Explainer
from earwitness.numerics.relevance import propagating
from earwitness.numerics.relevance_rules import ON_PLACES, Rules
from earwitness.questions import AudioQuestion, Question

COMPOSITES: dict[str, tuple[str, str, str | None]] = {
    "zero": ("zero", "zero", None),
    "epsilon": ("epsilon", "epsilon", None),
    "gamma": ("gamma", "gamma", None),
    "epsilon-plus": ("z-plus", "epsilon", None),
    "epsilon-plus-flat": ("z-plus", "epsilon", "flat"),
    "epsilon-alpha2-beta1": ("alpha-beta", "epsilon", None),
    "epsilon-alpha2-beta1-flat": ("alpha-beta", "epsilon", "flat"),
    "epsilon-gamma-box": ("gamma", "epsilon", "z-box"),
    "excitation-backprop": ("z-plus", "z-plus", None),
}
MISSING = 0.1  # the share of the score without a place, from which on it is said
AWAY = 1e-6  # of the largest input: where zeros are moved to, so that relevance can rest on them


@dataclass(frozen=True)
class LRP(Explainer):
    """Layer-wise relevance propagation, through networks of torch functions.

    composite: a published choice of rules, see above.
    convolution, dense, first: other rules than the composite's for convolutions, other linear layers, and those that stand
        directly at the input: "zero", "epsilon", "gamma", "z-plus", "alpha-beta"; `first` also "flat", "w-square", "z-box".
    epsilon, gamma, alpha, beta: numbers in the rules.  low, high: the range of what the first layer gets, for z-box; by default
        the clip's own.
    attention: "shared" (AttnLRP), half of what comes to attention goes to what was attended to, and half to why, of which the
        softmax keeps much; "held", all of it to what was attended to, and nothing is lost.

    Values are in units of the score and, where nothing is lost, add up to it, not to value(1) - value(0). Their sum as a share of
    the score is `numbers["conserved"]`. Biases keep a part of it, or owe one; so do softmax and sigmoid. Beyond a tenth there is
    a warning, and `conservation` says where.
    Cost: one evaluation with its backward pass; z-plus and alpha-beta do each convolution three to five times.
    Raises `ModelError` for recurrent layers and the few functions without a rule, compiled networks, and where there is no
        gradient (a black box).
    Source: Bach et al. (2015); Montavon et al. (2019) for composites; Achtibat et al. (2024), "AttnLRP", for attention and norms;
        Vielhaben et al. (2024), "DFT-LRP", for sounds.
    Differs: from zennit, captum and LXT: nothing is replaced in the network, so residual sums, functional calls, modules that are
        reused or work in place, any batch norm behind a convolution and any attention are seen. Batch norm elsewhere is linear
        (zennit lets relevance pass). An output without contributions of one sign is shared by the other's, where zennit loses,
        or doubles, its relevance. Functions of one number at the input let it pass: a level keeps what its standardised form
        gets. From DFT-LRP: the sounds are those of the question (smooth bands, say), and nothing is divided by samples near 0,
        but what flat, w-square and z-box hand to them; what they hand to samples of exactly 0 is shared evenly by the sounds.
    Cannot see: the score with a component taken away; it is one walk at the clip, and its rules are conventions. With z-plus on
        every layer relevance hardly depends on the label, or on late weights (Sixt et al. 2020). A function of TorchScript, or
        with a backward pass of its own, has its plain gradient; an activation that is written out is seen as the products it
        is made of. Relevance starts at a logit: behind a softmax, as for probabilities, what arrives is a small part.
    Patents on relevance propagation may apply to commercial use; the licence of earwitness grants no rights under them.
    """

    composite: str = "epsilon-plus"
    convolution: str | None = None
    dense: str | None = None
    first: str | None = None
    epsilon: float = 1e-6
    gamma: float = 0.25
    alpha: float = 2.0
    beta: float = 1.0
    low: float | None = None
    high: float | None = None
    attention: str = "shared"

    kind: ClassVar[str] = "effect"
    per_baseline: ClassVar[bool] = False  # the walk starts at the clip, and never sees a baseline
    stage: ClassVar[str | None] = "input"
    axioms: ClassVar[tuple[str, ...]] = ("dummy", "symmetry")

    def __post_init__(self) -> None:
        if self.composite not in COMPOSITES:
            raise unknown("composite", self.composite, COMPOSITES)
        _ = self.rules  # which refuse what makes no sense

    @property
    def rules(self) -> Rules:
        """The rules that are meant."""
        given = (self.convolution, self.dense, self.first)
        chosen = (mine or theirs for mine, theirs in zip(given, COMPOSITES[self.composite], strict=True))
        numbers = (self.epsilon, self.gamma, self.alpha, self.beta, self.low, self.high)
        return Rules(*chosen, *numbers, self.attention)  # type: ignore[arg-type]

    def cost(self, size: int) -> int:
        return 1

    def attribute(self, question: Question) -> Attribution:
        x, slope = self._walked(question)
        values = _collected(question, x, slope).double().cpu().numpy()
        score = question.ends()[0]
        if not score:
            return Attribution(values, warnings=("the score is 0: there is nothing to share out",))
        conserved = float((x.double() * slope).sum()) / score
        lost = (
            f"what has arrived at the input is {conserved:.0%} of the score: the rest was kept (or owed) on the way by biases, "
            "softmax or gates; LRP.conservation(question) says where"
        )
        told = (lost,) if abs(1 - conserved) > MISSING else ()
        return Attribution(values, numbers={"conserved": conserved}, warnings=told)

    def conservation(self, question: AudioQuestion) -> dict[str, float]:
        """For each layer of the network, in the order of their answers, the relevance behind it as a share of the score.

        1 where nothing is lost and everything passes through the layer; a branch has its part. A layer that is asked again gets
        a number, "relu (2)"; one into which a batch norm was merged is left out. "input" is the question's own stage.
        Cost: one evaluation with its backward pass, and the question's ends. Raises `UsageError` for a game, which has no layers,
        and `ModelError` for a score of 0.
        """
        if not isinstance(question, AudioQuestion):
            raise UsageError("a game has no layers between which relevance could be lost: ask about a classifier")
        with answers_of(question.classifier.network) as seen:
            x, slope = self._walked(question)
        score = question.ends()[0]
        if not score:
            raise ModelError("the score is 0: nothing can be told as a share of it")
        sums = {a.name: float((a.value.double() * a.slope.double()).sum()) for a in seen if a.slope is not None}
        return {name: total / score for name, total in ({"input": float((x * slope).double().sum())} | sums).items()}

    def _walked(self, question: Question) -> tuple[Tensor, Tensor]:
        """The input, and the modified gradient at it; both `[*x]`."""
        hidden = isinstance(question, AudioQuestion) and question.components.stage.startswith("network.")
        x = question.x
        if self.rules.first in ON_PLACES and not hidden:
            x = torch.where(x == 0, AWAY * x.abs().max(), x)
        with propagating(self.rules, at_input=not hidden) as mode, _beginning(question, mode):
            return x, question.slope(x[None])[0]


@contextmanager
def _beginning(question: Question, mode: propagating) -> Iterator[None]:
    """What the network eats is its input, also where the question is about the sound in front of it."""
    if not isinstance(question, AudioQuestion):
        yield
        return

    network = question.classifier.network
    if any(isinstance(part, torch.jit.ScriptModule) or hasattr(part, "_orig_mod") for part in network.modules()):
        raise ModelError("a compiled network cannot be looked into: explain the one that it was made from")

    def begin(_: nn.Module, given: tuple) -> None:
        for x in given:
            if isinstance(x, Tensor):
                mode.begins_at(x)

    handle = network.register_forward_pre_hook(begin)
    try:
        yield
    finally:
        handle.remove()


def _collected(question: Question, x: Tensor, slope: Tensor) -> Tensor:
    """`[*shape]`: the relevance of each component; that of a sound c is sum of c g.

    Where samples were moved away from 0 sounds cancel, and R / x is as large as x is small: what rests there is shared evenly.
    """
    parts = question.components if isinstance(question, AudioQuestion) else None
    if not isinstance(parts, Pieces):
        return question.collect(x * slope)
    rest, sounds = torch.where(x == parts.x, 0.0, x * slope), len(parts.parts)
    each = [window @ rest[a:b] for window, (a, b) in zip(parts.windows, parts.spans, strict=True)]
    own = parts.gathered(torch.where(x == parts.x, slope, 0.0))
    return own + (torch.stack(each) / sounds).expand(sounds, -1).reshape(parts.shape)
