"""What does a neuron hear? Every question that can be asked about a label, asked about a channel of a hidden layer.

    score_c = mean over places of channel c of the layer                                    in the layer's own unit

A classifier whose answers are the channels of a layer: so every method, cut and metric works for it, and what the literature
calls neuron gradients, neuron integrated gradients and so on are gradients and integrated gradients of it.

Source: Erhan et al. (2009), "Visualizing higher-layer features of a deep network"; captum's neuron attributions.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from earwitness.audio import Audio
from earwitness.axes import Axis, counted
from earwitness.classifiers.base import Classifier, evaluating, first_tensor, stage_of
from earwitness.classifiers.layouts import Layout, layout_of
from earwitness.errors import InputError, UsageError

TAKEN = ("layout", "_whole", "_behind", "_placed")  # what a network that answers a layer is and has itself


class HiddenClassifier(Classifier):
    """A classifier whose scores are activations; so are its "probabilities"."""

    @property
    def unit(self) -> str:
        return "activation"

    def probabilities(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """The activations themselves: a neuron has no probability."""
        return logits


def neurons(classifier: Classifier, layer: str, clip: Audio | Tensor | None = None) -> Classifier:
    """A classifier that answers the mean over places of each channel of a layer: labels "channel 0", "channel 1", ...

        ew.explain(ew.neurons(classifier, "features.7"), audio, ew.IntegratedGradients(), target="channel 3")

    layer: its path in the network, as in `Units`; also of a layer without places (behind a pooling), whose units are the labels.
        Layers keep their paths: `ew.Units("features.3")` means the same layer as before.
    clip: of the kind that is going to be explained, to find out how many channels there are; by default noise as long as the
        classifier's `duration`, or a second. Ready features, for a classifier without front end, have to be given.

    Front end and network are shared, not copied, and keep their modes. The mean goes over all places, those of padding included,
    but not over tokens that stand for no place. Cost: one pass now; each answer runs the whole network.
    Raises `UsageError` for an unknown layer, for one whose output has no channels, and where a part of the network has one of the
        few names that are taken here (`layout`); `InputError` where a clip is needed.
    Differs: captum's NeuronGradient and NeuronIntegratedGradients take one number of the layer, or any function of it; this is
        the mean.
    """
    stage = stage_of(layer)
    path = stage.removeprefix("network").removeprefix(".")
    taken = [name for name, _ in classifier.network.named_children() if name in TAKEN]
    if taken:
        raise UsageError(
            f"the network has a part named {taken[0]!r}, where a classifier of its neurons keeps something else: rename the part"
        )
    given, axes = _probe(classifier, clip)
    with evaluating(classifier), torch.no_grad():
        shape = classifier.at(stage, given)[0].shape
    layout = layout_of(classifier.network, path, shape, axes) if len(shape) > 1 else Layout((), ())
    if layout is None:
        raise UsageError(f"{stage} answers {list(shape)}: it has no channels whose mean could be taken")
    network = _Channels(classifier.network, path, layout)
    labels = [f"channel {number}" for number in range(shape[layout.channels])]
    hidden = HiddenClassifier(network, classifier.frontend, labels, classifier.duration, "multi-label logits")
    hidden.training, hidden.notes, hidden.baseline = classifier.training, classifier.notes, classifier.baseline
    return hidden


def _probe(classifier: Classifier, clip: Audio | Tensor | None) -> tuple[Tensor, tuple[Axis, ...]]:
    """What the classifier takes, `[1, ...]`, and the axes of its features."""
    if classifier.frontend is None:
        if not isinstance(clip, Tensor):
            raise InputError(
                "without a front end, the number of channels is found with ready features: neurons(.., clip=)"
            )
        names = ("frequency", "time")[-min(2, clip.ndim) :]
        axes = tuple(counted(name, size) for name, size in zip(names, clip.shape[-len(names) :], strict=True))
        return clip[None].to(classifier.device), axes
    rate = classifier.frontend.sample_rate
    if not isinstance(clip, Audio):
        noise = np.random.default_rng(0).standard_normal(round(rate * (classifier.duration or 1.0)))
        clip = Audio(torch.from_numpy(0.1 * noise), rate)
    samples = clip.resampled(rate).samples
    return samples[None].to(classifier.device), classifier.axes("features", len(samples))


class _Channels(nn.Module):
    """A network, run for what one of its layers answers. Its parts have the names that they have there.

    behind: the layer's path.  placed: where its numbers stand. No part may be named as one of `TAKEN`.
    """

    def __init__(self, network: nn.Module, behind: str, placed: Layout) -> None:
        super().__init__()
        for name, part in network.named_children():
            self.add_module(name, part)
        self._whole, self._behind, self._placed = network, behind, placed
        self.training = network.training

    def forward(self, x: Tensor) -> Tensor:
        """Features to `[B, channels]`."""
        seen: list[Any] = []
        handle = self._whole.get_submodule(self._behind).register_forward_hook(
            lambda _, __, output: seen.append(output)
        )
        try:
            self._whole(x)
        finally:
            handle.remove()
        found = cast(Tensor, first_tensor(seen[0]))
        if found.ndim == 2:
            return found
        rows = found.movedim(self._placed.channels % (found.ndim - 1) + 1, 1).flatten(2)
        return rows[..., self._placed.special :].mean(2)

    def layout(self, layer: str, shape: Sequence[int], axes: tuple[Axis, ...]) -> Layout | None:
        """Where a layer's output stands: as in the network itself."""
        return layout_of(self._whole, layer, shape, axes)
