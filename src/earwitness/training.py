"""One training loop: AdamW, warm-up and a cosine; progress, history, checkpoints, resuming to the same bits.

The loop knows a module, a loss and a source of batches, and nothing else. All chance in an epoch comes from
(seed, epoch), so that a run that was killed and resumed ends exactly as one that was not.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: AdamW with `learning_rate` after `warmup` steps, then a cosine down to 0."""

    epochs: int
    steps_per_epoch: int
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warmup: int = 50

    def factor(self, step: int) -> float:
        """The learning rate of a step, as a share of `learning_rate`."""
        total = self.epochs * self.steps_per_epoch
        warmup = min(self.warmup, total // 10)
        return (step + 1) / warmup if step < warmup else 0.5 + 0.5 * math.cos(math.pi * step / total)


@dataclass
class History:
    """One record an epoch: `epoch`, `loss`, and whatever `validate` returned."""

    epochs: list[dict[str, float]] = field(default_factory=list)


def fit(
    module: nn.Module,
    loss: Callable[[nn.Module, object], Tensor],
    batches: Callable[[np.random.Generator], Iterable],
    schedule: Schedule,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> History:
    """Train `module` in place.

    loss(module, batch): a scalar.  batches(rng): the batches of one epoch.  validate(module): figures for the history.
    checkpoint: a file, written after each epoch and resumed from if it is there; the caller removes it.
    progress(epoch, record): called after each epoch.
    Cost: epochs x steps. The global random state is put back; the module ends in the mode in which it came.
    """
    optimiser = torch.optim.AdamW(module.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule.factor)
    history, first = History(), 0
    if checkpoint is not None and checkpoint.exists():
        state = _read(checkpoint, schedule, seed)
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        scheduler.load_state_dict(state["scheduler"])
        history.epochs = json.loads(state["history"])
        first = len(history.epochs)
    was_training = module.training
    try:
        for epoch in range(first, schedule.epochs):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed * 100_003 + epoch)
                module.train()
                rng = np.random.default_rng((seed, epoch))
                losses = [_step(module, loss, batch, optimiser, scheduler) for batch in batches(rng)]
            record = {"epoch": epoch + 1, "loss": float(np.mean(losses))}
            if validate is not None:
                module.eval()
                record |= validate(module)
            history.epochs.append(record)
            if checkpoint is not None:
                _write(checkpoint, module, optimiser, scheduler, history, schedule, seed)
            if progress is not None:
                progress(epoch + 1, record)
    finally:
        module.train(was_training)
    return history


def _step(module, loss, batch, optimiser, scheduler) -> float:
    optimiser.zero_grad(set_to_none=True)
    value = loss(module, batch)
    value.backward()
    optimiser.step()
    scheduler.step()
    return float(value.detach())


def _write(path: Path, module, optimiser, scheduler, history: History, schedule: Schedule, seed: int) -> None:
    state = {
        "module": module.state_dict(),
        "optimiser": optimiser.state_dict(),
        "scheduler": {k: v for k, v in scheduler.state_dict().items() if k != "lr_lambdas"} | {"lr_lambdas": [None]},
        "history": json.dumps(history.epochs),
        "run": repr((schedule, seed)),
    }
    part = path.with_name(f".{path.name}.part")
    torch.save(state, part)
    part.replace(path)


def _read(path: Path, schedule: Schedule, seed: int) -> dict:
    try:
        state = torch.load(path, weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken file
        raise InputError(f"{path} is not a checkpoint that can be read ({error}); remove it to start anew") from error
    if state.get("run") != repr((schedule, seed)):
        raise InputError(f"{path} belongs to another run ({state.get('run')}); remove it to start anew")
    return state
