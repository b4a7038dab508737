"""The run of the lab: its settings, its recordings, what the model says to them, and the maps that several chapters share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from earwitness.audio import Audio
from earwitness.classifiers import Classifier
from earwitness.components import Factorization, Grid
from earwitness.errors import InputError
from earwitness.explainers import Explainer, Random, Saliency, Sobol
from earwitness.explanations import Explanation
from earwitness.fingerprints import fingerprint
from earwitness.metrics import Deletion, Insertion, MassAccuracy, Metric, PointingGame
from earwitness.questions import AudioQuestion, ask
from earwitness.questions.audio import default_components
from earwitness.studies.comparing import compare
from earwitness.studies.comparison import Comparison
from earwitness.studies.finished_parts import Finished
from earwitness.studies.own_lab.by_source import source_numbers
from earwitness.studies.own_lab.listening_through import Listener
from earwitness.studies.own_lab.material import Material, Taken, spread_evenly

REMOVED: tuple[Metric, ...] = (Deletion(), Insertion())
LOCATED: tuple[Metric, ...] = (PointingGame(), MassAccuracy())


@dataclass(frozen=True)
class Settings:
    """How much is done.

    seed.  clips: that are explained and shown.  grids, designs: of the Sobol maps that are compared; repeats: with other seeds.
    compared: clips of the comparison with controls.  labels: at most so many that are shown.
    permutations: of the labels.  sounds: whether what is kept and removed is written as sound.
    """

    seed: int = 0
    clips: int = 6
    grids: tuple[int, ...] = (4, 8, 12)
    designs: tuple[int, ...] = (16, 64, 256)
    repeats: int = 3
    compared: int = 30
    labels: int = 6
    permutations: int = 400
    sounds: bool = False


QUICK = Settings(clips=2, grids=(2, 4), designs=(4, 8), repeats=2, compared=3, labels=2, permutations=400)


@dataclass(eq=False)
class Run:
    """A run.

    classifier, material: the model and the recordings.  out: the folder.
    target: what is explained; None for the label that the model gives each clip.  credit: of the recordings, for captions.
    say: is told what is being done.  jobs, progress: as in `compare`.
    """

    settings: Settings
    classifier: Classifier
    material: Material
    out: Path
    target: str | None = None
    credit: str = ""
    say: Callable[[str], None] = lambda line: None
    jobs: int = 1
    progress: Callable[[int, int | None], None] | None = None
    _asked: dict[tuple, AudioQuestion] = field(default_factory=dict)

    @cached_property
    def finished(self) -> Finished:
        """What the run remembers."""
        return Finished(self.out / "shards" / "finished")

    @cached_property
    def known(self) -> str:
        """The fingerprint of the model."""
        return fingerprint(self.classifier)

    @cached_property
    def listener(self) -> Listener:
        """Goes through all recordings."""
        return Listener(self.classifier, self.finished, self.known, self.say)

    @cached_property
    def survey(self) -> pd.DataFrame:
        """A row for each recording, in the order of the material; see `Listener.survey`."""
        return self.listener.survey(self.material.clips)

    @cached_property
    def heard(self) -> Any:
        """A table, the rows of the survey that the model could answer to; `place` is that in the material."""
        sources = [clip.source for clip in self.material.clips]
        found: Any = self.survey.reset_index(names="place").assign(source=sources)
        found = found[found["reason"] == ""]
        if not len(found):
            raise InputError(f"the model can answer to none of these recordings: {self.survey['reason'].iloc[0]}")
        return found.assign(right=(found["said"] == found["label"]).where(found["label"] != "")).reset_index(drop=True)

    @property
    def truth(self) -> Any:
        """A table, the rows of `heard` whose label is known."""
        return self.heard[self.heard["label"] != ""].reset_index(drop=True)

    @property
    def independence(self) -> str:
        """A sentence on what the intervals and chance take as independent."""
        rows, column = self.heard, self.material.source
        if not column:
            return (
                "Clips count as independent, since no column `source`, `speaker` or `freesound_id` says which come from one "
                "source; where several do, intervals are too narrow and p too small."
            )
        count = int(source_numbers(list(rows["source"])).max()) + 1
        return f"The {len(rows)} clips are of {count} sources (`{column}`), which count as independent, not the clips."

    @property
    def grid(self) -> int:
        """Rows and columns of the maps that are looked at: the middle one of the settings."""
        return self.settings.grids[len(self.settings.grids) // 2]

    @property
    def method(self) -> Sobol:
        """Sobol with the middle number of designs."""
        return Sobol(self.settings.designs[len(self.settings.designs) // 2], self.settings.seed)

    @cached_property
    def shown(self) -> list[int]:
        """Places in the material of the clips that are explained: rightly named ones of all labels (of all, without labels)."""
        rows = self.heard
        good = rows[rows["right"].eq(True)] if len(self.truth) and self.truth["right"].any() else rows
        return [int(place) for place in spread_evenly(list(good["place"]), self.settings.clips)]

    def cut(self, audio: Audio, side: int | None = None) -> Factorization:
        """How a clip is cut: a grid where the model sees frequency and time, else bands and segments of sound."""
        default = default_components(self.classifier, audio, None)
        if not isinstance(default, Grid):
            return default
        side = side or self.grid
        axes = self.classifier.axes("features", len(audio.samples))
        return Grid(min(side, axes[-2].size), min(side, axes[-1].size))

    @property
    def gridded(self) -> bool:
        """Whether clips are cut into grids."""
        clip = self.material.clips[self.shown[0]]
        return isinstance(self.cut(clip.load(self.classifier.sample_rate)), Grid)

    def question(self, place: int, side: int | None = None, target: str | None = None) -> AudioQuestion:
        """About a clip of the material; target: as that of the run, if not given."""
        key = (place, side, target)
        if key not in self._asked:
            audio = self.material.clips[place].load(self.classifier.sample_rate)
            asked = ask(self.classifier, audio, self.cut(audio, side), target or self.target)
            self._asked = {key: asked}  # one at a time
        return self._asked[key]

    def explained(
        self, place: int, method: Explainer | None = None, side: int | None = None, target: str | None = None
    ) -> Explanation:
        """What a method (Sobol, as `method`) answers about a clip; from the folder, if it is there."""
        question = self.question(place, side, target)
        about = fingerprint((self.known, question.given, self.classifier.sample_rate))
        return self.finished.explained(question, method or self.method, about)

    @cached_property
    def compared(self) -> Comparison:
        """Sobol, saliency and the controls on some clips; its rows are in the folder."""
        places = spread_evenly(list(self.heard["place"]), self.settings.compared)
        methods: list[Explainer] = [self.method, Saliency(), Random(self.settings.seed)]
        first = self.clip(self.shown[0])
        return compare(
            self.classifier, [self.clip(int(place)) for place in places], methods,
            [*REMOVED, *(LOCATED if self.material.located else ())], self.out / "shards",
            components=self.cut(first.load(self.classifier.sample_rate)) if self.gridded else None, target=self.target,
            jobs=self.jobs, progress=self.progress,
        )  # fmt: skip

    def clip(self, place: int) -> Taken:
        """A recording of the material."""
        return self.material.clips[place]

    def caption(self, text: str) -> str:
        """A caption with the credit of the recordings."""
        return f"{text} {self.credit}".strip()
