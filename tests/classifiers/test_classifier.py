"""A classifier at each of its stages, with what can be wrong about it; black boxes; networks on ready features."""

import numpy as np
import pytest
import torch
from torch import nn

import earwitness as ew
from earwitness.classifiers.base import evaluating
from earwitness.classifiers.folders import find_device

RATE = 8000
STAGES = {
    "stft": ["waveform", "features", "frontend.spectrum", "frontend.logarithm", "frontend.normalisation", "network.features.3"],
    "mel": ["waveform", "features", "frontend.spectrum", "frontend.filterbank", "network.features", "network.features.7"],
    "waveform": ["waveform", "features", "frontend.normalisation", "network.0"],
}  # fmt: skip


@pytest.fixture(scope="module")
def classifiers(cnn):
    torch.manual_seed(0)
    on_samples = nn.Sequential(nn.Linear(2000, 5), nn.Tanh(), nn.Linear(5, 2))
    return {
        "stft": cnn(ew.LogSTFT(RATE, n_fft=256, hop_length=64)),
        "mel": cnn(ew.LogMel(RATE, n_fft=256, hop_length=64, n_mels=20, ref="max", standardise=True)),
        "waveform": ew.Classifier(on_samples, ew.Waveform(RATE, standardise=True), ["low", "high"]).eval(),
    }


@pytest.fixture(scope="module")
def waves():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((3, 2000))).float() * 0.2


@pytest.mark.parametrize(("name", "stage"), [(name, stage) for name, stages in STAGES.items() for stage in stages])
def test_onward_from_any_stage_is_the_whole_way(classifiers, waves, name, stage):
    classifier = classifiers[name]
    with torch.no_grad():
        for wave in waves.split(1):
            expected = classifier(wave)
            assert expected.shape == (1, 2)
            torch.testing.assert_close(classifier.onward(stage, classifier.at(stage, wave), wave), expected)


def test_what_stands_at_a_layer_replaces_it(classifiers, waves):
    """Going on from a layer with its output doubled is a network whose layer doubles."""
    classifier, wave = classifiers["stft"], waves[:1]
    with torch.no_grad():
        layer = classifier.at("network.features", wave)
        doubled = classifier.onward("network.features", torch.cat([layer, 2 * layer]), wave)
        head = classifier.network.head
        torch.testing.assert_close(doubled[1], head((2 * layer).mean((2, 3)))[0])
        torch.testing.assert_close(doubled[:1], classifier(wave))
    assert all(not part._forward_hooks for part in classifier.modules()), "hooks must not stay behind"


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda c, w: c.at("network.nothing", w), ew.UsageError, "unknown stage 'network.nothing'"),
        (lambda c, w: c.at("feature", w), ew.UsageError, r"unknown stage 'feature'. Did you mean features"),
        (lambda c, w: c.at("frontend.filterbank", w), ew.UsageError, "unknown step of the front end 'filterbank'"),
        (lambda c, w: c.onward("frontend.mel", w), ew.UsageError, "unknown step of the front end 'mel'"),
        (lambda c, w: c.onward("network.features", w), ew.ModelError, "needs the waveform"),
    ],
)
def test_unknown_stages(classifiers, waves, ask, error, said):
    with pytest.raises(error, match=said):
        ask(classifiers["stft"], waves)


def test_a_layer_that_is_never_used(rows, waves):
    network = rows([(0, 5), (5, 10)])
    network.spare = nn.Linear(2, 2)
    with pytest.raises(ew.ModelError, match=r"never uses network\.spare"):
        ew.Classifier(network, ew.LogSTFT(RATE, 256, 64), ["a", "b"]).at("network.spare", waves)


class Answers(nn.Module):
    """A network that answers whatever a function makes of its input."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def fails(x):
    raise ValueError


def test_behind_a_step_the_clip_keeps_its_own_statistics(waves):
    """The network reads the first column; masking a later one, the loudest, must not change what it reads."""
    frontend = ew.LogMel(RATE, n_fft=256, hop_length=64, n_mels=20, ref="max", standardise=True)
    classifier = ew.Classifier(Answers(lambda x: x[:, 0, 3:5, 0]), frontend, ["a", "b"])
    wave = waves[:1].clone()
    wave[0, 1000] = 20.0
    for stage in ("frontend.spectrum", "frontend.filterbank", "frontend.logarithm", "features"):
        x = classifier.at(stage, wave).clone()
        x[..., 10:20] = classifier.at(stage, 0 * wave, wave)[..., 10:20]
        torch.testing.assert_close(classifier.onward(stage, x, wave), classifier(wave))
    own = classifier.onward("frontend.spectrum", classifier.at("frontend.spectrum", waves[:1]))
    assert not torch.allclose(own, classifier(wave), atol=0.1)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: torch.zeros(len(x), 3), r"answers \[2, 3\] to 2 inputs, but there are 2 labels: it must answer \[2, 2\]"),
        (lambda x: torch.zeros(2), r"answers \[2\] to 2 inputs"),
        (lambda x: torch.zeros(len(x), 2, 7), r"answers \[2, 2, 7\]"),
        (lambda x: torch.zeros(1, 2), r"answers \[1, 2\] to 2 inputs"),
        (lambda x: (torch.zeros(2, 2),), "answers tuple to 2 inputs"),
        (lambda x: x @ torch.zeros(3, 3), r"cannot take features of shape \[2, 1, 129, 32\].*Is the clip too short"),
        (fails, r"cannot take features of shape \[2, 1, 129, 32\] \(ValueError\)"),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit(waves, function, said):
    classifier = ew.Classifier(Answers(function), ew.LogSTFT(RATE, 256, 64), ["a", "b"])
    with pytest.raises(ew.ModelError, match=said):
        classifier(waves[:2])


def test_a_clip_that_is_too_short(waves):
    network = nn.Sequential(nn.Conv2d(1, 2, 9), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier = ew.Classifier(network, ew.LogSTFT(RATE, 256, 64), ["a", "b"])
    assert classifier(waves).shape == (3, 2)
    for ask in (classifier, lambda w: classifier.at("network.0", w)):
        with pytest.raises(ew.ModelError, match="Is the clip too short for it"):
            ask(waves[:, :100])


def test_probabilities(classifiers):
    logits = torch.tensor([[0.0, 1.0986123]])
    torch.testing.assert_close(classifiers["stft"].probabilities(logits), torch.tensor([[0.25, 0.75]]))
    box = ew.BlackBox(lambda x: x, RATE, ["a", "b"], outputs="probabilities")
    assert box.unit == "probability"
    assert box.probabilities(logits) is logits
    with pytest.raises(ew.UsageError, match=r"unknown kind of outputs 'logit'\. Did you mean logits"):
        ew.Classifier(nn.Identity(), None, ["a"], outputs="logit")


def test_every_part_gets_its_own_mode_back():
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2), nn.Sequential(nn.Dropout(), nn.ReLU()))
    network.train()
    network[1].eval()
    network[2][0].eval()
    before = [part.training for part in network.modules()]
    with evaluating(network):
        assert not any(part.training for part in network.modules())
    assert [part.training for part in network.modules()] == before
    with pytest.raises(KeyboardInterrupt), evaluating(network):
        raise KeyboardInterrupt
    assert [part.training for part in network.modules()] == before


def test_modes_come_back_after_a_failure_in_the_middle(rows, tone):
    class Fails(nn.Module):
        def forward(self, x):
            assert not self.training
            raise RuntimeError("out of memory")

    network = nn.Sequential(rows([(0, 5), (5, 10)], dropout=0.5), Fails()).train()
    classifier = ew.Classifier(network, ew.LogSTFT(RATE, 256, 64), ["a", "b"]).train()
    question = ew.AudioQuestion(classifier, tone()[0], ew.Grid(2, 2), "a")
    for ask in (question.value, question.gradient, question.logits):
        with pytest.raises(ew.ModelError, match="out of memory"):
            ask(torch.ones(1, 2, 2))
        assert all(part.training for part in classifier.modules())


def test_dropout_is_off_while_asking(rows, tone):
    classifier = ew.Classifier(rows([(7, 21), (21, 35)], dropout=0.9), ew.LogSTFT(RATE, 256, 64), ["a", "b"]).train()
    question = ew.ask(classifier, tone()[0], ew.Grid(2, 2), "a")
    values = question.value(torch.ones(5, 2, 2))
    assert torch.equal(values, values[:1].expand(5))
    assert values[0] == pytest.approx(float(classifier.eval()(tone()[0].samples[None])[0, 0]), rel=1e-5)


def power_and_peak(x):
    return np.stack([(x**2).mean(-1), np.abs(x).max(-1)], -1)


@pytest.mark.parametrize("batched", [True, False])
def test_a_black_box_is_any_function(tone, batched):
    seen = []

    def function(x):
        seen.append(x.shape)
        assert x.dtype == np.float32
        return power_and_peak(x)

    box = ew.BlackBox(function, RATE, ["power", "peak"], batched=batched)
    clip = tone()[0]
    np.testing.assert_allclose(box(clip.samples[None])[0], power_and_peak(clip.samples.numpy()), rtol=1e-6)
    question = ew.ask(box, clip, ew.Segments(count=2), "power")
    halves = question.value([[1, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(halves[0] + halves[1], halves[2], rtol=0.01)
    assert set(map(len, seen)) == ({2} if batched else {1})


def test_a_black_box_has_no_gradient(tone):
    question = ew.ask(ew.BlackBox(power_and_peak, RATE, ["power", "peak"]), tone()[0], ew.Segments(count=2), "power")
    for ask in (lambda: question.gradient(torch.ones(1, 2)), lambda: ew.Saliency()(question)):
        with pytest.raises(
            ew.ModelError, match="a black box has no gradient: choose a method that only asks, such as Sobol"
        ):
            ask()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: np.zeros(2), r"the function answered \[2\] to \[3, 2000\].*batched=False"),
        (lambda x: 1.0, r"the function answered \[\] to \[3, 2000\]"),
        (lambda x: np.zeros((3, 5)), r"answers \[3, 5\] to 3 inputs, but there are 2 labels"),
        (lambda x: [["a", "b"]] * 3, "could not convert string to float"),
        (lambda x: x[:, 5000], "index 5000 is out of bounds"),
    ],
)
def test_black_boxes_that_do_not_fit(waves, function, said):
    with pytest.raises(ew.ModelError, match=said):
        ew.BlackBox(function, RATE, ["a", "b"])(waves)


def test_ready_features_can_be_explained_but_not_heard(rows):
    """A network on [1, F, T]: the logit of a class is the mean of its rows; the rest is not its business."""
    features = torch.ones(1, 8, 12)
    features[0, :4, 6:] = 5.0
    classifier = ew.Classifier(rows([(0, 4), (4, 8)]), None, ["low", "high"])
    assert classifier.sample_rate is None
    found = ew.explain(classifier, features, ew.Sobol(designs=256), "low", ew.Grid(2, 2))
    np.testing.assert_allclose(found.values, [[1 / 26, 25 / 26], [0, 0]], atol=4 * found.stderr.max())
    assert [(axis.name, axis.unit, axis.edges) for axis in found.axes] == [
        ("frequency", "index", (0, 4, 8)),
        ("time", "index", (0, 6, 12)),
    ]
    bins = ew.explain(classifier, features.numpy(), ew.Saliency(), "low")
    np.testing.assert_allclose(bins.values, np.repeat([1 / 48, 0], 4)[:, None] * np.ones(12), atol=1e-8)
    for explanation in (found, bins):
        with pytest.raises(ew.UsageError, match="no sound behind this explanation"):
            explanation.hear()


@pytest.mark.parametrize(
    ("audio", "cut", "error", "said"),
    [
        (ew.Audio([0.1], RATE), ew.Bins(), ew.UsageError, r"has no front end: give it ready features \[1, F, T\]"),
        ("clip.wav", ew.Bins(), ew.UsageError, "has no front end"),
        (torch.full((1, 2, 2), torch.nan), ew.Bins(), ew.InputError, "hold NaN or infinity"),
        (torch.zeros(1, 0, 2), ew.Bins(), ew.InputError, "the features are empty"),
        ([["a"]], ew.Bins(), ew.InputError, "the features must be numbers"),
        (torch.ones(1, 8, 12), ew.Segments(count=2), ew.UsageError, "cut ready features with Grid or Bins"),
        (torch.ones(1, 8, 12), ew.Cells(stage="features"), ew.UsageError, "cut ready features with Grid or Bins"),
        (torch.ones(1, 8, 12), ew.Grid(2, 2, baseline="noise"), ew.UsageError, "ready features have no sound"),
        (
            torch.ones(1, 8, 12),
            ew.Grid(9, 2),
            ew.InputError,
            "the frequency axis has 8 places, so it cannot be cut into 9",
        ),
        (torch.ones(8), ew.Grid(2, 2), ew.UsageError, "a grid needs features over frequency and time"),
    ],
)
def test_ready_features_that_do_not_fit(rows, audio, cut, error, said):
    classifier = ew.Classifier(rows([(0, 4), (4, 8)]), None, ["low", "high"])
    with pytest.raises(error, match=said):
        _ = ew.ask(classifier, audio, cut, "low").components


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_devices_without_cuda():
    assert (find_device("auto").type, find_device("cpu").type) == ("cpu", "cpu")
    with pytest.raises(ew.UsageError, match="no CUDA device is available here: use --device cpu"):
        find_device("cuda")
    with pytest.raises(ew.UsageError, match="unknown device 'gpu'"):
        find_device("gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_explaining_on_cuda(cnn, tone):
    """The same answers as on the CPU, with the clip left where it was."""
    make = lambda: cnn(ew.LogMel(RATE, 256, 64, 20))  # noqa: E731
    clip = tone()[0]
    for cut in (ew.Grid(3, 3), ew.Cells(bands=3, seconds=0.3), ew.Cells(bands=3, seconds=0.3, baseline="noise")):
        here = ew.explain(make(), clip, ew.Sobol(designs=16), "low", cut)
        there = ew.explain(make().to(find_device("cuda")), clip, ew.Sobol(designs=16), "low", cut)
        np.testing.assert_allclose(there.values, here.values, atol=1e-3)
        heard = [explanation.hear(0.5).audio.samples.cpu() for explanation in (here, there)]
        torch.testing.assert_close(*heard, atol=1e-4, rtol=0)
    ew.explain(make().cuda(), clip, ew.Saliency(), "low")
    assert clip.samples.device.type == "cpu"
