"""What the front end does to the clip: the logarithm, and how finely time and frequency are resolved.

A Hann window of n_fft samples that is one frame of an STFT answers to a pure tone with half its greatest power or more over
1.44 bins of rate/n_fft hertz, and to a click over 0.364 n_fft / rate seconds: the product is 0.52 whatever n_fft is.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from earwitness.classifiers import Classifier
from earwitness.components import Grid
from earwitness.explainers import Sobol
from earwitness.explanations import Explanation
from earwitness.frontends import LogSTFT
from earwitness.metrics import MassAccuracy
from earwitness.statistics import Interval, mean_interval
from earwitness.studies.pages import Bars, Curves, Heat, Picture, Section
from earwitness.studies.sobol_lab.accuracies import Accuracies, by_ingredient, clips_of
from earwitness.studies.sobol_lab.lab import LAB, Lab, half_widths, lab_frontend, mass_at

LOG, LINEAR = "log(1 + |X|)", "|X|"
INTERFERERS = (0.1, 0.3, 1.0, 3.0, 10.0)  # amplitude; the tone's is 0.5 to 1
RESOLUTIONS = ((128, 32), (256, 64), (1024, 256))  # n_fft, hop_length in samples
NARROW = Grid(32, 2)  # rows of 125 Hz
ONCE = "Each network was trained once: how much of a difference is the luck of a training is not measured."


def logarithm(lab: Lab) -> Section:
    """Q3: why the logarithm of 1 + |X|, and not |X|?"""
    fronts = {LOG: lab_frontend(), LINEAR: lab_frontend(level="linear")}
    nets = {LOG: lab.classifier, LINEAR: lab.train("a network on magnitudes", frontend=fronts[LINEAR]).classifier}
    noisy, beside = by_ingredient(lab, nets), by_ingredient(lab, nets, "interferer", INTERFERERS)
    x, _ = clips_of(lab.scenes(lab.settings.explained))
    shares = {name: loudest(frontend(x)) for name, frontend in fronts.items()}
    places = np.arange(1, len(shares[LOG]) + 1) / len(shares[LOG])
    axes = fronts[LOG].axes(x.shape[1])
    heats = [Heat(f(x[:1])[0, 0].numpy(), (axes[0], axes[1]), name, unit="deviations") for name, f in fronts.items()]
    share = Curves(places, shares, "share of the bins, loudest first", "share of the variance", logarithmic="x")
    few = {name: float(np.interp(0.01, places, values)) for name, values in shares.items()}
    variance = pd.DataFrame({"features": shares.keys(), "loudest_1_percent": few.values()})
    return Section(
        "q3-logarithm", "Q3. The logarithm",
        "A second network has learnt from |X|, standardised in the same way. Both features have the variance 1 then; what "
        f"differs is where it lies. Of |X|, the loudest hundredth of the bins holds {few[LINEAR]:.2f} of it, and everything "
        f"else is one flat value a little below the mean; of log(1 + |X|) it holds {few[LOG]:.2f}. The logarithm lets faint "
        "sounds count: noise, which may cost something where there is much of it, and a tone beside a louder one. Over all "
        f"levels of noise that are drawn, {noisy.verdict(LOG, LINEAR)}; over all interferers, {beside.verdict(LOG, LINEAR)}. "
        "The 1 keeps silence at 0: a bare logarithm would make differences between noises that nobody hears as large as those "
        "between tones.\n\nSeparation is how often a high clip has a greater margin (logit of high minus logit of low) than a "
        "low one. Where it is near 1 and accuracy near 1/2, the network still tells the labels apart, but its margins have "
        f"all moved to one side. {ONCE}",
        "Why log(1 + |X|), and not |X|?",
        _logarithm_answer(few, noisy, beside),
        tables={"variance": variance, "noise": noisy.table(), "interferer": beside.table()},
        pictures={
            "features": Picture([*heats, share], "One clip as each network is given it; and where the variance of clips lies."),
            "accuracy": Picture(
                [noisy.curves(), noisy.separations(), replace(beside.curves("amplitude of the interferer"), logarithmic="x")],
                "Accuracy and separation by noise; accuracy beside an ever louder interferer (the tone's amplitude is 0.5 to 1).",
            ),
        },
    )  # fmt: skip


def loudest(features: Tensor) -> np.ndarray:
    """`[bins]`: the share of the variance of `[N, 1, F, T]` features that lies in the 1, 2, ... loudest bins, mean over clips."""
    rows = features.flatten(1).double()
    squares = (rows - rows.mean(1, keepdim=True)).square()
    ordered = squares.gather(1, rows.argsort(1, descending=True))
    return (ordered.cumsum(1) / squares.sum(1, keepdim=True)).mean(0).numpy()


def _logarithm_answer(few: Mapping[str, float], noisy: Accuracies, beside: Accuracies) -> str:
    apart = {name: noisy.separates_down_to(name) for name in (LOG, LINEAR)}
    place = INTERFERERS.index(3.0)
    loud = {name: beside.accuracy(name)[place] for name in (LOG, LINEAR)}
    return (
        f"The loudest 1 % of the bins holds {few[LINEAR]:.2f} of the variance of |X| and {few[LOG]:.2f} of that of log(1 + |X|); "
        f"beside an interferer of amplitude {INTERFERERS[place]:g} accuracy is {loud[LOG]:.3f} with the logarithm and "
        f"{loud[LINEAR]:.3f} without, and in noise the labels are told apart down to {apart[LOG]:.1f} dB with it and "
        f"{apart[LINEAR]:.1f} dB without."
    )


def resolution(lab: Lab) -> Section:
    """Q4: what do n_fft and hop trade?"""
    fronts = {f"{n_fft} / {hop}": lab_frontend(n_fft, hop) for n_fft, hop in RESOLUTIONS}
    nets = {
        name: lab.train(_NETS.get(name, f"a network on {name}"), frontend=f).classifier for name, f in fronts.items()
    }
    noisy, maps = by_ingredient(lab, nets), _maps(lab, nets)
    widths = pd.DataFrame({"n_fft / hop": name, **resolved(front)} for name, front in fronts.items())
    widths["accuracy_to_db"] = [noisy.holds_down_to(name) for name in nets]
    widths["separation_to_db"] = [noisy.separates_down_to(name) for name in nets]
    held = {name: mean_interval(rows["mass_in_row"]) for name in nets for rows in [maps[maps["n_fft / hop"] == name]]}
    scene = lab.scenes(1, snr_db=0.0)[0]
    heats = [_heat(front, scene.audio.samples[None], name) for name, front in fronts.items()]
    return Section(
        "q4-resolution", "Q4. n_fft and hop",
        "Three front ends of nearly the same number of values, and a network for each. How finely they resolve is measured: a "
        "pure tone is moved past one bin, and a click past one frame, until the power has fallen by half. The two widths "
        f"multiply to {(widths['tone_hz'] * widths['click_s']).mean():.2f} each time: what is won in hertz is lost in seconds. "
        "The hop only says how often one looks; at a quarter of the window nothing is missed. In a bin, the amplitude of a "
        "steady tone grows with n_fft and that of noise with its root, so that each doubling lifts the tone by 3 dB, and a "
        f"long window should hear more. {_separations_say(noisy)} What a long window costs, short sounds, these clips do not "
        "have.\n\nThe maps are cut alike, in 32 x 2 cells of about 125 Hz x 250 ms, 2, 4 or 16 bins high; with 2, a tone "
        "between two cells is shared by them. The table has the mass in the row of the tone, on all cells of the true cause, "
        "and the mean distance |f - f0| of the mass from the tone, which a little mass far away makes great. One more thing "
        f"changes: a receptive field is so many bins, and so another number of hertz with each n_fft (Q5). {ONCE}",
        "What is traded by the choice of n_fft and hop?",
        _resolution_answer(widths, held),
        tables={"resolution": widths, "noise": noisy.table(), "maps": maps},
        pictures={
            "clip": Picture(heats, "One clip of 0 dB through three windows."),
            "trade": Picture(
                [*_trade(widths, held), noisy.curves(), noisy.separations()],
                "Widths at half power, measured; where the map lies; accuracy and separation by noise.", columns=2,
            ),
        },
    )  # fmt: skip


def _trade(widths: pd.DataFrame, held: Mapping[str, Interval]) -> tuple[Curves, Bars]:
    trade = Curves(
        widths["tone_hz"], {"measured": widths["click_s"], "0.52 / width": 0.52 / widths["tone_hz"]},
        "width of a tone (Hz)", "width of a click (s)", "time against frequency",
    )  # fmt: skip
    bars = Bars(
        list(held), {"mass": [i.mean for i in held.values()]}, "share of the map",
        title="mass in the tone's 125 Hz", errors={"mass": half_widths(list(held.values()))},
    )  # fmt: skip
    return trade, bars


_NETS = {"256 / 64": "the lab's network"}


def _heat(frontend: LogSTFT, x: Tensor, title: str) -> Heat:
    axes = frontend.axes(x.shape[1])
    return Heat(frontend(x)[0, 0].numpy(), (axes[0], axes[1]), title, unit="deviations")


def resolved(frontend: LogSTFT) -> dict[str, float]:
    """How far apart the values of a front end stand, and how wide a tone (Hz) and a click (s) are at half their power."""
    n_fft, hop, rate = frontend.n_fft, frontend.hop_length, frontend.sample_rate
    bin_, frame = n_fft // 8, n_fft // hop  # of a clip of two windows: its middle
    spectrum = LogSTFT(rate, n_fft, hop, level="linear")

    def power(clips: Tensor) -> np.ndarray:
        return spectrum(clips)[:, 0, bin_, frame].double().square().numpy()

    hertz = (bin_ + torch.linspace(-2, 2, 401, dtype=torch.float64)) * rate / n_fft
    tones = torch.sin(2 * np.pi * hertz[:, None] * torch.arange(2 * n_fft) / rate).float()
    places = torch.arange(n_fft // 2, 3 * n_fft // 2, n_fft // 128)
    clicks = torch.zeros(len(places), 2 * n_fft).scatter(1, places[:, None], 1.0)
    return {
        "bin_hz": rate / n_fft, "tone_hz": half_power_width(hertz.numpy(), power(tones)),
        "hop_s": hop / rate, "window_s": n_fft / rate,
        "click_s": half_power_width(places.numpy() / rate, power(clicks)),
    }  # fmt: skip


def half_power_width(places: np.ndarray, power: np.ndarray) -> float:
    """How far apart, in the unit of the places, the two places are where a single peak has fallen to half its power."""
    peak, half = int(power.argmax()), power.max() / 2
    left = np.interp(half, power[: peak + 1], places[: peak + 1])
    right = np.interp(half, power[peak:][::-1], places[peak:][::-1])
    return float(right - left)


def _maps(lab: Lab, nets: Mapping[str, Classifier]) -> pd.DataFrame:
    """Where the Sobol map of each network lies, for each clip."""
    rows, s = [], lab.settings
    made = lab.scenes(max(2, s.explained // 5))
    for number, scene in enumerate(made):
        hertz = LAB.frequencies[LAB.labels.index(scene.label)]
        for name, net in nets.items():
            lab.say(f"map {number + 1} of {len(made)}: {name}")
            question = lab.ask(scene, NARROW, classifier=net)
            found = Sobol(s.designs // 2, seed=s.seed)(question)
            rows.append({
                "clip": number, "label": scene.label, "n_fft / hop": name, "distance_hz": distance(found, hertz),
                "mass_in_row": mass_at(found, hertz), "mass_on_cause": float(MassAccuracy()(question, found)),
            })  # fmt: skip
    return pd.DataFrame(rows)


def distance(found: Explanation, hertz: float) -> float:
    """How far, in Hz, the mass of a map `[frequency, time]` lies from a frequency: the mean of |f - hertz| over it."""
    rows = found.values.sum(1)
    return float(np.abs(found.axes[0].centers - hertz) @ rows / rows.sum())


def _separations_say(noisy: Accuracies) -> str:
    reached = {name: noisy.separates_down_to(name) for name in noisy.margins}
    said = ", ".join(f"{value:.1f} dB with {name}" for name, value in reached.items())
    first, *_, last = reached.values()
    expected = 10 * np.log10(RESOLUTIONS[-1][0] / RESOLUTIONS[0][0])
    return (
        f"Measured, separation stays above 0.9 down to {said}: from the shortest to the longest {first - last:+.1f} dB, where "
        f"the bins alone promise {expected:+.0f} dB. A network that adds up all frames can win as much from many short ones."
    )


def _resolution_answer(widths: pd.DataFrame, held: Mapping[str, Interval]) -> str:
    said = "; ".join(
        f"with {row['n_fft / hop']} a tone is {row['tone_hz']:.0f} Hz and a click {1000 * row['click_s']:.0f} ms wide, labels "
        f"told apart down to {row['separation_to_db']:.1f} dB, {held[row['n_fft / hop']].mean:.2f} of the map within the "
        "tone's 125 Hz"
        for row in widths.to_dict("records")
    )
    return f"Hertz against seconds, their product fixed: {said}."
