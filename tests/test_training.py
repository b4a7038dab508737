"""The training loop: it learns, resumes to the same bits, touches nothing global, and fails in words."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from earwitness.errors import InputError, ModelError, UsageError
from earwitness.training import Schedule, fit

X = torch.from_numpy(np.random.default_rng(0).standard_normal((60, 1, 6, 6))).float()
Y = (X.mean((1, 2, 3)) > 0).long()
SCHEDULE = Schedule(epochs=4, steps_per_epoch=3, learning_rate=1e-2)


def network():
    """With everything whose state could get lost: batch norm, dropout, channels-last weights."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = (
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(144, 2),
        )
        return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def batches(rng):
    for chosen in np.array_split(rng.permutation(60), 3):
        yield X[chosen] + 0.01 * torch.from_numpy(rng.standard_normal(1)).float(), Y[chosen]


def loss(module, batch):
    x, y = batch
    return nn.functional.cross_entropy(module(x), y)


def accuracy(module):
    return {"accuracy": (module(X).argmax(1) == Y).float().mean()}


def test_it_learns():
    module = network()
    history = fit(module, loss, batches, Schedule(30, 3, learning_rate=1e-2), validate=accuracy)
    assert history.epochs[-1]["accuracy"] > 0.95
    assert history.epochs[-1]["loss"] < 0.3 * history.epochs[0]["loss"]
    assert [record["epoch"] for record in history.epochs] == list(range(1, 31))


def test_the_schedule_is_its_formula():
    schedule = Schedule(epochs=10, steps_per_epoch=100, warmup=50)
    assert schedule.factor(0) == 1 / 50 and schedule.factor(49) == 1
    assert schedule.factor(500) == pytest.approx(0.5)
    assert schedule.factor(750) == pytest.approx(0.5 + 0.5 * math.cos(0.75 * math.pi))
    assert schedule.factor(1000) == pytest.approx(0)
    assert Schedule(1, 5).factor(0) == 1  # too short to warm up


def test_one_step_is_adamw():
    module = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(1.0)
    schedule = Schedule(1, 1, learning_rate=0.1, weight_decay=0.5)
    fit(module, lambda m, x: m(x).sum(), lambda rng: [torch.tensor([[1.0, -2.0]])], schedule)
    # decay 1 - 0.1 * 0.5, then a first Adam step of 0.1 against the sign of the gradient
    np.testing.assert_allclose(module.weight.detach(), [[0.95 - 0.1, 0.95 + 0.1]], atol=1e-6)


class Killed(BaseException):
    """Like a Ctrl-C: no ordinary exception."""


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_run_ends_as_one_that_was_not(tmp_path, after):
    straight, killed, checkpoint = network(), network(), tmp_path / "run.pt"
    whole = fit(straight, loss, batches, SCHEDULE, seed=3, validate=accuracy)

    steps = 0

    def interrupted(module, batch):
        nonlocal steps
        steps += 1
        if steps > 3 * after + 1:  # in the middle of an epoch
            raise Killed
        return loss(module, batch)

    with pytest.raises(Killed):
        fit(killed, interrupted, batches, SCHEDULE, seed=3, checkpoint=checkpoint, validate=accuracy)
    seen = []
    fresh = network()
    resumed = fit(
        fresh,
        loss,
        batches,
        SCHEDULE,
        seed=3,
        checkpoint=checkpoint,
        validate=accuracy,
        progress=lambda e, *_: seen.append(e),
    )
    assert seen == list(range(after + 1, 5))
    assert resumed.epochs == whole.epochs
    for name, value in straight.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name]), name
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_a_finished_run_is_not_run_again(tmp_path):
    first, again = network(), network()
    history = fit(first, loss, batches, SCHEDULE, checkpoint=tmp_path / "run.pt")
    assert fit(again, None, None, SCHEDULE, checkpoint=tmp_path / "run.pt").epochs == history.epochs
    assert torch.equal(first[0].weight, again[0].weight)


def test_the_seed_decides_and_nothing_else():
    runs = []
    for seed, disturbance in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(disturbance)
        module = network()
        fit(module, loss, batches, SCHEDULE, seed=seed)
        runs.append(module[0].weight.detach())
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_global_random_states_stay():
    torch.manual_seed(9)
    np.random.seed(9)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    fit(network(), loss, batches, SCHEDULE, validate=lambda m: {"chance": torch.rand(())})
    assert torch.equal(torch.get_rng_state(), before) and np.array_equal(np.random.get_state()[1], numpys)


def test_each_part_ends_in_its_own_mode_even_after_an_error():
    module = network().train()
    module[1].eval()
    modes = [part.training for part in module.modules()]
    fit(module, loss, batches, SCHEDULE, validate=accuracy)
    assert [part.training for part in module.modules()] == modes
    with pytest.raises(ZeroDivisionError):
        fit(module, loss, batches, SCHEDULE, validate=lambda m: 1 / 0)
    assert [part.training for part in module.modules()] == modes


def test_validation_is_without_dropout_and_gradients():
    seen = []

    def validate(module):
        seen.append((module.training, torch.is_grad_enabled()))
        return {}

    fit(network(), loss, batches, SCHEDULE, validate=validate)
    assert seen == [(False, False)] * 4


def test_a_loss_that_is_no_number_is_told_and_the_last_epoch_is_kept(tmp_path):
    def sick(module, batch):
        return loss(module, batch) * (float("nan") if sick.steps > 4 else 1)

    def counted(module, batch):
        sick.steps += 1
        return sick(module, batch)

    sick.steps, module = 0, network()
    with pytest.raises(ModelError, match=r"loss became nan in epoch 2, step 2: lower the learning rate"):
        fit(module, counted, batches, SCHEDULE, checkpoint=tmp_path / "run.pt")
    assert all(torch.isfinite(p).all() for p in module.parameters())
    assert len(fit(network(), loss, batches, SCHEDULE, checkpoint=tmp_path / "run.pt").epochs) == 4


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    fit(network(), loss, batches, SCHEDULE, seed=1, checkpoint=path, run="mixing 0.3")
    for change in ({"seed": 2, "run": "mixing 0.3"}, {"seed": 1, "run": "mixing 0"}):
        with pytest.raises(InputError, match=r"another run.*remove it to start anew"):
            fit(network(), loss, batches, SCHEDULE, checkpoint=path, **change)
    with pytest.raises(InputError, match="not a checkpoint that can be read"):  # another network
        fit(nn.Linear(2, 2), loss, batches, SCHEDULE, seed=1, checkpoint=path, run="mixing 0.3")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "list"])
def test_a_broken_checkpoint_is_told(tmp_path, content):
    path = tmp_path / "run.pt"
    if content == "list":
        torch.save([1, 2], path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="not a checkpoint that can be read"):
        fit(network(), loss, batches, SCHEDULE, checkpoint=path)


def test_a_checkpoint_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot write the checkpoint"):
        fit(network(), loss, batches, SCHEDULE, checkpoint=tmp_path / "missing" / "run.pt")
    path = tmp_path / "run.pt"
    fit(network(), loss, batches, SCHEDULE, checkpoint=path)
    stored = path.read_bytes()

    def full(state, file):
        file.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", full)
    other = tmp_path / "other.pt"
    with pytest.raises(InputError, match="is there room"):
        fit(network(), loss, batches, SCHEDULE, checkpoint=other)
    assert not other.exists() and path.read_bytes() == stored
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_nothing_to_train_on_is_told():
    with pytest.raises(InputError, match="no batches came"):
        fit(network(), loss, lambda rng: [], SCHEDULE)
    with pytest.raises(UsageError, match="one epoch or more"):
        Schedule(0, 5)
