"""Why the clips are made as they are: modulation, and phase and level drawn anew for each.

Each ingredient is taken away from the clips that a network learns from, and the network is tested on clips that have it.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from torch import Tensor, nn

from earwitness.axes import Axis
from earwitness.classifiers import Classifier
from earwitness.data.synthetic import Scene
from earwitness.explainers import Sobol
from earwitness.explanations import Explanation
from earwitness.frontends import Waveform
from earwitness.statistics import mean_interval
from earwitness.studies.pages import Bars, Curves, Picture, Section
from earwitness.studies.sobol_lab.accuracies import Accuracies, by_ingredient, clips_of, margins_of
from earwitness.studies.sobol_lab.lab import LAB, SAMPLE_RATE, Lab, lab_frontend, mass_at

DEPTHS = (0.0, 0.3, 0.9)  # of the modulation; the lab's is 0.3
NOISES = (-16.0, -12.0, -8.0, -6.0, -4.0)  # dB
GAINS = tuple(range(-60, 50, 10))  # dB, of playback
SAMPLES = round(LAB.seconds * SAMPLE_RATE)
WITH, WITHOUT, RULE = "trained with modulation", "trained without", "two rows compared"
FROZEN = replace(LAB, phase=0.0, level=0.75, peak=None)  # every tone the same, but for its swell
STANDARDISED, AS_IT_IS = "one phase and level", "the same, not standardised"
ONE, ALL = "linear on samples, one phase", "linear on samples, all phases"


class LouderRow(nn.Module):
    """The trivial rule, as a network without parameters: the label whose row of the spectrogram holds more energy.

    rows: one for each label. `[B, 1, frequency, time]` magnitudes to logits `[B, labels]`, the mean energy in each row.
    """

    def __init__(self, rows: tuple[int, ...]) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, list(self.rows)].square().mean(2)


def louder_row() -> Classifier:
    """220 Hz against 880 Hz: which of the two rows is louder?"""
    frontend = lab_frontend(level="linear", standardise=False)
    rows = tuple(round(hertz * frontend.n_fft / SAMPLE_RATE) for hertz in LAB.frequencies)
    return Classifier(LouderRow(rows), frontend, LAB.labels)


def modulation(lab: Lab) -> Section:
    """Q1: does modulation keep the set from being trivial?"""
    bare = lab.train("a network without modulation", replace(LAB, depth=0.0))
    nets = {WITH: lab.classifier, WITHOUT: bare.classifier, RULE: louder_row()}
    noisy = {depth: by_ingredient(lab, nets, values=NOISES, depth=depth) for depth in DEPTHS}
    clean = by_ingredient(lab, nets, "depth", DEPTHS)
    maps, example = _profiles(lab, nets)
    panels = [found.curves(title=f"clips with depth {depth:g}") for depth, found in noisy.items()]
    noise = pd.concat([found.table().assign(depth=depth) for depth, found in noisy.items()])
    return Section(
        "q1-modulation", "Q1. Amplitude modulation",
        "A second network has learnt from clips whose tone does not swell (depth 0). Both, and a rule that compares the energy "
        "in two rows of the spectrogram, 220 Hz and 880 Hz, are tested on tones that swell by 0, 30 and 90 %. A set is trivial "
        f"if such a rule solves it; {_rule_says(clean)}. Modulation changes neither the row of the tone nor, much, its energy "
        "over the clip; it only moves energy in time, and the network ends in a mean over time.\n\nWhat modulation does give is "
        f"something to be seen: at depth {DEPTHS[-1]:g} the tone is loud at some times and faint at others, so it can be asked "
        "whether the map, summed over frequency, follows the swell (Spearman's correlation over its 8 columns with the level of "
        f"the tone there) and how much of its mass lies in the row of the tone. {_maps_say(maps)}",
        "What does the swelling of the tone add: would the set be trivial without it?",
        _modulation_answer(clean, noisy),
        tables={"in-range": clean.table(), "noise": noise, "maps": maps},
        pictures={
            "noise": Picture(panels, "Accuracy by noise on tones that swell by nothing, as the lab's, and three times as much."),
            "profile": Picture([example], "The level of one tone, and what each map says of each time; over their means."),
        },
    )  # fmt: skip


def _rule_says(clean: Accuracies) -> str:
    rule, least = clean.accuracy(RULE)[1], clean.accuracy(RULE).min()
    return f"this one is right in {rule:.3f} of the lab's clips of 0 to 20 dB, and in at least {least:.3f} at any depth"


def _modulation_answer(clean: Accuracies, noisy: dict[float, Accuracies]) -> str:
    rule = clean.accuracy(RULE)
    trivial = "It does not keep the set from being trivial" if rule[1] > 0.95 else "The set is not trivial"
    return (
        f"{trivial}: comparing two rows of the spectrogram is right in {rule[0]:.3f} of the clips without modulation and in "
        f"{rule[1]:.3f} with it, and at {NOISES[0]:g} dB, with the lab's modulation, in "
        f"{noisy[DEPTHS[1]].accuracy(RULE)[0]:.3f}, the lab's network in {noisy[DEPTHS[1]].accuracy(WITH)[0]:.3f}. On strongly "
        f"swelling tones in noise {noisy[DEPTHS[-1]].verdict(WITH, WITHOUT)}."
    )


def _profiles(lab: Lab, nets: dict[str, Classifier]) -> tuple[pd.DataFrame, Curves]:
    """What the map of each classifier has to do with the swell of each clip; and one clip's profiles over time."""
    rows, lines, s = [], {}, lab.settings
    count = max(2, s.explained // 4)
    made = lab.scenes(count, depth=DEPTHS[-1], snr_db=10.0)
    for number, scene in enumerate(made):
        for name, net in nets.items():
            lab.say(f"map {number + 1} of {count}: {name}")
            map_ = Sobol(s.designs // 2, seed=s.seed)(lab.ask(scene, classifier=net))
            swell, profile = _level(scene, map_.axes[1]), map_.values.sum(0)
            hertz = LAB.frequencies[LAB.labels.index(scene.label)]
            rows.append({"classifier": name, **_follows(map_, swell), "mass_in_row": mass_at(map_, hertz)})
            if scene is made[0]:
                lines |= {"level of the tone": swell / swell.mean(), f"map, {name}": profile / profile.mean()}
                seconds = map_.axes[1].centers
    return pd.DataFrame(rows), Curves(seconds, lines, "time (s)", "over its mean", f"a {made[0].label} tone")


def _follows(map_: Explanation, swell: np.ndarray) -> dict[str, float]:
    ranks = pd.DataFrame({"map": map_.values.sum(0), "swell": swell})
    return {"follows_the_swell": float(ranks.corr("spearman").iloc[0, 1])}


def _level(scene: Scene, time: Axis) -> np.ndarray:
    """RMS of the tone during each place of an axis in seconds."""
    bounds = np.round(np.asarray(time.edges) * SAMPLE_RATE).astype(int)
    return np.array([part.square().mean().sqrt() for part in scene.cause.samples.split(np.diff(bounds).tolist())])


def _maps_say(maps: pd.DataFrame) -> str:
    parts = []
    for name, rows in maps.groupby("classifier", sort=False):
        i = mean_interval(rows["follows_the_swell"])
        parts.append(
            f"{name}: {i.mean:.2f} [{i.low:.2f}, {i.high:.2f}], mass in the row {rows['mass_in_row'].mean():.2f}"
        )
    return f"Means over {len(rows)} clips of 10 dB, with 95 % intervals: " + "; ".join(parts) + "."


def phase_and_level(lab: Lab) -> Section:
    """Q2: what goes wrong when phase and level are always the same?"""
    deep = {
        "the lab's network": lab.classifier,
        STANDARDISED: lab.train(STANDARDISED, FROZEN).classifier,
        AS_IT_IS: lab.train(AS_IT_IS, FROZEN, lab_frontend(standardise=False)).classifier,
    }
    linear = {
        name: lab.train(name, recipe, Waveform(SAMPLE_RATE), network=partial(nn.Linear, SAMPLES)).classifier
        for name, recipe in ((ONE, FROZEN), (ALL, LAB))
    }
    phases = _by_phase(lab, deep | linear)
    levels = _by_gain(lab, deep)
    groups = {f"tested on {where}": rows for where, rows in phases.groupby("phase", sort=False)}
    bars = Bars(
        list(deep | linear), {name: rows["accuracy"].to_numpy() for name, rows in groups.items()}, "accuracy", "phase",
        {name: np.stack([r["accuracy"] - r["low"], r["high"] - r["accuracy"]]) for name, r in groups.items()},
    )  # fmt: skip
    return Section(
        "q2-phase-and-level", "Q2. Phase and level",
        "A network has learnt from clips whose tone always starts at phase 0 and has the amplitude 0.75; it is tested at random "
        "phases, and on clips that are played softer or louder. The lab's features are magnitudes, which hold no phase, so there "
        "is nothing that it could get wrong. A linear network on the samples can: it multiplies the clip by the waveform that it "
        "has learnt, and that product turns its sign as the phase goes round. Learning from all phases does not help it, because "
        "the mean of a sinusoid over its phases is 0: no weights are right more often than chance.\n\nLevel is the other way "
        "round: magnitudes hold it. A network on log(1 + |X|) as it is learns the level with the pitch, and errs on clips of "
        "another level. Standardising each clip helps, though it does not take the level away: log(1 + g |X|) bends at another "
        f"place for each gain g, and {_change(lab)}",
        "What goes wrong when the tone always starts at the same phase and has the same level?",
        _phase_answer(phases, levels),
        tables={"phase": phases, "level": levels.table()},
        pictures={"both": Picture(
            [bars, levels.curves("playback gain (dB)", "level")],
            "Left: tested on tones of the one phase, and of all. Right: on clips that are played at other levels.", columns=2,
        )},
    )  # fmt: skip


def _by_phase(lab: Lab, nets: dict[str, Classifier]) -> pd.DataFrame:
    """Accuracy on tones of phase 0, and of all phases."""
    tables = []
    for name, phase in (("phase 0", 0.0), ("all phases", LAB.phase)):
        tables.append(by_ingredient(lab, nets, "phase", (phase,)).table().assign(phase=name))
    return pd.concat(tables, ignore_index=True)


def _by_gain(lab: Lab, nets: dict[str, Classifier]) -> Accuracies:
    """Accuracy on the lab's clips, played at each of `GAINS`."""
    x, second = clips_of(lab.scenes(lab.settings.tested))
    margins = {name: np.array([margins_of(net, 10 ** (gain / 20) * x) for gain in GAINS]) for name, net in nets.items()}
    return Accuracies("gain_db", GAINS, margins, second)


def _change(lab: Lab) -> str:
    """How far a gain moves standardised features, whose variance is 1."""
    x, frontend = clips_of(lab.scenes(lab.settings.explained))[0], lab_frontend()
    moved = float((frontend(0.01 * x) - frontend(x)).square().mean().sqrt())
    return f"40 dB less move the features, whose variance is 1, by {moved:.2f} (RMS)."


def _phase_answer(phases: pd.DataFrame, levels: Accuracies) -> str:
    at = dict(zip(zip(phases["classifier"], phases["phase"], strict=True), phases["accuracy"], strict=True))
    deep, one = (f"{at[n, 'phase 0']:.3f} to {at[n, 'all phases']:.3f}" for n in (STANDARDISED, ONE))
    worst = {name: levels.accuracy(name).min() for name in (STANDARDISED, AS_IT_IS)}
    lost = at[ONE, "phase 0"] - at[ONE, "all phases"] > 0.1
    return (
        f"On samples {'everything' if lost else 'little'}: from one phase to all, a linear network goes from {one}; "
        f"on the lab's features phase does nothing ({deep}), and a wrong level brings the network down to {worst[AS_IT_IS]:.3f}, "
        f"or {worst[STANDARDISED]:.3f} where each clip is standardised (gains from {GAINS[0]} to {GAINS[-1]} dB)."
    )
