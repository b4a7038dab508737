"""Front end, network and labels: what is explained."""

from earwitness.classifiers.base import BlackBox, Classifier
from earwitness.classifiers.folders import load_classifier, save_classifier
from earwitness.classifiers.hidden import neurons

__all__ = ["BlackBox", "Classifier", "load_classifier", "neurons", "save_classifier"]
