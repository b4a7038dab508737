"""Edges between the parts: whose memory is it, whose mode, whose unit?"""

import numpy as np
import pytest
import torch

import earwitness as ew

RATE = 8000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def test_a_black_box_may_write_into_what_it_gets():
    given = torch.from_numpy(noise(0.5))
    audio = ew.Audio(given, RATE)

    def rude(samples):
        level = np.abs(samples).mean(1)
        samples -= 1
        return np.stack([level, -level], 1)

    question = ew.ask(ew.BlackBox(rude, RATE, ["loud", "quiet"]), audio, ew.Segments(count=3), "loud")
    first = question.value(question.ones)
    np.testing.assert_array_equal(question.value(question.ones), first)
    np.testing.assert_array_equal(audio.samples, given.float())
    given.zero_()
    assert audio.peak > 0.1


def test_an_error_in_a_black_box_is_told_as_its_own():
    def broken(samples):
        raise KeyError("weights")

    with pytest.raises(ew.ModelError, match=r"the black box failed.*KeyError.*weights"):
        ew.ask(ew.BlackBox(broken, RATE, ["a", "b"]), ew.Audio(noise(0.1), RATE))


@pytest.mark.parametrize(("samples", "spans"), [(5 * RATE + 8, [(0, 5.001)]), (10 * RATE + 32, [(0, 5), (5, 10.004)])])
def test_a_hair_more_than_a_window_is_no_window_of_its_own(samples, spans):
    windows = list(ew.Audio(np.ones(samples), RATE).windows(5.0))
    assert np.allclose([(w.start, w.end) for w in windows], spans)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_taken_where_the_caller_has_turned_them_off(mode, listener, tone):
    audio, _ = tone()
    wanted = ew.explain(listener, audio, ew.Saliency(), "low").values
    with mode():
        np.testing.assert_array_equal(ew.explain(listener, audio, ew.Saliency(), "low").values, wanted)


def test_a_truth_in_hertz_does_not_fit_bin_numbers(rows):
    classifier = ew.Classifier(rows([(0, 2), (2, 4)]), None, ["a", "b"])
    axes = ew.Axis("frequency", "Hz", (0, 100, 200)), ew.Axis("time", "s", (0, 1, 2))
    question = ew.ask(classifier, torch.rand(1, 4, 6), ew.Grid(2, 2), truth=(np.eye(2), axes))
    with pytest.raises(ew.InputError, match="'Hz' and is wanted in 'index'"):
        _ = question.cause


def test_a_map_like_the_input_is_summed_over_the_components(cnn):
    classifier = cnn(ew.LogSTFT(RATE, 256, 64))
    question = ew.ask(classifier, ew.Audio(noise(0.5), RATE), ew.Grid(4, 5))
    slope = question.slope(question.x[None])
    wanted = question.collect(slope[0])
    for given in (slope, slope[0], slope.numpy()):
        np.testing.assert_allclose(ew.Explanation.of(question, given, kind="effect").values, wanted, rtol=1e-6)


def test_small_features_get_a_smaller_grid(rows):
    found = ew.explain(ew.Classifier(rows([(0, 2), (2, 4)]), None, ["a", "b"]), torch.rand(1, 6, 50), ew.Sobol(2))
    assert found.shape == (6, 8)


def test_silence_is_told_where_nothing_is_kept(cnn):
    question = ew.ask(cnn(ew.LogSTFT(RATE, 256, 64)), ew.Audio(noise(0.5), RATE), ew.Grid(2, 2))
    assert "no component is kept" in str(ew.Explanation.of(question, -np.ones((2, 2)), kind="effect").hear())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ew.Sobol(designs=2.5),
        lambda: ew.Sobol(seed=-1),
        lambda: ew.Random(seed=1.5),
        lambda: ew.Segments(edges=[0.2, 0.1]),
        lambda: ew.Segments(edges=[0.1, np.nan]),
        lambda: ew.LogMel(norm="Slaney"),
        lambda: ew.LogMel(n_mels=0),
        lambda: ew.LogERB(power=0),
    ],
)
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ew.UsageError):
        wrong()


def test_a_numpy_seed_is_saved(tmp_path):
    ew.Sobol(2, seed=np.int64(3))(ew.Game(np.int64(3), lambda m: m.sum(1))).save(tmp_path / "e.npz")
    assert ew.Explanation.load(tmp_path / "e.npz").seed == 3


def test_a_vague_leader_is_told():
    vague = ew.Sobol(4, sampler="monte-carlo", estimator="jansen")(
        ew.Game(6, lambda m: (m.prod(1) > 0.02).float() + m[:, 0])
    )
    sure = ew.Sobol(64)(ew.Game(6, lambda m: m[:, 0]))
    assert not sure.warnings and vague.stderr.max() > 0
    assert any("is uncertain" in said for said in vague.warnings)
