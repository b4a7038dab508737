"""The main job: a classifier, a clip and a method in, an explanation out."""

import os

import numpy as np
from torch import Tensor

from earwitness.audio import Audio
from earwitness.classifiers.base import Classifier
from earwitness.components import Factorization
from earwitness.explainers import Explainer
from earwitness.explanations import Explanation
from earwitness.questions import ask
from earwitness.questions.audio import default_components, prepared
from earwitness.targets import Target


def explain(
    classifier: Classifier,
    audio: "Audio | Tensor | np.ndarray | str | os.PathLike",
    explainer: Explainer,
    target: str | int | Target | None = None,
    components: Factorization | None = None,
) -> Explanation:
    """Explain what a classifier says to a clip.

    audio: a recording, a path, or ready features `[1, F, T]` for a classifier without front end.
    target: a label, its number, "a - b", or None for the predicted label.
    components: how to cut the clip; by default every bin for methods that look at the input itself (64 segments for
        networks on samples), else `Grid(8, 8)` (8 bands x 8 segments). It stands in `provenance`.
    Cost: `explainer.cost(components)` evaluations, and three more.
    """
    clip = prepared(classifier, audio)
    cut = components or default_components(classifier, clip, explainer.stage)
    return explainer(ask(classifier, clip, cut, target))
