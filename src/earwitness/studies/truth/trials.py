"""What the families have in common: settings, a run and its folder, and a trial: a classifier and clips whose cause is known.

Trained models are kept in the folder of the run under a fingerprint of everything that they were made from: the same command
takes them from there, and another setting makes others. A training that was stopped goes on from its checkpoint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.classifiers import Classifier
from earwitness.components import Grid
from earwitness.components.base import Baseline
from earwitness.data.readers import esc10
from earwitness.statistics import proportion_interval
from earwitness.studies.keeping import kept
from earwitness.studies.scene_training import logits_of
from earwitness.studies.truth.artefacts import RATE

CREDIT = "Recordings: ESC-10, K. J. Piczak, CC BY 3.0."


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    seed.  clips: that are explained in each trial, at most.  evaluations: of each sampling method, about.
    grid: components over frequency and time.  steps: of deletion and insertion.  subsets: of mu-fidelity.
    maps: in each picture, at most.
    scenes: to learn from, and to test on; scene_epochs.
    recordings: of each fold of ESC-10, at most (None: all); cuts: two-second parts of each to learn from; epochs.
    """

    seed: int = 0
    clips: int = 30
    evaluations: int = 1000
    grid: tuple[int, int] = (8, 10)
    steps: int = 40
    subsets: int = 100
    maps: int = 99
    scenes: tuple[int, int] = (1500, 300)
    scene_epochs: int = 8
    recordings: int | None = None
    cuts: int = 6
    epochs: int = 10


QUICK = Settings(
    clips=2, evaluations=64, steps=8, subsets=16, maps=2, scenes=(240, 60), scene_epochs=4, recordings=20, cuts=4, epochs=8
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Planted:
    """A clip whose cause is known.  bare: the same clip without the cause."""

    name: str
    label: str
    audio: Audio
    truth: tuple[np.ndarray, tuple[Axis, Axis]]
    bare: Audio


@dataclass(frozen=True, eq=False)
class Trial:
    """A classifier, and clips whose true cause is known.

    family, name, title.  text: Markdown, what is planted and how.
    clips: held out, and named rightly.  accuracy: a row with the cause in the clips, one without.
    components: how clips are cut.  credit: of the recordings.
    """

    family: str
    name: str
    title: str
    text: str
    classifier: Classifier
    clips: Sequence[Planted]
    accuracy: pd.DataFrame
    components: Grid
    credit: str = ""


@dataclass(eq=False)
class Study:
    """A run.

    out: its folder.  data: of the recordings, if there are any.  say: is told what is being done.
    jobs, progress: as in `compare`.  notes: what there is to be said at the end.
    """

    settings: Settings
    out: Path
    data: Path | None = None
    say: Callable[[str], None] = lambda line: None
    jobs: int = 1
    progress: Callable[[int, int | None], None] | None = None
    notes: list[str] = field(default_factory=list)

    def grid(self, baseline: Baseline = "silence") -> Grid:
        """How clips are cut."""
        return Grid(*self.settings.grid, baseline=baseline)

    def folder(self, *names: str) -> Path | None:
        """A folder of the recordings; None where it is not there."""
        found = None if self.data is None else self.data.joinpath(*names)
        return found if found is not None and (found / "metadata.csv").is_file() else None

    def left_out(self, family: str, folder: str) -> None:
        """Say that a family lacks its recordings."""
        place = "no folder of recordings was given" if self.data is None else f"there is no {self.data.name}/{folder}"
        self.notes.append(f"The family {family} is left out: {place} (--data, or $EARWITNESS_DATA).")
        self.say(self.notes[-1])

    @cached_property
    def recordings(self) -> dict[str, list[tuple[str, np.ndarray]]]:
        """For each fold of ESC-10 its recordings with 2.2 s of sound or more: their names and samples at 8 kHz."""
        found: dict[str, list[tuple[str, np.ndarray]]] = {}
        folder = self.folder("esc10")
        clips = [] if folder is None else esc10(folder)
        for fold in sorted({clip.group for clip in clips}):
            inside = [clip for clip in clips if clip.group == fold]
            step = max(1, len(inside) // (self.settings.recordings or len(inside)))
            self.say(f"reading ESC-10, fold {fold}")
            read = [(clip.path.stem, _sounding(clip.load(RATE).samples.double().numpy())) for clip in inside[::step]]
            found[fold] = [(name, samples) for name, samples in read if len(samples) >= 2.2 * RATE]
        return found

    def kept(
        self, name: str, key: object, make: Callable[[Path], tuple[Classifier, str]], network: torch.nn.Module | None = None
    ) -> Classifier:  # fmt: skip
        """A classifier from the folder of the run, or made and kept there, as in `earwitness.studies.keeping`."""
        return kept(self.out / "models", name, key, make, network)


def _sounding(samples: np.ndarray) -> np.ndarray:
    """A recording up to its last sound: ESC-10 fills short ones up with digital silence."""
    heard = np.flatnonzero(np.abs(samples) > 1e-4)
    return samples[: heard[-1] + 1] if len(heard) else samples[:0]


def named_rightly(classifier: Classifier, clips: Sequence[Audio], labels: Sequence[str]) -> np.ndarray:
    """`[N]` of booleans: which clips of one length the classifier gives their label."""
    said = logits_of(classifier, torch.stack([clip.samples for clip in clips])).argmax(1)
    return np.array([classifier.labels[number] for number in said.tolist()]) == np.array(labels)


def shares_right(**right: np.ndarray) -> pd.DataFrame:
    """How often a model is right, with Wilson's 95 % intervals: a row for each set of clips."""
    rows = []
    for clips, hits in right.items():
        found = proportion_interval(int(hits.sum()), len(hits))
        rows.append(
            {
                "clips": clips.replace("_", " "),
                "n": len(hits),
                "right": found.mean,
                "low": found.low,
                "high": found.high,
            }
        )
    return pd.DataFrame(rows)
