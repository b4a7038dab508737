"""Networks of the zoo: their sizes as published, the forward pass by hand, and that they are saved and read."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import earwitness as ew
from earwitness.classifiers.zoo import VGG, ResNet18


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


def test_a_vgg_by_hand():
    """Two convolutions, each with its norm and ReLU, then the larger of each four places; in the end a mean and a product."""
    network = VGG(2, (3, 5), inputs=3, dropout=0.2).eval()
    norms = [part for part in network.features if isinstance(part, torch.nn.BatchNorm2d)]
    for bn in norms:
        torch.nn.init.uniform_(bn.running_mean)
        torch.nn.init.uniform_(bn.running_var, 0.5, 2)
    x = y = torch.randn(2, 3, 11, 9)
    convolutions = [part for part in network.features if isinstance(part, torch.nn.Conv2d)]
    assert len(convolutions) == len(norms) == 4
    for at, (convolution, bn) in enumerate(zip(convolutions, norms, strict=True)):
        y = norm(F.conv2d(y, convolution.weight, padding=1), bn).relu()
        if at % 2:
            y = torch.stack([y[:, :, f : f + 2, t : t + 2].amax((2, 3)) for f in range(0, y.shape[2], 2)
                             for t in range(0, y.shape[3], 2)], 2).unflatten(2, ((y.shape[2] + 1) // 2, -1))  # fmt: skip
    head = network.head[1]
    expected = y.flatten(2).sum(2) / y.shape[2] / y.shape[3] @ head.weight.T + head.bias
    np.testing.assert_allclose(network(x).detach(), expected.detach(), atol=1e-5)


def test_a_vgg_s_size():
    """9 weights for each pair of channels, 2 for each norm, and the linear layer."""
    pairs = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    expected = sum(9 * before * after + 2 * after for before, after in pairs) + 512 * 10 + 10
    assert sum(weights.numel() for weights in VGG(10, inputs=3).parameters()) == expected == 4_692_426


@pytest.mark.parametrize("inputs", [1, 3])
def test_a_vgg_is_saved_read_and_explained(inputs, tmp_path):
    """Grad-CAM at the last activation, and LRP, of which nothing is lost where there is neither bias nor norm."""
    frontend = ew.Picture(ew.LogSTFT(8000, n_fft=256, hop_length=64), 32, 40, channels=inputs)
    made = VGG(3, (4, 6), inputs=inputs, norm=False, bias=False, dropout=0.1)
    ew.save_classifier(ew.Classifier(made, frontend, ["a", "b", "c"]), tmp_path, "# A card\n")
    classifier = ew.load_classifier(tmp_path, device="cpu")
    clip = ew.Audio(0.1 * np.random.default_rng(0).standard_normal(6000), 8000)
    with torch.no_grad():
        np.testing.assert_allclose(classifier(clip.samples[None]), made.eval()(frontend(clip.samples[None])), atol=1e-5)
    assert classifier.network.channels == (4, 6) and classifier.network.dropout == pytest.approx(0.1)
    assert classifier.network.features[8].__class__ is torch.nn.ReLU
    cam = ew.GradCAM()(ew.ask(classifier, clip, ew.Units("features.8"), "b"))
    a = classifier.at("network.features.8", clip.samples[None]).detach().requires_grad_()
    (slope,) = torch.autograd.grad(classifier.onward("network.features.8", a, clip.samples[None])[0, 1], a)
    expected = (slope.mean((2, 3), keepdim=True) * a).sum(1)[0].relu().detach()
    assert cam.shape == (16, 20)
    np.testing.assert_allclose(cam.values / cam.values.max(), expected / expected.max(), atol=1e-4)
    relevance = ew.explain(classifier, clip, ew.LRP("epsilon"), target="b", components=ew.Grid(4, 4))
    score = float(classifier(clip.samples[None])[0, 1].detach())
    np.testing.assert_allclose(relevance.values.sum(), score, rtol=1e-3)
    assert relevance.numbers["conserved"] == pytest.approx(1, abs=1e-3)


def test_silence_maps_of_a_vgg():
    """Of 12 places 3 are marked as silent: those in the last quarter, where nothing sounds."""
    classifier = ew.Classifier(VGG(2, (4, 6)), ew.LogSTFT(8000, n_fft=256, hop_length=64), ["a", "b"]).eval()
    samples = 0.1 * np.random.default_rng(0).standard_normal(4000)
    samples[2900:] = 0
    values = ew.SilenceMap(noise=1e-4)(ew.ask(classifier, ew.Audio(samples, 8000), ew.Grid(3, 4), "a")).values
    np.testing.assert_allclose(values, np.tile([1.0, 1.0, 1.0, 0.0], (3, 1)))
