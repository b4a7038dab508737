"""Which frames and patches get through to the end of a transformer?

    rollout = start^T A_L ... A_2 A_1,       A_l = 0.5 (mean over heads of block l's attention) + 0.5 identity,  rows summing to 1

A block mixes tokens as its attention says, and its residual connection keeps half of each as it is. The product over blocks is
then the share of each input token in what stands at the end, of which `start` says what is read: of each token as much as the
score depends on it behind the last layer of tokens, by the length of its gradient there, as a share of all.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

from earwitness.classifiers.layer_answers import attended_and_read
from earwitness.errors import UsageError
from earwitness.explainers.base import Attribution, Explainer, of_a_layer
from earwitness.numerics.attention import rolled_out
from earwitness.questions import AudioQuestion, Question


@dataclass(frozen=True)
class AttentionRollout(Explainer):
    """The share of each token in what the network reads at its end, if attention and residual connections were all.

    Needs a question about a layer of tokens, `ew.Units("model.wavlm.encoder.layers.11")`, of which it takes where they stand; the
    product goes over all blocks, whichever layer is asked about. Where it starts is found by a backward pass: in ViT at the first
    token, in AST at the first two, in BEiT at the mean of the patches, in wav2vec2 at that of the frames. Attention is seen
    whatever computes it (`numerics.attention`), also where the model returns none.
    Values are 0 or more; with those of tokens that stand for no place they would sum to 1. All are 0 where the score depends on
    no token.
    Cost: one evaluation with its backward pass. Raises `UsageError` for another question, and where nothing attends to these
        tokens; `ModelError` where there is no gradient.
    Source: Abnar and Zuidema (2020), "Quantifying attention flow in transformers".
    Differs: the paper starts at the token that it knows is read, which is the same where there is one.
    Cannot see: the label (every class has the same map, unless other tokens are read for it); what values, feed-forward layers
        and norms do, and so whether a token that gets through argues for or against; the half that is passed on is an assumption.
    """

    kind: ClassVar[str] = "importance"
    per_baseline: ClassVar[bool] = False  # the clip alone is looked at

    def cost(self, size: int) -> int:
        return 1

    def attribute(self, question: Question) -> Attribution:
        parts = of_a_layer(question)
        x = parts.x
        tokens = len(x) if x.ndim == 2 and parts.layout.channels == -1 else 0
        network = cast(AudioQuestion, question).classifier.network
        maps, start = attended_and_read(network, lambda: question.slope(x[None])[0], tokens) if tokens else ([], x)
        if not maps:
            raise UsageError(
                f"attention rollout follows tokens from block to block, and nothing attends to those of {parts.stage}: ask "
                "about a layer of tokens of a transformer (with one row of tokens throughout); `earwitness layers` lists them"
            )
        return Attribution(question.collect(rolled_out(maps, start)[:, None]).double().cpu().numpy())
