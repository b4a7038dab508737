"""One training loop: AdamW, warm-up and a cosine; progress, history, checkpoints, resuming to the same bits.

The loop knows a module, a loss and a source of batches, and nothing else. With s steps in all and w of warm-up, step t has

    learning_rate * (t + 1) / w                        for t < w,
    learning_rate * (1 + cos(pi t / s)) / 2            afterwards.

All chance in an epoch comes from (seed, epoch): from the generator that `batches` is given and, for dropout, from torch's own,
which is put back afterwards. So a run that was killed and resumed ends exactly as one that was not.

Source: Loshchilov and Hutter (2019) for AdamW, (2017) for the cosine.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.errors import InputError, ModelError, UsageError

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: AdamW with `learning_rate` after `warmup` steps, then a cosine down to 0."""

    epochs: int
    steps_per_epoch: int
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warmup: int = 50

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.steps_per_epoch < 1 or not self.learning_rate > 0:
            raise UsageError(
                "training needs one epoch or more, one step an epoch or more and a learning rate above 0, not "
                f"{self.epochs}, {self.steps_per_epoch} and {self.learning_rate:g}"
            )

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
    loss: Callable[[nn.Module, Any], Tensor],
    batches: Callable[[np.random.Generator], Iterable],
    schedule: Schedule,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    run: str = "",
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    progress: Progress | None = None,
) -> History:
    """Train `module` in place.

    loss(module, batch): a scalar.  batches(rng): the batches of one epoch.
    validate(module): figures for the history; called in evaluation mode, without gradients, after each epoch.
    checkpoint: a file, written whole after each epoch and resumed from if it is there; the caller removes it.
    run: whatever else tells this run from others (data, recipe); a checkpoint of another run is refused.
    progress(epoch, epochs, record): called after each epoch, behind the checkpoint; epochs count from 1.
    Cost: epochs x steps. Global random states are put back; each part of the module ends in the mode in which it came.
    Raises `InputError` where the checkpoint can't be read or written or there are no batches, `ModelError` where the
    loss is no longer a number (the last good epoch stays in the checkpoint).
    """
    optimiser = torch.optim.AdamW(module.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule.factor)
    history = History()
    parts = {"module": module, "optimiser": optimiser, "scheduler": scheduler}
    name = repr((schedule, seed, run))
    if checkpoint is not None and checkpoint.exists():
        history.epochs = _resume(checkpoint, parts, name)
    with _modes_kept(module):
        for epoch in range(len(history.epochs), schedule.epochs):
            with _seeded(seed * 100_003 + epoch):
                module.train()
                mean = _epoch(module, loss, batches(np.random.default_rng((seed, epoch))), optimiser, scheduler, epoch)
                record = {"epoch": epoch + 1, "loss": mean} | _validated(module, validate)
            history.epochs.append(record)
            if checkpoint is not None:
                _write(checkpoint, parts, name, history)
            if progress is not None:
                progress(epoch + 1, schedule.epochs, record)
    return history


def _epoch(module, loss, batches: Iterable, optimiser, scheduler, epoch: int) -> float:
    """The mean loss of one pass."""
    losses = []
    for batch in batches:
        optimiser.zero_grad(set_to_none=True)
        value = loss(module, batch)
        losses.append(float(value.detach()))
        if not math.isfinite(losses[-1]):
            raise ModelError(
                f"the loss became {losses[-1]} in epoch {epoch + 1}, step {len(losses)}: lower the learning rate, "
                "or look for NaN and infinity in what the network is fed"
            )
        value.backward()
        optimiser.step()
        scheduler.step()
    if not losses:
        raise InputError(f"there was nothing to train on in epoch {epoch + 1}: no batches came")
    return float(np.mean(losses))


def _validated(module: nn.Module, validate: Callable | None) -> dict[str, float]:
    if validate is None:
        return {}
    module.eval()
    with torch.no_grad():
        return {name: float(value) for name, value in validate(module).items()}


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's own generators (of all devices) seeded inside, and put back afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@contextmanager
def _modes_kept(module: nn.Module) -> Iterator[None]:
    """Each part back in its own mode, training or evaluation, afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _write(path: Path, parts: dict, run: str, history: History) -> None:
    """The checkpoint appears whole or not at all; an older one stays until then."""
    state = {name: part.state_dict() for name, part in parts.items()}
    state["scheduler"] = state["scheduler"] | {"lr_lambdas": [None]}  # a method of ours, which can't be stored
    part = path.with_name(f".{path.name}.part")
    try:
        torch.save(state | {"history": json.dumps(history.epochs), "run": run}, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise InputError(
            f"cannot write the checkpoint {path} ({_short(error)}): is there room, and may you write there?"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _resume(path: Path, parts: dict, run: str) -> list[dict[str, float]]:
    """Bring the parts to where a checkpoint left them; the records of the epochs so far."""
    try:
        state = torch.load(path, weights_only=True)
        found = state["run"]
        if found == run:
            for name, part in parts.items():
                part.load_state_dict(state[name])
            return json.loads(state["history"])
    except Exception as error:  # torch raises many kinds for a broken file
        raise InputError(
            f"{path} is not a checkpoint that can be read ({_short(error)}); remove it to start anew"
        ) from error
    raise InputError(
        f"{path} was left by another run, {found}, and this one is {run}: ask for the same as then to go on with it, "
        "or remove it to start anew"
    )


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
