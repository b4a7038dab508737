"""Further than the lab went: more classes, and mel and ERB bands beside linear ones."""

import numpy as np
import pandas as pd
import torch

from earwitness.axes import Axis, carry
from earwitness.data.synthetic import several_tones
from earwitness.explainers import Random, Sobol
from earwitness.frontends import FrontEnd, LogERB, LogMel
from earwitness.frontends.scales import spaced
from earwitness.metrics import Deletion, MassAccuracy, PointingGame
from earwitness.statistics import holm, paired_difference
from earwitness.studies.pages import Heat, Picture, Section
from earwitness.studies.scene_training import logits_of
from earwitness.studies.sobol_lab.accuracies import by_ingredient
from earwitness.studies.sobol_lab.lab import LAB, SAMPLE_RATE, SNRS, Lab, mass_at

TONES = several_tones((220.0, 880.0, 1760.0, 2640.0, 3520.0), interferer_hz=(300.0, 3800.0))
BANDS = 40  # of mel and ERB


def more_classes(lab: Lab) -> Section:
    """Five tones: who is taken for whom, and where each map lies."""
    classifier = lab.train("a network on five tones", TONES).classifier
    snr = -10.0
    made = lab.scenes(lab.settings.tested, TONES, snr_db=snr)
    said = logits_of(classifier, torch.stack([s.audio.samples for s in made])).argmax(1)
    confusion = pd.crosstab(
        pd.Series([s.label for s in made], name="true"),
        pd.Series([TONES.labels[i] for i in said], name="predicted"),
    ).reindex(index=TONES.labels, columns=TONES.labels, fill_value=0)  # fmt: skip
    shares = []
    for scene in lab.scenes(max(len(TONES.labels), lab.settings.explained // 2), TONES):
        explanation = Sobol(lab.settings.designs, seed=lab.settings.seed)(lab.ask(scene, classifier=classifier))
        shares.append({"label": scene.label} | {f"row of {f:g} Hz": mass_at(explanation, f) for f in TONES.frequencies})
    table = pd.DataFrame(pd.DataFrame(shares).groupby("label", sort=False, as_index=False).mean())
    own = [table[f"row of {f:g} Hz"][i] for i, f in enumerate(TONES.frequencies)]
    accuracy, right = lab.accuracy(classifier, TONES), int(np.diag(confusion).sum())
    return Section(
        "11-more-classes", "11. More classes",
        f"Tones of {', '.join(f'{f:g}' for f in TONES.frequencies)} Hz and an interferer anywhere from 300 to 3800 Hz. Of the "
        f"clips of 0 to 20 dB {accuracy} are labelled rightly (a share with its interval), at {snr:g} dB {right} of {len(made)} "
        "(second table: rows are the true labels, columns the predicted ones). First table: shares of a map's mass, means over "
        f"clips; the row of the clip's own tone has {min(own):.0%} to {max(own):.0%}.",
        tables={"mass": table, "confusion": confusion.reset_index()},
    )  # fmt: skip


def mel_and_erb(lab: Lab) -> Section:
    """Linear, mel and ERB bands: accuracy, and how well each map points at the same cause."""
    nets = {name: lab.classifier if f is None else lab.train(f"a network on {name} bands", LAB, f).classifier
            for name, f in _frontends().items()}  # fmt: skip
    noisy = by_ingredient(lab, nets, "snr_db", SNRS)
    judges = {"pointing game": PointingGame(), "mass on the cause": MassAccuracy(), "deletion": Deletion()}
    rows, panels, cells = [], [], {}
    for number, scene in enumerate(lab.scenes(max(6, lab.settings.explained // 2))):
        for name, net in nets.items():
            question = lab.ask(scene, classifier=net)
            found = {"Sobol": Sobol(lab.settings.designs, seed=lab.settings.seed)(question)}
            found["random"] = Random(seed=lab.settings.seed + number)(question)
            for method, explanation in found.items():
                scores = {metric: float(judge(question, explanation)) for metric, judge in judges.items()}
                rows.append({"clip": number, "bands": name, "method": method, **scores})
            if number == 1:
                cells[name] = found["Sobol"].axes[0]
                panels.append(_on_hertz(found["Sobol"].values, found["Sobol"].axes, name))
    table = pd.DataFrame(rows)
    means = pd.DataFrame(table.groupby(["bands", "method"], sort=False, as_index=False)[list(judges)].mean())
    tests = pd.DataFrame([_test(table, name, metric) for name in nets for metric in judges])
    tests["p_holm"] = holm(tests["p"])
    sure = int(np.sum(tests["p_holm"].to_numpy() < 0.05))
    return Section(
        "12-scales", "12. Mel and ERB beside linear",
        f"The same network on 129 linear rows, on {BANDS} mel bands and on {BANDS} ERB bands (windows of 512 samples for both, "
        "or the lowest bands would hold no bin). A grid of 8 rows shares out the rows equally, so on mel and ERB scales its "
        f"cells are narrow at low frequencies: 220 Hz lies in a cell of {_widths(cells)}. For the picture all maps are on one "
        f"axis in hertz. Sobol against chance, over {table['clip'].nunique()} clips: {sure} of {len(tests)} differences are "
        "significant after Holm's correction.",
        tables={"means": means, "tests": tests, "clips": table, "accuracy": noisy.table()},
        pictures={
            "maps": Picture(panels, "The map of the same high clip on each scale, brought to hertz."),
            "accuracy": Picture([noisy.curves(), noisy.separations()], "Accuracy and separation (see 5) with ever more noise."),
        },
    )  # fmt: skip


def _frontends() -> dict[str, FrontEnd | None]:
    """By name; None is the lab's own."""
    shared = {"n_fft": 512, "hop_length": 64, "level": "log1p", "power": 1.0, "standardise": True}
    return {
        "linear": None,
        "mel": LogMel(SAMPLE_RATE, n_mels=BANDS, norm=None, **shared),
        "ERB": LogERB(SAMPLE_RATE, n_bands=BANDS, **shared),
    }


def _on_hertz(values: np.ndarray, axes: tuple[Axis, ...], name: str) -> Heat:
    """A map as density over 64 equal rows in hertz: what is spread over a wide row is thin."""
    frequency = axes[0]
    density = values / np.diff(frequency.edges)[:, None]
    fine = Axis("frequency", "Hz", tuple(spaced("linear", frequency.edges[0], frequency.edges[-1], 65)))
    return Heat(1000 * carry(density, axes, (fine, axes[1])), (fine, axes[1]), name, "importance", "importance per kHz")


def _widths(cells: dict[str, Axis]) -> str:
    """How wide the cell that holds 220 Hz is on each scale."""
    found = {name: axis.place(int(np.searchsorted(axis.edges, 220.0)) - 1) for name, axis in cells.items()}
    return ", ".join(f"{float(high) - float(low):.0f} Hz ({name})" for name, (low, high) in found.items())


def _test(table: pd.DataFrame, bands: str, metric: str) -> dict[str, str | float]:
    """Sobol minus chance over clips."""
    wide = table[table["bands"] == bands].pivot_table(index="clip", columns="method", values=metric)
    d = paired_difference(wide["Sobol"], wide["random"])
    return {"bands": bands, "metric": metric, "Sobol - random": d.mean, "low": d.low, "high": d.high, "p": d.p}
