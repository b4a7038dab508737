"""Networks that come with earwitness; a saved classifier names one of them."""

from earwitness.classifiers.zoo.resnet import ResNet18
from earwitness.classifiers.zoo.spectrogram_cnn import EventCNN, SmallSpecCNN
from earwitness.classifiers.zoo.vgg import VGG

__all__ = ["VGG", "EventCNN", "ResNet18", "SmallSpecCNN"]
