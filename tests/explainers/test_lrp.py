"""LRP through whole networks: nothing is lost where there is nothing to lose it to; and sounds."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import earwitness as ew
from earwitness.classifiers.zoo import EventCNN, SmallSpecCNN
from earwitness.components.pieces import Pieces
from earwitness.data.synthetic import Tones
from earwitness.explainers.lrp import COMPOSITES
from earwitness.numerics.relevance import propagating

MEL = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6)
TONES = Path(__file__).parents[2] / "models" / "tones"


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


class Vgg(nn.Module):
    """Convolutions and pools, one ReLU for all; functional calls in between."""

    def __init__(self):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, 6), (6, 8), (8, 8)))
        self.relu, self.hidden, self.head = nn.ReLU(inplace=True), nn.Linear(32, 10), nn.Linear(10, 3)

    def forward(self, x):
        for convolution in self.convolutions:
            x = F.max_pool2d(self.relu(convolution(x)), 2)
        x = F.adaptive_avg_pool2d(x, 2).flatten(1)
        return self.head(F.dropout(F.relu(self.hidden(x)), 0.5, self.training))


class Cnn14(nn.Module):
    """As the pretrained audio networks: batch norm over mel bins first; mean and maximum at the end."""

    def __init__(self, bins=20):
        super().__init__()
        self.bn0 = nn.BatchNorm2d(bins)
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(6), nn.BatchNorm2d(8)
        self.fc1, self.fc2 = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.bn0(x.transpose(1, 2)).transpose(1, 2)
        x = F.avg_pool2d(F.relu_(self.bn1(self.conv1(x))), 2)
        x = F.avg_pool2d(F.relu_(self.bn2(self.conv2(x))), 2).mean(2)
        x = F.relu_(self.fc1(x.max(2)[0] + x.mean(2)))
        return self.fc2(x)


class Block(nn.Module):
    """Two convolutions beside a shortcut; one ReLU, in place, used twice."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2, self.relu = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


def resnet():
    stages = [(4, 4, 1), (4, 4, 1), (4, 6, 2), (6, 6, 1), (6, 8, 2), (8, 8, 1), (8, 8, 2), (8, 8, 1)]
    start = [nn.Conv2d(1, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*start, *(Block(*s) for s in stages), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


class Raw(nn.Module):
    """Of samples."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(1, 6, 40, 4, bias=False), nn.BatchNorm1d(6)
        self.conv2, self.bn2 = nn.Conv1d(6, 8, 3, bias=False), nn.BatchNorm1d(8)
        self.pool, self.head = nn.MaxPool1d(4), nn.Linear(8, 3)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x[:, None]))))
        x = self.pool(F.elu(self.bn2(self.conv2(x))))
        return self.head(x.mean(2))


NETWORKS = {
    "lab": lambda: SmallSpecCNN(3, (4, 6, 8)),
    "events": lambda: EventCNN(3, 20, (4, 6, 8)),
    "vgg": Vgg,
    "cnn14": Cnn14,
    "resnet18": resnet,
    "raw": Raw,
}


def without_biases(network, seed=0):
    """Seeded weights, lived-in variances, and nothing that is added."""
    with torch.no_grad():
        for at, (name, value) in enumerate(network.state_dict().items()):
            if value.is_floating_point() and value.ndim:
                noise = normal(*value.shape, seed=seed + at)
                zero = any(word in name for word in ("bias", "mean"))
                positive = 0.5 + noise.abs() if value.ndim == 1 else noise
                value.copy_(0 * noise if zero else positive)
    return network.eval()


def asked(name, network=None, target="a"):
    """A question about every place of an input."""
    network = without_biases(NETWORKS[name]()) if network is None else network.eval()
    if name == "raw":
        clip = ew.Audio(normal(2000, seed=3) / 8, 8000)
        return ew.ask(ew.Classifier(network, ew.Waveform(8000), ["a", "b", "c"]), clip, ew.Segments(count=20), target)
    rows = 64 if name == "resnet18" else 20
    return ew.ask(ew.Classifier(network, None, ["a", "b", "c"]), normal(1, rows, 64, seed=3), ew.Bins(), target)


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_lost_where_there_are_no_biases(name, composite):
    """At no layer that everything passes through, to 1 %; in the branches of a block what they add up to."""
    question, lrp = asked(name), ew.LRP(composite)
    found, layers = lrp(question), lrp.conservation(question)
    near = 0.01
    assert found.values.sum() == pytest.approx(found.score, rel=near)
    assert found.numbers["conserved"] == pytest.approx(1, abs=near) and found.warnings == ()
    assert layers["input"] == pytest.approx(found.numbers["conserved"], rel=1e-4)
    branches = [layer for layer in layers if name == "resnet18" and "." in layer]
    trunk = {layer: share for layer, share in layers.items() if layer not in branches}
    assert len(trunk) >= 5
    for layer, share in trunk.items():
        assert share == pytest.approx(1, abs=near), layer
    if branches:
        for block in (6, 8, 10):
            both = layers[f"{block}.bn2"] + layers[f"{block}.downsample"]
            assert both == pytest.approx(1, abs=near)
            assert layers[f"{block}.relu (2)"] == pytest.approx(1, abs=near)


@pytest.mark.parametrize("name", ["lab", "vgg", "resnet18"])
def test_lrp_0_is_gradient_times_input_without_biases(name):
    """In networks of ReLU: exactly, but for rounding (merged batch norms)."""
    question = asked(name)
    plain = ew.GradientInput.paper()(question).values
    near = 1e-5 * np.abs(plain).max()
    np.testing.assert_allclose(ew.LRP("zero")(question).values, plain, atol=near)
    assert np.abs(ew.LRP("epsilon-plus")(question).values - plain).max() > 0.01 * np.abs(plain).max()


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_walk_changes_no_value(name, composite):
    """With biases and all: the logits are those of the network, to 1e-5; so are its parameters and buffers."""
    torch.manual_seed(1)
    network = NETWORKS[name]()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.normal_(part.running_mean)
    question = asked(name, network)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        plain = question.answers(question.x[None])
    with propagating(ew.LRP(composite).rules):
        walked = question.answers(question.x[None].clone().requires_grad_()).detach()
    np.testing.assert_allclose(walked, plain, atol=1e-5 * float(plain.abs().max()))
    ew.LRP(composite)(question)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(value.requires_grad and value.grad is None for value in network.parameters())


def test_it_adds_up_to_the_score_and_not_to_the_total(cnn, tone):
    question = ew.ask(cnn(MEL), tone()[0], ew.Bins(), "low")
    found = ew.LRP()(question)
    assert found.kind == "effect" and found.gap is None
    assert found.evaluations == ew.LRP().expected(question) == 3
    margin = ew.LRP()(ew.ask(cnn(MEL), tone()[0], ew.Bins(), "low - high"))
    assert margin.numbers["conserved"] == pytest.approx(margin.values.sum() / margin.score, rel=1e-4)


def test_a_mean_and_a_linear_answer(listener, tone):
    """The mean of a label's rows: each of their bins owns its part, all others nothing."""
    question = ew.ask(listener, tone()[0], ew.Bins(), "low")
    x = question.x[0]
    expected = torch.zeros_like(x)
    expected[7:21] = x[7:21] / x[7:21].numel()
    np.testing.assert_allclose(ew.LRP()(question).values, expected, atol=1e-7)


def test_every_bin_of_coarse_cells(cnn, tone):
    fine, coarse = (ew.LRP()(ew.ask(cnn(MEL), tone()[0], cut, "low")) for cut in (ew.Bins(), ew.Grid(4, 5)))
    assert coarse.values.sum() == pytest.approx(fine.values.sum(), rel=1e-4)


# ---- the input


def test_levels_keep_what_their_standardised_form_gets():
    """Whatever a network takes from each band first: relevance stays in place, and a shift of it changes nothing."""
    network = without_biases(EventCNN(3, 20, (4, 6)))
    features, shift = normal(1, 20, 64, seed=3), 40 * normal(20, 1, seed=4)
    plain = ew.LRP("epsilon-plus-flat")(ew.ask(ew.Classifier(network, None, ["a", "b", "c"]), features, ew.Bins(), "a"))
    with torch.no_grad():
        network.normalise.mean.copy_(shift)
    shifted = ew.ask(ew.Classifier(network, None, ["a", "b", "c"]), features + shift, ew.Bins(), "a")
    np.testing.assert_allclose(
        ew.LRP("epsilon-plus-flat")(shifted).values, plain.values, atol=1e-4 * np.abs(plain.values).max()
    )


def test_flat_reaches_places_that_are_0():
    """Four rows of silence: kernels of three rows that reach beyond it hand to the outer two."""
    question = asked("lab")
    question.x[0, 5:9] = 0.0
    plain, flat = (ew.LRP(composite)(question) for composite in ("epsilon-plus", "epsilon-plus-flat"))
    assert (plain.values[5:9] == 0).all()
    assert np.abs(flat.values[[5, 8]]).max(1).min() > 0.1 * np.abs(flat.values).max()
    assert flat.values.sum() == pytest.approx(flat.score, rel=0.01)


def test_the_same_relevance_in_front_of_the_front_end(cnn, tone):
    """The rules of the network are those at its features; spectrum, mel bands and logarithm lose nothing on the way back."""
    classifier = cnn(ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-20))
    clip = tone(noise=0.1)[0]
    for composite in ("epsilon", "epsilon-plus-flat", "epsilon-gamma-box"):
        features, sound = (
            ew.LRP(composite)(ew.ask(classifier, clip, cut, "low")).values for cut in (ew.Bins(), ew.Segments(count=7))
        )
        assert sound.sum() == pytest.approx(features.sum(), rel=1e-3)


def test_behind_a_layer(cnn, tone):
    """What stands there has the relevance that came so far; no rule for the first layer holds."""
    clip = tone()[0]
    hidden = ew.ask(cnn(MEL), clip, ew.Units("features.3"), "low")
    found = ew.LRP()(hidden)
    layers = ew.LRP().conservation(ew.ask(cnn(MEL), clip, ew.Bins(), "low"))
    assert found.numbers["conserved"] == pytest.approx(layers["features.3"], rel=1e-4)
    np.testing.assert_array_equal(ew.LRP("epsilon-plus-flat")(hidden).values, found.values)


# ---- sounds


@dataclass(frozen=True, eq=False)
class Rectangles(ew.Factorization):
    """Bands of an exact Fourier transform, at these bins."""

    bins: tuple[int, ...] = (0, 3, 40, 200, 1001)

    def __call__(self, classifier, clip):
        spectrum = torch.fft.rfft(clip.samples.double())
        pairs = list(pairwise(self.bins))
        parts = [torch.where((torch.arange(1001) >= a) & (torch.arange(1001) < b), spectrum, 0) for a, b in pairs]
        sounds = torch.stack([torch.fft.irfft(part, 2000) for part in parts]).float()
        axis = ew.Axis("frequency", "Hz", tuple(4.0 * b for b in self.bins))
        silence = torch.zeros(1, 2000)
        return Pieces(clip, sounds, silence, torch.zeros(1, len(parts), 2000), axis, None, "silence")


def slope_at(question, lrp):
    """R / x, sample by sample."""
    with propagating(lrp.rules):
        return question.slope(question.x[None])[0].double().numpy()


@pytest.mark.parametrize("composite", ["epsilon-plus", "epsilon-alpha2-beta1"])
def test_bands_of_sound_are_dft_lrp(composite):
    """R_k = Re(y_k conj(F(r)_k)) / sqrt N for y = F(x) / sqrt N, r = R / x, added up over each band, both halves of it."""
    samples, lrp = asked("raw"), ew.LRP(composite)
    question = ew.ask(samples.classifier, samples.audio, Rectangles(), "a")
    x, r, n = question.x.double().numpy(), slope_at(question, lrp), 2000
    each = np.real(np.fft.fft(x) / np.sqrt(n) * np.conj(np.fft.fft(r))) / np.sqrt(n)
    assert each.sum() == pytest.approx((x * r).sum())
    distance = np.abs(np.fft.fftfreq(n, 1 / n)).astype(int)
    edges = Rectangles().bins
    expected = [each[(distance >= a) & (distance < b)].sum() for a, b in pairwise(edges)]
    found = lrp(question).values
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert found.sum() == pytest.approx(lrp(samples).values.sum(), rel=1e-4)


@pytest.mark.parametrize("baseline", ["silence", "noise", ("silence", "noise")])
def test_cells_of_sound_add_up_to_segments(baseline):
    """Whatever would be put in their place: relevance is the clip's own."""
    samples, lrp = asked("raw"), ew.LRP()
    cells = ew.ask(samples.classifier, samples.audio, ew.Cells(bands=3, seconds=0.05, baseline=baseline), "a")
    segments = ew.ask(samples.classifier, samples.audio, ew.Segments(seconds=0.05), "a")
    found, expected = lrp(cells).values, lrp(segments).values
    assert found.shape == (3, 5)
    np.testing.assert_allclose(found.sum(0), expected, atol=1e-4 * np.abs(expected).max())
    slope, each = torch.from_numpy(slope_at(cells, lrp)).float(), np.zeros((3, 5))
    for place in np.ndindex(3, 5):
        alone = torch.zeros(3, 5)
        alone[place] = 1
        each[place] = float(cells.components.sound(alone) @ slope)
    np.testing.assert_allclose(found, each, atol=1e-5 * np.abs(each).max())


@pytest.mark.skipif(not TONES.is_dir(), reason="models/tones is not there: earwitness train tones --out models/tones")
@pytest.mark.parametrize("composite", ["epsilon-plus", "epsilon-plus-flat"])
def test_a_trained_network_points_at_the_tone(composite):
    """The largest relevance lies in the cause in 8 clips of 12, at least; a map of chance does that in one of sixty."""
    classifier, hits, chance = ew.load_classifier(TONES), 0, 0.0
    for seed in range(12):
        scene = Tones()(seed)
        question = ew.ask(classifier, scene.audio, ew.Bins(), scene.label, truth=scene.truth)
        found, cause = ew.LRP(composite)(question).values, question.cause > 0.5
        hits += bool(cause.flat[found.argmax()])
        chance += cause.mean()
    assert chance / 12 < 1 / 60 and hits >= 8


def test_standardised_pieces_share_out_what_the_samples_got():
    """Behind a front end that standardises, pieces are weighed as the network was given them, not as they sound."""
    raw = asked("raw")
    classifier = ew.Classifier(raw.classifier.network, ew.Waveform(8000, standardise=True), raw.classifier.labels)
    clip = ew.Audio(raw.audio.samples / 50, 8000)
    totals = [
        ew.LRP("epsilon")(ew.ask(classifier, clip, cut, "a")).values.sum()
        for cut in (ew.Segments(count=4, stage="features"), ew.Cells(3, 0.1, stage="features"))
    ]
    assert totals[0] == pytest.approx(totals[1], rel=1e-4) and abs(totals[0]) > 1e-3


@pytest.mark.parametrize("composite", ["epsilon-plus-flat", "epsilon-gamma-box"])
@pytest.mark.parametrize("cut", [ew.Segments(count=4), ew.Segments(count=1), ew.Cells(3, 0.05), Rectangles()])
def test_what_rests_on_samples_of_exactly_0_is_not_lost(cut, composite):
    """A quarter of the clip is digital silence, where flat and box hand relevance too: its segments get it."""
    raw = asked("raw")
    silent = raw.audio.samples.clone()
    silent[500:1000] = 0.0
    question = ew.ask(raw.classifier, ew.Audio(silent, 8000), cut, "a")
    found = ew.LRP(composite)(question)
    assert found.numbers["conserved"] == pytest.approx(1, abs=1e-3)
    assert found.values.sum() == pytest.approx(found.numbers["conserved"] * found.score, rel=1e-5)
    assert np.abs(found.values).max() < 5 * abs(found.score)  # though bands ring into the silence, where R / x is huge


def test_silence_gets_what_flat_hands_to_it():
    """A sum of 4 samples, shared out flat: 2, 2, 2, 2 of 8, whatever stands there; two sounds share theirs by halves."""
    network = nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 1, 4, bias=False), nn.Flatten())
    nn.init.ones_(network[1].weight)
    classifier = ew.Classifier(network, ew.Waveform(8000), ["a"])
    sounds = torch.tensor([[1.0, 4.0, 0.0, 0.0], [2.0, 1.0, 0.0, 0.0]])
    axis, silence = ew.Axis("frequency", "Hz", (0.0, 1.0, 2.0)), torch.zeros(1, 4)

    @dataclass(frozen=True, eq=False)
    class Two(ew.Factorization):
        def __call__(self, classifier, clip):
            return Pieces(clip, sounds, silence, torch.zeros(1, 2, 4), axis, None, "silence")

    found = ew.LRP("epsilon-plus-flat")(ew.ask(classifier, ew.Audio(sounds.sum(0), 8000), Two(), "a"))
    np.testing.assert_allclose(found.values, [2 * (1 / 3 + 4 / 5) + 2, 2 * (2 / 3 + 1 / 5) + 2], rtol=1e-4)
