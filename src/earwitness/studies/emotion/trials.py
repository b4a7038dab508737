"""The run of the study: its settings, its folder, its sets of recordings, their splits, and the models that are trained.

| split | who is tested |
|---|---|
| "random" | a fifth of each emotion's clips, whoever speaks: the notebook's, 64 % to learn from, 16 % to validate, 20 % to test |
| by speakers | people who were never heard in training, a few at a time until everybody had a turn |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from earwitness.audio import Audio
from earwitness.classifiers import Classifier
from earwitness.data.readers import Clip, manifest
from earwitness.errors import InputError
from earwitness.fingerprints import fingerprint
from earwitness.studies.emotion.learning import EmotionRecipe, train_emotions
from earwitness.studies.keeping import kept
from earwitness.studies.model_cards import data_hash


@dataclass(frozen=True)
class Settings:
    """How much is done.

    seed.  epochs: of each training.  splits: by speakers, of each set at most (None: all).
    training: clips to learn from, at most (None: all).  width: of the networks.
    clips: of each emotion, that are explained; further: the same on the set that may not be shown.
    samples: of the methods that ask, about.  draws: random regions.  steps: of deletion and insertion.  drawn: emotions with a
    figure, at most.
    """

    seed: int = 0
    epochs: int = EmotionRecipe.epochs
    splits: int | None = None
    training: int | None = None
    width: int = EmotionRecipe.width
    clips: int = 5
    further: int = 2
    samples: int = 512
    draws: int = 16
    steps: int = 10
    drawn: int = 7


QUICK = Settings(epochs=3, splits=1, training=160, width=8, clips=1, further=1, samples=64, draws=5, steps=4, drawn=1)


@dataclass(frozen=True)
class Corpus:
    """A set of recordings of acted emotions.

    name, title.  folder: below that of all recordings.  recipe: with its sample rate, hop and length.
    together: speakers that are left out at a time.  linear: accuracy of a linear classifier on log-mel statistics, each speaker
    left out in turn.  credit: of the recordings; open: whether pictures of them may be passed on.
    """

    name: str
    title: str
    folder: tuple[str, ...]
    recipe: EmotionRecipe
    together: int
    linear: float
    credit: str
    open: bool


EMODB = Corpus(
    "emodb", "EmoDB", ("emotion", "emodb_2s"), EmotionRecipe(), 2, 0.58,
    "Recordings: Berlin Database of Emotional Speech (cut to 2 s), F. Burkhardt and others, CC0.", True,
)  # fmt: skip
NEMO = Corpus(
    "nemo", "nEMO", ("emotion", "nemo"), EmotionRecipe(24000, 2048, 512, 3.0), 3, 0.29,
    "Recordings: nEMO, I. Christop, CC BY-NC-SA 4.0.", False,
)  # fmt: skip
CORPORA = (EMODB, NEMO)


@dataclass(frozen=True)
class Utterance(Clip):
    """A recording that is cut or filled with silence to a fixed length. seconds: that length."""

    seconds: float = 2.0

    def load(self, sample_rate: int | None = None) -> Audio:
        """Read the sound, and bring it to its length."""
        return brought_to(super().load(sample_rate), self.seconds)


def brought_to(audio: Audio, seconds: float) -> Audio:
    """The first `seconds` of a sound, with silence behind it where it is shorter; that stands in its provenance."""
    missing = round(seconds * audio.sample_rate) - len(audio.samples)
    if missing == 0:
        return audio
    done = f"filled with {missing} zeros" if missing > 0 else f"cut by {-missing} samples"
    samples = torch.nn.functional.pad(audio.samples, (0, missing))
    return replace(audio, samples=samples, provenance=(*audio.provenance, f"{done} to {seconds:g} s"))


@dataclass(frozen=True)
class Split:
    """Who learns and who is tested. left_out: the speakers that are not heard in training; () for the random split."""

    name: str
    training: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]
    left_out: tuple[str, ...] = ()


@dataclass(eq=False)
class Run:
    """A run.

    out: its folder.  data: of the recordings.  say: is told what is being done.  jobs, progress: as in `compare`.
    """

    settings: Settings
    out: Path
    data: Path
    say: Callable[[str], None] = lambda line: None
    jobs: int = 1
    progress: Callable[[int, int | None], None] | None = None

    @cached_property
    def corpora(self) -> dict[Corpus, list[Split]]:
        """The sets that are there, and their splits: the random one first. `InputError` where there is none."""
        found = {corpus: self._clips(corpus) for corpus in CORPORA if (self._place(corpus) / "metadata.csv").is_file()}
        if not found:
            places = " or ".join("/".join(corpus.folder) for corpus in CORPORA)
            raise InputError(
                f"there is no {places} with a metadata.csv in {self.data}: give the folder of all recordings, --data"
            )
        return {
            corpus: [random_split(clips, self.settings.seed), *speaker_splits(clips, corpus.together)[: self.settings.splits]]
            for corpus, clips in found.items()
        }  # fmt: skip

    def recipe(self, corpus: Corpus) -> EmotionRecipe:
        """How its networks learn."""
        return replace(corpus.recipe, epochs=self.settings.epochs, width=self.settings.width)

    def model(self, corpus: Corpus, split: Split) -> Classifier:
        """From the folder of the run, or trained and kept there."""
        labels, clips = sorted({clip.label for clip in split.training}), split.training
        if self.settings.training is not None:
            clips = clips[:: max(1, len(clips) // self.settings.training)]
        name, recipe, content = f"{corpus.name}-{split.name}", self.recipe(corpus), data_hash(clips)
        key = (recipe, content, labels, self.settings.seed)

        def told(epoch: int, of: int, record: dict[str, float]) -> None:
            self.say(f"{name}: epoch {epoch} of {of}, loss {record['loss']:.3f}")

        def make(checkpoint: Path) -> tuple[Classifier, str]:
            classifier, _ = train_emotions(
                clips, labels, recipe, seed=self.settings.seed, checkpoint=checkpoint, run=fingerprint(key), progress=told
            )  # fmt: skip
            return classifier, (
                f"# {name}\n\nA ResNet18 of `earwitness study emotion`, trained on {len(clips)} clips (SHA-256 {content}). "
                f"{corpus.credit}\n"
            )

        return kept(self.out / "models", name, key, make)

    def _place(self, corpus: Corpus) -> Path:
        return self.data.joinpath(*corpus.folder)

    def _clips(self, corpus: Corpus) -> list[Clip]:
        """The recordings of a set, their speakers as groups."""
        found = manifest(self._place(corpus) / "metadata.csv", "speaker")
        return [Utterance(clip.path, clip.label, clip.group, corpus.recipe.seconds) for clip in found]


def random_split(clips: Sequence[Clip], seed: int) -> Split:
    """64 %, 16 % and 20 % of each label's clips, drawn with the seed: as in the notebook, whoever speaks."""
    rng = np.random.default_rng(seed)
    training, validating, testing = parts = [], [], []
    for label in sorted({clip.label for clip in clips}):
        inside = [clip for clip in clips if clip.label == label]
        order = rng.permutation(len(inside))
        test, validation = round(0.2 * len(inside)), round(0.16 * len(inside))
        for part, numbers in zip(
            parts, np.split(order, [len(order) - test - validation, len(order) - test]), strict=True
        ):
            part.extend(inside[number] for number in numbers)
    return Split("random", tuple(training), tuple(validating), tuple(testing))


def speaker_splits(clips: Sequence[Clip], together: int) -> list[Split]:
    """Each speaker is left out once, `together` of them at a time, in the order of their names."""
    who = sorted({clip.group for clip in clips}, key=lambda name: (len(name), name))
    groups = [tuple(who[at : at + together]) for at in range(0, len(who), together)]
    return [
        Split(
            "-".join(group), tuple(clip for clip in clips if clip.group not in group), (),
            tuple(clip for clip in clips if clip.group in group), group,
        )
        for group in groups
    ]  # fmt: skip
