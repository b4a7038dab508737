"""Networks of the zoo: their sizes as published, the forward pass by hand, and that they are saved and read."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import earwitness as ew
from earwitness.classifiers.zoo import ResNet18


def test_resnet18_is_as_large_as_published():
    """11,173,318 parameters for six emotions; a clip of 128 x 141 becomes 32 x 36, 16 x 18, 8 x 9 and 4 x 5 places."""
    network = ResNet18(6).eval()
    assert sum(weights.numel() for weights in network.parameters()) == 11_173_318
    x = network.stem(torch.randn(1, 1, 128, 141))
    for name, shape in (("layer1", (32, 36)), ("layer2", (16, 18)), ("layer3", (8, 9)), ("layer4", (4, 5))):
        x = getattr(network, name)(x)
        assert tuple(x.shape[2:]) == shape
    assert x.shape[1] == 512


def norm(x, bn):
    scale = (bn.weight / torch.sqrt(bn.running_var + bn.eps)).reshape(1, -1, 1, 1)
    return (x - bn.running_mean.reshape(1, -1, 1, 1)) * scale + bn.bias.reshape(1, -1, 1, 1)


def test_a_residual_block_by_hand():
    """The sum of both ways, with a shortcut of 1 x 1 where the size changes."""
    block = ResNet18(2, width=4).eval().layer2[0]
    for bn in (block.bn1, block.bn2, block.shortcut[1]):
        torch.nn.init.uniform_(bn.running_mean)
        torch.nn.init.uniform_(bn.running_var, 0.5, 2)
    x = torch.randn(2, 4, 9, 7)
    inner = norm(F.conv2d(x, block.conv1.weight, stride=2, padding=1), block.bn1).relu()
    long = norm(F.conv2d(inner, block.conv2.weight, padding=1), block.bn2)
    short = norm(F.conv2d(x, block.shortcut[0].weight, stride=2), block.shortcut[1])
    np.testing.assert_allclose(block(x).detach(), (long + short).relu().detach(), atol=1e-5)


def test_resnet18_is_saved_read_and_explained(tmp_path):
    frontend = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=32, amin=1e-6)
    classifier = ew.Classifier(ResNet18(2, width=4, dropout=0.3), frontend, ["a", "b"]).eval()
    ew.save_classifier(classifier, tmp_path / "model", "# A card\n")
    again = ew.load_classifier(tmp_path / "model")
    clip = ew.Audio(0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    np.testing.assert_allclose(again(clip.samples[None]).detach(), classifier(clip.samples[None]).detach(), atol=1e-6)
    assert again.network.width == 4 and again.network.dropout == pytest.approx(0.3)
    cam = ew.GradCAM()(ew.ask(again, clip, ew.Units("layer3")))
    assert cam.shape == (2, 8)
