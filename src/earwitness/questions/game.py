"""A bare game: any function of the mask. Every explainer can be tried, and every law tested, without a sound."""

from collections.abc import Callable
from operator import index
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor

from earwitness.axes import counted
from earwitness.errors import ModelError, UsageError
from earwitness.questions.base import Question


class Game(Question):
    """A question whose value is `function(masks)`.

    shape: of a mask; an int for a row of components.
    function: float32 `[B, *shape]` to `[B]` (a tensor, or anything that numpy can read).
    gradient: `[B, *shape]` to `[B, *shape]`; by default the function is differentiated, if it is torch throughout.
    cause: `[*shape]`, what the true explanation is, if known.
    """

    unit = "score"

    def __init__(
        self,
        shape: SupportsIndex | tuple[int, ...],
        function: Callable[[Tensor], Tensor],
        gradient: Callable[[Tensor], Tensor] | None = None,
        cause: np.ndarray | None = None,
        batch: int = 1024,
    ) -> None:
        places = (index(shape),) if isinstance(shape, SupportsIndex) else tuple(shape)
        names = ("frequency", "time") if len(places) == 2 else [f"component{i or ''}" for i in range(len(places))]
        self.axes = tuple(counted(name, size) for name, size in zip(names, places, strict=True))
        self.function, self.given_gradient, self.cause, self.batch = function, gradient, cause, batch
        self.x, self.baselines = torch.ones(places), torch.zeros(1, *places)

    def mix(self, masks: Tensor, baseline: int = 0) -> Tensor:
        return masks

    def collect(self, values: Tensor) -> Tensor:
        return values

    def score(self, x: Tensor) -> Tensor:
        if self.given_gradient is not None and x.requires_grad:
            return _Given.apply(x, self)
        try:
            return self._read(self.function(x), x, (len(x),))
        except (RuntimeError, TypeError) as error:
            if not x.requires_grad:
                raise
            raise ModelError(
                f"the game has no gradient that torch could find: give it one, gradient=... ({error})"
            ) from error

    @staticmethod
    def _read(answer, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        answer = answer if isinstance(answer, Tensor) else torch.as_tensor(np.asarray(answer, dtype=np.float64))
        if answer.shape != shape:
            raise UsageError(
                f"the game answered {list(answer.shape)} to masks {list(x.shape)}: it must be {list(shape)}"
            )
        return answer


class _Given(torch.autograd.Function):
    """The game's function forward, its given gradient backward."""

    @staticmethod
    def forward(ctx, x: Tensor, game: Game) -> Tensor:
        ctx.game = game
        ctx.save_for_backward(x)
        return game._read(game.function(x.detach()), x, (len(x),))

    @staticmethod
    def backward(ctx, upstream: Tensor):
        (x,) = ctx.saved_tensors
        slope = ctx.game._read(ctx.game.given_gradient(x.detach()), x, tuple(x.shape))
        return upstream.reshape(-1, *[1] * (x.ndim - 1)) * slope.to(x.dtype), None
