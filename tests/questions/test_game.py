"""Bare games: any function of the mask, with its own gradient, torch's, or none."""

import numpy as np
import pytest
import torch

import earwitness as ew

W = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
MASKS = torch.tensor([[1.0, 1, 1], [0, 1, 0], [0.5, 0, 0.25]])


@pytest.mark.parametrize(
    "function",
    [
        lambda m: m.double() @ W,
        lambda m: np.asarray(m) @ W.numpy(),
        lambda m: [float(row @ W.float()) for row in m],
    ],
)
def test_any_function(function):
    game = ew.Game(3, function)
    assert (game.size, game.shape, game.unit) == (3, (3,), "score")
    assert game.value(MASKS).tolist() == [2.0, -2.0, 1.25]
    assert game.logits(MASKS)[:, 0].tolist() == [2.0, -2.0, 1.25]


def test_gradients():
    squared = ew.Game(3, lambda m: (m.double() @ W) ** 2)
    given = ew.Game(3, lambda m: (np.asarray(m) @ W.numpy()) ** 2, gradient=lambda m: 2 * (m.double() @ W)[:, None] * W)
    expected = 2 * (MASKS.double() @ W)[:, None] * W
    for game in (squared, given):
        torch.testing.assert_close(game.gradient(MASKS), expected)
        torch.testing.assert_close(game.slope(MASKS), expected.float())
    np.testing.assert_allclose(ew.Saliency()(given).values, [4, 8, 12])


@pytest.mark.parametrize(
    "function",
    [
        lambda m: np.asarray(m) @ W.numpy(),
        lambda m: m.numpy() @ W.numpy(),
        lambda m: torch.ones(len(m)),
        lambda m: [float(row.detach().sum()) for row in m],
    ],
)
def test_games_without_a_gradient(function):
    game = ew.Game(3, function)
    assert len(game.value(MASKS)) == 3
    with pytest.raises(ew.ModelError, match="no gradient"):
        game.gradient(MASKS)


def test_axes_have_names():
    names = {1: ["component"], 2: ["frequency", "time"], 3: ["component", "component1", "component2"]}
    for dimensions, expected in names.items():
        game = ew.Game((2,) * dimensions, lambda m: m.flatten(1).sum(1))
        assert [axis.name for axis in game.axes] == expected
        assert {axis.unit for axis in game.axes} == {"index"}


def test_answers_of_another_shape():
    for function in (lambda m: m, lambda m: m.sum(), lambda m: m[:1, 0]):
        with pytest.raises(ew.UsageError, match=r"the game answered \[.*\] to masks \[3, 3\]: it must be \[3\]"):
            ew.Game(3, function).value(MASKS)
    wrong = ew.Game(3, lambda m: m.sum(1), gradient=lambda m: m.sum(1))
    with pytest.raises(ew.UsageError, match=r"it must be \[3, 3\]"):
        wrong.gradient(MASKS)


def test_a_game_that_answers_nan():
    with pytest.raises(ew.ModelError, match="answers NaN or infinity"):
        ew.Game(3, lambda m: torch.log(m.sum(1) - 5)).value(MASKS)


def test_a_game_s_own_mistakes_are_its_own():
    with pytest.raises(ZeroDivisionError):
        ew.Game(3, lambda m: 1 / 0).value(MASKS)
