"""Training on synthetic scenes: any recipe, any front end, any small network.

The scenes are made once, their features computed once, and the network sees them in another order in each epoch. Scenes to
learn from have the seed (seed, 0, i), those to test on (seed, 1, i).

Source: the lab's setting is Adam 1e-3, batches of 64, 6 epochs, seed 225.
Differs: AdamW with a cosine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.classifiers import Classifier
from earwitness.classifiers.base import evaluating
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.data.synthetic import Recipe, scenes
from earwitness.frontends import FrontEnd
from earwitness.studies.model_cards import samples_hash
from earwitness.training import Progress, Schedule, fit


@dataclass(frozen=True, eq=False)
class Trained:
    """A classifier, in evaluation mode; one record an epoch (`epoch`, `loss`, `accuracy` on the test scenes); a SHA-256 of its
    scenes."""

    classifier: Classifier
    history: list[dict[str, float]]
    content: str


def train_scenes(
    recipe: Recipe,
    frontend: FrontEnd,
    *,
    network: Callable[[int], nn.Module] = SmallSpecCNN,
    clips: tuple[int, int] = (2000, 400),
    epochs: int = 6,
    batch: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 225,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a network on scenes of a recipe: `clips` to learn from and others to test on.

    network: makes a network for a number of classes; its weights are drawn from `seed`.
    checkpoint: a file to go on from, see `training.fit`.
    Cost: with the lab's network and scenes about a minute on one core.
    """
    (x, y), (x_test, y_test) = (stacked(recipe, count, (seed, part)) for part, count in enumerate(clips))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        classifier = Classifier(network(len(recipe.labels)), frontend, recipe.labels)
    with torch.no_grad():
        features, tested = frontend(x), frontend(x_test)
    content, steps = samples_hash(x, x_test), max(1, len(x) // batch)

    def batches(rng: np.random.Generator):
        order = rng.permutation(len(x))
        return ((features[chosen], y[chosen]) for chosen in np.array_split(order, steps))

    def loss(module: nn.Module, pair: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(module(pair[0]), pair[1])

    def validate(module: nn.Module) -> dict[str, float]:
        said = torch.cat([module(rows).argmax(1) for rows in tested.split(64)])
        return {"accuracy": float((said == y_test).double().mean())}

    history = fit(
        classifier.network, loss, batches, Schedule(epochs, steps, learning_rate=learning_rate),
        seed=seed, checkpoint=checkpoint, run=content, validate=validate, progress=progress,
    )  # fmt: skip
    return Trained(classifier.eval(), history.epochs, content)


def stacked(recipe: Recipe, count: int, seed: int | tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Samples `[count, time]` and the numbers of the labels `[count]` of so many scenes."""
    made = list(scenes(recipe, count, seed))
    return torch.stack([s.audio.samples for s in made]), torch.tensor([recipe.labels.index(s.label) for s in made])


def logits_of(classifier: Classifier, x: Tensor, stage: str = "waveform") -> Tensor:
    """`[N, classes]`: what a classifier answers to many rows at a stage."""
    with evaluating(classifier), torch.no_grad():
        return torch.cat([classifier.onward(stage, rows) for rows in x.split(64)])
