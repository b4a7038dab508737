"""On real mixtures whose event is known: does the shipped model hear it, and does Sobol point at it?

Fold 5 was never trained on. `benchmarks/localization.py` has the full figures (`docs/results/localization`).
"""

from pathlib import Path

import numpy as np
import pytest

import earwitness as ew
from earwitness.axes import Axis, carry
from earwitness.data.readers import Mixture, mixtures
from earwitness.statistics import paired_difference

ROOT = Path(__file__).parents[2]
CUT = ew.Segments(count=20, stage="features")


@pytest.fixture(scope="module")
def classifier() -> ew.Classifier:
    return ew.load_classifier(ROOT / "models" / "esc10", device="cpu")


@pytest.fixture(scope="module")
def named(recordings, classifier) -> list[tuple[Mixture, ew.AudioQuestion]]:
    """The mixtures of fold 5 in which the model names the event, and the question why."""
    found = [clip for clip in mixtures(recordings / "localized") if clip.group == "5"]
    questions = [(clip, ew.ask(classifier, clip.path, CUT, clip.label)) for clip in found]
    return [(clip, q) for clip, q in questions if int(q.clip_logits.argmax()) == q.resolved.index]


def in_span(clip: Mixture, values: np.ndarray, axes: tuple[Axis, ...]) -> float:
    """The share of a map that lies in the event's time span."""
    span = carry(np.array([0.0, 1.0, 0.0]), (Axis("time", "s", (0.0, *clip.span, axes[0].edges[-1])),), axes)
    return float(values @ span / values.sum())


def test_the_shipped_model_names_the_event(named):
    assert len(named) == 13  # of 16, as its card says


def test_sobol_points_at_the_event_and_random_does_not(named):
    sobol, random = [], []
    for index, (clip, question) in enumerate(named):
        sobol.append(in_span(clip, ew.Sobol(designs=4)(question).values, question.axes))
        random.append(in_span(clip, ew.Random(seed=index)(question).values, question.axes))
    difference = paired_difference(sobol, random, alternative="greater")
    assert difference.p < 0.001 and difference.low > 0.4, (difference, sobol, random)
