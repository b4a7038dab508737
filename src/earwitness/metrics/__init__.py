"""One experiment per file; each is a frozen dataclass of hyper-parameters that scores an explanation of a question.

question = ew.ask(classifier, audio, ew.Grid(8, 8), target="dog")
ew.metrics.Deletion()(question, ew.Sobol()(question))
"""

from earwitness.metrics.base import Metric, Score, on_cause
from earwitness.metrics.deletion import Deletion
from earwitness.metrics.insertion import Insertion
from earwitness.metrics.mass_accuracy import MassAccuracy
from earwitness.metrics.pointing_game import PointingGame

METRICS = (Deletion, Insertion, PointingGame, MassAccuracy)

__all__ = ["METRICS", "Deletion", "Insertion", "MassAccuracy", "Metric", "PointingGame", "Score", "on_cause"]
