"""A clip, a cut, a classifier and a target, joined into one function of the mask."""

from earwitness.questions.audio import AudioQuestion, ask, decision, decisions
from earwitness.questions.base import Question, counting, remembering_ends, remembering_values, reporting
from earwitness.questions.game import Game

__all__ = [
    "AudioQuestion",
    "Game",
    "Question",
    "ask",
    "counting",
    "decision",
    "decisions",
    "remembering_ends",
    "remembering_values",
    "reporting",
]
