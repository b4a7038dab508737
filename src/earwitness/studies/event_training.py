"""The network that hears events: its recipe and its training.

Clips become mel powers once; each batch is then shifted in time, blended (mixup), partly replaced by events laid over
backgrounds, changed in level, brought to decibels and masked (SpecAugment). Powers of independent sounds add up, so all that
adds sounds happens before the decibels.

Source: Zhang et al. (2018) for mixup; Park et al. (2019) for SpecAugment; Piczak (2015) for the data it was made for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.classifiers.zoo import EventCNN
from earwitness.data.augmentation import EventMixing, gain, mixup, spec_augment, time_shift
from earwitness.data.readers import Clip
from earwitness.errors import InputError, UsageError
from earwitness.frontends import LogMel
from earwitness.training import History, Progress, Schedule, fit

EVENTS = ("dog", "rooster", "sneezing", "crying_baby")
BACKGROUNDS = ("rain", "sea_waves", "helicopter", "chainsaw")


@dataclass(frozen=True)
class EventRecipe:
    """A spectrogram network for clips of one event; with `mixing` > 0 it learns to hear it in front of a background.

    mixing: the share of each batch that is an event of `EVENTS` laid over a clip of `BACKGROUNDS`.
    smoothing: of the labels.  seconds: clips are cut or filled with silence to this length.
    sample_rate: hertz.  hop_seconds: distance of the spectrogram's columns.
    """

    epochs: int = 100
    batch: int = 32
    mixing: float = 0.3
    smoothing: float = 0.05
    seconds: float = 5.0
    sample_rate: int = 16000
    hop_seconds: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.mixing <= 1:
            raise UsageError(f"mixing is a share of each batch, from 0 to 1, not {self.mixing:g}")

    def frontend(self) -> LogMel:
        """64 Slaney mel bands of 50 Hz to Nyquist, 64 ms windows, in dB above 1e-5."""
        hop, n_fft = round(self.hop_seconds * self.sample_rate), round(0.064 * self.sample_rate)
        return LogMel(self.sample_rate, n_fft=n_fft, hop_length=hop, n_mels=64, fmin=50.0, level="db", amin=1e-5)


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
    checkpoint: Path | None = None,
    run: str = "",
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    progress: Progress | None = None,
    power: Tensor | None = None,
) -> tuple[EventCNN, History]:
    """Train an `EventCNN` on clips; `power` spares reading them again. Returns the network and its history.

    checkpoint, run, validate, progress: as in `earwitness.training.fit`.
    """
    frontend = recipe.frontend()
    power = powers(clips, frontend, recipe.seconds) if power is None else power
    names = np.array([clip.label for clip in clips])
    targets = torch.eye(len(labels))[[list(labels).index(name) for name in names]]
    mixing = _mixing(power, targets, names, recipe) if recipe.mixing else None
    network = _fresh(len(labels), seed)
    network.normalise.fit(frontend.advance(power, "filterbank", ""))
    widest = min(30, power.shape[-1] // 8)  # of SpecAugment's stripes, in columns

    def batches(rng: np.random.Generator):
        order = rng.permutation(len(power))
        for chosen in np.array_split(order, max(1, len(order) // recipe.batch)):
            x, y = mixup(time_shift(power[chosen], rng), targets[chosen], rng)
            count = round(recipe.mixing * len(x))
            if mixing is not None and count:
                x[:count], y[:count] = mixing(count, rng)
            yield spec_augment(frontend.advance(gain(x, rng), "filterbank", ""), rng, frames=widest), y

    def loss(module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        logits = module(x.contiguous(memory_format=torch.channels_last))
        return nn.functional.cross_entropy(logits, y, label_smoothing=recipe.smoothing)

    schedule = Schedule(recipe.epochs, max(1, len(power) // recipe.batch))
    history = fit(
        network, loss, batches, schedule,
        seed=seed, checkpoint=checkpoint, run=run, validate=validate, progress=progress,
    )  # fmt: skip
    network.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    return network, history


def _fresh(classes: int, seed: int) -> EventCNN:
    """A network with seeded weights, laid out for speed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = EventCNN(classes)
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _mixing(power: Tensor, targets: Tensor, names: np.ndarray, recipe: EventRecipe) -> EventMixing:
    events, grounds = (torch.from_numpy(np.isin(names, kinds)) for kinds in (EVENTS, BACKGROUNDS))
    if not (events.any() and grounds.any()):
        raise InputError(f"mixing needs clips of {', '.join(EVENTS)} and of {', '.join(BACKGROUNDS)}")
    return EventMixing(power[events], targets[events], power[grounds], frames=round(2.0 / recipe.hop_seconds))
