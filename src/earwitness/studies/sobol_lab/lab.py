"""What the chapters of the lab share: its settings, its front end, its scenes, and the networks that are trained for it.

Scenes come from the seed of the lab and the number of their purpose, so that two chapters that ask for the same scenes get the
same, and nothing that a network has learnt from is ever tested on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from earwitness.classifiers import Classifier
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.components import Factorization, Grid
from earwitness.data.synthetic import Recipe, Scene, Tones, scenes
from earwitness.explanations import Explanation
from earwitness.frontends import FrontEnd, LogSTFT
from earwitness.questions import AudioQuestion
from earwitness.questions import ask as ask_about
from earwitness.statistics import Interval, proportion_interval
from earwitness.studies.scene_training import Trained, logits_of, train_scenes

SAMPLE_RATE = 8000
LAB = Tones()
TEST, EXPLAINED = 2, 3  # purposes of scenes; 0 and 1 are those of the training
SNRS = (-25.0, -20.0, -17.5, -15.0, -12.5, -10.0, -5.0, 0.0, 10.0, 20.0)


@dataclass(frozen=True)
class Settings:
    """How much is measured; the defaults are the lab's own numbers where it names them.

    seed.  clips: to learn from, and to test on.  epochs, batch: of the training.
    grids, samples: of the Sobol maps that are compared; repeats: with other seeds of the masks.
    designs: of the Sobol maps that are measured over clips; explained: how many clips that are.
    tested: scenes for each figure of accuracy.
    """

    seed: int = 225
    clips: tuple[int, int] = (2000, 400)
    epochs: int = 6
    batch: int = 64
    grids: tuple[int, ...] = (4, 8, 12)
    samples: tuple[int, ...] = (64, 256, 1024)
    repeats: int = 4
    designs: int = 32
    explained: int = 40
    tested: int = 400


QUICK = Settings(
    clips=(256, 64),
    epochs=2,
    batch=16,
    grids=(2, 4, 6),
    samples=(4, 8, 16),
    repeats=3,
    designs=8,
    explained=4,
    tested=32,
)


def lab_frontend(n_fft: int = 256, hop_length: int = 64, **options: Any) -> LogSTFT:
    """The lab's front end, log(1 + |STFT|) standardised over each clip, or another like it."""
    return LogSTFT(SAMPLE_RATE, n_fft, hop_length, **{"standardise": True, **options})


def lab_network(classes: int) -> SmallSpecCNN:
    """The lab's network. Channels come last in memory: the same answers, twice as fast on a CPU."""
    return SmallSpecCNN(classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclass(eq=False)
class Lab:
    """A run of the lab.  say: is told what is being done, a line at a time."""

    settings: Settings = field(default_factory=Settings)
    say: Callable[[str], None] = lambda line: None
    _trained: dict[str, Trained] = field(default_factory=dict)
    _known: dict[Any, Any] = field(default_factory=dict)

    @property
    def base(self) -> Trained:
        """The lab's own network on the lab's own scenes."""
        return self.train("the lab's network")

    @property
    def classifier(self) -> Classifier:
        """The lab's own network, trained."""
        return self.base.classifier

    def train(self, name: str, recipe: Recipe = LAB, frontend: FrontEnd | None = None, **options: Any) -> Trained:
        """A network, trained when it is first asked for by this name; options as in `train_scenes`."""
        if name not in self._trained:
            s = self.settings
            given = {
                "network": lab_network,
                "clips": s.clips,
                "epochs": s.epochs,
                "batch": s.batch,
                "seed": s.seed,
            } | options
            self._trained[name] = train_scenes(
                recipe, frontend or lab_frontend(), progress=lambda epoch, epochs, record: self.say(
                    f"training {name}: epoch {epoch} of {epochs}, accuracy {record['accuracy']:.3f}"
                ), **given,
            )  # fmt: skip
        return self._trained[name]

    def once(self, name: Any, find: Callable[[], Any]) -> Any:
        """What `find` answers, computed when it is first asked for by this name: chapters share it."""
        if name not in self._known:
            self._known[name] = find()
        return self._known[name]

    def scenes(self, count: int, recipe: Recipe = LAB, purpose: int = TEST, **ingredients: Any) -> list[Scene]:
        """Scenes that nothing was trained on, always the same ones; ingredients replace those of the recipe."""
        changed = replace(recipe, **ingredients) if ingredients else recipe  # type: ignore[type-var]
        return list(scenes(changed, count, (self.settings.seed, purpose)))

    def right(self, classifier: Classifier, made: list[Scene], gain: float = 1.0) -> np.ndarray:
        """`[N]` booleans: which scenes the classifier labels rightly, played at a gain."""
        x = gain * torch.stack([scene.audio.samples for scene in made])
        truth = torch.tensor([classifier.labels.index(scene.label) for scene in made])
        return (logits_of(classifier, x).argmax(1) == truth).numpy()

    def accuracy(self, classifier: Classifier, recipe: Recipe = LAB, **ingredients: Any) -> Interval:
        """How often it is right on `settings.tested` scenes."""
        right = self.right(classifier, self.scenes(self.settings.tested, recipe, **ingredients))
        return proportion_interval(int(right.sum()), len(right))

    def ask(
        self, scene: Scene, components: Factorization | None = None, target: str | None = None,
        classifier: Classifier | None = None,
    ) -> AudioQuestion:  # fmt: skip
        """Why this label (by default the scene's own)? Of the lab's network by default, over the lab's grid."""
        return ask_about(
            classifier or self.classifier,
            scene.audio,
            components or Grid(8, 8),
            target or scene.label,
            truth=scene.truth,
        )


def mass_at(explanation: Explanation, hertz: float) -> float:
    """The share of a map's mass in the row that holds a frequency."""
    (frequency,) = (axis for axis in explanation.axes if axis.name == "frequency")
    row = int(np.searchsorted(frequency.edges, hertz, side="right")) - 1
    return float(explanation.values[row].sum() / explanation.values.sum())


def half_widths(intervals: list[Interval]) -> np.ndarray:
    """`[2, n]`: how far intervals reach below and above their means, for error bars."""
    return np.array([[i.mean - i.low for i in intervals], [i.high - i.mean for i in intervals]])
