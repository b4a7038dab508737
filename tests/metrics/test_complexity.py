"""How much there is to look at, whether shares add up and zeros are right: closed forms, and the published formulas."""

from math import e, log

import numpy as np
import pytest

import earwitness as ew
from earwitness.metrics import Completeness, Complexity, EffectiveComplexity, NonSensitivity, Sparseness
from earwitness.questions import counting

BOTH = (Sparseness, Complexity)
RNG = np.random.default_rng(5)


def scored(metric, values, kind="effect", **known):
    game = ew.Game(np.shape(values), lambda m: m.flatten(1).sum(1))
    return metric(game, ew.Explanation.of(game, np.asarray(values, float), kind=kind, **known))


@pytest.mark.parametrize(
    ("values", "gini", "entropy"),
    [
        ([1, 0, 0, 0], 3 / 4, 0),
        ([0, -7, 0, 0], 3 / 4, 0),
        ([2, 2, 2, 2], 0, log(4)),
        ([0, 0, 0, 0], 0, log(4)),
        ([1, 1, 0, 0], 1 / 2, log(2)),
        ([1, 0, -1, 0], 1 / 2, log(2)),
        ([[1, 2], [3, 4]], 1 / 4, -sum(p * log(p) for p in (0.1, 0.2, 0.3, 0.4))),
        ([5], 0, 0),
    ],
)
def test_both_by_hand(values, gini, entropy):
    for unit in (1, -1, 1e-9, 1e9):
        found = [scored(metric(), unit * np.array(values, float)) for metric in BOTH]
        np.testing.assert_allclose(found, [gini, entropy], atol=1e-12)


def test_the_gini_index_is_the_mean_difference_over_twice_the_mean():
    values = RNG.standard_normal((6, 7))
    a = np.abs(values).ravel()
    assert scored(Sparseness(), values) == pytest.approx(np.abs(a[:, None] - a).mean() / (2 * a.mean()))


def test_entropy_counts_equal_components():
    for count in (1, 3, 17):
        assert scored(Complexity(), np.arange(20) < count) == pytest.approx(log(count))


@pytest.mark.parametrize("kind", ["effect", "mask"])
def test_the_published_figures_of_a_mask(kind):
    """As L-MAC's are computed: the mask over its maximum, a small number added; here values below 0 are not in it."""
    values = RNG.random((5, 8)) if kind == "mask" else RNG.standard_normal((5, 8))
    mask = np.maximum(values, 0) / values.max()
    v, p = np.sort(mask.ravel() + 1e-7), mask.ravel() / mask.sum()
    n = v.size
    published = [
        sum((2 * i - n - 1) * v[i - 1] for i in range(1, n + 1)) / (n * v.sum()),
        -sum(each * log(each + 1e-12) for each in p),
    ]
    np.testing.assert_allclose([scored(metric("mask"), values, kind) for metric in BOTH], published, rtol=1e-5)
    if kind == "effect":
        assert scored(Sparseness(), values) < scored(Sparseness("mask"), values)  # half of the mask is 0
    with pytest.raises(ew.UsageError, match="Did you mean mask"):
        Complexity("masks")


def test_sharper_maps_are_sparser_and_simpler():
    values = RNG.random(64)
    found = [[scored(metric(), values**power) for power in (0.5, 1, 2, 8)] for metric in BOTH]
    assert (np.diff(found[0]) > 0).all() and (np.diff(found[1]) < 0).all()
    assert found[0][1] == pytest.approx(1 / 3, abs=0.06)  # of uniform numbers
    assert found[1][1] == pytest.approx(log(64) + 1 / 2 - log(2), abs=0.06)
    assert e ** found[1][3] < 64 / 4


def test_completeness():
    """Seven is to be shared out."""
    for shares, gap in [([3, 4], 0), ([4, 4], 1 / 7), ([3, 3], 1 / 7), ([0, 0], 1), ([-3, -4], 2)]:
        assert scored(Completeness(), shares, "share", score=9.0, baseline=2.0) == pytest.approx(gap)
        assert scored(Completeness(), -np.array(shares), "share", score=2.0, baseline=9.0) == pytest.approx(gap)


def test_what_promises_no_sum():
    for kind in ("effect", "importance", "mask"):
        with pytest.raises(ew.UsageError, match=f"not applicable: numbers of kind '{kind}' promise no sum"):
            scored(Completeness(), [0.5, 0.5], kind)
    with pytest.raises(ew.UsageError, match="nothing to share out"):
        scored(Completeness(), [1, -1], "share", score=2.0, baseline=2.0)


def test_methods_that_share_out(cnn, tone):
    question = ew.ask(cnn(ew.LogMel(8000, 256, 128, 12)), tone(seconds=0.25)[0], ew.Grid(2, 3), "low")
    for method in (ew.Shapley(), ew.KernelSHAP()):
        assert Completeness()(question, method(question)) < 1e-5
    removed = ew.Occlusion()(question)
    as_shares = ew.Explanation.of(question, removed.values, "share")
    expected = abs(removed.values.sum() - removed.total) / abs(removed.total)
    assert Completeness()(question, as_shares) == pytest.approx(expected)
    assert expected > 0.01


def linear(weights, batch=1024):
    w = np.asarray(weights, float)
    return ew.Game(w.shape, lambda m: 1 + (m.numpy() * w).reshape(len(m), -1).sum(1), batch=batch)


def given(game, values):
    return ew.Explanation.of(game, np.asarray(values, float), kind="effect")


@pytest.mark.parametrize(
    ("values", "tolerance", "needed"),
    [
        ([4, 3, 2, 1], 0.05, 4),
        ([4, 3, 2, 1], 0.15, 3),
        ([4, 3, 2, 1], 0.35, 2),
        ([4, 3, 2, 1], 0.95, 1),
        ([1, 2, 3, 4], 0.35, 4),
        ([-4, 3, -2, 1], 0.35, 2),
    ],
)
def test_effective_complexity_of_a_linear_game(values, tolerance, needed):
    """Weights 4, 3, 2, 1: what is not among the best misses its weight of the ten."""
    game = linear([4, 3, 2, 1])
    found = EffectiveComplexity(tolerance)(game, given(game, values))
    assert found == needed / 4
    assert (found.values[0], found.values[-1]) == (1, 11)


def test_a_curve_that_only_passes_has_not_arrived():
    """The best one alone has the score of everything, and the next two move it away again."""
    game = linear([2, 1, -2, 1])
    assert EffectiveComplexity(0.1)(game, given(game, [4, 3, 2, 1])) == 1
    game = linear(np.ones(100))
    explanation = given(game, RNG.random(100))
    with counting() as count:
        assert EffectiveComplexity(0.31, steps=10)(game, explanation) == 0.7
    assert count.evaluations == 11
    still = linear([1, -1])
    with pytest.raises(ew.UsageError, match="nothing is needed"):
        EffectiveComplexity()(still, given(still, [1, 2]))
    with pytest.raises(ew.UsageError, match="tolerance"):
        EffectiveComplexity(1)


@pytest.mark.parametrize(
    ("values", "missed", "invented"),
    [
        ([5, -3, 0, 0], 0, 0),
        ([5, 0, 0, 0], 1, 0),
        ([5, -3, 2, 0], 0, 1),
        ([5, -3, 0.04, -0.04], 0, 0),
        ([5, -3, 0.06, -0.06], 0, 2),
        ([0, 0, 1, 1], 2, 2),
        ([0, 0, 0, 0], 2, 0),
    ],
)
def test_zeros_that_are_right(values, missed, invented):
    """Two components matter and two don't."""
    for batch in (1, 3, 100):
        game = linear([2, -1, 0, 0], batch)
        explanation = given(game, values)
        with counting() as count:
            found = NonSensitivity()(game, explanation)
        assert count.evaluations == 5
        assert (found.parts, found) == ({"missed": missed / 4, "invented": invented / 4}, (missed + invented) / 4)
    game = linear([[2, -1], [0, 0]])
    assert NonSensitivity()(game, given(game, np.reshape(values, (2, 2)))) == found
    with pytest.raises(ew.UsageError, match="tolerance"):
        NonSensitivity(0)


def test_methods_that_keep_zero_zero():
    game = ew.Game(5, lambda m: m[:, 0] * m[:, 1] + m[:, 2] ** 2)
    for method in (ew.Occlusion(), ew.Shapley(), ew.Saliency(), ew.Sobol(designs=256)):
        assert NonSensitivity()(game, method(game)) == 0
    assert NonSensitivity()(game, ew.Random()(game)).parts == {"missed": 0, "invented": 2 / 5}
