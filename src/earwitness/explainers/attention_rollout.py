"""Which frames and patches get through to the end of a transformer?

    rollout = start^T A_L ... A_2 A_1,       A_l = 0.5 (mean over heads of block l's attention) + 0.5 identity,  rows summing to 1

A block mixes tokens as its attention says, and its residual connection keeps half of each as it is. The product over blocks is
then the share of each input token in what stands at the end, of which `start` says what is read.
"""

from dataclasses import dataclass
from typing import ClassVar

from earwitness.errors import UsageError
from earwitness.explainers.base import Attribution, Explainer, of_a_layer
from earwitness.numerics.attention import head_means, rolled_out
from earwitness.questions import Question


@dataclass(frozen=True)
class AttentionRollout(Explainer):
    """The share of each token in what the network reads at its end, if attention and residual connections were all.

    Needs a question about a layer of tokens, `ew.Units("model.wavlm.encoder.layers.11")`, of which it takes where they stand; the
    product goes over all blocks, whichever layer is asked about. What is read are the special tokens, or the mean of all tokens
    where there are none. Attention is seen whatever computes it (`numerics.attention`), also where the model returns none.
    Values are 0 or more; with those of tokens that stand for no place they would sum to 1.
    Cost: one evaluation. Raises `UsageError` for another question, and where nothing attends to these tokens.
    Source: Abnar and Zuidema (2020), "Quantifying attention flow in transformers".
    Cannot see: the label (every class has the same map); what values, feed-forward layers and norms do, and so whether a token
        that gets through argues for or against; the half that is passed on is an assumption.
    """

    kind: ClassVar[str] = "importance"
    per_baseline: ClassVar[bool] = False  # the clip alone is looked at

    def cost(self, size: int) -> int:
        return 1

    def attribute(self, question: Question) -> Attribution:
        parts = of_a_layer(question)
        x, special = parts.x, parts.special
        tokens = len(x) if x.ndim == 2 and parts.layout.channels == -1 else 0
        maps = head_means(lambda: question.logits(question.ones), tokens) if tokens else []
        if not maps:
            raise UsageError(
                f"attention rollout follows tokens from block to block, and nothing attends to those of {parts.stage}: ask "
                "about a layer of tokens of a transformer (with one row of tokens throughout); `earwitness layers` lists them"
            )
        start = x.new_zeros(tokens)
        start[: special or tokens] = 1 / (special or tokens)
        return Attribution(question.collect(rolled_out(maps, start)[:, None]).double().cpu().numpy())
