"""How often does a map that knows nothing stand? The verdict, calibrated.

    python benchmarks/verdicts.py                 # games with a planted cause: minutes
    earwitness train fsdd --data ../shared/data/fsdd --out fsdd-model
    python benchmarks/verdicts.py --on fsdd --model fsdd-model --data ../shared/data/fsdd
    python benchmarks/verdicts.py --on esc10 --model models/esc10 --data ../shared/data/esc10   # an hour on one core

Each clip is explained, and six kinds of maps are verified against it: the explanation itself; the same shifted by a fifth of the
clip, later and earlier; the explanations of two other clips; those of two other labels of the same clip; two white random maps;
and two smooth ones (white noise, averaged over 3 x 3 cells). Wrong maps should stand in 10 % at most, white ones in 5 %.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import uniform_filter

import earwitness as ew
from earwitness.data.readers import Clip, esc10, fsdd
from earwitness.statistics import proportion_interval

SHAPE = (8, 10)
FIFTH = 2  # of the 10 columns


def games(cases: int) -> Iterator[tuple[ew.Question, list[ew.Question]]]:
    """A blob of weights somewhere, its parts needing each other, in front of weak weights everywhere; no other labels."""
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        high, wide = rng.integers(1, 4, 2)
        blob = np.zeros(SHAPE)
        blob[:high, :wide] = 1 + rng.random((high, wide))
        blob = np.roll(blob, (rng.integers(SHAPE[0]), rng.integers(SHAPE[1])), (0, 1))
        weights = torch.as_tensor(blob + 0.2 * rng.standard_normal(SHAPE))

        def function(m: torch.Tensor, weights: torch.Tensor = weights, size: float = float(blob.sum())) -> torch.Tensor:
            return 3 * torch.tanh((m.double() * weights).sum((1, 2)) / size)

        yield ew.Game(SHAPE, function), []


def recordings(cases: int, clips: list[Clip], model: Path) -> Iterator[tuple[ew.Question, list[ew.Question]]]:
    """Clips in a random order, explained for what the model says; and questions about two other labels."""
    classifier, rng = ew.load_classifier(model), np.random.default_rng(0)
    for index in rng.permutation(len(clips))[:cases]:
        question = ew.ask(classifier, clips[index].load(classifier.sample_rate), ew.Grid(*SHAPE))
        label = question.resolved.index
        others = rng.permutation([k for k in range(len(classifier.labels)) if k != label])[:2]
        yield replace(question, target=label), [replace(question, target=int(other)) for other in others]


def wrong(
    values: np.ndarray, earlier: list[np.ndarray], others: list[np.ndarray], rng: np.random.Generator
) -> dict[str, list[np.ndarray]]:
    """Maps that are not true of the clip, by kind."""
    white = rng.standard_normal((4, *SHAPE))
    return {
        "shifted by a fifth of the clip": [np.roll(values, step, 1) for step in (FIFTH, -FIFTH)],
        "of another clip": earlier,
        "of another label": others,
        "white": list(white[:2]),
        "smooth": [uniform_filter(row, 3, mode="wrap") for row in white[2:]],
    }


def measure(asked: Iterator[tuple[ew.Question, list[ew.Question]]], samples: int) -> Iterator[dict]:
    """A row for each map."""
    earlier: list[np.ndarray] = []
    for number, (question, others) in enumerate(asked):
        method, rng = ew.LIME(samples, seed=number), np.random.default_rng(number)
        explanation = method(question)
        maps = wrong(explanation.values, earlier[-2:], [method(other).values for other in others], rng)
        maps = {"the explanation": [explanation.values], **maps}
        known = {"score": explanation.score, "baseline": explanation.baseline}
        for kind, rows in maps.items():
            for values in rows:
                given = ew.Explanation.of(question, values, "effect", **known)
                verdict = ew.verify(given, seed=number)
                yield {"case": number, "map": kind, "outcome": verdict.outcome, "evaluations": verdict.evaluations}
        earlier.append(explanation.values)
        print(f"{number + 1} explained", flush=True)


def report(table: pd.DataFrame) -> str:
    """How often each outcome came, by kind of map."""
    lines = ["| map | verdicts | stands | 95 % | can't tell | does not stand |", "|---|---|---|---|---|---|"]
    for kind, rows in table.groupby("map", sort=False):
        counts = rows["outcome"].value_counts()
        share = proportion_interval(int(counts.get("stands", 0)), len(rows))
        cells = [f"{counts.get(outcome, 0) / len(rows):.1%}" for outcome in ("can't tell", "does not stand")]
        interval = f"{share.low:.1%} to {share.high:.1%}"
        lines.append(f"| {kind} | {len(rows)} | {share.mean:.1%} | {interval} | {' | '.join(cells)} |")
    lines.append(f"\n{table['evaluations'].mean():.0f} evaluations a verdict.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    readers = {"esc10": esc10, "fsdd": fsdd}
    parser.add_argument("--on", choices=("games", *readers), default="games")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--samples", type=int, default=512, help="of LIME, which explains")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, help="a Markdown file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.on == "games":
        asked = games(options.cases)
    else:
        asked = recordings(options.cases, readers[options.on](options.data), options.model)
    text = report(pd.DataFrame(measure(asked, options.samples)))
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        command = f"--on {options.on} --cases {options.cases} --samples {options.samples}"
        options.out.write_text(f"{text}\n\nMade by `python benchmarks/verdicts.py {command}`.\n")


if __name__ == "__main__":
    main()
