"""How many evaluations does Sobol need? The published setting beside ours, both against a converged map, in one run.

    python benchmarks/sobol_evaluations.py                                       # a game, and models/tones
    python benchmarks/sobol_evaluations.py --data ../shared/data/localized       # and models/esc10 on mixtures, slower

For each question (64 components), each setting and each budget: Spearman's rank correlation with the converged map, and the
relative error of the values, |map - converged| / |converged|; means over clips and seeds. "Evaluations needed" is where the
mean correlation reaches a threshold for good, interpolated between budgets on a logarithmic scale. The published setting pays
for its second design matrix, designs x (components + 2), as its implementation does; its sequence has no seed.

The converged map is ours with 2 x 256 designs of other seeds; what its two halves agree to is the most that can be resolved.
Cost: about 80,000 evaluations a clip (a minute or two on one core).
"""

import argparse
from collections.abc import Callable, Iterable
from itertools import starmap
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import earwitness as ew
from earwitness.data.readers import mixtures
from earwitness.data.synthetic import Tones, scenes
from earwitness.statistics import rank_stability

GRID = ew.Grid(8, 8)
THRESHOLDS = (0.90, 0.95, 0.98)
OURS = "importance, scrambled (default)"
SETTINGS: dict[str, tuple[Callable[..., ew.Sobol], tuple[int, ...]]] = {
    "published: Jansen, plain sequence": (lambda designs, seed: ew.Sobol.paper(designs), (2, 4, 8, 16, 32, 64, 128)),
    "Jansen, scrambled, no second matrix": (
        lambda designs, seed: ew.Sobol(designs, seed, estimator="jansen"),
        (2, 4, 8, 16, 32, 64),
    ),
    OURS: (lambda designs, seed: ew.Sobol(designs, seed), (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)),
}


def network_game(seed: int) -> ew.Question:
    """A function with interactions of every order: kinks that most masks reach, saturation, a few products."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(64, 12)) * np.exp(rng.normal(size=(64, 1))) / 4
    w, v = torch.tensor(weights), torch.tensor(rng.normal(size=12))

    def function(m: torch.Tensor) -> torch.Tensor:
        m = m.flatten(1).double()
        hidden = torch.relu(m @ w - w.sum(0) * 0.4)
        return torch.tanh((hidden @ v) / 2) + m[:, 0] * m[:, 1] - m[:, 2] * m[:, 3]

    return ew.Game((8, 8), function)


def questions(clips: int, data: Path | None) -> Iterable[tuple[str, ew.Question]]:
    """A name and a question for each clip."""
    for seed in range(clips):
        yield "game with interactions", network_game(seed)
    tones = ew.load_classifier("models/tones")
    for scene in scenes(Tones(), clips, 7):
        yield "models/tones", ew.ask(tones, scene.audio, GRID, scene.label)
    if data:
        events = ew.load_classifier("models/esc10")
        for clip in [clip for clip in mixtures(data) if clip.group == "5"][:clips]:  # the fold that it never heard
            yield "models/esc10", ew.ask(events, clip.load(events.sample_rate), GRID, clip.label)


def measure(name: str, question: ew.Question, seeds: int) -> list[dict]:
    """A row for each setting, budget and seed."""
    halves = [ew.Sobol(256, seed=1000 + half).attribute(question).values.ravel() for half in (0, 1)]
    converged, rows = np.mean(halves, 0), []
    resolved = rank_stability(halves)
    for setting, (make, budgets) in SETTINGS.items():
        published = setting.startswith("published")
        for designs in budgets:
            for seed in range(1 if published else seeds):
                found = make(designs, seed).attribute(question)
                rows.append(
                    {
                        "question": name,
                        "setting": setting,
                        "designs": designs,
                        "evaluations": designs * (question.size + (2 if published else 1)),
                        "spearman": rank_stability([found.values.ravel(), converged]),
                        "error": np.linalg.norm(found.values.ravel() - converged) / np.linalg.norm(converged),
                        "resolved": resolved,
                    }
                )
    return rows


def needed(curve: pd.Series, threshold: float) -> float:
    """Where a curve (mean correlation by evaluations) reaches the threshold for good; nan if it does not."""
    below = np.flatnonzero(~(curve.to_numpy() >= threshold))
    if len(below) == 0:
        return float(curve.index[0])
    last = below[-1]
    if last + 1 == len(curve):
        return float("nan")
    part = np.interp(threshold, curve.iloc[last : last + 2], [0, 1])
    return float(curve.index[last] * (curve.index[last + 1] / curve.index[last]) ** part)


def shown(count: float, ours: float, most: int) -> str:
    """A count and its ratio to ours; where the largest budget was not enough, that it is more."""
    more, count = ("", count) if np.isfinite(count) else ("> ", most)
    return f"{more}{count:.0f} | " + (f"{more}{count / ours:.1f}" if np.isfinite(ours) else "-")


def report(table: pd.DataFrame) -> str:
    """Both tables as markdown."""
    heads = [f"{threshold:.2f} | ratio" for threshold in THRESHOLDS]
    lines = ["Evaluations needed for a mean Spearman correlation; ratio: how many times as many as ours needs.\n"]
    lines += [f"| question | setting | {' | '.join(heads)} |", "|---" * (2 + 2 * len(heads)) + "|"]
    for name, part in table.groupby("question", sort=False):
        curves = {s: rows.groupby("evaluations")["spearman"].mean() for s, rows in part.groupby("setting", sort=False)}
        for setting, curve in curves.items():
            cells = [(needed(curve, t), needed(curves[OURS], t), curve.index[-1]) for t in THRESHOLDS]
            lines.append(f"| {name} | {setting} | {' | '.join(starmap(shown, cells))} |")
    lines += ["\nAt a number of designs: mean correlation, worst correlation, relative error of the values.\n"]
    chosen = (4, 8, 16, 32)
    lines += [f"| question | setting | {' | '.join(map(str, chosen))} |", "|---" * (2 + len(chosen)) + "|"]
    for (name, setting), part in table.groupby(["question", "setting"], sort=False):
        rows = [part[part["designs"] == designs] for designs in chosen]
        cells = [f"{r['spearman'].mean():.3f}, {r['spearman'].min():.3f}, {r['error'].mean():.2f}" for r in rows]
        lines.append(f"| {name} | {setting} | {' | '.join(cells)} |")
    halves = ", ".join(f"{n} {r['resolved'].mean():.4f}" for n, r in table.groupby("question", sort=False))
    return "\n".join([*lines, f"\nHalves of the converged map agree to: {halves}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="the folder of the mixtures")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, question in questions(options.clips, options.data):
        rows += measure(name, question, options.seeds)
    text = report(pd.DataFrame(rows))
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(f"{text}\n\nMade by `python benchmarks/sobol_evaluations.py`.\n")


if __name__ == "__main__":
    main()
