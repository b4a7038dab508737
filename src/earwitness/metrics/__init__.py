"""One experiment per file; each is a frozen dataclass of hyper-parameters that scores an explanation of a question.

question = ew.ask(classifier, audio, ew.Grid(8, 8), target="dog")
ew.metrics.Deletion()(question, ew.Sobol()(question))
"""

from earwitness.metrics.average_drop import AverageDrop
from earwitness.metrics.average_gain import AverageGain
from earwitness.metrics.average_increase import AverageIncrease
from earwitness.metrics.base import Metric, Score, on_cause
from earwitness.metrics.completeness import Completeness
from earwitness.metrics.complexity import Complexity
from earwitness.metrics.comprehensiveness import Comprehensiveness
from earwitness.metrics.deletion import Deletion
from earwitness.metrics.effective_complexity import EffectiveComplexity
from earwitness.metrics.efficient_randomisation import EfficientRandomisation
from earwitness.metrics.faithfulness_correlation import FaithfulnessCorrelation
from earwitness.metrics.faithfulness_ff import FaithfulnessFF
from earwitness.metrics.fidelity_to_input import FidelityToInput
from earwitness.metrics.flip_test import FlipTest
from earwitness.metrics.important_against_random import ImportantAgainstRandom
from earwitness.metrics.infidelity import Infidelity
from earwitness.metrics.input_invariance import InputInvariance
from earwitness.metrics.insertion import Insertion
from earwitness.metrics.intersection_over_union import IntersectionOverUnion
from earwitness.metrics.local_lipschitz import LocalLipschitz
from earwitness.metrics.mass_accuracy import MassAccuracy
from earwitness.metrics.max_sensitivity import MaxSensitivity
from earwitness.metrics.mu_fidelity import MuFidelity
from earwitness.metrics.non_sensitivity import NonSensitivity
from earwitness.metrics.parameter_randomisation import ParameterRandomisation
from earwitness.metrics.pointing_game import PointingGame
from earwitness.metrics.random_logit import RandomLogit
from earwitness.metrics.rank_accuracy import RankAccuracy
from earwitness.metrics.region_perturbation import RegionPerturbation
from earwitness.metrics.relative_input_stability import RelativeInputStability
from earwitness.metrics.relative_output_stability import RelativeOutputStability
from earwitness.metrics.relative_representation_stability import RelativeRepresentationStability
from earwitness.metrics.roc_area import ROCArea
from earwitness.metrics.seed_stability import RankStability
from earwitness.metrics.sensitivity_n import SensitivityN
from earwitness.metrics.smooth_randomisation import SmoothRandomisation
from earwitness.metrics.sparseness import Sparseness
from earwitness.metrics.sufficiency import Sufficiency
from earwitness.metrics.symmetric_relevance_gain import SymmetricRelevanceGain

METRICS = (
    Deletion,
    Insertion,
    SymmetricRelevanceGain,
    Comprehensiveness,
    Sufficiency,
    Infidelity,
    MuFidelity,
    FaithfulnessCorrelation,
    SensitivityN,
    RegionPerturbation,
    ImportantAgainstRandom,
    FlipTest,
    FidelityToInput,
    AverageIncrease,
    AverageDrop,
    AverageGain,
    FaithfulnessFF,
    PointingGame,
    MassAccuracy,
    RankAccuracy,
    ROCArea,
    IntersectionOverUnion,
    RankStability,
    MaxSensitivity,
    LocalLipschitz,
    RelativeInputStability,
    RelativeOutputStability,
    RelativeRepresentationStability,
    ParameterRandomisation,
    SmoothRandomisation,
    EfficientRandomisation,
    RandomLogit,
    Sparseness,
    Complexity,
    EffectiveComplexity,
    Completeness,
    NonSensitivity,
    InputInvariance,
)

__all__ = [
    "METRICS",
    "AverageDrop",
    "AverageGain",
    "AverageIncrease",
    "Completeness",
    "Complexity",
    "Comprehensiveness",
    "Deletion",
    "EffectiveComplexity",
    "EfficientRandomisation",
    "FaithfulnessCorrelation",
    "FaithfulnessFF",
    "FidelityToInput",
    "FlipTest",
    "ImportantAgainstRandom",
    "Infidelity",
    "InputInvariance",
    "Insertion",
    "IntersectionOverUnion",
    "LocalLipschitz",
    "MassAccuracy",
    "MaxSensitivity",
    "Metric",
    "MuFidelity",
    "NonSensitivity",
    "ParameterRandomisation",
    "PointingGame",
    "ROCArea",
    "RandomLogit",
    "RankAccuracy",
    "RankStability",
    "RegionPerturbation",
    "RelativeInputStability",
    "RelativeOutputStability",
    "RelativeRepresentationStability",
    "Score",
    "SensitivityN",
    "SmoothRandomisation",
    "Sparseness",
    "Sufficiency",
    "SymmetricRelevanceGain",
    "on_cause",
]
