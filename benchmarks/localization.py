"""Which explainers point at the event? Mixtures of an event and a background, in which the place of the event is known.

For each mixture of `localized/esc10_mix` that a model of its fold names rightly, and each method: the share of the explanation's
mass (its values above 0) within the event's true time span, and on the event in time and frequency; beside Random, Loudness (the
energy of each component) and an even map. Then the best tenth is listened to: what does the model say to what is kept and to
what is removed, and how close is what is kept to the event (scale-invariant signal-to-distortion ratio, dB)?

    python benchmarks/localization.py --model models/esc10 --fold 5 --out docs/results/localization

`--model "models/fold{fold}"` with `--fold 1,2,3,4,5` takes a model for each fold. Sampled methods get the same budget; cost:
seven budgets a mixture.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import earwitness as ew
from earwitness.axes import Axis, carry
from earwitness.data.readers import Mixture, mixtures
from earwitness.data.truth import truth_of
from earwitness.statistics import holm, mean_interval, paired_difference

GRID = ew.Grid(8, 20)  # columns of a quarter of a second
SIZE = 160
KEEP = 0.1
EVEN = "even map"
CONTROLS = ("Loudness", "Random", EVEN)


def methods(evaluations: int, seed: int) -> dict[str, ew.Explainer]:
    """Every method, the sampled ones at about the same cost."""
    return {
        "Sobol": ew.Sobol(evaluations // (SIZE + 1), seed),
        "Shapley": ew.Shapley(evaluations // (2 * SIZE - 2), seed),
        "KernelSHAP": ew.KernelSHAP(evaluations, seed),
        "LIME": ew.LIME(evaluations, seed),
        "HSIC": ew.HSIC(evaluations, seed),
        "RISE": ew.RISE(evaluations, seed),
        "Occlusion": ew.Occlusion(),
        "Saliency": ew.Saliency(),
        "Loudness": ew.Loudness(),
        "Random": ew.Random(seed),
    }


def inside(values: np.ndarray, weights: np.ndarray) -> float:
    """The share of a map's mass that lies where the weights are; of no mass, 0."""
    mass = np.maximum(values, 0)
    return float((mass * weights).sum() / mass.sum()) if mass.any() else 0.0


def measure(classifier: ew.Classifier, clip: Mixture, evaluations: int, seed: int) -> Iterator[dict]:
    """A row for each method; none where the model does not name the event."""
    audio, event = clip.load(classifier.sample_rate), clip.load_event(classifier.sample_rate)
    question = ew.ask(classifier, audio, GRID, clip.label, truth=truth_of(event, audio))
    if int(question.clip_logits.argmax()) != question.resolved.index:
        return
    bounds = (0.0, *clip.span, audio.duration)
    span = carry(np.array([0.0, 1.0, 0.0]), (Axis("time", "s", bounds),), question.axes[1:])
    about = {"clip": clip.path.name, "label": clip.label, "background": clip.background, "snr_db": clip.snr_db}
    about["si_sdr_clip"] = si_sdr(audio, event)
    for name, method in methods(evaluations, seed).items():
        explanation = method(question)
        row = about | {"method": name, "evaluations": explanation.evaluations}
        row |= {"in_span": inside(explanation.values, span), "in_event": inside(explanation.values, question.cause)}
        for part, remove in (("kept", False), ("removed", True)):
            heard = explanation.hear(KEEP, remove=remove)
            row[f"{part}_named"] = heard.prediction.label == clip.label
            row[f"si_sdr_{part}"] = si_sdr(heard.audio, event) if heard.audio.peak else float("nan")
        yield row
    even = np.ones(question.shape)
    yield about | {"method": EVEN, "in_span": inside(even, span), "in_event": inside(even, question.cause)}


def si_sdr(sound: ew.Audio, event: ew.Audio) -> float:
    """Scale-invariant signal-to-distortion ratio of a sound to the event, in dB (Le Roux et al., 2019)."""
    x, truth = sound.samples.double().numpy(), event.samples.double().numpy()
    part = (x @ truth) / (truth @ truth) * truth
    return float(10 * np.log10((part @ part) / ((x - part) @ (x - part))))


def shares(table: pd.DataFrame, column: str, words: str) -> str:
    """The mean share of each method, and its differences to Random and Loudness; p-values corrected over the whole table."""
    wide = table.pivot(index="clip", columns="method", values=column)
    names = [name for name in table["method"].unique() if name not in CONTROLS]
    against = {
        (name, control): paired_difference(wide[name], wide[control]) for name in names for control in CONTROLS[:2]
    }
    corrected = dict(zip(against, holm([test.p for test in against.values()]), strict=True))
    lines = [f"| share of the mass {words} | mean | - {CONTROLS[0]} | - {CONTROLS[1]} |", "|---|---|---|---|"]
    for name in (*names, *CONTROLS):
        found = mean_interval(wide[name])
        differences = [
            f"{test.mean:+.3f} [{test.low:+.3f}, {test.high:+.3f}], p = {corrected[key]:.2g}"
            for key, test in against.items()
            if key[0] == name
        ]
        cells = " | ".join(differences or ("", ""))
        lines.append(f"| {name} | {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}] | {cells} |")
    return "\n".join(lines)


def listening(table: pd.DataFrame) -> str:
    """What the model says to the best tenth and to the rest, and how close what is kept comes to the event."""
    lines = [
        f"| best {KEEP:.0%} | named when kept | named when removed | SI-SDR of what is kept |",
        "|---|---|---|---|",
    ]
    for name, rows in table[table["method"] != EVEN].groupby("method", sort=False):
        named = " | ".join(f"{rows[f'{part}_named'].astype(bool).sum()} of {len(rows)}" for part in ("kept", "removed"))
        lines.append(f"| {name} | {named} | {rows['si_sdr_kept'].mean():+.1f} dB |")
    return "\n".join(lines)


def summary(table: pd.DataFrame, asked: int, options: argparse.Namespace) -> str:
    """Everything as Markdown."""
    clips = table.drop_duplicates("clip")
    command = (
        f"--model {options.model!r} --fold {options.fold} --evaluations {options.evaluations} --seed {options.seed}"
    )
    return f"""{len(clips)} of {asked} mixtures (fold {options.fold}) are named rightly; about {options.evaluations} evaluations
for each sampled method, on a grid of 8 x 20, seed {options.seed}. Mass: values above 0.

{shares(table, "in_span", "in the event's time span")}

{shares(table, "in_event", "on the event, in time and frequency")}

Means over clips with their 95 % intervals; p of paired Wilcoxon tests, Holm-corrected within a table. Sobol, HSIC and Loudness
go like the square of an effect, so their mass gathers where it is largest; the effects of the others spread theirs. What is kept
and removed below depends on the order alone.

{listening(table)}

SI-SDR to the event of the clips themselves: {clips["si_sdr_clip"].mean():+.1f} dB (means
over clips; where nothing is kept, no figure).

Made by `python benchmarks/localization.py {command}`. Recordings: ESC-10, K. J. Piczak, CC BY 3.0.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/esc10")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/localized"))
    parser.add_argument("--fold", default="5")
    parser.add_argument("--evaluations", type=int, default=5152)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, asked = [], 0
    for fold in options.fold.split(","):
        classifier = ew.load_classifier(options.model.format(fold=fold))
        for clip in [clip for clip in mixtures(options.data) if clip.group == fold]:
            found = list(measure(classifier, clip, options.evaluations, options.seed))
            print(f"{clip.path.name}: {'explained' if found else 'not named'}", flush=True)
            rows, asked = rows + found, asked + 1
    table = pd.DataFrame(rows)
    report = summary(table, asked, options)
    print(report)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out / "mixtures.csv", index=False, float_format="%.4f")
        (options.out / "README.md").write_text(report)


if __name__ == "__main__":
    main()
