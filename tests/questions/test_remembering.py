"""What was asked is remembered, for the very question that was asked, and only inside."""

from dataclasses import replace

import numpy as np
import torch

import earwitness as ew
from earwitness.questions import counting, remembering_values


def test_a_mask_is_asked_once():
    game = ew.Game(5, lambda m: (m.double() * torch.arange(5)).sum(1))
    masks = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    expected = game.value(masks)
    with counting() as count, remembering_values():
        for part in (masks, masks[::-1].copy(), masks[[2, 2, 3]]):
            game.value(part)
        assert torch.equal(game.value(masks), expected) and count.evaluations == 7
    with counting() as count:
        game.value(masks)
    assert count.evaluations == 7


def test_another_question_is_another(cnn, tone):
    """Also where it has the address of one that is gone."""
    classifier = cnn(ew.LogSTFT(8000, 256, 64))
    question = ew.ask(classifier, tone()[0], ew.Grid(2, 2), "low")
    clips = [tone(440 + 40 * k, seed=k)[0] for k in range(8)]
    expected = [float(replace(question, audio=clip).value(question.ones)[0]) for clip in clips]
    with remembering_values():
        found = [float(replace(question, audio=clip).value(question.ones)[0]) for clip in clips]
    assert found == expected and len(set(found)) == 8
