"""Asked again: methods whose stability is known in closed form, slow replicas, and what cannot be asked again."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

import earwitness as ew
from earwitness.classifiers.forgetting import layers, randomised
from earwitness.metrics import (
    EfficientRandomisation,
    InputInvariance,
    LocalLipschitz,
    MaxSensitivity,
    ParameterRandomisation,
    RandomLogit,
    RankStability,
    RelativeInputStability,
    RelativeOutputStability,
    RelativeRepresentationStability,
    SmoothRandomisation,
)
from earwitness.questions import counting

SIZE = 12


@dataclass(frozen=True)
class Answers:
    """A method: any function of the question, and of a seed."""

    function: object
    seed: int = 0

    def __call__(self, question):
        return ew.Explanation.of(question, self.function(question, self.seed), kind="effect", score=0.0, baseline=0.0)


def explained(question, method):
    return replace(method(question), explainer=method)


@pytest.fixture
def game():
    return ew.Game(SIZE, lambda m: m.sum(1))


@pytest.fixture
def question(cnn, tone):
    classifier = cnn(ew.LogMel(8000, 256, 128, 12), ("low", "high", "none"))
    return ew.ask(classifier, tone(seconds=0.25)[0], ew.Grid(3, 4), "low")


def test_stability_of_a_method_whose_luck_is_known(game):
    """Seed s shifts the order of the components by s places: Spearman's formula gives each correlation."""
    found = explained(game, Answers(lambda _, seed: np.roll(np.arange(SIZE), seed), seed=4))

    def rho(shift):
        return 1 - 6 * (shift**2 * (SIZE - shift) + (SIZE - shift) ** 2 * shift) / (SIZE * (SIZE**2 - 1))

    assert RankStability(1)(game, found) == pytest.approx(rho(1))
    assert RankStability()(game, found) == pytest.approx(np.mean([rho(shift) for shift in (1, 2, 3, 4, 5)]))


def test_stability_grows_with_the_samples(game):
    """A linear game seen through noise: 1 without noise, and what independent maps give with nothing else."""
    weights = np.arange(SIZE)

    def seen(noise):
        return Answers(lambda _, seed: weights + noise * np.random.default_rng(seed).standard_normal(SIZE))

    found = [RankStability(20)(game, explained(game, seen(noise))) for noise in (0, 0.01, 1, 10)]
    assert found[0] == found[1] == pytest.approx(1)
    assert found[1] > found[2] > found[3]
    alone = [RankStability(20)(game, explained(game, ew.Random(seed))) for seed in range(0, 420, 21)]
    assert abs(np.mean(alone)) < 3 * np.std(alone, ddof=1) / np.sqrt(len(alone))
    assert RankStability()(game, ew.Shapley()(game)) == 0  # equal values have no order
    exact = ew.Game(4, lambda m: m @ torch.arange(4.0))
    assert RankStability()(exact, ew.Shapley()(exact)) == pytest.approx(1)


def test_the_published_methods_are_asked_with_other_seeds(question):
    method = ew.LIME(samples=32, seed=3)
    others = [replace(method, seed=seed)(question).values.ravel() for seed in (4, 5)]
    expected = np.mean([spearmanr(method(question).values.ravel(), other)[0] for other in others])
    with counting() as count:
        assert RankStability(2)(question, method(question)) == pytest.approx(expected)
    assert count.evaluations == 3 * method(question).evaluations
    assert expected < 0.999


def test_no_luck_no_stability(question, game):
    with pytest.raises(ew.UsageError, match="saliency has no seed"):
        RankStability()(question, ew.Saliency()(question))
    with pytest.raises(ew.UsageError, match="no method that could be asked again"):
        RankStability()(game, ew.Explanation.of(game, np.arange(SIZE)))


def samples_of(question):
    """A method that is linear in the clip: the sums of 12 stretches of its samples."""
    return question.audio.samples[: 12 * 160].double().reshape(12, 160).sum(1).reshape(3, 4).numpy()


def test_sensitivity_of_a_method_that_ignores_the_clip(question):
    assert MaxSensitivity()(question, explained(question, ew.Random())) == 0


@pytest.mark.parametrize("radius", [0.01, 0.3])
def test_sensitivity_of_a_linear_method(question, radius):
    """What changes is the method's answer to the noise alone, whose level is exactly `radius` times the clip's."""
    samples, generator = question.audio.samples.double(), torch.Generator().manual_seed(7)
    changes = []
    for _ in range(4):
        noise = torch.randn(len(samples), generator=generator).double()
        noise *= radius * samples.square().mean().sqrt() / noise.square().mean().sqrt()
        apart = noise[: 12 * 160].reshape(12, 160).sum(1)
        changes.append(float(apart.norm()) / np.linalg.norm(samples_of(question)))
    found = MaxSensitivity(radius, samples=4, seed=7)(
        question, explained(question, Answers(lambda q, _: samples_of(q)))
    )
    assert found == pytest.approx(max(changes), rel=1e-4)
    assert found.parts["mean"] == pytest.approx(np.mean(changes), rel=1e-4)


def test_a_scale_free_sensitivity(question):
    """Twice the values, or half the clip's level: the same score."""
    metric = MaxSensitivity(samples=3)
    once, twice = (metric(question, explained(question, Answers(lambda q, _, k=k: k * samples_of(q)))) for k in (1, 2))
    quiet = replace(question, audio=question.audio.with_samples(question.audio.samples / 2, "halved"))
    assert once == pytest.approx(twice)
    assert once == pytest.approx(metric(quiet, explained(quiet, Answers(lambda q, _: samples_of(q)))), rel=1e-4)


def test_the_label_that_was_explained_stays(question):
    """The predicted label is explained, and noise louder than the clip changes what is predicted."""
    asked, targets = replace(question, target=None), []

    def watching(q, _):
        targets.append(q.target)
        return samples_of(q)

    found = explained(asked, Answers(watching))
    assert targets.pop() is None
    for metric in (MaxSensitivity(radius=30.0), ParameterRandomisation()):
        metric(asked, found)
    assert targets == 15 * [asked.resolved]


def test_sensitivity_cannot_be_relative_to_nothing(question, cnn, tone):
    with pytest.raises(ew.UsageError, match="zero everywhere"):
        MaxSensitivity()(question, explained(question, Answers(lambda q, _: np.zeros((3, 4)))))
    cut = ew.ask(question.classifier, question.audio, ew.Superpixels(6), "low")
    with pytest.raises(ew.UsageError, match="cuts along the sound itself"):
        MaxSensitivity(radius=10.0)(cut, ew.Occlusion()(cut))


def test_steepness_of_linear_methods(question):
    """At the waveform: the sum of all samples is as steep as the root of their number at most, and as the noise has it."""
    cut = ew.ask(question.classifier, question.audio, ew.Segments(count=1), "low")
    found = explained(cut, Answers(lambda q, _: 3 * q.audio.samples.double().sum().reshape(1).numpy()))
    steep = []
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        noise = torch.randn(len(cut.audio.samples), generator=generator).double()
        steep.append(3 * float(abs(noise.sum()) / noise.norm()))
    assert LocalLipschitz()(cut, found) == pytest.approx(max(steep), rel=1e-4)
    assert LocalLipschitz(radius=0.01)(cut, found) == pytest.approx(max(steep), rel=1e-3)
    relative = max(steep) * float(cut.audio.samples.norm()) / float(found.values[0])
    assert RelativeInputStability()(cut, found) == pytest.approx(abs(relative), rel=1e-4)
    assert RelativeInputStability(0.2)(cut, found) == pytest.approx(MaxSensitivity(0.2)(cut, found) / 0.2, rel=1e-4)


@pytest.mark.parametrize("layer", ["network.features.1", "network.features.5", "network.head"])
def test_an_explanation_that_is_the_representation_changes_exactly_as_it(question, layer):
    def behind(q, _):
        x = q.audio.samples[None]
        with torch.no_grad():
            return q.classifier.at(layer, x).double().reshape(-1).numpy()

    size = len(behind(question, 0))
    game = ew.Game(size, lambda m: m.sum(1))
    found = explained(replace(question), lambda q: ew.Explanation.of(game, behind(q, 0), score=0.0, baseline=0.0))
    sized = type("Sized", (ew.AudioQuestion,), {"shape": (size,)})
    asked = sized(question.classifier, question.audio, question.factorization, "low")
    assert RelativeRepresentationStability(layer=layer)(asked, found) == pytest.approx(1, rel=1e-4)
    if layer == "network.head":
        assert RelativeOutputStability()(asked, found) == pytest.approx(1, rel=1e-4)
    if layer == "network.features.5":  # the default: below the output
        assert RelativeRepresentationStability()(asked, found) == pytest.approx(1, rel=1e-4)
    if layer == "features":
        assert RelativeInputStability()(asked, found) == pytest.approx(1, rel=1e-4)
        assert LocalLipschitz()(asked, found) == pytest.approx(1, rel=1e-4)


def test_ready_features_can_be_noisy(cnn):
    classifier = cnn(None)
    features = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    question = ew.ask(classifier, features, ew.Grid(2, 2), "low")
    found = explained(question, Answers(lambda q, _: q.audio.reshape(2, 8, 2, 8).sum((1, 3)).double().numpy()))
    assert 0 < MaxSensitivity(samples=2)(question, found) < 0.1


def test_layers_come_from_the_output_down(question):
    assert layers(question.classifier) == ["head", "features.5", "features.4", "features.1", "features.0"]


def test_randomised_weights_are_the_same_numbers_elsewhere(question):
    classifier = question.classifier
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    twin = randomised(classifier, ["head", "features.0"], seed=1)
    moved = set()
    for name, value in twin.state_dict().items():
        if not torch.equal(value, before[name]):
            moved.add(name)
        assert torch.equal(value.flatten().sort()[0], before[name].flatten().sort()[0])
        assert torch.equal(classifier.state_dict()[name], before[name])
    assert moved == {"network.head.weight", "network.head.bias", "network.features.0.weight"}
    again, more = randomised(classifier, ["head"], seed=1), randomised(classifier, ["head"], seed=2)
    assert torch.equal(again.network.head.weight, twin.network.head.weight)  # whichever other layers are named
    assert not torch.equal(more.network.head.weight, twin.network.head.weight)
    twins = nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 9))
    twins[1].load_state_dict(twins[0].state_dict())
    both = randomised(ew.Classifier(twins, None, list("abcdefghi")), ["0", "1"]).network
    assert not torch.equal(both[0].weight, both[1].weight)  # layers of one shape are not permuted alike
    with pytest.raises(ew.UsageError, match="Did you mean head"):
        randomised(classifier, ["heads"])


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_a_method_that_ignores_the_model_stays_the_same(question, order):
    found = ParameterRandomisation(order)(question, ew.Loudness()(question))
    assert found == pytest.approx(1)
    np.testing.assert_allclose(found.values, np.ones(5))
    np.testing.assert_allclose(found.shares, np.arange(1, 6) / 5)


@pytest.mark.parametrize("order", ["cascading", "independent"])
@pytest.mark.parametrize(("steps", "ends"), [(None, (0, 1, 2, 3, 4, 5)), (2, (0, 2, 5)), (99, (0, 1, 2, 3, 4, 5))])
def test_randomisation_written_out(question, order, steps, ends):
    """By hand: copies of the model, each asked from the start; Spearman with absolute values."""
    method, names = ew.Occlusion(), layers(question.classifier)
    own, expected = np.abs(method(question).values).ravel(), []
    for start, end in pairwise(ends):
        twin = randomised(question.classifier, names[:end] if order == "cascading" else names[start:end], 3)
        other = ew.ask(twin, question.audio, question.factorization, "low")
        expected.append(spearmanr(own, np.abs(method(other).values).ravel())[0])
    found = ParameterRandomisation(order, steps, seed=3)(question, method(question))
    np.testing.assert_allclose(found.values, expected)
    np.testing.assert_allclose(found.shares, np.array(ends[1:]) / 5)
    assert found == pytest.approx(np.mean(expected))
    assert found < 0.9


def test_an_explanation_turned_round_counts_as_the_same(question):
    """Permuting weights may turn the signs round: what is important is still the same."""
    turns = iter((1, *[-1] * 5))
    found = explained(question, Answers(lambda q, _: next(turns) * np.arange(12.0).reshape(3, 4)))
    assert ParameterRandomisation()(question, found) == pytest.approx(1)


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_smooth_randomisation_written_out(question, order):
    """By hand: the mean of the maps of three noisy clips, of the model and of each copy."""
    method, names = ew.Saliency(), layers(question.classifier)
    samples, generator, clips = question.audio.samples, torch.Generator().manual_seed(2), []
    for _ in range(3):
        noise = torch.randn(samples.shape, generator=generator)
        clips.append(samples + 0.2 * noise * samples.square().mean().sqrt() / noise.square().mean().sqrt())

    def smooth(classifier):
        asked = [ew.ask(classifier, ew.Audio(clip, 8000), question.factorization, "low") for clip in clips]
        return np.mean([method(each).values for each in asked], axis=0).ravel()

    own, expected = smooth(question.classifier), []
    for start, end in pairwise((0, 2, 5)):
        twin = randomised(question.classifier, names[:end] if order == "cascading" else names[start:end], 2)
        expected.append(spearmanr(own, smooth(twin))[0])
    found = SmoothRandomisation(order, 2, radius=0.2, samples=3, seed=2)(question, method(question))
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    np.testing.assert_allclose([found, *found.shares], [np.mean(expected), 2 / 5, 1])


def test_averages_of_what_ignores_the_model(question):
    assert SmoothRandomisation(samples=2)(question, ew.Loudness()(question)) == pytest.approx(1)
    assert EfficientRandomisation()(question, ew.Loudness()(question)) == 0
    wide, two = np.ones((3, 4)), np.eye(3, 4)
    for before, after, rise in [(two, wide, 1 - np.log(3) / np.log(12)), (wide, two, np.log(3) / np.log(12) - 1)]:
        answers = iter((before, -2 * after))
        found = explained(question, Answers(lambda q, _, answers=answers: next(answers)))
        assert EfficientRandomisation()(question, found) == pytest.approx(rise)
    alone = replace(question, factorization=ew.Grid(1, 1))
    with pytest.raises(ew.UsageError, match="cut the clip into several"):
        EfficientRandomisation()(alone, ew.Occlusion()(alone))


def test_all_layers_have_forgotten(question):
    everything = randomised(question.classifier, layers(question.classifier), 5)
    other = ew.Occlusion()(ew.ask(everything, question.audio, question.factorization, "low")).values
    own = ew.Occlusion()(question)
    p, q = (np.abs(each).ravel() / np.abs(each).sum() for each in (own.values, other))
    expected = (-(q * np.log(q)).sum() + (p * np.log(p)).sum()) / np.log(12)
    assert EfficientRandomisation(5)(question, own) == pytest.approx(expected)


@pytest.mark.parametrize("method", [ew.Occlusion(), ew.Saliency(), ew.LIME(samples=32), ew.Shapley()])
@pytest.mark.parametrize("ready", [False, True])
def test_another_zero_of_the_features_changes_nothing(question, cnn, method, ready):
    asked = question
    if ready:
        features = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
        asked = ew.ask(cnn(None), features, ew.Grid(2, 2, baseline="mean"), "low")
        bare = ew.ask(cnn(None), features, ew.Grid(2, 2), "low")  # its silence is zero, wherever zero is
        assert isinstance(method, ew.Saliency) or InputInvariance()(bare, method(bare)) > 0.01
    assert InputInvariance(2.0)(asked, method(asked)) < 1e-3


def test_gradient_times_input_measures_from_a_zero_of_its_own(question):
    """Its values move by the slope times the shift, and the slope stays."""

    def times(q, _):
        return q.collect(q.x * q.slope(q.x[None])[0]).double().numpy()

    slope = question.collect(question.slope(question.x[None])[0]).double().numpy()
    moved = 3 * float(question.x.std()) * np.linalg.norm(slope) / np.linalg.norm(times(question, 0))
    assert InputInvariance(3.0)(question, explained(question, Answers(times))) == pytest.approx(moved, rel=1e-3)
    assert moved > 0.1


def test_nothing_to_randomise(listener, tone, question):
    nothing = ew.ask(listener, tone()[0], ew.Grid(2, 2), "low")
    with pytest.raises(ew.UsageError, match="no weights that could be randomised"):
        ParameterRandomisation()(nothing, ew.Occlusion()(nothing))
    with pytest.raises(ew.UsageError, match="Did you mean cascading"):
        ParameterRandomisation("cascade")
    question.classifier.network.stuck = nn.Parameter(torch.ones(3)) * 2  # no leaf: torch does not copy it
    with pytest.raises(ew.ModelError, match="cannot be copied"):
        ParameterRandomisation()(question, ew.Occlusion()(question))
    del question.classifier.network.stuck


def test_another_label_of_a_network_that_listens_elsewhere(listener, tone):
    """Two labels that hear different bands; they agree only in what neither hears, most of the clip."""
    question = ew.ask(listener, tone()[0], ew.Grid(8, 4), "low")
    low, high = (ew.Occlusion()(replace(question, target=label)).values.ravel() for label in ("low", "high"))
    found = RandomLogit()(question, ew.Occlusion()(question))
    assert found == pytest.approx(spearmanr(low, high)[0])
    assert found < 1 / 2
    heard = (low != 0) | (high != 0)
    assert spearmanr(low[heard], high[heard])[0] < 0


def test_what_does_not_look_which_label_and_what_turns_round(question):
    assert RandomLogit()(question, ew.Loudness()(question)) == pytest.approx(1)

    def opposed(q, _):
        return (1 if q.resolved.index == 0 else -1) * np.arange(12.0).reshape(3, 4)

    assert RandomLogit()(question, explained(question, Answers(opposed))) == pytest.approx(-1)


@pytest.mark.parametrize(("target", "others"), [("low", {1, 2}), ("none", {0, 1}), ("low - none", {1})])
def test_the_other_label_is_drawn(question, target, others):
    asked, targets = replace(question, target=target), []

    def watching(q, _):
        targets.append(q.target)
        return np.arange(12.0).reshape(3, 4)

    found = explained(asked, Answers(watching))
    for seed in range(12):
        RandomLogit(seed)(asked, found)
    assert set(targets[1:]) == others
    two = ew.ask(ew.Classifier(nn.Flatten(), None, ["a", "b"]), torch.rand(1, 1, 2), ew.Grid(1, 2), "a - b")
    with pytest.raises(ew.UsageError, match="uses all labels"):
        RandomLogit()(two, explained(two, ew.Random()))


@pytest.mark.parametrize("metric", [RankStability, MaxSensitivity, ParameterRandomisation, RandomLogit])
def test_a_loaded_explanation_has_no_method(question, metric, tmp_path):
    ew.LIME(samples=16)(question).save(tmp_path / "found.npz")
    with pytest.raises(ew.UsageError, match=r"this explanation \(lime\) was given, or loaded"):
        metric()(question, ew.Explanation.load(tmp_path / "found.npz"))


@pytest.mark.parametrize(
    ("metric", "settings", "message"),
    [
        (RankStability, {"repeats": 0}, "repeats must be a whole number above 0"),
        (MaxSensitivity, {"radius": 0}, "radius must be a number above 0"),
        (MaxSensitivity, {"samples": 0.5}, "samples must be a whole number above 0"),
        (ParameterRandomisation, {"steps": 0}, "steps must be a whole number above 0"),
        (RandomLogit, {"seed": -1}, "seed must be a whole number 0 or more"),
    ],
)
def test_settings_that_make_no_sense(metric, settings, message):
    with pytest.raises(ew.UsageError, match=message):
        metric(**settings)


def test_an_interruption_while_it_is_asked_again_stays_one(monkeypatch):
    """A method with a budget takes Ctrl-C as a reason to stop; a score of half an answer must not be stored."""
    game = ew.Game(6, lambda m: m.sum(1))
    explanation = ew.Sobol(until=ew.Budget(evaluations=2000))(game)
    stopped = replace(explanation, stopped="interrupted")
    monkeypatch.setattr(ew.Sobol, "__call__", lambda self, question: stopped)
    for metric in (ew.metrics.RankStability(),):
        with pytest.raises(KeyboardInterrupt):
            metric(game, explanation)


def test_a_stage_that_does_not_feel_the_noise(cnn, tone):
    """Behind a dead layer nothing changes: there is nothing to be relative to."""
    classifier = cnn(ew.LogSTFT(8000, 256, 64))
    with torch.no_grad():
        classifier.network.features[0].weight.zero_()
    question = ew.ask(classifier, tone()[0], ew.Units("features.2"), "low")
    explanation = ew.Loudness()(question)
    for metric in (ew.metrics.LocalLipschitz(samples=1), ew.metrics.RelativeInputStability(samples=1)):
        with pytest.raises(ew.UsageError, match="does not change under the noise"):
            metric(question, explanation)
