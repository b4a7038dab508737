"""A network that lives on something else than its task, and how one sees it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from earwitness.classifiers import Classifier
from earwitness.data.synthetic import Range, Scene, Seed, Tones, choose
from earwitness.explainers import Sobol
from earwitness.statistics import mean_interval
from earwitness.studies.pages import Bars, Heat, Picture, Section
from earwitness.studies.sobol_lab.lab import LAB, Lab, half_widths

PLAIN = "the lab's"
ABOVE = 1984.0  # Hz: the first edge of the grid's rows above all tones; from there on there is noise alone


@dataclass(frozen=True)
class Confounded:
    """Scenes in which the noise tells the label as well as the tone does.

    tones: the scenes otherwise.  snr_db: for each label.
    """

    tones: Tones = LAB
    snr_db: tuple[Range, ...] = ((0.0, 5.0), (15.0, 20.0))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.tones.labels

    def __call__(self, seed: Seed, label: str | None = None) -> Scene:
        label = choose(self.labels, label, np.random.default_rng(seed))
        return replace(self.tones, snr_db=self.snr_db[self.labels.index(label)])(seed, label)

    @property
    def exchanged(self) -> "Confounded":
        """Each label with the noise of the other."""
        return replace(self, snr_db=self.snr_db[::-1])


def living_on_noise(lab: Lab) -> Section:
    """Q12: a network that was trained where low clips are noisy and high ones are not."""
    nets = {
        PLAIN: lab.classifier,
        "lives on noise": lab.train("a network on confounded noise", Confounded()).classifier,
    }
    table = pd.DataFrame([row for name, net in nets.items() for row in _accuracies(lab, name, net)])
    shares, panels = _maps(lab, nets)
    found = {name: mean_interval(part["share_above"]) for name, part in shares.groupby("network", sort=False)}
    bars = Bars(
        [str(name) for name in found], {"share": [i.mean for i in found.values()]}, f"share of the mass above {ABOVE:g} Hz",
        errors={"share": half_widths(list(found.values()))},
    )  # fmt: skip
    right = table.set_index(["network", "noise"])["accuracy"]
    plain, noisy = found[PLAIN], found["lives on noise"]
    return Section(
        "q12-noise", "Q12. A network that lives on noise",
        "Trained where every low clip has its noise 0 to 5 dB below the tone and every high clip 15 to 20 dB: the noise tells "
        "the label as well as the tone does. Its accuracy on such clips does not give it away. Two experiments do. Exchange the "
        f"noise of the classes: who listens to the noise is then wrong. And look at the map: above {ABOVE:g} Hz there is neither "
        "tone nor interferer, so mass up there is mass on noise.",
        asks="What does a network look like that lives on noise, and how does one see it?",
        answer=f"It is right in {right['lives on noise', 'as it was trained']:.0%} as it was trained and in "
        f"{right['lives on noise', 'exchanged']:.0%} with the noise exchanged (the lab's network: "
        f"{right[PLAIN, 'exchanged']:.0%}), and {noisy.mean:.0%} of its map lies where there is only noise ({plain.mean:.0%}).",
        tables={"accuracy": table, "mass": shares},
        pictures={
            "maps": Picture(panels, "Maps of both networks for a low and a high clip.", columns=2),
            "mass": Picture([bars], f"Share of the Sobol mass above {ABOVE:g} Hz, where nothing sounds but noise."),
        },
    )  # fmt: skip


def _accuracies(lab: Lab, name: str, classifier: Classifier) -> Iterator[dict]:
    """On confounded scenes, on scenes with the noise exchanged, and on the lab's."""
    recipe = Confounded()
    for noise, each in (("as it was trained", recipe), ("exchanged", recipe.exchanged), ("0 to 20 dB", LAB)):
        right = lab.accuracy(classifier, each)
        yield {"network": name, "noise": noise, "accuracy": right.mean, "low": right.low, "high": right.high}


def _maps(lab: Lab, nets: dict[str, Classifier]) -> tuple[pd.DataFrame, list[Heat]]:
    """The share of each map's mass above `ABOVE`; and the first maps."""
    rows, panels = [], []
    for name, classifier in nets.items():
        for number, scene in enumerate(lab.scenes(max(4, lab.settings.explained // 4), Confounded())):
            explanation = Sobol(lab.settings.designs, seed=lab.settings.seed)(lab.ask(scene, classifier=classifier))
            axes = (explanation.axes[0], explanation.axes[1])
            above = explanation.values[np.asarray(axes[0].edges[:-1]) > ABOVE - 1]
            rows.append({"network": name, "clip": number, "share_above": float(above.sum() / explanation.values.sum())})
            if number < 2:
                panels.append(Heat(explanation.values, axes, f"{name}: {scene.label}", "importance", "importance"))
    return pd.DataFrame(rows), panels
