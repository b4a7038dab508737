"""The ResNet18 that hears emotion: mel spectrograms of 128 bands by 141 columns, in dB below each clip's loudest.

    x = (max(dB, -80) - mean) / deviation            of all numbers of the training clips

Clips become mel powers once, each at a few speeds: a tape that runs faster gives a higher voice that speaks faster, and
another speaker. In training each is turned around in time, stretched, turned around in frequency by a few bands, brought
to decibels, standardised and masked (SpecAugment).

Source: the front end and the network are those of toster3d/Audio-Emotion-Recognition (2025); Ko et al. (2015), "Audio
augmentation for speech recognition", for speeds; Park et al. (2019) for SpecAugment.
Differs: mean and deviation are those of the training clips, where the notebook takes them from all clips, those it is tested on
included; AdamW with a cosine and a fixed number of epochs, where the notebook stops early on a validation split.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from earwitness.classifiers import Classifier
from earwitness.classifiers.zoo import ResNet18
from earwitness.data.augmentation import spec_augment, time_shift
from earwitness.data.readers import Clip
from earwitness.frontends import LogMel, Picture
from earwitness.training import History, Progress, Schedule, fit

BANDS, COLUMNS, RANGE_DB = 128, 141, 80.0


@dataclass(frozen=True)
class EmotionRecipe:
    """How the network learns.

    sample_rate: hertz.  n_fft, hop_length: samples of a window, and between columns.  seconds: of a clip.
    width: channels of the first blocks.  dropout: in front of the last layer.  smoothing: of the labels.
    speeds: of the tape that clips are learnt at.  bands: a clip is moved up or down by so many at most.
    stretch: by such a share faster or slower at most, at the same pitch.
    """

    sample_rate: int = 16000
    n_fft: int = 2048
    hop_length: int = 228
    seconds: float = 2.0
    epochs: int = 80
    batch: int = 32
    width: int = 32
    dropout: float = 0.5
    learning_rate: float = 1.5e-3
    weight_decay: float = 2e-2
    smoothing: float = 0.1
    speeds: tuple[float, ...] = (0.84, 0.92, 1.0, 1.09, 1.19)
    bands: int = 5
    stretch: float = 0.15

    def mel(self) -> LogMel:
        """128 Slaney bands up to half the sample rate, in dB below the clip's loudest, 80 of them."""
        return LogMel(self.sample_rate, self.n_fft, self.hop_length, BANDS, ref="max", top_db=RANGE_DB)


def train_emotions(
    clips: Sequence[Clip],
    labels: Sequence[str],
    recipe: EmotionRecipe,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    run: str = "",
    progress: Progress | None = None,
) -> tuple[Classifier, History]:
    """Train a ResNet18 on clips of `recipe.seconds`. checkpoint, run, progress: as in `earwitness.training.fit`.

    Cost: on 350 clips about 5 s an epoch on one core of a busy machine, with 32 channels; 72 kB for each clip and speed.
    """
    mel = recipe.mel()
    power = _powers(clips, mel, recipe.seconds)
    taped = torch.stack(
        [power if speed == 1 else _powers(clips, mel, recipe.seconds, speed) for speed in recipe.speeds]
    )
    targets = torch.eye(len(labels))[[list(labels).index(clip.label) for clip in clips]]
    level = mel.advance(power, "filterbank", "")
    mean, deviation = float(level.mean()), float(level.std())
    network = _fresh(len(labels), recipe, seed)

    def batches(rng: np.random.Generator):
        order = rng.permutation(len(power))
        for chosen in np.array_split(order, max(1, len(order) // recipe.batch)):
            heard = taped[rng.integers(len(taped), size=len(chosen)), chosen]
            x = (mel.advance(_varied(heard, recipe, rng), "filterbank", "") - mean) / deviation
            yield spec_augment(x, rng), targets[chosen]

    def loss(module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        logits = module(x.contiguous(memory_format=torch.channels_last))
        return nn.functional.cross_entropy(logits, y, label_smoothing=recipe.smoothing)

    steps = max(1, len(power) // recipe.batch)
    schedule = Schedule(recipe.epochs, steps, recipe.learning_rate, recipe.weight_decay)
    history = fit(network, loss, batches, schedule, seed=seed, checkpoint=checkpoint, run=run, progress=progress)
    frontend = Picture(mel, BANDS, COLUMNS, channels=1, mean=mean, std=deviation)
    return Classifier(network, frontend, labels, duration=recipe.seconds).eval(), history


def _fresh(classes: int, recipe: EmotionRecipe, seed: int) -> ResNet18:
    """A network with seeded weights, laid out for speed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = ResNet18(classes, recipe.width, recipe.dropout)
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _powers(
    clips: Sequence[Clip], mel: LogMel, seconds: float, speed: float = 1.0
) -> Float[Tensor, "clips 1 bands columns"]:
    """Mel powers of clips, played at a speed; a shorter one begins anew, a longer one is cut."""
    sounds = (clip.load(round(mel.sample_rate / speed)).samples for clip in clips)
    places = torch.arange(round(seconds * mel.sample_rate))
    return torch.cat([mel.advance(sound[None, places % len(sound)], "", "filterbank") for sound in sounds])


def _varied(
    power: Float[Tensor, "batch 1 bands columns"], recipe: EmotionRecipe, rng: np.random.Generator
) -> Float[Tensor, "batch 1 bands columns"]:
    """Each clip turned around in time, faster or slower (a shorter one begins anew), its bands turned around as well."""
    columns = power.shape[-1]
    found = []
    for item in time_shift(power, rng):
        length = round(columns * (1 + recipe.stretch * rng.uniform(-1, 1)))
        stretched = nn.functional.interpolate(item, size=length, mode="linear")
        up = int(rng.integers(-recipe.bands, recipe.bands + 1))
        found.append(stretched[..., torch.arange(columns) % length].roll(up, -2))
    return torch.stack(found)
