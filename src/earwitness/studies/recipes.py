"""Recipes that train the classifiers of this project, and say how well they do.

Source: `docs/models.md` has the figures and the commands that made them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.classifiers.zoo import EventCNN
from earwitness.data.augmentation import EventMixing, gain, mixup, spec_augment, time_shift
from earwitness.data.readers import Clip
from earwitness.errors import InputError
from earwitness.frontends import LogMel
from earwitness.training import History, Schedule, fit

EVENTS = ("dog", "rooster", "sneezing", "crying_baby")
BACKGROUNDS = ("rain", "sea_waves", "helicopter", "chainsaw")


@dataclass(frozen=True)
class EventRecipe:
    """A spectrogram network for clips of one event; with `mixing` > 0 it learns to hear it in front of a background.

    mixing: the share of each batch that is an event of `EVENTS` laid over a clip of `BACKGROUNDS`.
    """

    epochs: int = 100
    batch: int = 32
    mixing: float = 0.3
    smoothing: float = 0.05
    seconds: float = 5.0

    def frontend(self) -> LogMel:
        """16 kHz, 64 Slaney mel bands of 50 Hz to 8 kHz, 64 ms windows every 20 ms, in dB above 1e-5."""
        return LogMel(16000, n_fft=1024, hop_length=320, n_mels=64, fmin=50.0, level="db", amin=1e-5)


def powers(clips: Sequence[Clip], frontend: LogMel, seconds: float) -> Tensor:
    """Mel powers `[N, 1, bands, frames]` of clips, cut or filled with silence to the same length."""
    length, rows = round(seconds * frontend.sample_rate), []
    for clip in clips:
        samples = clip.load(frontend.sample_rate).samples[:length]
        padded = nn.functional.pad(samples, (0, length - len(samples)))
        with torch.no_grad():
            rows.append(frontend.advance(padded[None], "", "filterbank"))
    return torch.cat(rows)


def train_events(
    clips: Sequence[Clip],
    labels: Sequence[str],
    recipe: EventRecipe,
    *,
    seed: int = 0,
    checkpoint=None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    power: Tensor | None = None,
) -> tuple[EventCNN, History]:
    """Train an `EventCNN` on clips; `power` spares reading them again. Returns the network and its history."""
    frontend = recipe.frontend()
    power = powers(clips, frontend, recipe.seconds) if power is None else power
    names = np.array([clip.label for clip in clips])
    targets = torch.eye(len(labels))[[list(labels).index(name) for name in names]]
    mixing = None
    if recipe.mixing:
        events, grounds = np.isin(names, EVENTS), np.isin(names, BACKGROUNDS)
        if not (events.any() and grounds.any()):
            raise InputError(f"mixing needs clips of {', '.join(EVENTS)} and of {', '.join(BACKGROUNDS)}")
        mixing = EventMixing(power[events], targets[events], power[grounds], frames=100)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EventCNN(len(labels)).to(memory_format=torch.channels_last)
    network.normalise.fit(frontend.advance(power, "filterbank", ""))

    def batches(rng: np.random.Generator):
        order = rng.permutation(len(power))
        for chosen in np.array_split(order, max(1, len(order) // recipe.batch)):
            x, y = mixup(time_shift(power[chosen], rng), targets[chosen], rng)
            if mixing is not None:
                count = round(recipe.mixing * len(x))
                x[:count], y[:count] = mixing(count, rng)
            yield spec_augment(frontend.advance(gain(x, rng), "filterbank", ""), rng), y

    def loss(module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        logits = module(x.contiguous(memory_format=torch.channels_last))
        return nn.functional.cross_entropy(logits, y, label_smoothing=recipe.smoothing)

    schedule = Schedule(recipe.epochs, max(1, len(power) // recipe.batch))
    history = fit(
        network, loss, batches, schedule, seed=seed, checkpoint=checkpoint, validate=validate, progress=progress
    )
    return network.to(memory_format=torch.contiguous_format), history
