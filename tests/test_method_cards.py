"""The cards of the methods: one for each class, and true to it; a table of costs that is what the network says.

The guide in front of them quotes figures: they must stand on the pages that it names.
"""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import earwitness as ew
from earwitness.explainers import METHODS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
NAMES = [method.__name__ for method in METHODS]
PARTS = ("Numbers", "Asked about", "Cannot see", "Defaults", "Costs", "Source")
CHEAP = 70  # evaluations that a test may make for one method
FIGURE = re.compile(r"(?<![\w.])(?:\d+\.\d+|\d{2,})")
TRUTH, ESTIMATORS, VERDICTS = "truth/README.md", "estimators.md", "verdicts.md"
FIGURES = [  # in which point of the guide, and where it is from
    (1, TRUTH, r"^(\d+) clips of 6 trials"),
    (1, TRUTH, r"^\| deletion \| (16) \| 163"),
    *((1, TRUTH, rf"^\| {method} \| 163 \| ([\d.]+) ") for method in ("lrp", "smooth-grad", "sobol", "loudness")),
    *((1, TRUTH, rf"^\| {method} \| (\d+) \| [\d.]+ \| \w+\(") for method in ("smooth-grad", "sobol")),
    *((1, TRUTH, rf"^\| {method} \| ([\d.]+) \[") for method in ("lrp", "sobol")),  # scenes
    *((1, TRUTH, rf"^\| {method} \|(?:[^|]+\|){{4}} ([\d.]+) \[") for method in ("lrp", "sobol")),  # gap
    (2, TRUTH, r"of Sobol\. scenes: silence ([\d.]+),"),
    (2, TRUTH, r"of Sobol\. scenes: silence [\d.]+, noise floor ([\d.]+),"),
    *((at, ESTIMATORS, r"setting \| 0.90 \| ratio \| (0.95) \|") for at in (4, 6)),
    (4, ESTIMATORS, r"six sounds \| Shapley \| permutations, anti.+?\|[^|]+\|[^|]+\| (\d+) \|"),
    (4, ESTIMATORS, r"six sounds \| Shapley \| KernelSHAP.+?\|[^|]+\|[^|]+\| (\d+) \|"),
    *((4, ESTIMATORS, rf"{on} \| Shapley \| permutations, anti.+?\|[^|]+\|[^|]+\| (\d+) \|") for on in ("noise", "silence")),
    *((5, TRUTH, rf"^\| {method} \| 163 \| ([\d.]+) ") for method in ("saliency", "gradient-input", "gradient")),
    *((6, ESTIMATORS, rf"{on} \| Sobol \| import.+?\|[^|]+\|[^|]+\| (?:> )?(\d+) \|") for on in ("sounds", "noise", "silence")),
    (6, VERDICTS, r"## Spoken digits[\s\S]+?\| the explanation \| \d+ \| ([\d.]+)%"),
    (6, VERDICTS, r"\| of another label \| \d+ \| ([\d.]+)%"),
    *((10, "localization/README.md", rf"^\| {method} \| ([\d.]+) ") for method in ("Sobol", "Loudness")),  # in time
]  # fmt: skip


def cards(page: str) -> dict[str, str]:
    """Text by heading of the third level."""
    found = re.findall(r"^### (.+?)\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert len(found) == len(dict(found)), "a method has two cards"
    return dict(found)


def table(page: str) -> list[list[str]]:
    """The cells of the table of costs, row by row."""
    lines = page.split(costs.BEGIN)[1].split(costs.END)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def benchmark():
    spec = importlib.util.spec_from_file_location("method_costs", ROOT / "benchmarks" / "method_costs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their own
    spec.loader.exec_module(module)
    return module


costs = benchmark()


@pytest.fixture(scope="module")
def asked() -> list[tuple[type[ew.Explainer], str, ew.AudioQuestion]]:
    """What the benchmark asks, about a clip of noise."""
    clip = ew.Audio(0.1 * np.random.default_rng(0).standard_normal(80000), 16000)
    return list(costs.questions(ew.load_classifier(costs.MODEL, device="cpu"), clip, "dog"))


def test_every_method_has_a_card_and_every_card_a_method():
    assert sorted(cards(PAGE)) == sorted(NAMES)


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_a_card_is_whole_and_true_to_its_class(method):
    card = cards(PAGE)[method.__name__]
    parts = re.findall(r"^- \*\*(.+?)\*\*: (.+)", card, re.MULTILINE)
    assert tuple(name for name, _ in parts) == PARTS
    assert re.match(r"\w+", dict(parts)["Numbers"])[0] == method.kind
    assert re.search(r"^\*.+\?\*$|^\*.+\.\*$", card, re.MULTILINE), "no question"
    assert re.search(r"^    \S", card, re.MULTILINE), "no formula"


@pytest.mark.parametrize(
    ("method", "option"),
    [
        (ew.Sobol, "designs"), (ew.Shapley, "permutations"), (ew.KernelSHAP, "samples"), (ew.LIME, "samples"),
        (ew.LIME, "width"), (ew.HSIC, "samples"), (ew.RISE, "samples"), (ew.SmoothGrad, "samples"), (ew.SmoothGrad, "noise"),
        (ew.IntegratedGradients, "steps"), (ew.ExpectedGradients, "samples"), (ew.GradientSHAP, "samples"),
        (ew.SilenceMap, "samples"), (ew.SilenceMap, "noise"), (ew.LRP, "composite"), (ew.Conductance, "steps"),
        (ew.ActivationMap, "quantile"), (ew.LevelSilenceMap, "samples"), (ew.LevelSilenceMap, "noise"), (ew.Random, "seed"),
    ],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)  # fmt: skip
def test_defaults_on_a_card_are_those_of_the_class(method, option):
    default = getattr(method(), option)
    told = re.search(r"\*\*Defaults\*\*: (.*?)\n- \*\*", cards(PAGE)[method.__name__], re.DOTALL)[1]
    shown = f"{default:,}" if isinstance(default, int) else str(default)
    assert re.search(rf"(?<![\d.,]){re.escape(shown)}(?![\d]|[.,]\d)", told), f"{option}={shown} is not in: {told}"


def test_the_table_has_the_rows_that_the_benchmark_makes(asked):
    assert {row[0] for row in table(PAGE)} == set(NAMES)
    assert [row[:2] for row in table(PAGE)] == [[method.__name__, about] for method, about, _ in asked]


def test_the_table_says_what_the_methods_expect_and_the_network_counts(asked):
    """The dear ones are not made again: their count is their own formula."""
    for (method, about, question), row in zip(asked, table(PAGE), strict=True):
        evaluations, forward, backward = (int(cell.replace(",", "")) for cell in row[2:5])
        assert evaluations == forward == method().expected(question), row
        if forward <= CHEAP:
            passes = costs.counted(method, about, question).passes
            assert (passes.forward, passes.backward) == (forward, backward), row


def test_what_makes_backward_passes_says_that_it_needs_gradients():
    needs = {name for name, card in cards(PAGE).items() if re.search(r"\*\*Asked about\*\*: .*; gradients[.,]", card)}
    assert needs == {row[0] for row in table(PAGE) if row[4] != "0"}


def test_passes_are_counted_at_the_network(tone):
    classifier = ew.load_classifier(ROOT / "models" / "tones", device="cpu")
    question = ew.ask(classifier, tone(seconds=0.5)[0], ew.Grid(2, 2), "low")
    _ = question.components
    with costs.passing(classifier.network) as passes:
        question.value(np.ones((19, 2, 2)))
        question.gradient(np.ones((11, 2, 2)))
    question.gradient(np.ones((3, 2, 2)))
    assert (passes.forward, passes.backward) == (30, 11)


def test_the_table_is_written_between_its_markers_and_nowhere_else():
    page = f"before\n{costs.BEGIN}\nold\n{costs.END}\nafter\n"
    once = costs.written(page, "new")
    assert once == f"before\n{costs.BEGIN}\n\nnew\n\n{costs.END}\nafter\n" == costs.written(once, "new")


def measured(page: str, where: str) -> str:
    """A figure on a page of results."""
    found = re.search(where, (ROOT / "docs" / "results" / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{where} is not on {page}"
    return found[1]


def points_of_the_guide() -> list[str]:
    guide = PAGE.split("## Which one should I take?")[1].split("\n## ")[0]
    return re.split(r"^\d+\. ", guide, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize(("number", "page", "where"), FIGURES)
def test_figures_of_the_guide_are_those_that_were_measured(number, page, where):
    found = measured(page, where)
    point = points_of_the_guide()[number - 1]
    assert f"(results/{page})" in point
    assert found in FIGURE.findall(point)


def test_the_guide_has_no_other_figures():
    for number, point in enumerate(points_of_the_guide(), 1):
        known = {measured(page, where) for at, page, where in FIGURES if at == number}
        assert set(FIGURE.findall(point)) == known, number
