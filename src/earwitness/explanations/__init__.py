"""One number for each component, with everything that is needed to read, hear and doubt it."""

from earwitness.explanations.explanation import Explanation
from earwitness.explanations.listening import Heard, Prediction
from earwitness.explanations.places import Region

__all__ = ["Explanation", "Heard", "Prediction", "Region"]
