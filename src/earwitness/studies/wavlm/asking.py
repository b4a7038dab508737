"""What is asked of a speech model about one clip: frames, neurons, phones; and the figure that shows the frames.

frames      shares of the model's own frames of sound, 25 ms every 20 ms; they add up to value(1) - value(0)
neurons     shares of every number behind a layer, [channels, frames]; over frames their mean, sum, maximum or norm
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.carrying import analyse, window_length
from earwitness.classifiers import Classifier
from earwitness.components import Frames, Units
from earwitness.errors import UsageError
from earwitness.explanations import Explanation
from earwitness.frontends import Waveform
from earwitness.questions import AudioQuestion
from earwitness.studies.pages import Curves, Heat, Picture

OVER_FRAMES = {
    "mean": lambda values: values.mean(1),
    "sum": lambda values: values.sum(1),
    "max": lambda values: np.take_along_axis(values, np.abs(values).argmax(1)[:, None], 1)[:, 0],
    "norm": lambda values: np.sqrt((values**2).sum(1)),
}


def stage_of_sound(classifier: Classifier) -> str:
    """Where sound is cut: behind the step that standardises each clip, if there is one."""
    return "features" if isinstance(classifier.frontend, Waveform) and classifier.frontend.standardise else "waveform"


def its_frames(classifier: Classifier) -> Frames:
    """The cut into the model's own frames."""
    return Frames(stage=stage_of_sound(classifier))


def its_neurons(classifier: Classifier, layer: int) -> Units:
    """The cut into all numbers behind a transformer layer, `[channels, frames]`."""
    return Units(layer_path(classifier, layer), by="units")


def layer_path(classifier: Classifier, layer: int) -> str:
    """The path of a layer of the transformer, from 0."""
    end = f"layers.{layer}"
    known = [name for name, _ in classifier.network.named_modules() if name.endswith(f".{end}") and "conv" not in name]
    if not known:
        raise UsageError(f"this model has no transformer layer {layer}: `earwitness layers` lists what it has, from 0")
    return known[0]


def over_frames(values: np.ndarray) -> pd.DataFrame:
    """Of `[channels, frames]`: a row a neuron, a column for each way to put its frames together.

    "max" keeps the sign of the value that is largest without it.
    """
    return pd.DataFrame({name: way(values) for name, way in OVER_FRAMES.items()})


def top_frames(explanation: Explanation, count: int) -> pd.DataFrame:
    """The frames with the largest shares, largest first."""
    table = explanation.to_frame()
    return table.sort_values("value", ascending=False, kind="stable").head(count).reset_index(names="frame")


def said(explanation: Explanation) -> str:
    """The model's answer in words: its label, with its probability."""
    heard = explanation.prediction
    return "" if heard is None else f"{heard.label}, {heard.probability:.2f}"


def frame_picture(explanation: Explanation, top: int, caption: str) -> Picture:
    """Waveform, spectrogram, and the frames' shares with the largest marked."""
    question = explanation.question
    assert isinstance(question, AudioQuestion)
    clip = cast(Audio, question.audio)
    seconds = clip.start + np.arange(len(clip.samples)) / clip.sample_rate
    wave = Curves(seconds, {"samples": clip.samples.numpy()}, "time (s)", "amplitude", said(explanation))
    values, middles = explanation.values, explanation.axes[0].centers
    marked = np.full(len(values), np.nan)
    best = np.argsort(-values, kind="stable")[: min(top, max(1, len(values) // 3))]  # of a short word not all
    marked[best] = values[best]
    errors: Mapping[str, Any] = {} if explanation.stderr is None else {"frames": explanation.stderr}
    shares = Curves(
        middles, {"frames": values, f"the best {len(best)}": marked}, "time (s)", f"share of the {explanation.unit}",
        explanation.target, errors=errors,
    )  # fmt: skip
    return Picture([wave, _spectrogram(clip), shares], caption, 3)


def _spectrogram(clip: Audio) -> Heat:
    """In dB below the loudest, 80 of them."""
    n_fft = window_length(clip.sample_rate)
    power = analyse(clip.samples.cpu(), n_fft).abs().square()
    level = 10 * torch.log10(power / power.max() + 1e-8).numpy()
    bins, columns = level.shape
    hertz = (np.arange(bins + 1) - 0.5).clip(0) * clip.sample_rate / n_fft
    seconds = clip.start + (np.arange(columns + 1) - 0.5).clip(0) * (n_fft // 4) / clip.sample_rate
    axes = Axis("frequency", "Hz", tuple(hertz)), Axis("time", "s", tuple(seconds))
    return Heat(level, axes, "spectrogram", unit="dB")
