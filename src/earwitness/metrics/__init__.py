"""One experiment per file; each is a frozen dataclass of hyper-parameters that scores an explanation of a question.

question = ew.ask(classifier, audio, ew.Grid(8, 8), target="dog")
ew.metrics.Deletion()(question, ew.Sobol()(question))
"""

from earwitness.metrics.base import Metric, Score, on_cause
from earwitness.metrics.deletion import Deletion
from earwitness.metrics.insertion import Insertion
from earwitness.metrics.intersection_over_union import IntersectionOverUnion
from earwitness.metrics.mass_accuracy import MassAccuracy
from earwitness.metrics.pointing_game import PointingGame
from earwitness.metrics.rank_accuracy import RankAccuracy
from earwitness.metrics.roc_area import ROCArea

METRICS = (
    Deletion,
    Insertion,
    PointingGame,
    MassAccuracy,
    RankAccuracy,
    ROCArea,
    IntersectionOverUnion,
)

__all__ = [
    "METRICS",
    "Deletion",
    "Insertion",
    "IntersectionOverUnion",
    "MassAccuracy",
    "Metric",
    "PointingGame",
    "ROCArea",
    "RankAccuracy",
    "Score",
    "on_cause",
]
