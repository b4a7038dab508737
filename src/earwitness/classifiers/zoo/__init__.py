"""Networks that come with earwitness; a saved classifier names one of them."""

from earwitness.classifiers.zoo.resnet import ResNet18
from earwitness.classifiers.zoo.spectrogram_cnn import EventCNN, SmallSpecCNN

__all__ = ["EventCNN", "ResNet18", "SmallSpecCNN"]
