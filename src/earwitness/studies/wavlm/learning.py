"""A small WavLM, trained from nothing on short recordings of speech.

The architecture is the real one, reduced: seven convolutions with layer norm, 400 samples every 320, a convolution for positions
and four transformer layers with gated relative positions. Each clip is brought to zero mean and unit variance; in training it is
also spoken faster or slower, with a little silence on either side, in noise.

Source: Chen et al. (2022), "WavLM"; Ko et al. (2015), "Audio augmentation for speech recognition", for the change of speed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from earwitness.classifiers import Classifier
from earwitness.classifiers.hub import new_wavlm
from earwitness.data.readers import Clip
from earwitness.training import History, Progress, Schedule, fit

SAMPLE_RATE = 16000


@dataclass(frozen=True)
class SpeechRecipe:
    """How a WavLM learns.

    speed: up to such a share faster or slower.  silence: seconds that are added on either side, at most.
    noise: dB below the clip, from and to.  smoothing: of the labels.
    """

    epochs: int = 32
    batch: int = 32
    learning_rate: float = 1e-3
    speed: float = 0.15
    silence: float = 0.1
    noise: tuple[float, float] = (15.0, 50.0)
    smoothing: float = 0.1


def train_speech(
    clips: Sequence[Clip],
    labels: Sequence[str],
    recipe: SpeechRecipe,
    *,
    start: Classifier | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    run: str = "",
    progress: Progress | None = None,
) -> tuple[Classifier, History]:
    """Train a small WavLM on clips. checkpoint, run, progress: as in `earwitness.training.fit`.

    start: another's weights to begin with, but for the last layer.

    Cost: on 2,700 spoken digits about 45 s an epoch on one core.
    """
    sounds = [clip.load(SAMPLE_RATE).samples for clip in clips]
    numbers = torch.tensor([list(labels).index(clip.label) for clip in clips])
    classifier = new_wavlm(labels, SAMPLE_RATE, seed=seed)
    if start is not None:
        known = {k: v for k, v in start.network.state_dict().items() if not k.startswith("model.classifier.")}
        classifier.network.load_state_dict(known, strict=False)

    def batches(rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        varied = [_varied(sound, recipe, rng) for sound in sounds]
        for chosen in _alike(np.array([len(sound) for sound in varied]), recipe.batch, rng):
            yield *stacked([varied[number] for number in chosen]), numbers[chosen]

    def loss(module: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        x, heard, y = batch
        logits = module(input_values=x, attention_mask=heard).logits
        return nn.functional.cross_entropy(logits, y, label_smoothing=recipe.smoothing)

    schedule = Schedule(recipe.epochs, -(-len(clips) // recipe.batch), recipe.learning_rate)
    history = fit(
        cast(Any, classifier.network).model, loss, batches, schedule,
        seed=seed, checkpoint=checkpoint, run=run, progress=progress,
    )  # fmt: skip
    return classifier.requires_grad_(False).eval(), history


def stacked(sounds: Sequence[Tensor]) -> tuple[Float[Tensor, "batch time"], Int[Tensor, "batch time"]]:
    """Clips, each standardised, filled up with zeros to the longest; and 1 where there is sound."""
    heard = nn.utils.rnn.pad_sequence([torch.ones(len(sound), dtype=torch.long) for sound in sounds], batch_first=True)
    level = [(sound - sound.mean()) / torch.sqrt(sound.var(correction=0) + 1e-7) for sound in sounds]
    return nn.utils.rnn.pad_sequence(level, batch_first=True), heard


def _varied(sound: Tensor, recipe: SpeechRecipe, rng: np.random.Generator) -> Tensor:
    """Faster or slower, between silences, in noise."""
    length = round(len(sound) / (1 + recipe.speed * rng.uniform(-1, 1)))
    sound = nn.functional.interpolate(sound[None, None], size=length, mode="linear", align_corners=True)[0, 0]
    before, after = (round(recipe.silence * SAMPLE_RATE * rng.random()) for _ in range(2))
    sound = nn.functional.pad(sound, (before, after))
    level = float(sound.std()) * 10 ** (-rng.uniform(*recipe.noise) / 20)
    return sound + level * torch.from_numpy(rng.standard_normal(len(sound))).float()


def _alike(lengths: np.ndarray, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """All clips in batches of about the same length, in random order."""
    order = np.argsort(lengths * rng.uniform(0.9, 1.1, len(lengths)))
    parts = np.split(order, range(batch, len(order), batch))
    for number in rng.permutation(len(parts)):
        yield parts[number]
