"""What does each method ask of a network? Counted at the network itself, and timed against its bare forward pass.

    python benchmarks/method_costs.py        # writes the table into docs/methods.md; minutes on one core

Every method with its default settings explains a mixture of the fold that `models/esc10` never heard. Methods that go by
components have `Grid(8, 8)` of what the network eats, those that look at the input itself every bin, those about a layer the
places behind the last convolution. No network of tokens comes with the project: methods about attention are counted on
a small one that is made here, and not timed.

Forward: rows that come out of the network. Backward: rows of gradient that come back to its output. Both are seen by hooks on
the network, and so independent of the project's own count, which stands in the explanation as `evaluations`. What a question
asks once and keeps (the model's answer to the clip, what stands at a layer) is counted apart. Time: processor time of the
explanation, over that of as many bare forward passes (in batches as large as the question's) and over that of a single one, turn
by turn; the median of the turns, one thread.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

import earwitness as ew
from earwitness.classifiers.layouts import Layout, evenly
from earwitness.data.readers import mixtures
from earwitness.explainers import METHODS
from earwitness.questions.audio import default_components

ROOT = Path(__file__).parents[1]
MODEL, LAST = ROOT / "models" / "esc10", "features.18"  # the ReLU behind the last convolution
LAYER = (ew.GradCAM, ew.HiResCAM, ew.ScoreCAM, ew.Conductance, ew.ActivationMap)
TOKENS = (ew.AttentionRollout, ew.ActivationMap)
BEGIN, END = "<!-- costs: benchmarks/method_costs.py -->", "<!-- /costs -->"
WIDTH, PATCH = 12, (16, 25)  # of the small network of tokens; rows and frames of a patch
ONES = 8  # single forward passes that are timed together
KEPT = 31 * 2**20  # bytes; see `settle`


@dataclass
class Passes:
    """Rows through a network: forward, and of gradient back from its output."""

    forward: int = 0
    backward: int = 0


@contextmanager
def passing(network: nn.Module) -> Iterator[Passes]:
    """Count the rows inside, by hooks."""
    passes = Passes()

    def back(gradient: Tensor) -> None:
        passes.backward += len(gradient)

    def out(_: nn.Module, __: tuple, answers: Tensor) -> None:
        passes.forward += len(answers)
        if answers.requires_grad:
            answers.register_hook(back)

    handle = network.register_forward_hook(out)
    try:
        yield passes
    finally:
        handle.remove()


class Patches(nn.Module):
    """A network of tokens: patches behind one special token, two blocks of attention with a residual connection."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.patches, self.first = nn.Conv2d(1, WIDTH, PATCH, PATCH), nn.Parameter(torch.randn(1, 1, WIDTH))
        self.blocks = nn.Sequential(*(nn.TransformerEncoderLayer(WIDTH, 3, 24, 0.0, batch_first=True) for _ in "12"))
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.blocks(torch.cat([self.first.expand(len(x), 1, -1), tokens], 1))[:, 0])

    def layout(self, layer: str, shape: tuple[int, ...], axes: tuple[ew.Axis, ...]) -> Layout:
        """Where the tokens of any layer stand."""
        grid = tuple(axis.size // size for axis, size in zip(axes, PATCH, strict=True))
        return Layout(tuple(map(evenly, axes, grid)), grid, -1, 1)


@dataclass(frozen=True)
class Row:
    """One line of the table. ratios: of the time to as many forward passes, and to one; None where it is not timed."""

    method: str
    asked: str
    evaluations: int
    expected: int | None
    passes: Passes
    ratios: tuple[float, float] | None = None

    def __str__(self) -> str:
        counts = (f"{count:,}" for count in (self.evaluations, self.passes.forward, self.passes.backward))
        many, one = self.ratios or (None, None)
        times = ("–" if many is None else f"{many:.2f}", "–" if one is None else f"{float(f'{one:.2g}'):,g}")
        return f"| {' | '.join([self.method, self.asked, *counts, *times])} |"


def questions(classifier: ew.Classifier, audio: ew.Audio, label: str) -> Iterator[tuple[type, str, ew.AudioQuestion]]:
    """Every method, with what it is asked about."""
    tokens = ew.Classifier(Patches(len(classifier.labels)), classifier.frontend, classifier.labels).eval()
    for method in METHODS:
        if method in LAYER:
            yield method, f"places of `{LAST}`", ew.ask(classifier, audio, ew.Units(LAST), label)
        elif method not in TOKENS:
            cut = default_components(classifier, audio, method.stage)
            asked = "`Grid(8, 8)`" if isinstance(cut, ew.Grid) else "every bin"
            yield method, asked, ew.ask(classifier, audio, cut, label)
        if method in TOKENS:
            yield method, "tokens of a small network", ew.ask(tokens, audio, ew.Units("blocks.1"), label)


def counted(method: type[ew.Explainer], asked: str, question: ew.AudioQuestion) -> Row:
    """What one explanation asks of the network."""
    explainer = method()
    _ = question.components, question.clip_logits  # once a question, see `before`
    with passing(question.classifier.network) as passes:
        evaluations = explainer(question).evaluations
    return Row(method.__name__, asked, evaluations, explainer.expected(question), passes)


def timed(explainer: ew.Explainer, question: ew.AudioQuestion, rows: int) -> tuple[float, float]:
    """Time of the explanation, over that of so many bare forward passes, and over that of one."""
    x = question.classifier.at("features", question.given[None])

    def bare(count: int) -> None:
        with torch.no_grad():
            for first in range(0, count, question.batch):
                question.classifier.network(x.expand(min(question.batch, count - first), *x.shape[1:]).contiguous())

    def turn() -> tuple[float, float]:
        spent, many, ones = (seconds(work) for work in (lambda: explainer(question), lambda: bare(rows), one_by_one))
        return spent / many, spent / ones * ONES

    def one_by_one() -> None:
        for _ in range(ONES):
            bare(1)

    turns = [turn() for _ in range(3 if rows > 500 else 15)]
    return statistics.median(many for many, _ in turns), statistics.median(one for _, one in turns)


def settle() -> None:
    """Free a large block: the allocator of Linux (glibc) keeps from then on what is freed, up to blocks of this size.

    Before, it hands large blocks back to the system each time, or not, by chance: the same batch of forward passes then takes
    2.2 or 3.9 ms a row.
    """
    torch.ones(KEPT, dtype=torch.uint8)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def before(classifier: ew.Classifier, audio: ew.Audio) -> dict[str, int]:
    """Forward passes that a question makes once, whatever it is asked by."""
    with passing(classifier.network) as clip:
        _ = ew.ask(classifier, audio).clip_logits
    with passing(classifier.network) as features:
        _ = ew.ask(classifier, audio, ew.Grid(8, 8), 0).components
    with passing(classifier.network) as layer:
        _ = ew.ask(classifier, audio, ew.Units(LAST), 0).components
    return {"the answer to the clip": clip.forward, "a grid": features.forward, "the cut of a layer": layer.forward}


def report(rows: list[Row], once: dict[str, int]) -> str:
    """The table, what it says, and how it was made."""
    heads = "method | asked about | evaluations | forward | backward | time / as many forward | time / one forward"
    other = [row for row in rows if not row.evaluations == row.expected == row.passes.forward]
    differ = "; ".join(f"{r.method}: {r.expected}, {r.evaluations}, {r.passes.forward}" for r in other)
    told = f"differ: {differ}" if other else "are the same in every row"
    return "\n".join([
        *(f"| {heads} |", "|---" * 7 + "|", *map(str, rows), ""),
        f"Forward passes that a method expects, that it counts (`evaluations`) and that the network makes {told}. Besides",
        f"a question makes some once, and keeps what came: {', '.join(f'for {what} {count}' for what, count in once.items())}.",
        "",
        "Made by `python benchmarks/method_costs.py`. Recording: mixed from ESC-10, K. J. Piczak, CC BY 3.0.",
    ])  # fmt: skip


def written(page: str, text: str) -> str:
    """The page with the text between its markers."""
    start, rest = page.split(BEGIN)
    return f"{start}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("EARWITNESS_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data / "localized", help="the folder of the mixtures")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "methods.md", help="where the table stands")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settle()
    classifier = ew.load_classifier(MODEL, device="cpu")
    clip = next(clip for clip in mixtures(options.data) if clip.group == "5")
    audio, rows = clip.load(classifier.sample_rate), []
    for method, asked, question in questions(classifier, audio, clip.label):
        row = counted(method, asked, question)
        if question.classifier is classifier:
            row = replace(row, ratios=timed(method(), question, row.passes.forward))
        rows.append(row)
        print(row, flush=True)
    options.page.write_text(
        written(options.page.read_text(encoding="utf-8"), report(rows, before(classifier, audio))), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
