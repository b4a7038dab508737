"""How well does the ESC-10 recipe do on folds that it did not see, and does it name an event in front of a background?

For each share of mixing, one model per fold: trained on the other four, tested on its own clips and on the mixtures of
`localized/esc10_mix` of its own fold. Accuracies are those of the last epoch.

    python benchmarks/esc10_folds.py --data ../shared/data/esc10 --mixing 0 0.3 --out docs/results/esc10_folds.md

Cost: about 3 to 4 minutes of one core a fold, so 30 to 45 minutes for both shares.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from earwitness.data.readers import Clip, esc10, mixtures
from earwitness.studies.event_training import EventRecipe, powers, train_events

DATA = Path(os.environ.get("EARWITNESS_DATA", "../shared/data"))


class Bench:
    """Clips and mixtures, read once, as mel powers."""

    def __init__(self, data: Path) -> None:
        self.frontend = EventRecipe().frontend()
        self.clips, self.mixtures = esc10(data), mixtures(data.parent / "localized")
        self.labels = sorted({clip.label for clip in self.clips})
        self.power = powers(self.clips, self.frontend, EventRecipe().seconds)
        self.mixed = powers(self.mixtures, self.frontend, EventRecipe().seconds)
        self.folds = sorted({clip.group for clip in self.clips})

    def fold(self, fold: str, recipe: EventRecipe, seed: int) -> tuple[nn.Module, float]:
        """The network that never saw a fold, and the seconds it took."""
        kept = np.array([clip.group != fold for clip in self.clips])
        started = time.monotonic()
        clips = [clip for clip in self.clips if clip.group != fold]
        network, _ = train_events(clips, self.labels, recipe, seed=seed, power=self.power[torch.from_numpy(kept)])
        return network, time.monotonic() - started

    def rows(self, network: nn.Module, fold: str) -> list[dict]:
        """One row for each clip and mixture of the fold: what it is and what the network says."""
        return [
            *self._said(network, fold, self.clips, self.power),
            *self._said(network, fold, self.mixtures, self.mixed),
        ]

    def _said(self, network: nn.Module, fold: str, clips: list[Clip], power: Tensor) -> list[dict]:
        places = [index for index, clip in enumerate(clips) if clip.group == fold]
        with torch.no_grad():
            numbers = network.eval()(self.frontend.advance(power[places], "filterbank", "")).argmax(1)
        return [
            {
                "fold": fold,
                "label": clips[place].label,
                "said": self.labels[int(number)],
                "background": getattr(clips[place], "background", ""),
                "snr_db": getattr(clips[place], "snr_db", np.nan),
            }
            for place, number in zip(places, numbers, strict=True)
        ]


def summary(rows: pd.DataFrame, mixing: float) -> dict[str, str]:
    """One column of the table."""
    rows = rows.assign(right=rows["said"] == rows["label"])
    clean, mixed = rows[rows["background"] == ""], rows[rows["background"] != ""]
    by_fold = clean.groupby("fold")["right"].mean()
    column = {"mixing": f"{mixing:g}", "**clean accuracy, mean of folds**": f"**{by_fold.mean():.4f}**"}
    column |= {f"clean accuracy, fold {fold}": f"{value:.4f}" for fold, value in by_fold.items()}
    column["**mixtures: event named**"] = f"**{_count(mixed)}**"
    column["mixtures: background named"] = f"{(mixed['said'] == mixed['background']).sum()} of {len(mixed)}"
    for name, key in (("{:g} dB", "snr_db"), ("{}", "label"), ("fold {}", "fold")):
        column |= {f"event named, {name.format(value)}": _count(part) for value, part in mixed.groupby(key)}
    return column


def _count(rows: pd.DataFrame) -> str:
    return f"{rows['right'].sum()} of {len(rows)}"


def markdown(columns: list[dict[str, str]]) -> str:
    """The columns as a table."""
    lines = [" | ".join(["", *[""] * len(columns)]), "|".join(["---"] * (len(columns) + 1))]
    lines += [" | ".join([name, *(column[name] for column in columns)]) for name in columns[0]]
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines) + "\n"


def main() -> None:
    """Train, test and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "esc10")
    parser.add_argument("--mixing", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--folds", nargs="+")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    bench, columns = Bench(asked.data), []
    for mixing in asked.mixing:
        recipe, rows = replace(EventRecipe(), mixing=mixing, epochs=asked.epochs), []
        for fold in asked.folds or bench.folds:
            network, seconds = bench.fold(fold, recipe, asked.seed)
            rows += bench.rows(network, fold)
            print(f"mixing {mixing:g}, fold {fold}: {seconds:.0f} s", flush=True)
        columns.append(summary(pd.DataFrame(rows), mixing))
    print(markdown(columns))
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(markdown(columns))


if __name__ == "__main__":
    main()
