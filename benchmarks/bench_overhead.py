"""What does asking cost beyond the network's own forward pass?

Ratio of the processor time of an explanation to that of the bare forward passes it needs, both measured in this run, turn by
turn, one thread; the median of the turns. 1.00 would be no overhead. Beside it captum's FeatureAblation on the same network,
the same features and the same 64 regions, with its default of one region at a time and with eight.

    python benchmarks/bench_overhead.py
"""

import statistics
import time
from collections.abc import Callable

import torch
from captum.attr import FeatureAblation

import earwitness as ew
from earwitness.data.synthetic import Tones

TURNS = 7


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    classifier = ew.load_classifier("models/tones", device="cpu")
    scene = Tones()(0, "high")
    question = ew.ask(classifier, scene.audio, ew.Grid(8, 8), "high")
    cells = ew.ask(classifier, scene.audio, ew.Cells(bands=8, seconds=0.0625), "high")
    sobol = ew.Sobol(designs=4)
    rows, columns = question.components.groups
    regions = (rows[:, None] * 8 + columns)[None, None]
    features = question.x[None]

    def forward(rows: int, at_once: int = question.batch) -> Callable[[], object]:
        batch = question.x.expand(at_once, *question.x.shape).contiguous()

        def run() -> None:
            with torch.no_grad():
                for _ in range(-(-rows // at_once)):
                    classifier.network(batch)

        return run

    def ablation(at_once: int) -> Callable[[], object]:
        method = FeatureAblation(classifier.network)
        return lambda: method.attribute(features, target=1, feature_mask=regions, perturbations_per_eval=at_once)

    tasks = {
        "earwitness Sobol, grid 8 x 8 of the features": (lambda: sobol(question), sobol.cost(64) + 2),
        "earwitness Sobol, cells 8 x 8 of the waveform (with the front end)": (
            lambda: sobol(cells),
            sobol.cost(64) + 2,
        ),
        "captum FeatureAblation, its default (1 at a time)": (ablation(1), 65),
        "captum FeatureAblation, 8 at a time": (ablation(8), 65),
    }
    print("| explanation | forward passes | time / time of the bare forward passes |\n|---|---|---|")
    for name, (work, rows) in tasks.items():
        work()
        bare = forward(rows)
        ratios = [seconds(work) / seconds(bare) for _ in range(TURNS)]
        print(f"| {name} | {rows} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")


if __name__ == "__main__":
    main()
