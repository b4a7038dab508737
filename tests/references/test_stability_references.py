"""Stability and randomisation against Quantus 0.6.0 and captum: the same neighbours, the same networks with randomised weights.

All of them ask about the inputs that ours asks about, and about networks whose weights are permuted as ours are: their own noise
and their own initial weights are other ones. Gradient x input is explained, by captum for theirs.

Not compared: AvgSensitivity has no metric of its own here (`parts["mean"]`); Continuity and Consistency we don't have;
RankStability they don't have; RandomLogit's default similarity is that of pictures (SSIM).
"""

import warnings
from collections import OrderedDict
from functools import partial
from itertools import cycle

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient
from captum.metrics import sensitivity_max
from torch import nn

import earwitness as ew
from earwitness import metrics
from earwitness.explanations.asking_again import noisy

pytestmark = pytest.mark.reference

SAMPLES = 6
MADE = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(1))
SIGNS = torch.where(MADE > 0, 1.0, -1.0)


class Permuted(nn.Linear):
    """A layer whose entries are permuted where Quantus has it draw new ones. place: 0 for the last layer; None at first."""

    place: int | None = None

    def reset_parameters(self):
        if self.place is None:
            super().reset_parameters()
            return
        rng = np.random.default_rng((0, self.place))
        for weights in (self.weight, self.bias):
            order = rng.permutation(weights.numel())
            with torch.no_grad():
                weights.copy_(weights.flatten()[order].reshape(weights.shape))


class Cube(nn.Module):
    def forward(self, x):
        return x**3


@pytest.fixture
def quantus():
    return pytest.importorskip("quantus")


def gradient_times_input(question):
    slope = question.slope(question.x[None])[0]
    return ew.Explanation.of(question, slope * question.x, "effect", explainer=gradient_times_input)


def asked(network=None, x=MADE, labels=("a", "b")):
    torch.manual_seed(0)
    layers = [Permuted(64, 8), nn.Tanh(), Permuted(8, 6), nn.Tanh(), Permuted(6, len(labels))]
    for place, layer in enumerate(layers[::-2]):
        layer.place = place
    classifier = ew.Classifier(network or nn.Sequential(nn.Flatten(), *layers), None, labels).eval()
    return ew.ask(classifier, x, ew.Bins(baseline="zero"), "a")


def cubes(weight=0.5):
    """A network whose logits are sums of cubes: gradient x input is 3 weight x^3, as large everywhere if the features are."""
    network = nn.Sequential(OrderedDict(cube=Cube(), flat=nn.Flatten(), out=nn.Linear(64, 2)))
    with torch.no_grad():
        network.out.weight.copy_(torch.stack([weight * SIGNS.flatten().flip(0), torch.linspace(-1, 1, 64)]))
    return network


def explained(model, inputs, targets, **_):
    found = InputXGradient(model).attribute(torch.as_tensor(inputs, dtype=torch.float32), torch.as_tensor(targets))
    return found.detach().numpy()


def neighbours(question, radius=0.1, seed=0):
    """The inputs `[SAMPLES, 1, 8, 8]` that ours asks about."""
    return torch.stack([other.audio for other in noisy(question, radius, SAMPLES, seed)])


def theirs(metric, question, others=None, **options):
    """What a metric of Quantus says, asking about these neighbours `[samples, 1, 8, 8]`, if it asks about any."""
    own = {"disable_warnings": True, "abs": False, "normalise": False}
    if others is not None:
        given = iter(others.flatten(1).double().numpy())
        own |= {"nr_samples": len(others), "perturb_func": lambda arr, **_: next(given)[None]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = question.x[None].numpy()
        call = {"explain_func": explained, "device": "cpu", **options}
        return metric(**own)(question.classifier.network, x.astype(float), np.zeros(1, int), None, **call)


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_sensitivity(quantus):
    question = asked()
    others, ours = (
        neighbours(question),
        metrics.MaxSensitivity(samples=SAMPLES)(question, gradient_times_input(question)),
    )
    (largest,), (mean,) = (theirs(m, question, others) for m in (quantus.MaxSensitivity, quantus.AvgSensitivity))
    assert (ours, ours.parts["mean"]) == (pytest.approx(largest, rel=1e-5), pytest.approx(mean, rel=1e-5))
    attribute = InputXGradient(question.classifier.network).attribute
    said = sensitivity_max(attribute, question.x[None], lambda _: others, n_perturb_samples=SAMPLES, target=0)
    assert ours == pytest.approx(float(said), rel=1e-5)


def test_local_lipschitz(quantus):
    question = asked()
    (said,) = theirs(quantus.LocalLipschitzEstimate, question, neighbours(question), softmax=False)
    assert metrics.LocalLipschitz(samples=SAMPLES)(question, gradient_times_input(question)) == pytest.approx(
        said, rel=1e-4
    )


def relative(quantus):
    """Ours, and theirs without the neighbours' labels, which would make one NaN of all."""
    names = ("RelativeInputStability", "RelativeOutputStability", "RelativeRepresentationStability")
    theirs = [partial(getattr(quantus, name), return_nan_when_prediction_changes=False) for name in names]
    theirs[2] = partial(theirs[2], layer_names=["cube"])
    made = [getattr(metrics, name)(samples=SAMPLES) for name in names[:2]]
    return [*made, metrics.RelativeRepresentationStability(samples=SAMPLES, layer="network.cube")], theirs


def by_elements(question, others):
    """Slowly, as published: relative to each value, feature and hidden number by itself; logits as they are."""
    network, x = question.classifier.network, question.x[None].double()
    weight, found = network.out.weight[0].detach().double().reshape(8, 8), []
    for other in others.double():
        values, moved = 3 * weight * x**3, 3 * weight * other**3
        change = ((moved - values) / values).norm()
        logits = (network.out.weight.detach().double() @ (other**3 - x**3).flatten()).norm()
        found.append([change / ((other - x) / x).norm(), change / logits, change / ((other**3 - x**3) / x**3).norm()])
    return torch.tensor(found).max(0).values.tolist()


def test_relative_stability(quantus):
    """Where all features, values and hidden numbers are of one size, relative element by element and by norms are the same; the
    logits, to which theirs (and the paper) doesn't relate the change, are |z| / sqrt(64) times away."""
    question = asked(cubes(), SIGNS)
    others, explanation = neighbours(question), gradient_times_input(question)
    sizes = [1, float(question.clip_logits.norm()) / 8, 1]
    for ours, other, size, published in zip(*relative(quantus), sizes, by_elements(question, others), strict=True):
        (said,) = theirs(other, question, others)
        assert said == pytest.approx(published, rel=1e-3)
        assert ours(question, explanation) == pytest.approx(said * size, rel=1e-3)


def test_relative_stability_of_small_values(quantus):
    """One feature of a thousandth: element by element, it decides everything. By norms, it is one of 64 that nearly vanishes."""
    near, small = SIGNS.clone(), SIGNS.clone()
    near[0, 0, 0], small[0, 0, 0] = 0.05, 1e-3
    scores = []
    for x in (near, small):
        question = asked(cubes(), x)
        others, explanation = neighbours(question), gradient_times_input(question)
        found = relative(quantus)
        said = [float(theirs(other, question, others)[0]) for other in found[1]]
        np.testing.assert_allclose(said, by_elements(question, others), rtol=0.02)
        scores.append([[ours(question, explanation) for ours in found[0]], said])
    (ours, published), (ours_small, published_small) = np.array(scores)
    np.testing.assert_allclose(ours_small, ours, rtol=0.02)
    assert (published_small > 100 * published)[:2].all()


def test_neighbours_with_another_label(quantus):
    """The paper leaves them out. Theirs, by default, makes one NaN of all; ours holds fixed which label is explained."""
    question = asked(cubes(), SIGNS)
    others = neighbours(question)
    assert np.isfinite(theirs(quantus.RelativeInputStability, question, others)).all()
    assert np.isnan(theirs(quantus.RelativeInputStability, question, torch.cat([others, -question.x[None]]))).all()


def test_random_logit(quantus):
    """With two labels there is one other. Theirs draws among 1000 unless told how many there are."""
    question, spearman = asked(), quantus.similarity_func.correlation_spearman
    made = partial(quantus.RandomLogit, similarity_func=spearman)
    (said,) = theirs(partial(made, num_classes=2), question)
    assert metrics.RandomLogit()(question, gradient_times_input(question)) == pytest.approx(said, abs=1e-6)
    with pytest.raises(IndexError, match="out of bounds"):
        theirs(made, question)


@pytest.mark.parametrize(("order", "named"), [("cascading", "top_down"), ("independent", "independent")])
def test_randomised_layers(quantus, order, named):
    """Layer by layer the same. Their mean counts the trained network, which is as similar to itself as can be, as one layer."""
    question = asked()
    ours = metrics.ParameterRandomisation(order)(question, gradient_times_input(question))
    made = lambda **own: quantus.MPRT(**own | {"abs": True}, layer_order=named)  # noqa: E731
    said = theirs(made, question)
    assert list(said) == ["original", *(["5", "3", "1"] if order == "cascading" else ["1", "3", "5"])]
    layers = [said[name][0] for name in ("5", "3", "1")]
    np.testing.assert_allclose(ours.values, layers, atol=1e-4)
    assert ours == pytest.approx(np.mean(layers), abs=1e-4)
    mean = theirs(lambda **own: made(**own, return_average_correlation=True), question)
    assert mean == pytest.approx([(np.sum(layers) + 1) / 4], abs=1e-6)


def test_smooth_randomisation(quantus, monkeypatch):
    """The same noises, and the clip itself, which is always one of theirs.

    Theirs explains by `quantus.explain`, whatever function it is given.
    """
    question = asked()
    others = neighbours(question) - question.x
    span = float(question.x.max() - question.x.min())
    drawn = cycle(others.double().numpy()[:, None] / (0.1 * span))
    monkeypatch.setattr(np.random, "randn", lambda *_: next(drawn))
    made = lambda **own: quantus.SmoothMPRT(  # noqa: E731
        **own | {"abs": True}, layer_order="top_down", nr_samples=SAMPLES + 1, noise_magnitude=0.1
    )
    said = theirs(made, question, explain_func_kwargs={"method": "InputXGradient"})
    clips = lambda asked, *known: [*noisy(asked, *known), asked]  # noqa: E731
    monkeypatch.setattr("earwitness.metrics.smooth_randomisation.noisy", clips)
    ours = metrics.SmoothRandomisation(samples=SAMPLES)(question, gradient_times_input(question))
    np.testing.assert_allclose(ours.values, [said[name][0] for name in ("5", "3", "1")], atol=1e-3)


def test_efficient_randomisation(quantus):
    """With the entropy of the shares; theirs is relative to that of the explanation, ours to the largest there can be.

    By default theirs takes the entropy of a histogram of 100 bins, nearly that of 64 numbers whatever they are.
    """

    def entropy(a, **_):
        p = np.abs(a).ravel() / np.abs(a).sum()
        return float(-(p * np.log(p)).sum())

    question = asked()
    explanation = gradient_times_input(question)
    (said,) = theirs(partial(quantus.EfficientMPRT, complexity_func=entropy), question)
    ours = metrics.EfficientRandomisation()(question, explanation)
    assert ours * np.log(64) == pytest.approx(said * entropy(explanation.values), rel=1e-4)


@pytest.mark.parametrize("padding", [0, 1])
def test_input_invariance(quantus, padding):
    """A gradient does not see the shift. Theirs leaves the first bin unshifted, so to it a gradient fails. Given a shift of
    all, it moves the bias of the first layer, which takes the shift off only where nothing is padded. Ours does so before."""
    conv = nn.Conv2d(1, 3, 3, padding=padding)
    network = nn.Sequential(conv, nn.Tanh(), nn.Flatten(), nn.Linear(3 * (6 + 2 * padding) ** 2, 2))
    question = asked(network)

    def gradient(question):
        return ew.Explanation.of(question, question.slope(question.x[None]), "effect", explainer=gradient)

    def slopes(model, inputs, targets, **_):
        x = torch.as_tensor(inputs, dtype=torch.float32).requires_grad_()
        return torch.autograd.grad(model(x)[:, 0].sum(), x)[0].numpy()

    metric, all_bins = metrics.InputInvariance(), lambda arr, input_shift, **_: arr + input_shift
    invariant, not_invariant = metric(question, gradient(question)), metric(question, gradient_times_input(question))
    slope, shift = gradient(question).values, float(question.x.std())
    expected = shift * np.linalg.norm(slope) / np.linalg.norm(slope * question.x[0].numpy())
    assert invariant < 1e-4
    assert not_invariant == pytest.approx(expected, rel=1e-3)
    shifted = partial(quantus.InputInvariance, perturb_func=all_bins)
    assert not np.any(theirs(quantus.InputInvariance, question, explain_func=slopes))
    assert np.all(theirs(shifted, question, explain_func=slopes)) == (padding == 0)
    assert not np.any(theirs(shifted, question))
