"""A network that lives on something else than its task, and how one sees it."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

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
    as_trained = Confounded()
    nets = {PLAIN: lab.classifier, "lives on noise": lab.train("a network on confounded noise", as_trained).classifier}
    rows, above, panels = [], [], []
    for name, classifier in nets.items():
        for noise, recipe in (
            ("as it was trained", as_trained),
            ("exchanged", as_trained.exchanged),
            ("0 to 20 dB", LAB),
        ):
            right = lab.accuracy(classifier, recipe)
            rows.append({"network": name, "noise": noise, "accuracy": right.mean, "low": right.low, "high": right.high})
        for number, scene in enumerate(lab.scenes(max(4, lab.settings.explained // 4), as_trained)):
            explanation = Sobol(lab.settings.designs, seed=lab.settings.seed)(lab.ask(scene, classifier=classifier))
            rows_above = np.asarray(explanation.axes[0].edges[:-1]) > ABOVE - 1
            share = float(explanation.values[rows_above].sum() / explanation.values.sum())
            above.append({"network": name, "clip": number, "share_above": share})
            if number < 2:
                axes = (explanation.axes[0], explanation.axes[1])
                panels.append(Heat(explanation.values, axes, f"{name}: {scene.label}", "importance", "importance"))
    table, shares = pd.DataFrame(rows), pd.DataFrame(above)
    found = {name: mean_interval(part["share_above"]) for name, part in shares.groupby("network", sort=False)}
    bars = Bars(
        list(found), {"share": [i.mean for i in found.values()]}, f"share of the mass above {ABOVE:g} Hz",
        errors={"share": half_widths(list(found.values()))},
    )  # fmt: skip
    exchanged = table.loc[table["noise"] == "exchanged"].set_index("network")["accuracy"]
    own = table.loc[table["noise"] == "as it was trained"].set_index("network")["accuracy"]
    plain, noisy = found[PLAIN], found["lives on noise"]
    return Section(
        "q12-noise", "Q12. A network that lives on noise",
        "Trained where every low clip has its noise 0 to 5 dB below the tone and every high clip 15 to 20 dB: the noise tells "
        "the label as well as the tone does. Its accuracy on such clips does not give it away. Two experiments do. Exchange the "
        f"noise of the classes: who listens to the noise is then wrong. And look at the map: above {ABOVE:g} Hz there is neither "
        "tone nor interferer, so mass up there is mass on noise.",
        asks="What does a network look like that lives on noise, and how does one see it?",
        answer=f"It is right in {own['lives on noise']:.0%} as it was trained and in {exchanged['lives on noise']:.0%} with the "
        f"noise exchanged (the lab's network: {exchanged[PLAIN]:.0%}), and {noisy.mean:.0%} of its map lies "
        f"where there is only noise ({plain.mean:.0%}).",
        tables={"accuracy": table, "mass": shares},
        pictures={
            "maps": Picture(panels, "Maps of both networks for a low and a high clip.", columns=2),
            "mass": Picture([bars], f"Share of the Sobol mass above {ABOVE:g} Hz, where nothing sounds but noise."),
        },
    )  # fmt: skip
