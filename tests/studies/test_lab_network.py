"""The Sobol lab's own numbers: receptive fields, shuffled bins, widths of windows, the trivial rule, accuracies side by side."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import mannwhitneyu

from earwitness.axes import Axis
from earwitness.classifiers import Classifier
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.data.synthetic import scenes
from earwitness.studies.sobol_lab import features, ingredients, network
from earwitness.studies.sobol_lab.accuracies import Accuracies, clips_of, margins_of
from earwitness.studies.sobol_lab.lab import LAB, lab_frontend


@pytest.fixture
def cnn():
    """The lab's network before any training."""
    torch.manual_seed(3)
    return SmallSpecCNN(2).eval()


@pytest.mark.parametrize(("depth", "seen", "grid"), [(1, 4, 2), (2, 10, 4), (3, 22, 8), (4, 46, 16)])
def test_a_unit_sees_what_the_layers_say_and_no_more(depth, seen, grid):
    """One block adds 2 of its convolution and 1 of its pooling, in steps of the blocks before: 3 (2^depth - 1) + 1."""
    torch.manual_seed(depth)
    layers = SmallSpecCNN(2, (8, 8, 8, 8)[:depth]).eval().features
    assert network.receptive_field(layers) == (seen, grid) == (3 * (2**depth - 1) + 1, 2**depth)
    strength = network.influence(layers, torch.randn(24, 1, 65, 65))
    assert network.support(strength.sum(0)) == network.support(strength.sum(1)) == seen


def test_influence_is_the_gradient_of_the_middle_unit():
    """Of one convolution it is its kernel, turned round; of two channels and equal clips, the root of the mean square."""
    layer = torch.nn.Conv2d(1, 2, 3, padding=1, bias=False)
    found = network.influence(layer, torch.randn(5, 1, 7, 7))
    expected = torch.zeros(7, 7)
    expected[2:5, 2:5] = layer.weight.detach()[:, 0].square().mean(0).sqrt()
    torch.testing.assert_close(found, expected)


def test_half_of_a_row_lies_in_its_narrowest_half():
    assert network.narrowest_half(torch.tensor([1.0, 1, 1, 5, 1, 1])) == 1
    assert network.narrowest_half(torch.ones(9)) == 5
    assert network.narrowest_half(torch.tensor([0.0, 3, 0, 0, 0, 4, 3])) == 2


def test_shuffled_bins_are_put_back_by_the_inverse(cnn):
    shuffled, x = network.Shuffled(cnn, 129, seed=5), torch.randn(2, 1, 129, 20)
    assert sorted(shuffled.order.tolist()) == list(range(129)) != shuffled.order.tolist()
    back = torch.empty_like(x)
    back[:, :, shuffled.order] = x
    torch.testing.assert_close(shuffled(back), cnn(x))
    assert not torch.allclose(shuffled(x), cnn(x))
    assert torch.equal(network.Shuffled(cnn, 129, seed=5).order, shuffled.order)


def test_without_edges_only_the_grid_of_the_poolings_is_left(cnn):
    """Logits stay as they are for shifts by 16 places either way, and for no others; with edges for none."""
    classifier = Classifier(cnn, lab_frontend(), LAB.labels)
    bare, x = network.without_edges(classifier), torch.randn(3, 1, 128, 48)

    def moved(net: Classifier, *shift: int) -> float:
        change = net.onward("features", x.roll(shift, (2, 3))) - net.onward("features", x)
        return float(change.detach().abs().max())

    assert max(moved(bare, 16, 0), moved(bare, 0, 16), moved(bare, 48, 32)) < 1e-6
    assert min(moved(bare, 1, 0), moved(bare, 8, 0), moved(bare, 0, 5), moved(classifier, 16, 0)) > 1e-4
    torch.testing.assert_close(bare.network.head.weight, cnn.head.weight)


@pytest.mark.parametrize(("n_fft", "hop"), features.RESOLUTIONS)
def test_widths_are_those_of_the_hann_window(n_fft, hop):
    """Its spectrum is sinc(d) / (1 - d^2), d in bins; its square falls to half where cos(pi t / n_fft)^4 is 1/2."""
    found = features.resolved(lab_frontend(n_fft, hop))
    bins = 2 * brentq(lambda d: (np.sinc(d) / (1 - d**2)) ** 2 - 0.5, 0.1, 0.9)
    assert found["tone_hz"] == pytest.approx(bins * 8000 / n_fft, rel=2e-3)
    assert found["click_s"] == pytest.approx(2 * np.arccos(0.5**0.25) / np.pi * n_fft / 8000, rel=2e-3)
    assert (found["bin_hz"], found["hop_s"], found["window_s"]) == (8000 / n_fft, hop / 8000, n_fft / 8000)


def test_the_width_of_a_triangle_is_half_its_base():
    places = np.linspace(-1, 3, 81)
    assert features.half_power_width(places, np.maximum(0, 1 - np.abs(places - 1) / 1.5)) == pytest.approx(1.5)


def test_the_loudest_bins_hold_their_share_of_the_variance():
    """0 0 0 4: deviations -1 -1 -1 3, squares 1 1 1 9; the mean of two clips."""
    rows = torch.tensor([[0.0, 4, 0, 0], [1.0, -1, 1, -1]]).reshape(2, 1, 2, 2)
    np.testing.assert_allclose(
        features.loudest(rows), np.mean([[9 / 12, 10 / 12, 11 / 12, 1], [1 / 4, 2 / 4, 3 / 4, 1]], 0)
    )


def test_the_distance_of_a_map_is_that_of_its_mass():
    axes = (Axis("frequency", "Hz", (0, 100, 200, 400)), Axis("time", "s", (0, 1, 2)))
    found = SimpleNamespace(values=np.array([[1.0, 0], [0, 2], [1, 0]]), axes=axes)
    assert features.distance(found, 170.0) == pytest.approx((120 + 2 * 20 + 130) / 4)


def test_the_trivial_rule_knows_clean_tones_and_nothing_else():
    """Clean tones of either label are right; their margin changes sides where the energy in the two rows does."""
    rule = ingredients.louder_row()
    x, second = clips_of(list(scenes(replace(LAB, snr_db=None, interferer=0.0), 20, 1)))
    margins = margins_of(rule, x)
    assert ((margins > 0) == second).all()
    low, high = x[~second][:1], x[second][:1]
    assert margins_of(rule, 2 * low + high)[0] < 0 < margins_of(rule, low + 2 * high)[0]
    spectrum = torch.stft(high, 256, 64, window=torch.hann_window(256), pad_mode="constant", return_complex=True)[0]
    energy = spectrum.abs().square().mean(1)
    np.testing.assert_allclose(margins_of(rule, high), [float(energy[28] - energy[7])], rtol=1e-5)


@pytest.fixture
def side_by_side():
    """Four clips, two of either label, at three values."""
    margins = {
        "steady": np.array([[1.0, -1, 2, 1], [-1, -2, 2, 1], [-1, -2, 2, 1]]),
        "moved": np.array([[-9.0, -8, -7, -6], [-4, -2, -1, 0.2], [-3, -2, 1, 2]]),
    }
    return Accuracies("snr_db", (-10.0, 0.0, 10.0), margins, np.array([False, False, True, True]))


def test_accuracy_and_separation_are_two_things(side_by_side):
    found = side_by_side
    np.testing.assert_array_equal(found.accuracy("steady"), [0.75, 1, 1])
    np.testing.assert_array_equal(found.accuracy("moved"), [0.5, 0.75, 1])
    np.testing.assert_array_equal(found.separation("moved"), [1, 1, 1])
    ranks = mannwhitneyu(found.margins["steady"][0, 2:], found.margins["steady"][0, :2]).statistic / 4
    assert found.separation("steady")[0] == ranks == 0.875
    assert found.holds_down_to("steady") == pytest.approx(-4.0)
    assert found.holds_down_to("moved") == pytest.approx(6.0)
    assert found.separates_down_to("moved") == -10.0
    assert replace(found, values=(0.0,), margins={"moved": found.margins["moved"][:1]}).holds_down_to("moved") == np.inf


def test_classifiers_are_compared_clip_by_clip(side_by_side):
    np.testing.assert_allclose(side_by_side.right("steady").mean(0), [2 / 3, 1, 1, 1])
    assert side_by_side.difference("steady", "moved").mean == pytest.approx(np.mean([-1 / 3, 0, 2 / 3, 1 / 3]))
    assert side_by_side.verdict("steady", "moved").startswith("there is no certain difference (steady: +16.7 points")
    sure = replace(
        side_by_side, margins={"a": np.tile([[-1.0, -1, 1, 1]], (3, 1)), "b": np.tile([[1.0, 1, -1, -1]], (3, 1))}
    )
    assert sure.verdict("b", "a").startswith("'a' is better (b: -100.0 points")
    table = side_by_side.table()
    assert list(table["accuracy"]) == [0.75, 1, 1, 0.5, 0.75, 1] and list(table["snr_db"][:3]) == [-10, 0, 10]
