"""What a classifier says to clips, and how often that is right."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from earwitness.audio import Audio
from earwitness.classifiers import Classifier
from earwitness.classifiers.base import evaluating
from earwitness.statistics import proportion_interval


def sound_of(classifier: Classifier, clip: Any) -> Audio | torch.Tensor:
    """What a classifier is given of a clip: its sound, or its ready features `[1, F, T]`."""
    return clip.load(classifier.sample_rate) if hasattr(clip, "load") else clip.audio


def answers(classifier: Classifier, clips: Sequence[Any]) -> list[str]:
    """The label that a classifier gives each clip, as it is, or its beginning where it is longer than the model takes."""
    said = []
    with evaluating(classifier), torch.no_grad():
        for clip in clips:
            sound = sound_of(classifier, clip)
            if isinstance(sound, Audio):
                longest = None if classifier.duration is None else round(classifier.duration * sound.sample_rate)
                sound = sound.samples[:longest]
            said.append(classifier.labels[int(classifier(sound[None].to(classifier.device)).argmax())])
    return said


def heard_rightly(classifier: Classifier, clips: Sequence[Any]) -> tuple[np.ndarray, pd.Series]:
    """`[N]` of booleans, which clips are named rightly; and `figures_of` these."""
    right = np.array([said == clip.label for said, clip in zip(answers(classifier, clips), clips, strict=True)])
    return right, figures_of(right, clips)


def figures_of(right: np.ndarray, clips: Sequence[Any]) -> pd.Series:
    """How many clips there are, the accuracy with its 95 % interval, and the mean recall of the labels."""
    true = np.array([clip.label for clip in clips])
    share = proportion_interval(int(right.sum()), len(right))
    recall = float(np.mean([right[true == label].mean() for label in np.unique(true)]))
    figures = {"n": len(clips), "accuracy": share.mean, "low": share.low, "high": share.high, "recall": recall}
    return pd.Series(figures, dtype=object)
