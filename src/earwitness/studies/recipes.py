"""Recipes that train the classifiers of this project, and say how well they do.

| recipe | network | for |
|---|---|---|
| `train_tones` | `SmallSpecCNN` on the log-magnitude STFT | the lab's synthetic tones |
| `train_esc10` | `EventCNN` on mel decibels, with events laid over backgrounds | ESC-10; hears a dog in the rain |
| `train_clips` | the same without the laying over | any other set of labelled clips |
| `keyword_training.train_ast` | a small AST of Hugging Face | Speech Commands, speakers apart |

Each writes a folder that `load_classifier` reads, with a model card. A run that is stopped leaves `checkpoint.pt` in that
folder, and the same call goes on from it to the same bits. Accuracy is that of the last epoch, never of the best one.

Source: `docs/models.md` has the figures and the commands that made them.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.classifiers import Classifier
from earwitness.data.readers import Clip, class_folders, esc10, esc50, fsdd, manifest, mixtures, speech_commands
from earwitness.data.synthetic import Recipe, Tones
from earwitness.errors import InputError, UsageError, unknown, whole
from earwitness.extras import need
from earwitness.frontends import LogSTFT
from earwitness.studies.answering import answers
from earwitness.studies.event_training import EventRecipe, powers, train_events
from earwitness.studies.model_cards import OWN_USE, Card, checkpoint_in, credit_of, data_hash, publish
from earwitness.studies.scene_training import train_scenes
from earwitness.training import Progress

Figures = dict[str, float | int]
PathLike = str | os.PathLike

PLAIN = EventRecipe(mixing=0.0)
SPEECH = EventRecipe(mixing=0.0, epochs=40, seconds=1.0, hop_seconds=0.01)

TONES = (
    "Tells a tone of 220 Hz (low) from one of 880 Hz (high) in half a second at 8 kHz, beside an interferer and noise. "
    "Made for testing explanations: what makes a clip low or high is known sample by sample."
)
FIVE_FOLDS = """## Five folds

What this recipe reaches, one model per fold, each tested on the fold that it did not see (`benchmarks/esc10_folds.py`; one seed,
so differences of a few points mean little). Mixtures: an event at 0, 6 or 12 dB over its own span, in front of a background;
the event should be named. Beside it the same recipe without mixing, which names the background.

| | with mixing (this model) | without |
|---|---|---|
| accuracy, mean of five folds | 0.9025 | 0.9150 |
| folds 1 to 5 | 0.9000, 0.9000, 0.8625, 0.9500, 0.9000 | 0.9000, 0.9125, 0.8875, 0.9500, 0.9250 |
| mixtures named | 69 of 80 | 26 of 80 |
| at 0, 6, 12 dB | 13 of 23, 27 of 27, 29 of 30 | 0 of 23, 8 of 27, 18 of 30 |
| crying_baby, dog, rooster, sneezing (20 each) | 17, 14, 20, 18 | 4, 4, 10, 8 |

The mixtures are made as the training mixes (the same classes, bursts of up to 2 s, -3 to 15 dB), though never of the same
recordings: they show that the model can be tested with planted events, not that it is robust in general."""


@dataclass(frozen=True)
class ClipSet:
    """A set of labelled clips: how to read it, with what recipe to train, and which group is held out by default."""

    read: Callable[[PathLike], list[Clip]]
    recipe: EventRecipe = PLAIN
    held_out: str | None = None


DATASETS: dict[str, ClipSet | None] = {
    "tones": None,
    "esc10": ClipSet(esc10, EventRecipe(), "5"),
    "esc50": ClipSet(esc50, PLAIN, "5"),
    "fsdd": ClipSet(fsdd, replace(SPEECH, sample_rate=8000, epochs=20), "test"),
    "speech_commands": ClipSet(speech_commands, SPEECH),
    "speech_commands_ast": ClipSet(speech_commands),
    "folder": ClipSet(class_folders),
    "manifest": ClipSet(manifest),
}


def train(
    name: str,
    data: PathLike | None,
    out: PathLike,
    *,
    epochs: int | None = None,
    seed: int | None = None,
    held_out: str | None = None,
    progress: Progress | None = None,
) -> Figures:
    """Train the classifier of a data set by name (`DATASETS`) and write it to the folder `out`. Returns its figures.

    data: the folder of the data set, or the CSV of a manifest; None for the tones, which are made here.
    held_out: the fold, split or other group that is tested on; else the set's own, or 20 % of each label.
    """
    whole(least=0, seed=seed)
    whole(epochs=epochs)
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    given = {"epochs": epochs, "seed": seed, "held_out": held_out}
    options: dict = {key: value for key, value in given.items() if value is not None}
    chosen = DATASETS[name]
    if chosen is None:
        if data is not None or held_out is not None:
            raise UsageError(f"the {name} are made here: leave --data and --held-out away")
        return train_tones(out, progress=progress, **options)
    if data is None:
        raise UsageError(f"{name} is made of recordings: say where they are with --data")
    if name == "esc10":
        return train_esc10(data, out, progress=progress, **options)
    if name == "speech_commands_ast":
        if held_out is not None:
            raise UsageError(f"{name} is parted by speaker: leave --held-out away")
        ast = need("earwitness.studies.keyword_training", "hf", "an AST")
        return ast.train_ast(data, out, progress=progress, command=_command(name, data, out, **given), **options)
    options = {"held_out": chosen.held_out} | options
    credit = f"{credit_of(data)}\n\n{OWN_USE}".strip()
    return train_clips(
        chosen.read(data), out, recipe=chosen.recipe, title=name, progress=progress, credit=credit,
        command=_command(name, data, out, **given), **options,
    )  # fmt: skip


def train_tones(
    out: PathLike,
    *,
    seed: int = 225,
    epochs: int = 6,
    clips: tuple[int, int] = (2000, 400),
    recipe: Recipe = Tones(),  # noqa: B008 (frozen)
    progress: Progress | None = None,
) -> Figures:
    """Train the lab's network on the lab's scenes: 2000 to learn from, 400 others to test on. A minute on one core.

    Returns `accuracy`, and `seconds`.
    """
    started, frontend = time.monotonic(), LogSTFT(8000, n_fft=256, hop_length=64, standardise=True)
    trained = train_scenes(
        recipe, frontend, clips=clips, epochs=epochs, seed=seed, checkpoint=checkpoint_in(out), progress=progress
    )
    figures: Figures = {"accuracy": trained.history[-1]["accuracy"]}
    command = _command("tones", None, out, epochs=None if epochs == 6 else epochs, seed=None if seed == 225 else seed)
    told = f"{clips[0]} synthetic scenes to learn from, {clips[1]} others to test on: `earwitness.data.synthetic.Tones`"
    publish(
        trained.classifier, Path(out),
        Card("Tones", TONES, command, told, seed, trained.content, figures, credit="No recordings. Weights: Apache-2.0."),
    )  # fmt: skip
    return figures | {"seconds": round(time.monotonic() - started, 1)}


def train_esc10(
    data: PathLike,
    out: PathLike,
    *,
    held_out: str = "5",
    mixing: float = 0.3,
    epochs: int = 100,
    seed: int = 0,
    progress: Progress | None = None,
) -> Figures:
    """Train on all folds of ESC-10 but one, and test on that one. About 4 minutes on one core.

    mixing: the share of each batch in which an event is laid over a background (0: none; then it names the background).
    Returns `accuracy` on the fold and, where `localized/esc10_mix` lies beside the data, `mixtures_named`: in how many of the
    fold's `mixtures` the event is named.
    """
    recipe = EventRecipe(mixing=mixing, epochs=epochs)
    beside = Path(data).parent / "localized" / "esc10_mix"
    found = [clip for clip in mixtures(beside) if clip.group == held_out] if beside.is_dir() else []

    def on_mixtures(classifier: Classifier) -> Figures:
        named = sum(said == clip.label for said, clip in zip(answers(classifier, found), found, strict=True))
        return {"mixtures_named": named, "mixtures": len(found)} if found else {}

    return train_clips(
        esc10(data), out, recipe=recipe, seed=seed, held_out=held_out, progress=progress, further=on_mixtures,
        title="ESC-10" + (", an event in front of a background" if mixing else ""), credit=credit_of(data) or OWN_USE,
        notes=() if recipe != EventRecipe() or seed else (FIVE_FOLDS,),
        command=_command(
            "esc10", data, out,
            epochs=epochs if epochs != 100 else None, seed=seed or None, held_out=held_out if held_out != "5" else None,
        ),
    )  # fmt: skip


def train_clips(
    clips: Sequence[Clip],
    out: PathLike,
    *,
    recipe: EventRecipe = PLAIN,
    epochs: int | None = None,
    seed: int = 0,
    held_out: str | None = None,
    title: str = "A classifier of recordings",
    credit: str = OWN_USE,
    command: str = "earwitness.studies.recipes.train_clips(...)",
    notes: Sequence[str] = (),
    further: Callable[[Classifier], Figures] = lambda classifier: {},
    progress: Progress | None = None,
) -> Figures:
    """Train an `EventCNN` on any labelled clips and write it to the folder `out`. Returns `accuracy` and more.

    recipe: its seconds are the most that is taken of a clip; if all are shorter, the longest clip's.
    epochs: instead of the recipe's.  held_out: see `split`.  title, credit, command, notes: for the card.
    further(classifier): more figures.
    Raises `InputError` for recordings that can't be read and for sets that can't be split.
    """
    started = time.monotonic()
    kept, held = split(clips, held_out, seed)
    seconds = _longest(kept, recipe.sample_rate, recipe.seconds)
    recipe = replace(recipe, epochs=epochs or recipe.epochs, seconds=seconds)
    labels, checkpoint, content = sorted({clip.label for clip in kept}), checkpoint_in(out), data_hash(clips)
    frontend = recipe.frontend()
    power, tested = powers(kept, frontend, recipe.seconds), powers(held, frontend, recipe.seconds)
    truth = torch.tensor([labels.index(clip.label) for clip in held])

    def validate(network: nn.Module) -> dict[str, float]:
        return {"accuracy": _accuracy(network(frontend.advance(tested, "filterbank", "")), truth)}

    network, _ = train_events(
        kept, labels, recipe, seed=seed, checkpoint=checkpoint, run=f"{recipe}, held out: {held_out}, data {content}",
        validate=validate, progress=progress, power=power,
    )  # fmt: skip
    classifier = Classifier(network, frontend, labels, duration=recipe.seconds).eval()
    right = [said == clip.label for said, clip in zip(answers(classifier, held), held, strict=True)]
    figures: Figures = {"accuracy": float(np.mean(right)), "clips_tested": len(held), "clips_trained_on": len(kept)}
    figures |= further(classifier)
    summary = f"Tells {len(labels)} sounds apart: {', '.join(labels)}. Recipe: `{recipe}`."
    told = f"{len(clips)} recordings; not trained on, and tested on: "
    told += "20 % of each label, by chance" if held_out is None else f"group {held_out}"
    listed = held if len({clip.path.stem for clip in clips}) == len(clips) else []  # a name has to say which
    publish(classifier, Path(out), Card(title, summary, command, told, seed, content, figures, notes, credit), listed)
    return figures | {"seconds": round(time.monotonic() - started, 1)}


def split(clips: Sequence[Clip], held_out: str | None, seed: int) -> tuple[list[Clip], list[Clip]]:
    """The clips to train on, and those to test on: the group `held_out`, or (None) a seeded 20 % of each label."""
    groups = sorted({clip.group for clip in clips} - {""})
    if held_out is not None and held_out not in groups:
        raise unknown("group of clips", held_out, groups or ["(none: these clips have no folds or splits)"])
    named = {index for index, clip in enumerate(clips) if clip.group == held_out}
    chosen = _fifth(clips, seed) if held_out is None else named
    kept = [clip for index, clip in enumerate(clips) if index not in chosen]
    held = [clip for index, clip in enumerate(clips) if index in chosen]
    unseen = sorted({clip.label for clip in clips} - {clip.label for clip in kept})
    if unseen or not held or len({clip.label for clip in kept}) < 2:
        raise InputError(
            f"{len(kept)} clips would be trained on and {len(held)} tested on"
            + (f", with nothing left to learn {', '.join(unseen)} from" if unseen else "")
            + ": it takes two labels or more, five clips or more of each, or another group to hold out"
        )
    return kept, held


def _fifth(clips: Sequence[Clip], seed: int) -> set[int]:
    rng, chosen, names = np.random.default_rng(seed), set(), np.array([clip.label for clip in clips])
    for name in np.unique(names):
        places = rng.permutation(np.flatnonzero(names == name))
        chosen |= {int(place) for place in places[: round(0.2 * len(places))]}
    return chosen


def _longest(clips: Sequence[Clip], sample_rate: int, most: float) -> float:
    """The length of the longest clip, in seconds; `most` as soon as one is as long."""
    longest = 0.0
    for clip in clips:
        longest = max(longest, clip.load(sample_rate).duration)
        if longest >= most:
            return most
    return longest


def _accuracy(logits: Tensor, truth: Tensor) -> float:
    return float((logits.argmax(1) == truth).double().mean())


def _command(name: str, data: PathLike | None, out: PathLike, **options: object) -> str:
    """What to type for this run; options that are None are left away."""
    given = {"data": data, "out": out} | options
    words = [f"--{key.replace('_', '-')} {value}" for key, value in given.items() if value is not None]
    return " ".join(["earwitness train", name, *words])
