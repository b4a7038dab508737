"""A question: one clip (or game), one cut, one classifier, one target, joined into a function of the mask.

    value(m) = score(mix(m)), averaged over the baselines              v(S) of Shapley's game, on [0, 1]

Explainers choose masks and ask for `value`, `gradient`, `slope` or `logits`; batching, device, evaluation mode, gradients and
progress live here and nowhere else. Evaluations are counted where they happen: see `counting` and `reporting`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from earwitness.axes import Axis
from earwitness.errors import InputError, ModelError

Masks = Tensor | np.ndarray | Sequence  # [batch, *shape]


@dataclass
class Count:
    """How often a model was asked: rows through it, forward and backward together counted once."""

    evaluations: int = 0


_counts: ContextVar[tuple[Count, ...]] = ContextVar("counts", default=())
_reports: ContextVar[Callable[[int, int | None], None] | None] = ContextVar("reports", default=None)
_expected: ContextVar[int | None] = ContextVar("expected", default=None)
_ends: ContextVar[dict[int, tuple]] = ContextVar("ends")
_values: ContextVar[dict[tuple, float] | None] = ContextVar("values", default=None)


@contextmanager
def counting(expected: int | None = None) -> Iterator[Count]:
    """Count the evaluations inside. expected: how many there will be, for whoever watches."""
    count = Count()
    tokens = _counts.set((*_counts.get(), count)), _expected.set(expected)
    try:
        yield count
    finally:
        _counts.reset(tokens[0])
        _expected.reset(tokens[1])


@contextmanager
def remembering_ends() -> Iterator[None]:
    """Ask for the ends of a question only once inside, however often they are needed."""
    token = _ends.set({})
    try:
        yield
    finally:
        _ends.reset(token)


@contextmanager
def remembering_values() -> Iterator[None]:
    """Ask for the value of a mask only once inside, for experiments that look at the same masks again and again.

    Every mask that was asked for is kept until the end.
    """
    token = _values.set({})
    try:
        yield
    finally:
        _values.reset(token)


@contextmanager
def reporting(report: Callable[[int, int | None], None]) -> Iterator[None]:
    """Call `report(rows, expected)` after each batch inside: the rows just evaluated, and how many are expected in all."""
    token = _reports.set(report)
    try:
        yield
    finally:
        _reports.reset(token)


class Question(ABC):
    """A function of the mask.

    axes, shape: of the masks.  unit: of the values.  x: `[*x]`, the input itself.  baselines: `[K, *x]`.
    batch: rows that go through the model at once.  cause: `[*shape]` in [0, 1], where it is known, else None.
    """

    axes: tuple[Axis, ...]
    unit: str
    batch: int
    x: Float[Tensor, "*x"]
    baselines: Float[Tensor, "baselines *x"]
    cause: np.ndarray | None = None

    @abstractmethod
    def mix(self, masks: Float[Tensor, "batch *shape"], baseline: int = 0) -> Float[Tensor, "batch *x"]:
        """`[B, *x]`: the inputs that masks `[B, *shape]` stand for."""

    @abstractmethod
    def score(self, x: Float[Tensor, "batch *x"]) -> Float[Tensor, "batch"]:
        """`[B]`: the explained number for inputs `[B, *x]`."""

    @abstractmethod
    def collect(self, values: Float[Tensor, "*x"]) -> Float[Tensor, "*shape"]:
        """`[*shape]`: the sum over each component of a map `[*x]`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one mask."""
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> int:
        """The number of components."""
        return int(np.prod(self.shape))

    @property
    def ones(self) -> Float[Tensor, "1 *shape"]:
        """`[1, *shape]`: the mask that keeps everything."""
        return torch.ones(1, *self.shape, device=self.x.device)

    @final
    def ends(self) -> tuple[float, float]:
        """value(1) and value(0): the score of everything, and of nothing. Cost: two evaluations a baseline."""
        known = _ends.get({})
        if id(self) not in known:
            known[id(self)] = tuple(self.value(torch.cat([self.ones, 0 * self.ones])).tolist())
        return known[id(self)]

    @final
    def value(self, masks: Masks, baseline: int | None = None) -> Float[Tensor, "batch"]:
        """`[B]`, float64: the score of each mask `[B, *shape]`, averaged over the baselines unless one is named.

        Cost: one evaluation a mask and baseline. Raises `ModelError` where the model answers NaN.
        """
        with torch.no_grad():
            values = _recalled(self, masks, baseline, lambda rows, index: _counted(self.score(self.mix(rows, index))))
        return _finite(values)

    @final
    def gradient(self, masks: Masks, baseline: int | None = None) -> Float[Tensor, "batch *shape"]:
        """`[B, *shape]`, float64: d value / d mask. Cost: as `value`, with a backward pass."""
        return self._averaged(
            masks, baseline, lambda rows, index: _slope(lambda m: self.score(self.mix(m, index)), rows)
        )

    @final
    def slope(self, x: Float[Tensor, "batch *x"]) -> Float[Tensor, "batch *x"]:
        """`[B, *x]`: d score / d input at inputs `[B, *x]`. Cost: one evaluation a row, with a backward pass."""
        with self._asking():
            return torch.cat([_slope(self.score, rows) for rows in x.split(self.batch)])

    @final
    def logits(self, masks: Masks, baseline: int = 0) -> Float[Tensor, "batch classes"]:
        """`[B, classes]`: everything that the model answers to the masked inputs (games: the score alone)."""
        with self._asking(), torch.no_grad():
            rows = _masks(self, masks).split(self.batch)
            return _finite(torch.cat([_counted(self.answers(self.mix(part, baseline))) for part in rows]).cpu())

    def answers(self, x: Float[Tensor, "batch *x"]) -> Float[Tensor, "batch classes"]:
        """`[B, classes]` for inputs `[B, *x]`."""
        return self.score(x)[:, None]

    def _asking(self) -> AbstractContextManager:
        """What has to be in force while the model is asked."""
        return nullcontext()

    def _averaged(self, masks, baseline: int | None, ask: Callable[[Tensor, int], Tensor]) -> Tensor:
        """`ask(rows, baseline number)` batch by batch, averaged over the baselines; float64 on the CPU."""
        chosen = range(len(self.baselines)) if baseline is None else (baseline,)
        with self._asking():
            return torch.cat([
                cast(Tensor, sum(ask(rows, index).double().cpu() for index in chosen)) / len(chosen)
                for rows in _masks(self, masks).split(self.batch)
            ])  # fmt: skip


def _masks(question: Question, masks: Masks) -> Float[Tensor, "batch *shape"]:
    """The masks as a tensor beside the input; `InputError` where they are not shaped like the components."""
    found = torch.as_tensor(masks).to(question.x.device, torch.float32)
    if found.shape[1:] != question.shape:
        raise InputError(f"masks must be [B, {', '.join(map(str, question.shape))}], not {list(found.shape)}")
    return found


def _finite(answers: Tensor) -> Tensor:
    if not torch.isfinite(answers).all():
        raise ModelError("the model answers NaN or infinity to some of the masked inputs: it cannot be explained")
    return answers


def _recalled(question: Question, masks: Masks, baseline: int | None, ask: Callable[[Tensor, int], Tensor]) -> Tensor:
    """What was asked before is not asked again inside `remembering_values`."""
    memory = _values.get()
    if memory is None:
        return question._averaged(masks, baseline, ask)
    rows = _masks(question, masks)
    keys = [(question, baseline, row.tobytes()) for row in rows.cpu().numpy()]
    new = {key: number for number, key in enumerate(keys) if key not in memory}
    if new:
        memory.update(zip(new, question._averaged(rows[list(new.values())], baseline, ask).tolist(), strict=True))
    return torch.tensor([memory[key] for key in keys], dtype=torch.float64)


def _counted(answers: Tensor) -> Tensor:
    """The answers, after counting and reporting their rows."""
    for count in _counts.get():
        count.evaluations += len(answers)
    report = _reports.get()
    if report is not None:
        report(len(answers), _expected.get())
    return answers


def _slope(score: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """d sum(score) / d at, leaving no gradient anywhere else; each row's score depends on its own row alone."""
    with torch.inference_mode(False), torch.enable_grad():  # also where the caller has turned gradients off
        at = at.detach().clone().requires_grad_()
        answers = _counted(score(at))
        if not answers.requires_grad:
            raise ModelError("the model gives no gradient: choose a method that only asks, such as Sobol")
        (slope,) = torch.autograd.grad(answers.sum(), at, allow_unused=True)
    return torch.zeros_like(at) if slope is None else slope.detach()
