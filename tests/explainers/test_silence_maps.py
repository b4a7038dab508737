"""Silence maps: one that asks the model, and the published one, which does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import earwitness as ew

MEL = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6)


@pytest.fixture
def question(cnn, tone):
    """Every bin of a short clip, against silence."""
    return ew.ask(cnn(MEL), tone(seconds=0.25)[0], ew.Bins(), "low")


# ---- the one that asks the model


def test_a_linear_game_by_hand():
    """20 weights that are far apart: of each copy the 5 smallest are marked, whatever their sign."""
    weights = np.random.default_rng(0).permutation(np.arange(1.0, 21.0) * np.tile([1, -1], 10))
    w = torch.as_tensor(weights)
    found = ew.SilenceMap(noise=1e-3)(ew.Game(20, lambda m: (m.double() * w).sum(1)))
    np.testing.assert_array_equal(found.values, np.abs(weights) > 5)
    np.testing.assert_array_equal(found.others["silence"], np.abs(weights) <= 5)
    np.testing.assert_allclose(found.signed, weights, rtol=1e-3)
    assert found.evaluations == 30 + 2 and found.stderr.max() == 0


def test_near_weights_are_turned_round_by_chance():
    """a (1 + n0) against b (1 + n1): how often the smaller weight contributes more is an integral of the normal curve."""
    a, b, width = 1.0, 1.05, 0.05
    found = ew.SilenceMap(samples=4000, noise=width, percentile=50)(ew.Game(2, lambda m: a * m[:, 0] + b * m[:, 1]))
    turned = torch.distributions.Normal(b - a, width * np.hypot(a, b)).cdf(torch.tensor(0.0)).item()
    np.testing.assert_allclose(found.others["silence"], [1 - turned, turned], atol=4 * np.sqrt(turned / 4000))
    np.testing.assert_allclose(found.stderr, np.sqrt(turned * (1 - turned) / 4000), rtol=0.5)


def test_equal_contributions_share_the_marks():
    """8 of 10 are dead: 3 marks are shared among them."""
    found = ew.SilenceMap(percentile=30)(ew.Game(10, lambda m: torch.relu(m[:, 0] + m[:, 1]) + 0 * m.sum(1)))
    np.testing.assert_allclose(found.others["silence"], [0, 0, *[3 / 8] * 8])


def test_slow_replica(cnn, tone):
    question = ew.ask(cnn(MEL), tone(seconds=0.25)[0], ew.Grid(4, 4, baseline=("silence", "mean")), "high")
    x, network, ground = question.x, question.classifier.network, question.baselines.mean(0)
    everything = np.concatenate([x.numpy().ravel(), question.baselines.numpy().ravel()])
    rng, found = np.random.default_rng(3), ew.SilenceMap(samples=6, noise=0.1, percentile=20, seed=3)(question)
    silence, signed = np.zeros((4, 4)), np.zeros((4, 4))
    for _ in range(6):
        noise = torch.from_numpy(rng.standard_normal((1, *x.shape))).float()
        copy = (x + 0.1 * float(np.ptp(everything)) * noise[0]).requires_grad_()
        network(copy[None])[0, 1].backward()
        product = (copy.grad * (copy.detach() - ground))[0].numpy()
        rows, columns = np.arange(20) * 4 // 20, np.arange(32) * 4 // 32
        each = np.array([[product[rows == i][:, columns == j] for j in range(4)] for i in range(4)])
        signed += each.sum((2, 3)) / 6
        for place in np.argsort(np.abs(each).sum((2, 3)), axis=None)[:3]:
            silence.flat[place] += 1 / 6
    np.testing.assert_allclose(found.others["silence"], silence, atol=1e-9)
    np.testing.assert_allclose(found.values, 1 - silence, atol=1e-9)
    np.testing.assert_allclose(found.signed, signed, rtol=1e-3, atol=1e-5)


def test_what_pulls_both_ways_is_not_silent():
    """The upper half of four rows weighs 1 and -1, the lower 0.1 and 0.1: on balance the upper half does less."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1))
    network[1].weight.data = torch.tensor([[0.1, 0.1, -1.0, 1.0]])
    question = ew.ask(ew.Classifier(network, None, ["one"]), torch.ones(1, 4, 1), ew.Grid(2, 1))
    found = ew.SilenceMap(noise=0.001, percentile=50)(question)
    np.testing.assert_array_equal(found.values[:, 0], [0, 1])
    np.testing.assert_allclose(found.signed[:, 0], [0.2, 0], atol=0.001)


def test_silence_is_where_the_model_does_not_listen(listener, tone):
    """A tone of 440 Hz, and a louder one of 2000 Hz to which the model is deaf: only one of the maps knows."""
    both = ew.Audio(tone(440)[0].samples + tone(2000, level=0.6)[1].samples, 8000)
    question = ew.ask(listener, both, ew.Bins(), "low")
    hertz = np.asarray(question.axes[0].edges)
    heard, deaf = (np.flatnonzero((hertz[:-1] <= f) & (f < hertz[1:]))[0] for f in (440, 2000))
    found = ew.SilenceMap(percentile=80)(question)
    level = ew.LevelSilenceMap()(question)
    silent = 1 - (14 / 129)
    np.testing.assert_allclose(found.others["silence"].mean(), 0.8, atol=0.001)
    assert (found.values[heard] == 1).all() and found.values[deaf].mean() == pytest.approx(1 - 0.8 / silent, abs=0.01)
    assert (level.values[heard] == 1).all() and (level.values[deaf] == 1).all()


def test_silence_is_outside_of_a_planted_tone(listener, tone):
    """Of 20 segments 12 are marked, none of them within the tone; of 64 bands 48, none among those of the label."""
    clip = tone(span=(0.3, 0.6))[0]
    times = ew.ask(listener, clip, ew.Segments(count=20, stage="features"), "low")
    begin, end = (np.asarray(edges) for edges in (times.axes[0].edges[:-1], times.axes[0].edges[1:]))
    silence = ew.SilenceMap(percentile=60)(times).others["silence"]
    assert silence.sum() == pytest.approx(12) and (silence[(end > 0.31) & (begin < 0.59)] == 0).all()
    bands = ew.ask(listener, clip, ew.Bands(bands=64, stage="features"), "low")
    centres = np.mean([bands.axes[0].edges[:-1], bands.axes[0].edges[1:]], axis=0)
    assert (ew.SilenceMap(percentile=75)(bands).values[(centres > 230) & (centres < 640)] == 1).all()


def test_a_flat_score_is_told():
    flat = ew.SilenceMap()(ew.Game(8, lambda m: torch.relu(m.sum(1) - 100)))
    np.testing.assert_allclose(flat.values, 0.75)
    assert "the score is flat (saturated) around this clip" in flat.warnings[0]


def test_it_is_no_other_for_another_batch_and_stops_at_a_budget(question):
    found = ew.SilenceMap(until=ew.Budget(precision=0.2, evaluations=2000))(question)
    assert "standard error" in found.stopped and found.stderr.max() <= 0.2
    first, again = (ew.SilenceMap(samples=6)(replace(question, batch=batch)) for batch in (8, 5))
    np.testing.assert_allclose(again.signed, first.signed, atol=1e-5 * np.ptp(first.signed))
    other = np.abs(again.others["silence"] - first.others["silence"]) > 1e-9
    assert np.count_nonzero(other) <= 2  # rounding may turn round the two that are next to a limit


# ---- the published one


def test_the_published_formula(question):
    """Written anew from its description: every bin, the noise drawn copy by copy."""
    x = question.x[0].double().numpy()
    level = (x - x.min()) / (x.max() - x.min() + 1e-10)
    rng, marks = np.random.default_rng(5), []
    for _ in range(20):
        noisy = np.clip(level + rng.normal(0, 0.05, (1, *level.shape))[0], 0, 1)
        marks.append(noisy <= np.percentile(noisy, 20))
    found = ew.LevelSilenceMap(samples=20, noise=0.05, percentile=20, seed=5)(question)
    np.testing.assert_allclose(found.others["silence"], np.mean(marks, 0), atol=1e-12)
    np.testing.assert_allclose(found.values, 1 - np.mean(marks, 0), atol=1e-12)
    np.testing.assert_allclose(found.stderr, np.std(marks, 0, ddof=1) / np.sqrt(20), atol=1e-12)
    coarse = ew.LevelSilenceMap(samples=20, noise=0.05, percentile=20, seed=5)(
        replace(question, factorization=ew.Grid(2, 1))
    )
    np.testing.assert_allclose(coarse.others["silence"][:, 0], np.mean(marks, 0).reshape(2, -1).mean(1), rtol=1e-5)


def test_clipping_marks_more_than_was_asked_for(listener, tone):
    """Half of the clip is digital silence: the noise drives half of it below 0, and all of that ties."""
    clip = tone(noise=0.0, span=(0.0, 0.5))[1]
    found = ew.LevelSilenceMap(percentile=10)(ew.ask(listener, clip, ew.Bins(), "low"))
    assert found.others["silence"].mean() > 0.25


def test_it_is_the_same_for_every_model_and_class(cnn, tone):
    clip = tone(span=(0.2, 0.6))[0]
    maps = [
        ew.LevelSilenceMap()(ew.ask(cnn(MEL, seed=seed), clip, ew.Grid(4, 4), label)).values
        for seed, label in ((0, "low"), (0, "high"), (1, "low"))
    ]
    asked = [ew.SilenceMap()(ew.ask(cnn(MEL, seed=seed), clip, ew.Grid(4, 4), "low")).values for seed in (0, 1)]
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])
    assert not np.array_equal(*asked)
    assert ew.LevelSilenceMap()(ew.ask(cnn(MEL), clip, ew.Grid(4, 4), "low")).evaluations == 2


@pytest.mark.parametrize("method", [ew.SilenceMap, ew.LevelSilenceMap])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 1}, "samples must be a whole number 2 or more"),
        ({"noise": 0}, "noise must be a number above 0"),
        ({"percentile": 0}, "percentile must be a number above 0"),
        ({"percentile": 100}, "below 100"),
    ],
)
def test_what_makes_no_sense(method, options, said):
    with pytest.raises(ew.UsageError, match=said):
        method(**options)
