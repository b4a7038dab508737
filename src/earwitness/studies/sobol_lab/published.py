"""The package that was published with the method, beside ours: where they agree, where they differ, and who is right.

Replicas of its design and estimators, from their formulas. With N designs of d cells, a = y(A) `[N]` and c_i = y(A with column
i from B) `[d, N]`, f0 the mean of a and V its variance over N - 1,

    Jansen      sum (a - c_i)^2 / 2 N V
    Homma       (V - mean(a c_i) + f0^2) / V
    Saltelli    1 - (mean(a c_i) - f0^2) / V
    Janon       1 - (mean(a c_i) - m^2) / (sum(a^2 + c_i^2) / 2 (N - 1) - m^2),   m = mean(a + c_i) / 2
    Glen        1 - cov(a, c_i) / sqrt(var a  var c_i)                            cov over N - 1, var over N

Source: Fel et al. (2021), "Look at the Variance!", and the package of its authors (github.com/fel-thomas/
Sobol-Attribution-Method). It was read, not run: it asks for a CUDA device.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from scipy.stats import qmc

from earwitness.components import Grid
from earwitness.explainers import Sobol
from earwitness.explanations import Explanation
from earwitness.numerics.blocks import stacked
from earwitness.numerics.designs import unit_points
from earwitness.numerics.sobol_indices import ESTIMATORS, pair_sums
from earwitness.questions import AudioQuestion, Game
from earwitness.statistics import rank_stability
from earwitness.studies.pages import Curves, Heat, Picture, Section
from earwitness.studies.sobol_lab.lab import LAB, Lab, mass_at
from earwitness.studies.sobol_lab.maps import SNR, map_axes, middle, repeated

WEIGHTS = np.arange(1.0, 17.0)  # of the linear function, whose indices are w_i^2 / sum w^2
DESIGNS = (32, 64, 128, 256)  # for the linear function
OFFSET = 10.0  # added to the logit, which changes no variance
BASELINES = ("silence", "zero", "mean")
Value = Callable[[np.ndarray], np.ndarray]  # masks [M, d] to scores [M]


def package_points(designs: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The matrices A and B `[designs, cells]` of the package: one plain Sobol' sequence, cut in two."""
    points = qmc.Sobol(2 * cells, scramble=False).random(designs)
    return points[:, :cells], points[:, cells:]


def package_outputs(value: Value, designs: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """a `[N]` and c `[d, N]`, from the whole stack A, B, C_1, ..., C_d: N (d + 2) evaluations, those of B for nothing."""
    A, B = package_points(designs, cells)
    C = np.repeat(A[None], cells, 0)
    for i in range(cells):
        C[i, :, i] = B[:, i]
    y = value(np.concatenate([A, B, C.reshape(-1, cells)])).reshape(cells + 2, designs)
    return y[0], y[2:]


def package_jansen(a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """As published."""
    return np.sum((a - c) ** 2, 1) / (2 * len(a) * np.var(a, ddof=1))


def package_homma(a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """As published: not centred, and V over N - 1 where the product is over N."""
    V = np.var(a, ddof=1)
    return (V - np.mean(a * c, 1) + np.mean(a) ** 2) / V


def package_saltelli(a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """As published: the same numbers as Homma's."""
    return 1 - (np.mean(a * c, 1) - np.mean(a) ** 2) / np.var(a, ddof=1)


def package_janon(a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """As published: second moments over N - 1, less a squared mean over N."""
    m = np.mean((a + c) / 2, 1)
    V = np.sum(a**2 + c**2, 1) / (2 * (len(a) - 1)) - m**2
    return 1 - (np.mean(a * c, 1) - m**2) / V


def package_glen(a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """As published: the covariance over N - 1, the variances over N."""
    cov = np.sum((a - a.mean()) * (c - c.mean(1, keepdims=True)), 1) / (len(a) - 1)
    return 1 - cov / np.sqrt(np.var(a) * np.var(c, axis=1))


PACKAGE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "jansen": package_jansen,
    "homma": package_homma,
    "saltelli": package_saltelli,
    "janon": package_janon,
    "glen": package_glen,
}
FAULTS = {
    "jansen": "none",
    "homma": "not centred; V over N - 1",
    "saltelli": "Homma's, written otherwise",
    "janon": "moments over N - 1, mean over N",
    "glen": "covariance over N - 1, variances over N",
}


def published_package(lab: Lab) -> Section:
    """The published package: its estimators, its sampler, its baseline, its call."""
    side, designs = middle(lab.settings.grids), lab.settings.samples[0]
    question = _question(lab, "silence")
    lab.say(f"the published design, {designs} x ({side * side} + 2) evaluations")
    a, c = package_outputs(_value_of(question), designs, side * side)
    paper = Sobol.paper(designs)(question)
    table = _estimators(a, c, designs)
    jansen = float(np.abs(paper.values.ravel() - package_jansen(a, c)).max())
    homma, janon = (table.set_index("estimator").loc[name] for name in ("homma", "janon"))
    known, baselines = _known(lab, paper), _baselines(lab)
    zero = baselines.set_index("baseline").loc["zero"]
    return Section(
        "09-published-package", "9. The published package",
        f"Its design and its five estimators, written again from their formulas and asked about the same clip (high, {SNR:g} dB, "
        f"{side} x {side}, {designs} designs). Its default, Jansen's, is right, and `Sobol.paper({designs})` gives the same map "
        f"(largest difference {jansen:.1g}). Where forms differ, a simple test tells who is right: an index is a share of the "
        f"variance, so adding {OFFSET:g} to every logit must not change it. As published, Homma's and Saltelli's indices move by "
        f"up to {homma['offset_package']:.2g} and Janon's by {janon['offset_package']:.2g}; centred, and with one denominator, "
        f"by {janon['offset_ours']:.1g}. The linear function, y = sum of w_i u_i with w from 1 to 16, has known indices: "
        f"with {DESIGNS[0]} designs Janon's as published miss by up to {janon['linear_package']:.2f}, with one denominator by "
        f"{janon['linear_ours']:.2f}.\n\n"
        "Two more choices are not the estimator's. The plain sequence gives the same masks each time: runs that repeat each "
        "other agree, and say nothing of the error. And masked cells become zeros, which after standardisation are the mean "
        f"level of the clip and not silence: that map agrees with the one against silence with a Spearman correlation of "
        f"{zero['spearman_with_silence']:.2f}, and has {zero['tone_row']:.0%} of its mass in the row of the tone instead of "
        f"{baselines['tone_row'].iloc[0]:.0%}.\n\n"
        "The last table is for whoever has the lab's own call at hand: what it writes, what the package accepts, what to write "
        "here. It was read from the source, not run.",
        tables={"estimators": table, "differences": _differences(lab, question, known), "default": known,
                "baselines": baselines, "call": _calls(side, designs)},
        pictures={"baselines": _maps(lab), "linear": _linear_picture()},
    )  # fmt: skip


def _question(lab: Lab, baseline: str) -> AudioQuestion:
    """Of the clip of the chapter before."""
    side = middle(lab.settings.grids)
    return lab.ask(lab.scenes(2, snr_db=SNR)[1], Grid(side, side, baseline=baseline))


def _value_of(question: AudioQuestion | Game) -> Value:
    return lambda masks: question.value(masks.reshape(-1, *question.shape)).numpy()


def _linear(masks: np.ndarray) -> np.ndarray:
    return masks @ WEIGHTS


def _linear_error(indices: np.ndarray) -> float:
    return float(np.abs(indices - WEIGHTS**2 / np.sum(WEIGHTS**2)).max())


def _ours(estimator: str, a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Our form of an estimator for the package's own evaluations."""
    none = np.zeros_like(c.T)
    return ESTIMATORS[estimator](stacked([pair_sums(none, none, a, c.T, 1 + none)]))


def _estimators(a: np.ndarray, c: np.ndarray, designs: int) -> pd.DataFrame:
    """For each estimator, the package's and ours: both on the clip, with an offset, and on the linear function."""
    linear = package_outputs(_linear, DESIGNS[0], len(WEIGHTS))
    rows = []
    for name, package in PACKAGE.items():
        forms = {"package": package, "ours": lambda a, c, name=name: _ours(name, a, c)}
        found = {kind: form(a, c) for kind, form in forms.items()}
        rows.append(
            {
                "estimator": name,
                "fault": FAULTS[name],
                "largest_difference": np.abs(found["package"] - found["ours"]).max(),
            }
            | {
                f"offset_{kind}": np.abs(form(a + OFFSET, c + OFFSET) - found[kind]).max()
                for kind, form in forms.items()
            }
            | {f"linear_{kind}": _linear_error(form(*linear)) for kind, form in forms.items()}
        )
    return pd.DataFrame(rows)


def _known(lab: Lab, paper: Explanation) -> pd.DataFrame:
    """The published setting and our default at one cost: agreement between seeds, and with the map of the most designs."""
    side, designs = middle(lab.settings.grids), lab.settings.samples[0]
    best = np.mean([e.values for e in repeated(lab, (side, side), lab.settings.samples[-1])], 0)
    scrambled = [
        Sobol(designs, lab.settings.seed + run, estimator="jansen")(_question(lab, "silence"))
        for run in range(lab.settings.repeats)
    ]
    settings = {
        "published: Jansen, plain sequence": [paper] * 2,  # a second run is the first
        "Jansen, scrambled sequences": scrambled,
        "ours: importance-sampled pairs": repeated(lab, (side, side), designs),
    }
    return pd.DataFrame(
        {
            "setting": name, "evaluations": runs[0].evaluations, "rank_stability": rank_stability([e.values for e in runs]),
            "spearman_with_most": np.mean([rank_stability([e.values, best]) for e in runs]),
            "error": np.mean([np.linalg.norm(e.values - best) / np.linalg.norm(best) for e in runs]),
        }
        for name, runs in settings.items()
    )  # fmt: skip


def _against(lab: Lab) -> dict[str, Explanation]:
    """A map against each baseline."""
    method = Sobol(lab.settings.samples[0], lab.settings.seed)
    return lab.once("baselines", lambda: {kind: method(_question(lab, kind)) for kind in BASELINES})


def _baselines(lab: Lab) -> pd.DataFrame:
    rows, found = [], _against(lab)
    for kind, e in found.items():
        assert e.question is not None
        rows.append({
            "baseline": kind, "mean_of_its_features": float(e.question.baselines.mean()), "logit": e.baseline,
            "tone_row": mass_at(e, LAB.frequencies[1]), "sum_of_indices": float(e.values.sum()),
            "spearman_with_silence": rank_stability([e.values, found["silence"].values]),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _maps(lab: Lab) -> Picture:
    panels = [
        Heat(e.values, map_axes(e), f"against {kind}", e.kind, "total index") for kind, e in _against(lab).items()
    ]
    return Picture(
        panels,
        "The same clip against silence, against zeros (the mean level of the clip), and against each frequency's mean over time.",
    )


def _linear_picture() -> Picture:
    """Errors on the linear function over the number of designs, as published and in our form."""
    evaluated = [package_outputs(_linear, designs, len(WEIGHTS)) for designs in DESIGNS]
    lines = {
        name: [_linear_error(form(a, c)) for a, c in evaluated] for name, form in PACKAGE.items() if name != "saltelli"
    }
    game = Game(len(WEIGHTS), lambda m: m.double() @ torch.from_numpy(WEIGHTS))
    lines["our default"] = [_linear_error(Sobol(designs)(game).values) for designs in DESIGNS]
    panel = Curves(DESIGNS, lines, "designs", "largest error of an index", logarithmic="xy")
    return Picture([panel], "The linear function of 16 inputs, whose indices are known.", columns=1)


def _differences(lab: Lab, question: AudioQuestion, known: pd.DataFrame) -> pd.DataFrame:
    """What else is done differently, each with a figure."""
    (cells, designs), (bins, frames) = (question.size, lab.settings.samples[0]), question.x.shape[-2:]
    stability = known.set_index("setting")["rank_stability"]
    half, full = _question(lab, "zero").value(torch.cat([question.ones / 2, question.ones])).tolist()
    rows = [
        ("points", "first half A, second half B", "the same for `Sobol.paper`", _points(designs, cells)),
        ("another run", "the same masks again", "another seed, another scrambling",
         f"rank stability {stability.iloc[0]:.3f} (it cannot be less), {stability.iloc[-1]:.3f}"),
        ("matrix B", "evaluated, used by no estimator", "only exchanged from",
         f"{designs} of {designs * (cells + 2):,} evaluations"),
        ("Homma, Saltelli", "two estimators", "two names of one", f"largest difference {_same_twice(designs):.1g}"),
        ("a constant score", "divides by its variance", "zeros, and a warning", _constant(designs)),
        ("amplitude", "X (M - 1/2) sigma: at most half the clip, half of it turned over", "1 - s to 1 + s times the clip",
         f"logit {half:.2f} of half the clip, {full:.2f} of the clip"),
        ("mask to bins", "nearest neighbour", "cells of whole bins", _upsampling(lab, question.shape)),
        ("map to bins", "height and width exchanged, the map stretched", "a map has axes, in Hz and s",
         f"{bins} x {frames} comes out as {frames} x {bins}"),
        ("removed cells", "0", "what the front end answers to silence",
         f"silence is {float(question.baselines.mean()):.2f}, the mean level of the clip 0"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["what", "the_package", "here", "figure"])


def _points(designs: int, cells: int) -> str:
    """Our plain sequence beside the package's."""
    theirs, ours = (
        package_points(designs, cells),
        unit_points("sobol-plain", designs, 2 * cells, np.random.default_rng(0)),
    )
    difference = np.abs(np.concatenate(theirs, 1) - ours).max()
    return f"largest difference {difference:.1g}; the first mask keeps {ours[0].max():g} of everything"


def _same_twice(designs: int) -> float:
    a, c = package_outputs(_linear, designs, len(WEIGHTS))
    return float(np.abs(package_homma(a, c) - package_saltelli(a, c)).max())


def _constant(designs: int) -> str:
    """What a score that never changes gets from the package's default, and from ours."""
    with np.errstate(invalid="ignore"):
        theirs = package_jansen(*package_outputs(lambda masks: np.ones(len(masks)), designs, len(WEIGHTS)))
    ours = Sobol.paper(designs)(Game(len(WEIGHTS), lambda m: torch.ones(len(m)))).values
    return f"{np.isnan(theirs).sum()} and {np.isnan(ours).sum()} NaN of {len(WEIGHTS)}"


def _upsampling(lab: Lab, shape: tuple[int, ...]) -> str:
    """How many rows and columns belong to another cell when masks are carried to bins by nearest neighbours."""
    axes, words = lab.classifier.axes("features", len(lab.scenes(1)[0].audio.samples)), []
    for name, axis, groups in zip(("rows", "columns"), axes, shape, strict=True):
        nearest = torch.nn.functional.interpolate(torch.arange(float(groups))[None, None], size=axis.size)[0, 0].numpy()
        words.append(f"{(nearest != axis.coarser(groups)[1]).sum()} of {axis.size} {name}")
    return f"{' and '.join(words)} in the neighbouring cell"


def _calls(side: int, designs: int) -> pd.DataFrame:
    """The lab's own call, what the package accepts, and what to write instead."""
    rows = [
        ("`nb_samples=256`", "`nb_design`, a power of two (the other name is a TypeError)", f"`Sobol(designs={designs})`"),
        ("`explainer.explain(x, target=1)`", "a call, `explainer(inputs, labels)`; there is no `explain`",
         f'`ew.explain(classifier, audio, Sobol(), target="high", components=Grid({side}, {side}))`'),
        ("an integer as target", "a list of integers, one for each input", 'a label, its number, or "high - low"'),
        ("`explanation[0].detach().cpu()`", "a list of numpy arrays", "`explanation.values`, a numpy array"),
        ("a result of (B, 1, F, T)", "one 2-D map for each input", "`[frequency, time]` cells, and `explanation.axes`"),
        ("any shape of spectrogram", "square ones: others get their sides exchanged", "any shape, and rectangular grids"),
        ("CPU or GPU", "CUDA: the masks are moved there at once", "where the classifier is"),
        ("cells that are on or off", "levels between 0 and 1", "levels between 0 and 1"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["the_lab", "the_package", "here"])
