"""A classifier that has forgotten what some of its layers had learnt.

Each weight keeps its value and loses its place: the entries of every tensor of a layer are permuted. So the tensor's mean,
deviation and extremes are those of the trained one, and the network's answers stay in a sensible range; what it knew is gone.

Source: Adebayo et al. (2018), "Sanity checks for saliency maps".
Differs: permuted, where the paper draws the initial weights again, which are not known for a network that came from a file.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import torch

from earwitness.classifiers.base import Classifier, copied
from earwitness.errors import UsageError, unknown

ORDERS = ("cascading", "independent")


def layers(classifier: Classifier) -> list[str]:
    """The parts of the network that have weights of their own, the last one first; `UsageError` where none has.

    The order is that in which the network defines its parts, nearly always that in which it uses them.
    """
    parts = classifier.network.named_modules()
    names = [name for name, part in parts if next(part.parameters(recurse=False), None) is not None]
    if not names:
        raise UsageError("the network has no weights that could be randomised: is it a function, or a black box?")
    return names[::-1]


def randomised(classifier: Classifier, names: Iterable[str], seed: int = 0) -> Classifier:
    """A copy whose layers of these names have permuted weights; the classifier itself is not touched.

    Buffers (the running statistics of a batch norm) stay. The permutation of a layer depends on the seed and on its place
    alone, not on which others are named. Raises `ModelError` where the network cannot be copied.
    """
    known = layers(classifier)
    twin = copied(classifier)
    for name in names:
        if name not in known:
            raise unknown("layer", name, known)
        rng = np.random.default_rng((seed, known.index(name)))
        for weights in twin.network.get_submodule(name).parameters(recurse=False):
            order = torch.from_numpy(rng.permutation(weights.numel())).to(weights.device)
            with torch.no_grad():
                weights.copy_(weights.flatten()[order].reshape(weights.shape))
    return twin


def passes(classifier: Classifier, order: str, steps: int | None, seed: int) -> Iterator[tuple[float, Classifier]]:
    """From the output down, step by step: which share of the layers has been passed, and a copy with randomised layers.

    order: "cascading", all layers passed so far are randomised; "independent", those of this step alone.
    steps: how many, nearly equal in layers; None for one a layer.
    """
    names = layers(classifier)
    ends = np.linspace(0, len(names), min(steps or len(names), len(names)) + 1).round().astype(int)
    for start, end in pairwise(ends):
        yield float(end / len(names)), randomised(classifier, names[0 if order == "cascading" else start : end], seed)
