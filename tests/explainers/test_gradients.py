"""The gradient family: closed forms, slow replicas, and captum on the same network."""

import numpy as np
import pytest
import torch
from captum.attr import GradientShap, InputXGradient, NoiseTunnel
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from captum.attr import Saliency as CaptumSaliency

import earwitness as ew
from earwitness.numerics.paths import by_level

MEL = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6)


@pytest.fixture
def question(cnn, tone):
    """Every bin of a short clip, against silence."""
    return ew.ask(cnn(MEL), tone(seconds=0.25)[0], ew.Bins(), "low")


def network(question):
    return question.classifier.network


def cubic(size=4, seed=0):
    """f(m) = sum of a m^3 + b m_0 m_1: gradients and integrals along the diagonal in closed form."""
    a, b = np.random.default_rng(seed).standard_normal(size), 1.7
    w = torch.as_tensor(a)
    integral, slope = a.copy(), 3 * a
    integral[:2] += b / 2
    slope[:2] += b
    return ew.Game(size, lambda m: (w * m.double() ** 3).sum(1) + b * m[:, 0] * m[:, 1]), slope, integral


def test_closed_forms():
    game, slope, integral = cubic()
    np.testing.assert_allclose(ew.Gradient()(game).values, slope, rtol=1e-6)
    np.testing.assert_allclose(ew.GradientInput()(game).values, slope, rtol=1e-6)
    for path in ("linear", "level"):
        found = ew.IntegratedGradients(steps=32, path=path)(game)
        np.testing.assert_allclose(found.values, integral, rtol=1e-5)
        assert found.gap < 1e-5
    for method in (ew.ExpectedGradients(samples=400), ew.GradientSHAP(samples=400)):
        found = method(game)
        assert np.all(np.abs(found.values - integral) < 5 * found.stderr) and found.stderr.max() < 0.02


def test_every_bin_equals_captum_s(question):
    x, ground, net = question.x[None], question.baselines[:1], network(question)
    plain = CaptumSaliency(net).attribute(x.clone(), target=0, abs=False)[0, 0]
    np.testing.assert_allclose(ew.Gradient()(question).values, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))
    product = InputXGradient(net).attribute(x.clone(), target=0)[0, 0].detach()
    near = 1e-5 * float(product.abs().max())
    np.testing.assert_allclose(ew.GradientInput.paper()(question).values, product, rtol=1e-4, atol=near)
    captum = CaptumIntegratedGradients(net).attribute(x, ground, target=0, n_steps=32, method="gausslegendre")[0, 0]
    found = ew.IntegratedGradients(steps=32)(question)
    np.testing.assert_allclose(found.values, captum, atol=1e-4 * float(captum.abs().max()))
    assert found.gap < 0.05


def test_gradient_shap_is_captum_s_within_its_error(question):
    """Both are Monte Carlo; ours against the mean of many of theirs, and the sum against the total."""
    x, net = question.x[None], network(question)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = GradientShap(net).attribute(x, question.baselines, n_samples=400, target=0)[0, 0].detach().double()
    found = ew.GradientSHAP(samples=200)(question)
    largest = float(theirs.abs().max())
    far = np.abs(found.values - theirs.numpy()) > 6 * found.stderr + 0.01 * largest
    assert far.mean() < 0.005 and np.corrcoef(found.values.ravel(), theirs.ravel())[0, 1] > 0.98
    assert abs(found.values.sum() - found.total) < 0.05 * abs(found.total)


def test_smooth_grad_is_captum_s_within_its_error(question):
    """The same width of noise: captum takes it in the input's unit."""
    everything = torch.cat([question.x[None], question.baselines])
    width = 0.15 * float(everything.max() - everything.min())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tunnel = NoiseTunnel(CaptumSaliency(network(question)))
        theirs = tunnel.attribute(
            question.x[None].clone(), nt_type="smoothgrad", nt_samples=400, stdevs=width, target=0, abs=False
        )[0, 0].detach()
    found = ew.SmoothGrad(samples=200)(question)
    far = np.abs(found.values - theirs.abs().numpy()) > 6 * found.stderr + 0.01 * float(theirs.abs().max())
    assert far.mean() < 0.005
    assert ew.SmoothGrad(samples=200, noise=0.5)(question).values.std() != pytest.approx(found.values.std(), rel=0.01)


def test_the_baseline_counts(cnn, tone):
    """In decibels zero is no silence: the published product starts from a level that means nothing."""
    question = ew.ask(cnn(MEL), tone()[0], ew.Grid(4, 4), "low")
    slope = question.slope(question.x[None])[0]
    ours = question.collect(slope * (question.x - question.baselines[0]))
    np.testing.assert_allclose(
        ew.GradientInput()(question).values, ours, rtol=1e-3, atol=1e-5 * float(ours.abs().max())
    )
    np.testing.assert_allclose(
        ew.GradientInput.paper()(question).values, question.collect(slope * question.x), rtol=1e-5
    )
    assert np.abs(ew.GradientInput()(question).values - ew.GradientInput.paper()(question).values).max() > 0.01


def test_expected_gradients_draw_from_all_baselines(cnn, tone):
    """Against two baselines: the mean of integrated gradients against each."""
    clips = tuple(tone(880, seed=seed)[0] for seed in (1, 2))
    both = ew.ask(cnn(MEL), tone()[0], ew.Grid(3, 4, baseline=clips), "low")
    exact = ew.IntegratedGradients(steps=64)(both)
    each = [
        ew.IntegratedGradients(steps=64)(ew.ask(cnn(MEL), tone()[0], ew.Grid(3, 4, baseline=c), "low")) for c in clips
    ]
    np.testing.assert_allclose(exact.values, np.mean([e.values for e in each], 0), atol=1e-6)
    for method in (ew.ExpectedGradients(samples=320), ew.GradientSHAP(samples=320)):
        found = method(both)
        assert np.all(np.abs(found.values - exact.values) < 5 * found.stderr + 1e-9)
        assert found.evaluations == 320 + 2 * 2
        assert 0 < found.stderr.max() < 0.2 * np.abs(exact.values).max()


def test_the_path_in_level_sees_what_a_logarithm_does():
    """f = log(1 + (3000 m)^2): with 8 points even in amplitude much is missing, with as many in decibels hardly anything."""
    game = ew.Game(1, lambda m: torch.log1p((3000 * m.double().sum(1)) ** 2))
    linear, level = (ew.IntegratedGradients(steps=8, path=path)(game) for path in ("linear", "level"))
    assert linear.gap > 0.1 and level.gap < 0.02
    assert any("the shares miss" in warning for warning in linear.warnings) and level.warnings == ()


def test_sound_in_front_of_a_spectrogram_goes_by_level(cnn, tone):
    sound = ew.ask(cnn(ew.LogSTFT(8000, 256, 64)), tone()[0], ew.Segments(count=4), "low")
    same = ew.IntegratedGradients(path="level")(sound)
    np.testing.assert_array_equal(ew.IntegratedGradients()(sound).values, same.values)
    assert not np.array_equal(ew.IntegratedGradients(path="linear")(sound).values, same.values)
    features = ew.ask(cnn(ew.LogSTFT(8000, 256, 64)), tone()[0], ew.Grid(2, 2), "low")
    np.testing.assert_array_equal(
        ew.IntegratedGradients()(features).values, ew.IntegratedGradients(path="linear")(features).values
    )


def test_gaussian_references_have_the_clip_s_mean_and_deviation(cnn, tone):
    """The score's mean distance from them is what the values add up to: effects, not shares of this question's total."""
    question = ew.ask(cnn(MEL), tone(seconds=0.25)[0], ew.Grid(1, 1), "low")
    found = ew.GradientSHAP(samples=2000, references="gaussian")(question)
    x = question.x.double().numpy()
    references = x.mean() + x.std() * np.random.default_rng(5).standard_normal((2000, *x.shape))
    scores = question.score(torch.from_numpy(references).float()).double().detach()
    noise = float(scores.std()) / np.sqrt(2000) + float(found.stderr[0, 0])
    expected = float(question.ends()[0] - scores.mean())
    assert abs(found.values[0, 0] - expected) < 5 * noise < 0.5 * abs(expected)
    assert (found.kind, found.gap) == ("effect", None)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ew.IntegratedGradients(steps=1), "steps"),
        (lambda: ew.IntegratedGradients(path="log"), "unknown path 'log'"),
        (lambda: ew.IntegratedGradients(floor=0), "less than 0"),
        (lambda: ew.SmoothGrad(noise=0), "noise must be a number above 0"),
        (lambda: ew.GradientSHAP(noise=-1), "0 or more"),
        (lambda: ew.GradientSHAP(references="clips"), "unknown kind of references"),
        (lambda: ew.ExpectedGradients(samples=1), "samples"),
    ],
)
def test_what_makes_no_sense(make, said):
    with pytest.raises(ew.UsageError, match=said):
        make()


def test_a_budget_stops_them(question):
    found = ew.GradientSHAP(until=ew.Budget(precision=0.2, evaluations=4000))(question)
    assert "standard error" in found.stopped and found.stderr.max() <= 0.2 * np.abs(found.values).max()


def normalising():
    """A network that hears no level but just above silence: each channel over its deviation, as group norm does."""
    torch.manual_seed(3)
    layers = [torch.nn.Unflatten(1, (1, -1)), torch.nn.Conv1d(1, 6, 16, 8, bias=False), torch.nn.GroupNorm(6, 6)]
    layers += [torch.nn.GELU(), torch.nn.Conv1d(6, 4, 8, 4), torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten()]
    return ew.Classifier(torch.nn.Sequential(*layers), ew.Waveform(8000), ["a", "b", "c", "d"]).eval()


@pytest.mark.parametrize("method", [ew.GradientSHAP, ew.ExpectedGradients])
def test_points_in_level_meet_the_total_where_even_points_miss_it(tone, method):
    """Out of silence everything happens 60 dB below the clip: the sum of few points scatters, and in level hardly."""
    question = ew.ask(normalising(), tone(level=0.8)[0], ew.Segments(count=5), "a")
    total = question.ends()[0] - question.ends()[1]
    sums = {
        path: np.array([method(samples=48, seed=seed, path=path)(question).values.sum() for seed in range(12)])
        for path in ("linear", "level")
    }
    assert sums["linear"].std() > 4 * sums["level"].std()
    assert abs(sums["level"].mean() - total) < 3 * sums["level"].std(ddof=1) / np.sqrt(12)
    natural = method(samples=48)(question).values
    np.testing.assert_array_equal(natural, method(samples=48, path="level")(question).values)
    loud = ew.ask(normalising(), tone(level=0.8)[0], ew.Segments(count=5, baseline="shaped"), "a")
    np.testing.assert_array_equal(method(samples=48)(loud).values, method(samples=48, path="linear")(loud).values)


def test_a_way_in_level_is_the_same_integral():
    """Of 1, a, and 1 / (a + 1e-3), which changes 60 dB below."""
    u = (np.arange(20000) + 0.5) / 20000
    a, weight = by_level(u, -100.0)
    np.testing.assert_allclose([weight.mean(), (weight * a).mean()], [1, 0.5], rtol=1e-6)
    np.testing.assert_allclose((weight / (a + 1e-3)).mean(), np.log(1001), rtol=1e-6)
    assert (np.diff(a) > 0).all() and a[0] > 0 and a[-1] < 1


def test_the_published_form_multiplies_by_the_input(cnn, tone):
    """By hand, with its own Gaussian references: slopes times the clip; nothing adds up."""
    question = ew.ask(cnn(MEL), tone()[0], ew.Segments(count=4), "low")
    found = ew.GradientSHAP.published(seed=5)(question)
    assert found.kind == "effect" and found.gap is None
    ours = ew.GradientSHAP(seed=5, references="gaussian")
    samples = question.x
    expected, rng = torch.zeros_like(samples), np.random.default_rng(5)
    for points in ours.block_sizes(50):
        u = (np.arange(points) + rng.random(points)) / points
        noise = samples.mean() + samples.std(correction=0) * torch.from_numpy(rng.standard_normal((points, 8000))).to(
            samples
        )
        at = noise + torch.from_numpy(u).to(samples)[:, None] * (samples - noise)
        expected += (question.slope(at) * samples).sum(0) / 50
    np.testing.assert_allclose(found.values, question.collect(expected), rtol=1e-4, atol=1e-6)
