"""A small Audio Spectrogram Transformer (AST) that learns twelve spoken words from few recordings.

The architecture is the real one, reduced: 128 mel bands, patches of 16 bands x 16 frames every 10, three layers of 96 channels.
In training each clip is spoken faster or slower, moved, laid over the noise of another clip without a word, changed in level
and masked (SpecAugment). Blending clips (mixup) is left out: with it the network stayed near chance.

The recordings come without a part to learn from (all are of the official test set), so speakers are parted here: whose name has a
SHA-256 that four divides is held out. Clips without a speaker, those of silence, are parted by their file names.

Source: Gong, Chung, Glass (2021), "AST: Audio Spectrogram Transformer"; Warden (2018), "Speech Commands"; Ko et al. (2015) for
the change of speed; Park et al. (2019) for SpecAugment.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.classifiers import Classifier
from earwitness.classifiers.hub import new_ast
from earwitness.data.augmentation import spec_augment
from earwitness.data.readers import Clip, speech_commands
from earwitness.errors import InputError
from earwitness.frontends import LogMel
from earwitness.frontends.extractors import ASTMel
from earwitness.statistics import proportion_interval
from earwitness.studies.answering import answers
from earwitness.studies.model_cards import HELD_OUT, Card, checkpoint_in, credit_of, data_hash, publish
from earwitness.training import History, Progress, Schedule, fit

SAMPLE_RATE, PARTS = 16000, 4
LEARNT, APART = "learnt", "held out"
NOISE = "silence"  # the label of clips in which nobody speaks


@dataclass(frozen=True)
class KeywordRecipe:
    """How an AST learns words.

    seconds: of each clip.  speed: up to such a share faster or slower.  shift: seconds, either way.
    noise: dB of the clip above the noise under it, from and to; `noisy`: the share of clips that get one.
    gain: dB, either way.  smoothing: of the labels.  position: amplitude of the sines that positions begin as.
    """

    epochs: int = 220
    batch: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    seconds: float = 1.0
    speed: float = 0.1
    shift: float = 0.1
    noise: tuple[float, float] = (5.0, 30.0)
    noisy: float = 0.2
    gain: float = 8.0
    smoothing: float = 0.05
    position: float = 0.2


def keyword_clips(folder: str | os.PathLike) -> list[Clip]:
    """Speech Commands, parted by speaker: the group is "learnt" or "held out"."""
    return [replace(clip, group=part_of(clip.path.stem)) for clip in speech_commands(folder)]


def part_of(name: str) -> str:
    """The part that a clip is in, from its file's name: the speaker stands before "_nohash_", behind the last "_"."""
    before, nohash, _ = name.partition("_nohash_")
    who = before.rpartition("_")[2] if nohash else name
    return LEARNT if int(hashlib.sha256(who.encode()).hexdigest(), 16) % PARTS else APART


def train_ast(
    data: str | os.PathLike, out: str | os.PathLike, *,
    epochs: int | None = None, seed: int = 0, command: str = "", progress: Progress | None = None,
) -> dict[str, float | int]:  # fmt: skip
    """Train a small AST on Speech Commands and write it, with its card, to the folder `out`. Returns its figures.

    Beside the weights lies `held-out.txt`, the names of the recordings that it has not learnt from. The accuracy of a linear
    classifier on the same parts stands beside the AST's. 20 minutes on one core.
    """
    started, recipe = time.monotonic(), KeywordRecipe()
    recipe = replace(recipe, epochs=epochs or recipe.epochs)
    clips = keyword_clips(data)
    kept, held = ([clip for clip in clips if clip.group == part] for part in (LEARNT, APART))
    labels, content, checkpoint = sorted({clip.label for clip in clips}), data_hash(clips), checkpoint_in(out)
    if not held or {clip.label for clip in kept} != set(labels):
        raise InputError(
            f"{len(held)} recordings of {len(clips)} are held out by their speakers: the set is too small to be parted"
        )
    x = torch.stack([_fitted(clip.load(SAMPLE_RATE).samples, round(recipe.seconds * SAMPLE_RATE)) for clip in held])
    y = torch.tensor([labels.index(clip.label) for clip in held])

    def validate(network: Any) -> dict[str, float]:
        return {"accuracy": float((network(network.frontend(x)).argmax(1) == y).double().mean())}

    classifier, _ = train_keywords(
        kept, labels, recipe, seed=seed, checkpoint=checkpoint, run=f"{recipe}, data {content}",
        validate=validate, progress=progress,
    )  # fmt: skip
    right = [said == clip.label for said, clip in zip(answers(classifier, held), held, strict=True)]
    found, linear = proportion_interval(sum(right), len(right)), linear_accuracy(kept, held)
    figures: dict[str, float | int] = {
        "accuracy": found.mean, "low": found.low, "high": found.high, "accuracy_of_a_linear_classifier": linear,
        "clips_tested": len(held), "clips_trained_on": len(kept),
    }  # fmt: skip
    told = f"{len(clips)} recordings; not trained on, and tested on: {len(held)} of other speakers, `{HELD_OUT}`"
    summary = f"Tells {len(labels)} words apart: {', '.join(labels)}. A small AST. Recipe: `{recipe}`."
    publish(
        classifier,
        Path(out),
        Card("Speech Commands, a small AST", summary, command, told, seed, content, figures, (), credit_of(data)),
        held,
    )
    return figures | {"seconds": round(time.monotonic() - started, 1)}


def linear_accuracy(kept: Sequence[Clip], held: Sequence[Clip], penalty: float = 100.0) -> float:
    """What ridge regression on mean, deviation, extremes and change of 64 mel bands in dB reaches."""
    frontend = LogMel(SAMPLE_RATE, n_fft=512, hop_length=160, n_mels=64, fmin=50.0, level="db", amin=1e-5)

    def numbers(clips: Sequence[Clip]) -> np.ndarray:
        bands = [frontend(clip.load(SAMPLE_RATE).samples[None])[0, 0].numpy() for clip in clips]
        return np.array([np.concatenate([b.mean(1), b.std(1), b.max(1), b.min(1), np.diff(b).std(1)]) for b in bands])

    x, others = numbers(kept), numbers(held)
    labels = sorted({clip.label for clip in kept})
    middle, spread = x.mean(0), x.std(0) + 1e-9
    x, others = (x - middle) / spread, (others - middle) / spread
    y = np.eye(len(labels))[[labels.index(clip.label) for clip in kept]] - 1 / len(labels)
    said = (others @ np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)).argmax(1)
    return float(np.mean([labels[number] == clip.label for number, clip in zip(said, held, strict=True)]))


def train_keywords(
    clips: Sequence[Clip],
    labels: Sequence[str],
    recipe: KeywordRecipe,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    run: str = "",
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    progress: Progress | None = None,
) -> tuple[Classifier, History]:
    """Train a small AST on clips. checkpoint, run, validate, progress: as in `earwitness.training.fit`.

    Cost: on 450 clips about 5 s an epoch on one core.
    """
    length = round(recipe.seconds * SAMPLE_RATE)
    sounds = [_fitted(clip.load(SAMPLE_RATE).samples, length) for clip in clips]
    names = np.array([clip.label for clip in clips])
    numbers = torch.tensor([list(labels).index(name) for name in names])
    noises = [sound for sound, name in zip(sounds, names, strict=True) if name == NOISE]
    frontend = _levelled(torch.stack(sounds), recipe)
    classifier = new_ast(labels, frontend, seed=seed)

    _placed(classifier.network, recipe)

    def batches(rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        order = rng.permutation(len(sounds))
        for chosen in np.array_split(order, max(1, len(order) // recipe.batch)):
            heard = torch.stack([_varied(sounds[number], noises, recipe, rng) for number in chosen])
            yield spec_augment(frontend(heard), rng, bands=16, frames=12), numbers[chosen]

    def loss(module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(module(batch[0]), batch[1], label_smoothing=recipe.smoothing)

    schedule = Schedule(
        recipe.epochs, max(1, len(sounds) // recipe.batch), recipe.learning_rate, recipe.weight_decay, warmup=200
    )
    history = fit(
        classifier.network, loss, batches, schedule,
        seed=seed, checkpoint=checkpoint, run=run, validate=validate, progress=progress,
    )  # fmt: skip
    return classifier.requires_grad_(False).eval(), history


def _placed(network: Any, recipe: KeywordRecipe) -> None:
    """Positions begin as sines of the patches' row and column, not as zeros: few clips teach them slowly."""
    table = network.model.audio_spectrogram_transformer.embeddings.position_embeddings
    config = network.model.config
    rows, columns = ((size - config.patch_size) // step + 1 for size, step in (
        (config.num_mel_bins, config.frequency_stride), (config.max_length, config.time_stride)
    ))  # fmt: skip
    waves = torch.pi / 2 ** torch.linspace(1, 5, table.shape[-1] // 4)[None]
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.reshape(-1, 1) * waves for place in (row, column)]
    sines = torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1)
    with torch.no_grad():
        table[0, -len(sines) :, : sines.shape[1]] = recipe.position * sines


def _levelled(sounds: Tensor, recipe: KeywordRecipe) -> ASTMel:
    """The front end, with the mean and the deviation of what it computes of these sounds."""
    raw = ASTMel(SAMPLE_RATE, max_frames=round(100 * recipe.seconds), mean=0.0, std=0.5)
    with torch.no_grad():
        features = torch.cat([raw(part) for part in sounds.split(64)])
    return ASTMel(SAMPLE_RATE, max_frames=raw.max_frames or 0, mean=float(features.mean()), std=float(features.std()))


def _fitted(sound: Tensor, length: int) -> Tensor:
    """Cut, or filled up with silence behind."""
    if not len(sound):
        raise InputError("a clip without samples cannot be learnt from")
    return nn.functional.pad(sound[:length], (0, max(0, length - len(sound))))


def _varied(sound: Tensor, noises: Sequence[Tensor], recipe: KeywordRecipe, rng: np.random.Generator) -> Tensor:
    """Faster or slower, moved, over noise, at another level."""
    size = len(sound)
    stretched = round(size / (1 + recipe.speed * rng.uniform(-1, 1)))
    moved = nn.functional.interpolate(sound[None, None], size=stretched, mode="linear", align_corners=True)[0, 0]
    before = (size - stretched) // 2 + round(recipe.shift * SAMPLE_RATE * rng.uniform(-1, 1))
    moved = nn.functional.pad(moved, (before, size - stretched - before))
    if noises and rng.random() < recipe.noisy:
        noise = noises[int(rng.integers(len(noises)))].roll(int(rng.integers(size)))
        snr = 10 ** (rng.uniform(*recipe.noise) / 20)
        moved = moved + noise * (moved.std() / noise.std().clamp(min=1e-7) / snr)
    return moved * 10 ** (rng.uniform(-recipe.gain, recipe.gain) / 20)
