"""One method per file; each is a frozen dataclass of hyper-parameters that answers a question."""

from earwitness.explainers.base import Attribution, Explainer
from earwitness.explainers.random_control import Random
from earwitness.explainers.saliency import Saliency
from earwitness.explainers.sobol import Sobol

METHODS = (Sobol, Saliency, Random)

__all__ = ["METHODS", "Attribution", "Explainer", "Random", "Saliency", "Sobol"]
