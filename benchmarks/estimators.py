"""How many evaluations does an estimator need? Ours beside the established ones, each against a converged map, in one run.

    python benchmarks/estimators.py                                             # six sounds: the workload
    python benchmarks/estimators.py --on tones game                             # other questions
    python benchmarks/estimators.py --on esc10 --data ../shared/data/localized  # real mixtures, two baselines; slow

Three kinds of maps: total Sobol indices, Shapley values, and the coefficients of LIME. For each setting and each budget:
Spearman's rank correlation with the converged map of its kind, and the relative error of the values, |map - converged| /
|converged|; means over clips and seeds. "Evaluations needed" is where the mean correlation reaches a threshold for good,
interpolated between budgets on a logarithmic scale. The published Sobol setting pays for its second design matrix, designs x
(components + 2), as its implementation does; its sequence has no seed. The converged maps are ours, two halves of other seeds;
what the halves agree to is the most that can be resolved.

The workload: `SmallSpecCNN` on log(1 + |STFT|), trained here on six sounds (a tone, a chord, a late tone, a chirp, pulses, two
steps) beside an interferer, in noise of 0 to 20 dB; the logit of the true label over 8 x 8 cells, zeros for what is removed.
Cost: about 500,000 evaluations a clip (ten minutes on one core).
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import earwitness as ew
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.data.readers import mixtures
from earwitness.data.synthetic import Scene, Seed, Tones, choose, compose, noise_at, scenes
from earwitness.statistics import rank_stability
from earwitness.studies.scene_training import train_scenes

RATE, SECONDS = 8000, 0.5
THRESHOLDS = (0.90, 0.95, 0.98)
OURS = "(ours)"


@dataclass(frozen=True)
class SixSounds:
    """Six ways to sound, at a random pitch (300 to 1200 Hz) and phase, beside an interferer, in noise of 0 to 20 dB."""

    labels: tuple[str, ...] = ("tone", "chord", "late tone", "chirp", "pulses", "two steps")

    def __call__(self, seed: Seed, label: str | None = None) -> Scene:
        rng, noises = np.random.default_rng(seed).spawn(2)
        label = choose(self.labels, label, rng)
        t = np.arange(round(SECONDS * RATE)) / RATE
        pitch, phase = rng.uniform(300, 1200), rng.random()

        def sine(hertz: np.ndarray | float) -> np.ndarray:
            return np.sin(2 * np.pi * (np.cumsum(np.broadcast_to(hertz, t.shape)) / RATE + phase))

        cause = {
            "tone": lambda: sine(pitch),
            "chord": lambda: (sine(pitch) + sine(1.5 * pitch) + sine(2 * pitch)) / 3,
            "late tone": lambda: sine(pitch) * (t > 0.3),
            "chirp": lambda: sine(pitch * (1 + 2 * t / SECONDS)),
            "pulses": lambda: sine(pitch) * (t % 0.1 < 0.03),
            "two steps": lambda: sine(np.where(t < SECONDS / 2, pitch, 1.6 * pitch)),
        }[label]()
        cause = cause * (1 + 0.3 * np.sin(2 * np.pi * (rng.uniform(2, 6) * t + rng.random())))
        rest = 0.3 * np.sin(2 * np.pi * (rng.uniform(300, 1500) * t + rng.random()))
        return compose(cause, rest + noise_at(cause, (0.0, 20.0), rng, noises), RATE, label, 1.0)


def six_sounds(clips: int, grid: int = 8) -> Iterator[tuple[str, ew.Question]]:
    """Clips of the workload that its network has not heard."""
    frontend = ew.LogSTFT(RATE, n_fft=256, hop_length=64, standardise=True)
    trained = train_scenes(SixSounds(), frontend, network=_channels_last, clips=(1024, 240), epochs=5, batch=32)
    print(f"six sounds: accuracy {trained.history[-1]['accuracy']:.3f}", flush=True)
    for scene in scenes(SixSounds(), clips, 7):
        yield "six sounds", ew.ask(trained.classifier, scene.audio, ew.Grid(grid, grid, baseline="zero"), scene.label)


def _channels_last(classes: int) -> torch.nn.Module:
    return SmallSpecCNN(classes).to(memory_format=torch.channels_last)


def tones(clips: int) -> Iterator[tuple[str, ew.Question]]:
    """The lab's network, whose answer lies in 8 of the 64 cells."""
    classifier = ew.load_classifier("models/tones").to(memory_format=torch.channels_last)
    for scene in scenes(Tones(), clips, 7):
        yield "models/tones", ew.ask(classifier, scene.audio, ew.Grid(8, 8), scene.label)


def game(clips: int) -> Iterator[tuple[str, ew.Question]]:
    """A function with interactions of every order: kinks that most masks reach, saturation, a few products."""
    for seed in range(clips):
        rng = np.random.default_rng(seed)
        w = torch.tensor(rng.normal(size=(64, 12)) * np.exp(rng.normal(size=(64, 1))) / 4)
        v = torch.tensor(rng.normal(size=12))

        def function(m: torch.Tensor, w=w, v=v) -> torch.Tensor:
            m = m.flatten(1).double()
            hidden = torch.relu(m @ w - w.sum(0) * 0.4)
            return torch.tanh((hidden @ v) / 2) + m[:, 0] * m[:, 1] - m[:, 2] * m[:, 3]

        yield "game with interactions", ew.Game((8, 8), function)


def esc10(clips: int, data: Path) -> Iterator[tuple[str, ew.Question]]:
    """Mixtures of the fold that the model never heard, against silence and against their noise floor."""
    classifier = ew.load_classifier("models/esc10").to(memory_format=torch.channels_last)
    for baseline in ("silence", "noise"):
        for clip in [clip for clip in mixtures(data) if clip.group == "5"][:clips]:
            audio = clip.load(classifier.sample_rate)
            yield f"models/esc10, {baseline}", ew.ask(classifier, audio, ew.Grid(8, 8, baseline=baseline), clip.label)


@dataclass(frozen=True)
class Setting:
    """Values `[64]` for a question, a budget (evaluations) and a seed; and the budgets to try."""

    values: Callable[[ew.Question, int, int], np.ndarray]
    budgets: tuple[int, ...]
    seeded: bool = True


def _designs(make: Callable[[int, int], ew.Sobol], extra: int = 1) -> Callable[[ew.Question, int, int], np.ndarray]:
    return lambda question, budget, seed: make(budget // (question.size + extra), seed).attribute(question).values


def plain_permutations(question: ew.Question, budget: int, seed: int) -> np.ndarray:
    """Shapley values as most libraries have them: independent orders, each walked once."""
    rng, size = np.random.default_rng(seed), question.size
    full, empty = question.ends()
    orders = [rng.permutation(size) for _ in range(max(1, budget // (size - 1)))]
    added = np.zeros(size)
    for order in orders:
        masks = (np.argsort(order) < np.arange(1, size)[:, None]).reshape(-1, *question.shape).astype(float)
        added[order] += np.diff([empty, *question.value(masks).tolist(), full])
    return added / len(orders)


def _lime(design: str) -> Setting:
    return Setting(
        lambda question, budget, seed: ew.LIME(budget, seed, design=design).attribute(question).values, POWERS
    )


POWERS = tuple(2**k for k in range(7, 15))
KINDS: dict[str, dict[str, Setting]] = {
    "Sobol": {
        "published: Jansen, plain sequence": Setting(
            _designs(lambda designs, seed: ew.Sobol.paper(designs), extra=2),
            tuple(66 * 2**k for k in range(1, 10)),
            False,
        ),
        "Jansen, scrambled": Setting(
            _designs(lambda designs, seed: ew.Sobol(designs, seed, estimator="jansen")),
            tuple(65 * 2**k for k in range(1, 9)),
        ),
        f"importance, scrambled {OURS}": Setting(
            _designs(lambda designs, seed: ew.Sobol(designs, seed)),
            tuple(65 * n for n in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)),
        ),
    },
    "Shapley": {
        "permutations": Setting(plain_permutations, tuple(63 * 2**k for k in range(1, 7))),
        "KernelSHAP, paired, leverage": Setting(
            lambda q, n, seed: ew.KernelSHAP(n, seed).attribute(q).values, POWERS[:6]
        ),
        f"permutations, antithetic {OURS}": Setting(
            lambda q, n, seed: ew.Shapley(n // 126, seed).attribute(q).values, tuple(126 * 2**k for k in range(6))
        ),
    },
    "LIME": {
        "iid": _lime("iid"),
        "paired": _lime("paired"),
        "Sobol' sequence, thresholded": _lime("sobol"),
        f"Hadamard, folded over {OURS}": _lime("hadamard"),
    },
}
CONVERGED: dict[str, Callable[[int], ew.Explainer]] = {
    "Sobol": lambda half: ew.Sobol(256, seed=1000 + half),
    "Shapley": lambda half: ew.Shapley(128, seed=1000 + half),
    "LIME": lambda half: ew.LIME(32768, seed=1000 + half),
}


def measure(name: str, question: ew.Question, kinds: list[str], seeds: int, most: int) -> Iterator[dict]:
    """A row for each kind, setting, budget (up to the most) and seed."""
    for kind in kinds:
        settings = KINDS[kind]
        halves = [CONVERGED[kind](half).attribute(question).values.ravel() for half in (0, 1)]
        converged, resolved = np.mean(halves, 0), rank_stability(halves)
        for setting, how in settings.items():
            least = 2 * (question.size + 2 - how.seeded) if kind == "Sobol" else 0  # two designs
            for budget in [budget for budget in how.budgets if least <= budget <= most]:
                for seed in range(seeds if how.seeded else 1):
                    found = how.values(question, budget, seed).ravel()
                    yield {
                        "question": name, "kind": kind, "setting": setting, "evaluations": budget, "resolved": resolved,
                        "spearman": rank_stability([found, converged]),
                        "error": np.linalg.norm(found - converged) / np.linalg.norm(converged),
                    }  # fmt: skip


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


def shown(count: float, ours: float, most: int, least: int) -> str:
    """A count and its ratio to ours; where the largest budget was not enough, that it is more."""
    more, count = ("", count) if np.isfinite(count) else ("> ", most)
    less = "<= " if count == least else ""
    return f"{more or less}{count:.0f} | " + (f"{more}{count / ours:.1f}" if np.isfinite(ours) else "-")


def report(table: pd.DataFrame) -> str:
    """Evaluations needed, and errors at one budget, as Markdown."""
    heads = [f"{threshold:.2f} | ratio" for threshold in THRESHOLDS]
    lines = ["Evaluations needed for a mean Spearman correlation; ratio: how many times as many as ours needs.\n"]
    lines += [f"| question | kind | setting | {' | '.join(heads)} | error at about 1,000 |"]
    lines += ["|---" * (4 + 2 * len(heads)) + "|"]
    for (name, kind), part in table.groupby(["question", "kind"], sort=False):
        curves = {s: rows.groupby("evaluations")["spearman"].mean() for s, rows in part.groupby("setting", sort=False)}
        (ours,) = (curve for setting, curve in curves.items() if setting.endswith(OURS))
        for setting, curve in curves.items():
            cells = [(needed(curve, t), needed(ours, t), curve.index[-1], curve.index[0]) for t in THRESHOLDS]
            errors = part[part["setting"] == setting].groupby("evaluations")["error"].mean()
            near = errors.iloc[np.abs(np.log(errors.index / 1000)).argmin()]
            lines.append(f"| {name} | {kind} | {setting} | {' | '.join(starmap(shown, cells))} | {near:.2f} |")
    halves = table.groupby(["question", "kind"], sort=False)["resolved"].mean()
    agreed = ", ".join(f"{name} {kind} {value:.3f}" for (name, kind), value in halves.items())
    return "\n".join([*lines, f"\nHalves of the converged maps agree to: {agreed}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {"six-sounds": six_sounds, "tones": tones, "game": game, "esc10": esc10}
    parser.add_argument("--on", nargs="+", choices=known, default=["six-sounds"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--most", type=int, default=max(POWERS), help="the largest budget, in evaluations")
    parser.add_argument("--grid", type=int, default=8, help="cells along each axis, on six sounds")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/localized"), help="the folder of the mixtures"
    )
    parser.add_argument("--out", type=Path, help="a Markdown file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict] = []
    for chosen in options.on:
        more = {"esc10": (options.data,), "six-sounds": (options.grid,)}.get(chosen, ())
        asked = known[chosen](options.clips, *more)
        for name, question in asked:
            rows += measure(name, question, options.kinds, options.seeds, options.most)
            print(f"{name}: {len(rows)} maps", flush=True)
    text = report(pd.DataFrame(rows))
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        command = (
            f"--on {' '.join(options.on)} --kinds {' '.join(options.kinds)} --most {options.most} --grid {options.grid}"
        )
        command += f" --clips {options.clips} --seeds {options.seeds}"
        options.out.write_text(f"{text}\n\nMade by `python benchmarks/estimators.py {command}`.\n")


if __name__ == "__main__":
    main()
