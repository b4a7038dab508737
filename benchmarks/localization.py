"""Does Sobol point at the event? Mixtures of an event and a background, in which the place of the event is known.

For each mixture of `localized/esc10_mix` that a model of its fold names rightly, the share of the explanation that lies within
the event's true time span, beside that of Random, of Loudness (the energy of each component) and of an even map (chance). Then
the best tenth is listened to: what does the model say to what is kept and to what is removed, and how close is each to the event
(scale-invariant signal-to-distortion ratio, dB)?

    python benchmarks/localization.py --model models/esc10 --fold 5 --out docs/results/localization

`--model "models/fold{fold}"` with `--fold 1,2,3,4,5` takes a model for each fold. Cost: 2,000 evaluations a mixture.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import earwitness as ew
from earwitness.axes import Axis, carry
from earwitness.data.readers import Mixture, mixtures
from earwitness.data.truth import truth_of
from earwitness.statistics import paired_difference

GRID = ew.Grid(8, 20)  # columns of a quarter of a second
KEEP = 0.1


def inside(values: np.ndarray, weights: np.ndarray) -> float:
    """The share of a map that lies where the weights are."""
    return float((values * weights).sum() / values.sum())


def measure(classifier: ew.Classifier, clip: Mixture, designs: int, seed: int) -> dict | None:
    """One row, or None where the model does not name the event."""
    audio, event = clip.load(classifier.sample_rate), clip.load_event(classifier.sample_rate)
    question = ew.ask(classifier, audio, GRID, clip.label, truth=truth_of(event, audio))
    if int(question.clip_logits.argmax()) != question.resolved.index:
        return None
    bounds = (0.0, *clip.span, audio.duration)
    span = carry(np.array([0.0, 1.0, 0.0]), (Axis("time", "s", bounds),), question.axes[1:])
    explanation = ew.Sobol(designs=designs, seed=seed)(question)
    maps = {
        "sobol": explanation.values,
        "random": ew.Random(seed=seed)(question).values,
        "loudness": ew.Loudness()(question).values,
        "chance": np.ones(question.shape),
    }
    row = {"clip": clip.path.name, "label": clip.label, "background": clip.background, "snr_db": clip.snr_db}
    row |= {f"{name}_in_span": inside(values, span) for name, values in maps.items()}
    row |= {f"{name}_in_event": inside(values, question.cause) for name, values in maps.items()}
    row["si_sdr_clip"] = si_sdr(audio, event)
    for name, remove in (("kept", False), ("removed", True)):
        heard = explanation.hear(KEEP, remove=remove)
        row[f"{name}_named"] = heard.prediction.label == clip.label
        row[f"si_sdr_{name}"] = si_sdr(heard.audio, event)
    return row


def si_sdr(sound: ew.Audio, event: ew.Audio) -> float:
    """Scale-invariant signal-to-distortion ratio of a sound to the event, in dB (Le Roux et al., 2019)."""
    x, truth = sound.samples.double().numpy(), event.samples.double().numpy()
    part = (x @ truth) / (truth @ truth) * truth
    return float(10 * np.log10((part @ part) / ((x - part) @ (x - part))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/esc10")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/localized"))
    parser.add_argument("--fold", default="5")
    parser.add_argument("--designs", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, asked = [], 0
    for fold in options.fold.split(","):
        classifier = ew.load_classifier(options.model.format(fold=fold))
        for clip in [clip for clip in mixtures(options.data) if clip.group == fold]:
            asked += 1
            row = measure(classifier, clip, options.designs, options.seed)
            rows += [row] if row else []
            print(
                f"{clip.path.name}: {row['sobol_in_span']:.2f} of the map in the span"
                if row
                else f"{clip.path.name}: missed"
            )
    table = pd.DataFrame(rows)
    report = summary(table, asked, options)
    print(report)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out / "mixtures.csv", index=False, float_format="%.4f")
        (options.out / "README.md").write_text(report)


def summary(table: pd.DataFrame, asked: int, options: argparse.Namespace) -> str:
    """The means, and Sobol's differences to the others over clips."""
    lines = [
        f"{len(table)} of {asked} mixtures (fold {options.fold}) are named rightly; {options.designs} designs on a grid of "
        f"8 x 20, seed {options.seed}.\n",
        "| share of the map | Sobol | Random | Loudness | even map | Sobol - Random | Sobol - Loudness |",
        "|---|---|---|---|---|---|---|",
    ]
    for where, words in (("span", "in the event's time span"), ("event", "on the event, in time and frequency")):
        column = {name: table[f"{name}_in_{where}"].to_numpy() for name in ("sobol", "random", "loudness", "chance")}
        tests = [paired_difference(column["sobol"], column[other]) for other in ("random", "loudness")]
        means = " | ".join(f"{values.mean():.3f}" for values in column.values())
        differences = " | ".join(f"{t.mean:+.3f} ({t.low:+.3f} to {t.high:+.3f}), p = {t.p:.2g}" for t in tests)
        lines.append(f"| {words} | {means} | {differences} |")
    level = {name: f"{table[f'si_sdr_{name}'].mean():+.1f} dB" for name in ("clip", "kept", "removed")}
    named = {name: f"in {table[f'{name}_named'].sum()} of {len(table)}" for name in ("kept", "removed")}
    lines += [
        f"\nThe best {KEEP:.0%} of the components: the event is named {named['kept']} when they are kept, {named['removed']} "
        f"when they are removed. SI-SDR to the event (means): {level['clip']} the clip, {level['kept']} kept, "
        f"{level['removed']} removed.",
        "\nDifferences: mean over clips with its 95 % interval, and the p of a paired Wilcoxon test.",
        f"\nMade by `python benchmarks/localization.py --model {options.model!r} --fold {options.fold} --designs "
        f"{options.designs} --seed {options.seed}`. Recordings: ESC-10, K. J. Piczak, CC BY 3.0.\n",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
