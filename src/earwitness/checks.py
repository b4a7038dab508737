"""The laws as functions: what must hold for every cut, every question and every method, yours included.

    from earwitness import checks
    checks.check_components(question.components)
    checks.check_question(question)
    checks.check_explainer(MyMethod(), expected=lambda w: np.abs(w))
    checks.check_metric(MyMetric())

Each check asserts: it raises an `AssertionError` that says what was expected and what came, and returns nothing. All
chance in it comes from its seed.

| what | laws |
|---|---|
| components | mix(1) is the clip, mix(0) the baseline; mix is affine; `collect` undoes its spreading; kept + removed = clip |
| question | batching changes nothing; the gradient is the slope; asking leaves no trace; a replaced question answers anew |
| explainer | a linear game's weights come back; no effect gives 0; equals get equal values; shares add up; same seed, same bits |
| metric | the perfect answer scores best; the negated answer never beats it; same seed, same score; bounds; no trace |
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from earwitness.audio import Audio
from earwitness.components import Components
from earwitness.errors import UsageError
from earwitness.explainers import LIME, Explainer
from earwitness.explanations import Explanation
from earwitness.metrics import Metric
from earwitness.questions import AudioQuestion, Game, Question

SIGMAS = (
    5.0  # standard errors that a sampled number may be off; they come from few blocks, so their tails are Student's
)


def check_components(components: Components, seed: int = 0) -> None:
    """A cut clip: `mix`, `collect` and `sound` fit together. Tolerance: 1e-6 of the largest number at the stage."""
    x, ones = components.x, torch.ones(1, *components.shape, device=components.x.device)
    for number, ground in enumerate(components.baselines):
        near = 1e-6 * float(torch.maximum(x.abs().max(), ground.abs().max()).clamp(min=1e-30))
        _close("mix(1), the clip", components.mix(ones, number)[0], x, near)
        _close("mix(0), the baseline", components.mix(0 * ones, number)[0], ground, near)
        first, second, t = _masks(components.shape, 3, seed, x.device).split(1)
        t = t.flatten()[0]
        straight = t * components.mix(first, number) + (1 - t) * components.mix(second, number)
        mixed = components.mix(t * first + (1 - t) * second, number)
        _close("mix of a mixture, the mixture of the mixes", mixed, straight, 5 * near)
        _check_collect(components, first, number, seed)
    _check_sound(components, first[0])


def _check_collect(components: Components, mask: Tensor, number: int, seed: int) -> None:
    """A map v gathered by component: sum of v (mix(m) - baseline) = sum of m collect(v (x - baseline))."""
    ground, x = components.baselines[number], components.x
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
    try:
        gathered = components.collect(v * (x - ground))
    except UsageError:  # bands of a waveform: a map over samples says nothing about them
        return
    spread = (v * (components.mix(mask, number)[0] - ground)).double()
    size = float(spread.abs().sum()) + 1e-30
    _close("sum of the collected map", (mask[0] * gathered).double().sum(), spread.sum(), 1e-5 * size)


def _check_sound(components: Components, mask: Tensor) -> None:
    """Where components are sounds, what a mask keeps and what it removes add up to the clip."""
    kept, removed = components.sound(mask), components.sound(1 - mask)
    if kept is not None and removed is not None:
        clip = components.x if components.stage == "waveform" else components.sound(torch.ones_like(mask))
        _close("kept + removed, the clip", kept + removed, cast(Tensor, clip), 1e-6 * float(kept.abs().max()))


def check_question(question: Question, *, gradient: bool = True, seed: int = 0) -> None:
    """A question: batches, gradient, traces, replacement, listening. gradient=False for models that have none."""
    with _untouched(question):
        check_batching(question, seed)
        if gradient:
            check_gradient(question, seed)
        if isinstance(question, AudioQuestion):
            check_replaced(question, seed)
            if isinstance(question.audio, Audio) and all(axis.unit in ("s", "Hz") for axis in question.axes):
                check_hearing(question, seed)


def check_batching(question: Question, seed: int = 0) -> None:
    """The batch size changes values by at most 1e-5 of their spread (over random masks, all and nothing)."""
    masks = _masks(question.shape, 11, seed)
    masks[0], masks[1] = 1, 0
    values = _in_batches(question, 11).value(masks)
    near = 1e-5 * float(values.max() - values.min())
    for batch in (1, 4):
        _close(f"values in batches of {batch}", _in_batches(question, batch).value(masks), values, near)


def check_gradient(question: Question, seed: int = 0, near: float = 0.01) -> None:
    """The gradient along a short line adds up to the difference of the values at its ends, within a share `near`.

    The sum over 64 points forgives the kinks of rectifiers and pools, at which a single difference quotient is off.
    """
    start, direction = _masks(question.shape, 2, seed)
    start, direction = 0.3 + 0.4 * start, 0.2 * (direction - 0.5)
    points = start + direction * ((torch.arange(64) + 0.5) / 64).reshape(-1, *[1] * start.ndim)
    steps = question.gradient(points) * direction.double()
    ends = question.value(torch.stack([start, start + direction]))
    size = float(steps.mean(0).abs().sum()) + 1e-12
    _close("the gradient, added up along a line", steps.flatten(1).sum(1).mean(), ends[1] - ends[0], near * size)


def check_replaced(question: AudioQuestion, seed: int = 0) -> None:
    """The same question about another clip answers like one that is asked from the start."""
    other, other_clip = replace(question, audio=_noisy(question.audio, seed)), _noisy(question.audio, seed)
    masks = _masks(other.shape, 3, seed)
    fresh = AudioQuestion(question.classifier, other_clip, question.factorization, question.target, question.batch)
    new = other.value(masks)
    _close("values of a replaced question", new, fresh.value(masks), 0.0)
    if other.shape == question.shape:  # cuts along the sound itself (superpixels) differ from clip to clip
        old = question.value(masks)
        assert not torch.equal(new, old), f"another clip, yet the replaced question answers as before: {old.tolist()}"


def check_hearing(question: AudioQuestion, seed: int = 0) -> None:
    """What is heard of a mask and what is removed add up to the clip, to 1e-6 of its peak."""
    clip = question.audio
    assert isinstance(clip, Audio), "ready features have no sound that could be heard"
    heard = Explanation.of(question, _masks(question.shape, 1, seed)[0], kind="mask", score=0.0, baseline=0.0)
    kept, removed = (heard.hear(None, remove=remove).audio.samples for remove in (False, True))
    _close("kept + removed, the clip", kept + removed, clip.samples, 1e-6 * clip.peak)


def check_explainer(
    explainer: Explainer, expected: Callable[[np.ndarray], np.ndarray] | None = None, seed: int = 0
) -> None:
    """A method: on a linear game, on one with interactions, and asked twice.

    expected: from the weights of a linear game to the method's values; by default the weights themselves for shares and
        effects, and their order for importances and masks.
    The laws of `explainer.axioms` are those that it claims.
    """
    check_linear(explainer, expected, seed)
    if "dummy" in explainer.axioms:
        check_dummy(explainer, seed)
    if "symmetry" in explainer.axioms:
        check_symmetry(explainer, seed)
    if "completeness" in explainer.axioms:
        check_completeness(explainer, seed)
    check_reproducible(explainer, seed)


def check_linear(
    explainer: Explainer, expected: Callable[[np.ndarray], np.ndarray] | None = None, seed: int = 0
) -> None:
    """The weights of a linear game: to 1e-5 of the largest, or within the standard error that the method reports."""
    weights = np.random.default_rng(seed).permutation([3.0, -2.0, 1.5, 1.0, 1.0, 0.5, -0.5, 0.0])
    found = explainer(linear_game(weights))
    if expected is None and explainer.kind in ("importance", "mask"):
        order = np.argsort(np.abs(weights), kind="stable")
        got = (int(found.values.argmin()), int(found.values.argmax()))
        assert got == (order[0], order[-1]), f"weights {weights}: least and most important {got} of {found.values}"
        return
    true = weights if expected is None else expected(weights)
    top = np.abs(true).max()
    near = 1e-5 * top if found.stderr is None else SIGMAS * found.stderr + 1e-9 * top
    worst = np.max(near) / SIGMAS
    assert worst < 0.25 * top, f"a standard error of {worst:.3g} says nothing about numbers of {top:.3g}: sample more"
    _close(f"the numbers of a linear game with weights {weights}", found.values, true, near)


def check_dummy(explainer: Explainer, seed: int = 0) -> None:
    """A component that the game ignores gets 0, to 1e-6 of the largest value."""
    found = explainer(_interacting(seed)).values
    _close("the value of a component without effect", found[3], 0.0, 1e-6 * np.abs(found).max())


def check_symmetry(explainer: Explainer, seed: int = 0) -> None:
    """Components 0 and 1, which the game cannot tell apart, get equal values: to 1e-6, or within the standard errors."""
    found = explainer(_interacting(seed))
    errors = 0.0 if found.stderr is None else SIGMAS * np.hypot(*found.stderr[:2])
    near = errors + 1e-6 * np.abs(found.values).max()
    _close("the value of an equal component", found.values[0], found.values[1], near)


def check_completeness(explainer: Explainer, seed: int = 0) -> None:
    """Shares add up to value(1) - value(0): to 1e-4 of it, or within the standard errors."""
    found = explainer(_interacting(seed))
    errors = 0.0 if found.stderr is None else SIGMAS * np.sqrt((found.stderr**2).sum())
    _close("the sum of the shares", found.values.sum(), found.total, errors + 1e-4 * abs(found.total))


def check_reproducible(explainer: Explainer, seed: int = 0) -> None:
    """Asked twice: the same bits; in other batches: the same masks; and no global random state is touched."""
    seen: dict[int, list[Tensor]] = {1024: [], 7: []}
    game = _interacting(seed)

    def watched(batch: int) -> Game:
        return Game(game.shape, lambda m: (seen[batch].append(m.detach().clone()), game.function(m))[1], batch=batch)

    with _untouched(game):
        first, again = explainer(game), explainer(game)
        for batch in seen:
            explainer(watched(batch))
    np.testing.assert_array_equal(again.values, first.values, "the same seed must give the same bits")
    masks = [torch.cat(rows) if rows else torch.empty(0) for rows in seen.values()]
    assert torch.equal(*masks), "the masks must not depend on the batch size"


def check_metric(metric: Metric, seed: int = 0, question: Question | None = None) -> None:
    """A metric. Of faithfulness or truth, on a linear game: the perfect answer scores best, the negated one never beats it.
    Of any family: the seed decides, bounds hold, asking leaves no trace.

    The perfect answer is the weights, the cause the components that argue for the target. Tolerance: 1e-9 of the score.
    question: a real one, for metrics that ask for more than a game has (a clip, probabilities, weights). What is perfect isn't
        known there, so only the laws of any family are checked. A small classifier and few components make it quick.
    """
    if question is None and metric.family in ("faithfulness", "truth"):
        check_perfect(metric, seed)
        check_negated(metric, seed)
    check_repeatable(metric, seed, question)


def check_perfect(metric: Metric, seed: int = 0) -> None:
    """Neither the weights in another order, nor noise, nor nothing scores better than the weights; the bounds hold."""
    rng, (game, weights) = np.random.default_rng(seed), _judged(seed)
    perfect = _scored(metric, game, weights)
    others = [*(rng.permutation(weights) for _ in range(20)), *rng.standard_normal((20, weights.size)), 0 * weights]
    for values in others:
        score = _scored(metric, game, values)
        assert not _beats(metric, score, perfect), f"the perfect answer, {perfect}, is beaten by {values}, {score}"


def check_negated(metric: Metric, seed: int = 0) -> None:
    """The weights with their signs changed score no better than the weights."""
    game, weights = _judged(seed)
    perfect, negated = _scored(metric, game, weights), _scored(metric, game, -weights)
    assert not _beats(metric, negated, perfect), f"the negated answer, {negated}, beats the perfect one, {perfect}"


def check_repeatable(metric: Metric, seed: int = 0, question: Question | None = None) -> None:
    """Scored twice: the same bits, also of values that are all equal; in other batches: 1e-5 of it, at most.

    Real classifiers round otherwise in other batches, and metrics subtract what hardly differs: there, 1e-3.
    """
    game, weights = _judged(seed)
    asked, near = (game, 1e-5) if question is None else (question, 1e-3)
    chance = np.random.default_rng(seed).standard_normal(asked.shape)
    for values in (weights if question is None else chance, np.ones(asked.shape)):
        with _untouched(asked):
            first, again = _scored(metric, asked, values), _scored(metric, asked, values)
        assert first == again, f"the same seed must give the same score: it was {first!r} and is {again!r}"
        _close("the score in batches of 3", _scored(metric, _in_batches(asked, 3), values), first, near * abs(first))


def _judged(seed: int) -> tuple[Game, np.ndarray]:
    """A linear game whose cause is known, and its weights."""
    weights = np.random.default_rng(seed).permutation([3.0, -2.0, 1.5, 1.0, 1.0, 0.5, -0.5, 0.0])
    game = linear_game(weights)
    game.cause = (weights > 0).astype(float)
    return game, weights


def _scored(metric: Metric, question: Question, values: np.ndarray) -> float:
    """The score of values put on the table, as if LIME had found them; it has to keep the metric's bounds."""
    kind = "share" if metric.family == "axioms" else "effect"
    found = Explanation.of(question, values, kind=kind, explainer=LIME(samples=16))
    score, (low, high) = metric(question, found), metric.bounds
    assert (low is None or score >= low) and (high is None or score <= high), f"{score!r} is out of {metric.bounds}"
    return score


def _beats(metric: Metric, score: float, other: float) -> bool:
    ahead = score - other if metric.better == "higher" else other - score
    return ahead > 1e-9 * abs(other)


def linear_game(weights: np.ndarray) -> Game:
    """value(m) = 1 + sum of weights * m, in double precision."""
    w = torch.as_tensor(weights, dtype=torch.float64)
    return Game(tuple(w.shape), lambda m: 1 + (m.double() * w).flatten(1).sum(1))


def _interacting(seed: int) -> Game:
    """Five components: 0 and 1 play the same part, 2 and 4 interact with them, 3 has no effect."""
    a, b = (float(number) for number in 1 + np.random.default_rng(seed).random(2))
    return Game(5, lambda m: _played(m.double(), a, b))


def _played(m: Tensor, a: float, b: float) -> Tensor:
    return a * m[:, 0] * m[:, 1] + b * (m[:, 0] + m[:, 1]) * m[:, 4] + torch.sin(2 * m[:, 2]) + m[:, 4]


def _masks(shape: tuple[int, ...], count: int, seed: int, device: torch.device | str = "cpu") -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)).to(device)


def _in_batches(question: Question, batch: int) -> Question:
    """The same question, already cut, in other batches."""
    twin = copy.copy(question)
    object.__setattr__(twin, "batch", batch)
    return twin


def _noisy(clip: Audio | Tensor, seed: int) -> Audio | Tensor:
    """Another clip, of the same kind."""
    samples = clip.samples if isinstance(clip, Audio) else clip
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(seed)).to(samples)
    noisy = samples + samples.std() * noise
    return clip.with_samples(noisy, "made noisy") if isinstance(clip, Audio) else noisy


@contextmanager
def _untouched(question: Question) -> Iterator[None]:
    """Asking must leave parameters, buffers, modes, gradients, hooks and global random states as they were."""
    before = _state(question)
    yield
    for name, now in _state(question).items():
        was = before.pop(name, None)
        same = (
            torch.equal(now, was) if isinstance(now, Tensor) and isinstance(was, Tensor) else now is was or now == was
        )
        assert same, f"asking must not change {name}: it was {was} and is {now}"
    assert not before, f"asking must not remove {list(before)}"


def _state(question: Question) -> dict[str, object]:
    random = np.random.get_state(legacy=False)["state"]
    state: dict[str, object] = {
        "torch's random state": torch.get_rng_state(),
        "numpy's random state": (random["key"].tobytes(), random["pos"]),
    }
    if isinstance(question, AudioQuestion):
        for name, part in question.classifier.named_modules():
            state |= {f"the mode of {name or 'the classifier'}": part.training}
            state |= {f"the hooks of {name or 'the classifier'}": len(part._forward_hooks)}
        for name, value in [*question.classifier.named_parameters(), *question.classifier.named_buffers()]:
            state |= {name: value.detach().clone(), f"the gradient of {name}": value.grad}
            state |= {f"requires_grad of {name}": value.requires_grad}
    return state


def _close(what: str, came: Tensor | np.ndarray | float, expected: Tensor | np.ndarray | float, near) -> None:
    """Assert that |came - expected| <= near everywhere."""
    came, expected = (np.asarray(torch.as_tensor(t).detach().cpu(), np.float64) for t in (came, expected))
    assert came.shape == expected.shape, f"{what}: expected shape {expected.shape}, came {came.shape}"
    off = np.abs(came - expected)
    excess = off - near
    if not np.all(excess <= 0):  # also where something is NaN
        worst = np.unravel_index(np.argmax(np.nan_to_num(excess, nan=np.inf)), off.shape)
        allowed = float(np.broadcast_to(near, off.shape)[worst])
        raise AssertionError(
            f"{what}: expected {float(expected[worst]):.9g}, came {float(came[worst]):.9g} at {[int(i) for i in worst]} "
            f"({float(off[worst]):.3g} off, {allowed:.3g} allowed)"
        )
