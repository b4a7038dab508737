"""What is put in the place of a removed component: a baseline sound, and what each stage answers to it.

A baseline at a stage is the stage's answer to a *sound*, with the clip's own statistics: for a model that standardises each
clip, bare zeros are the clip's mean level, not silence.
"""

from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from earwitness.audio import Audio, load
from earwitness.carrying import analyse, synthesise, window_length
from earwitness.classifiers.base import Classifier
from earwitness.components.base import Baseline, DatasetMean
from earwitness.errors import UsageError, unknown

SOUNDS = {
    "silence": "digital silence",
    "noise": "the clip's noise floor",
    "shaped": "noise with the clip's spectrum and level",
}
DRAWN = {"uniform": "noise between the least and the largest number", "shuffle": "the same numbers, shuffled"}
MAPS = {
    "zero": "zeros",
    "mean": "each frequency's mean over time",
    "flat": "the mean of all features, everywhere",
    "minimum": "each frequency's minimum over time",
    "blur": "the features, blurred",
}


def noise_like(audio: Audio, quantile: float | None = None, seed: int = 0) -> Float[Tensor, "time"]:
    """`[time]`: Gaussian noise in which each frequency has its level in the clip.

    quantile: of that level over the clip's frames; None for the mean of the power, and the clip's own level in all.
    """
    n_fft = window_length(audio.sample_rate)
    rng = np.random.default_rng(seed)
    noise = analyse(torch.from_numpy(rng.standard_normal(len(audio.samples))), n_fft)
    powers = analyse(audio.samples.cpu(), n_fft).abs().square()
    level = powers.mean(-1, keepdim=True) if quantile is None else powers.quantile(quantile, dim=-1, keepdim=True)
    found = synthesise(noise * (level / noise.abs().square().mean()).sqrt(), n_fft, len(audio.samples))
    if quantile is None:  # the windows blur a tone's level over its neighbours
        found *= (audio.samples.square().mean() / found.square().mean()).sqrt().cpu()
    return found


def baseline_sound(kind: str | Audio | DatasetMean, audio: Audio) -> tuple[Float[Tensor, "time"], str]:
    """`[time]` and its description."""
    if isinstance(kind, Audio):
        other = kind.resampled(audio.sample_rate).samples.to(audio.samples.device)
        times = -(-len(audio.samples) // len(other))
        return other.repeat(times)[: len(audio.samples)], "another clip"
    if kind == "silence" or kind == "zero":
        return torch.zeros_like(audio.samples), SOUNDS["silence"]
    if isinstance(kind, str) and kind in SOUNDS:
        return noise_like(audio, {"noise": 0.1}.get(kind)).to(audio.samples.device), SOUNDS[kind]
    if isinstance(kind, str) and kind in DRAWN:
        return drawn(kind, audio.samples), DRAWN[kind]
    if isinstance(kind, DatasetMean) or kind in MAPS:
        raise UsageError(f'the baseline {kind!r} is a picture, not a sound: use it with stage="features"')
    raise unknown("baseline", kind, (*SOUNDS, *DRAWN, *MAPS))


def drawn(kind: str, x: Float[Tensor, "*x"], seed: int = 0) -> Float[Tensor, "*x"]:
    """`[*x]`: "uniform" noise in the range of x, or x "shuffle"d."""
    rng = np.random.default_rng(seed)
    if kind == "shuffle":
        return x.flatten()[torch.from_numpy(rng.permutation(x.numel())).to(x.device)].reshape(x.shape)
    return x.min() + (x.max() - x.min()) * torch.from_numpy(rng.random(x.shape)).to(x)


def baseline_sounds(
    baseline: Baseline, classifier: Classifier, audio: Audio
) -> tuple[Float[Tensor, "baselines time"], str]:
    """`[K, time]` and their description."""
    sounds, notes = zip(*(baseline_sound(kind, audio) for kind in _kinds(baseline, classifier)), strict=True)
    return torch.stack(sounds), ", ".join(dict.fromkeys(notes))


def baseline_features(
    baseline: Baseline,
    classifier: Classifier,
    clip: Audio | Tensor,
    stage: str,
    x: Float[Tensor, "*x"],
    columns: int | None = None,
) -> tuple[Float[Tensor, "baselines *x"], str]:
    """`[K, *x]` and their description, at a stage where the clip is `x` `[*x]`.

    columns: how many of the last dimension's places lie in the clip; pictures are made of these alone (and are `[*x]`).
    """
    made = [_feature(kind, classifier, clip, stage, x, columns) for kind in _kinds(baseline, classifier)]
    return torch.stack([b for b, _ in made]), ", ".join(dict.fromkeys(note for _, note in made))


def _kinds(baseline: Baseline, classifier: Classifier) -> tuple | list:
    """One or more baselines; the one that suits the model where none is named."""
    if isinstance(baseline, tuple | list):
        return baseline
    return (classifier.baseline if baseline is None else baseline,)


def _feature(
    kind, classifier: Classifier, clip: Audio | Tensor, stage: str, x: Float[Tensor, "*x"], columns: int | None
) -> tuple[Float[Tensor, "*x"], str]:
    if isinstance(kind, str) and kind in (*MAPS, *DRAWN):
        inside, behind = x[..., :columns], x[..., x.shape[-1] if columns is None else columns :]
        picture = _map(kind, inside) if kind in MAPS else drawn(kind, inside)
        return torch.cat([picture, behind], -1), (MAPS | DRAWN)[kind]
    if isinstance(kind, DatasetMean):
        return _dataset_mean(kind, classifier, clip, stage, x), f"each frequency's mean over {len(kind.clips)} clips"
    if not isinstance(clip, Audio):
        if kind == "silence":
            return torch.zeros_like(x), "zeros (these features have no front end that could answer to silence)"
        raise UsageError(f"ready features have no sound: use one of the baselines {', '.join((*MAPS, *DRAWN))}")
    sound, note = baseline_sound(kind, clip)
    with torch.no_grad():
        return classifier.at(stage, sound[None].to(x.device), clip.samples[None].to(x.device))[0], note


def _dataset_mean(
    kind: DatasetMean, classifier: Classifier, clip: Audio | Tensor, stage: str, x: Float[Tensor, "*x"]
) -> Float[Tensor, "*x"]:
    """Clip by clip, each weighed by its length."""
    total, frames = torch.zeros_like(x[..., :1]), 0
    for other in kind.clips:
        if isinstance(clip, Audio) and not isinstance(other, Tensor):
            other = other if isinstance(other, Audio) else load(other)
            samples = other.resampled(cast(int, classifier.sample_rate)).samples[None].to(x.device)
            with torch.no_grad():
                other = classifier.at(stage, samples, clip.samples[None].to(x.device))[0]
        if not isinstance(other, Tensor) or other.shape[:-1] != x.shape[:-1]:
            raise UsageError(
                "the clips of a DatasetMean must be like the explained one: recordings, or features of its height"
            )
        total, frames = total + other.to(x).sum(-1, keepdim=True), frames + other.shape[-1]
    return (total / frames).expand_as(x)


def _map(kind: str, x: Float[Tensor, "*x"]) -> Float[Tensor, "*x"]:
    if kind == "zero":
        return torch.zeros_like(x)
    if kind == "mean":
        return x.mean(-1, keepdim=True).expand_as(x)
    if kind == "flat":
        return x.mean().expand_as(x)
    if kind == "minimum":
        return x.amin(-1, keepdim=True).expand_as(x)
    if x.ndim < 2:
        raise UsageError('the baseline "blur" needs features over frequency and time')
    picture = torch.nn.functional.pad(x.reshape(1, -1, *x.shape[-2:]), (5, 5, 5, 5), mode="replicate")
    return torch.nn.functional.avg_pool2d(picture, 11, 1).reshape(x.shape)
