"""Layers as components: what stands there, where its places lie, and that the network goes on from a mixture of it."""

import numpy as np
import pytest
import torch
from torch import nn

import earwitness as ew
from earwitness.checks import check_components, check_question
from earwitness.studies.listing import layers_of

MEL = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6)


@pytest.fixture
def clip(tone):
    return tone(span=(0.2, 0.6))[0]


@pytest.mark.parametrize("by", ["places", "channels", "units"])
def test_laws(cnn, clip, by):
    question = ew.ask(cnn(MEL), clip, ew.Units("features.3", by))
    check_components(question.components)
    check_question(question)


def test_shapes_and_places(cnn, clip):
    """Features of 20 x 126; two poolings by 2 leave 5 x 32 (an odd one stays): places share the axes out evenly."""
    classifier = cnn(MEL)
    features = classifier.axes("features", len(clip.samples))
    for layer, shape in (("features.3", (4, 10, 63)), ("network.features.7", (8, 5, 32))):
        found = {by: ew.ask(classifier, clip, ew.Units(layer, by)) for by in ("places", "channels", "units")}
        assert found["units"].x.shape == found["units"].shape == shape
        assert found["channels"].shape == shape[:1] and found["channels"].axes[0].name == "channel"
        assert found["places"].shape == shape[1:]
        frequency, time = found["places"].axes
        assert (frequency.edges[0], frequency.edges[-1]) == (features[0].edges[0], features[0].edges[-1])
        assert (time.edges[0], time.edges[-1]) == (features[1].edges[0], features[1].edges[-1])
        np.testing.assert_allclose(frequency.edges, np.asarray(features[0].edges)[:: 20 // shape[1]])
        np.testing.assert_allclose(np.diff(time.edges).sum() / shape[2], features[1].edges[-1] / shape[2])
    assert ew.ask(classifier, ew.Audio(clip.samples, 8000, start=3.0), ew.Units("features.3")).axes[1].edges[0] == 3.0


def test_the_network_goes_on_from_the_mixture(cnn, clip):
    """By hand: the layer's answers to clip and silence, mixed channel by channel, through the rest of the network."""
    classifier = cnn(MEL)
    question = ew.ask(classifier, clip, ew.Units("features.3", "channels"), "low")
    network, mask = classifier.network, torch.tensor([1.0, 0.0, 0.5, 0.25])
    with torch.no_grad():
        here, silent = (network.features[:4](MEL(sound[None])) for sound in (clip.samples, 0 * clip.samples))
        mixed = silent + mask.reshape(1, 4, 1, 1) * (here - silent)
        expected = network.head(network.features[4:](mixed).mean((2, 3)))[0, 0]
    np.testing.assert_allclose(question.value(mask[None]), expected, rtol=1e-5)
    np.testing.assert_allclose(question.ends()[0], question.clip_logits[0], rtol=1e-5)


def test_what_works_in_place_does_no_harm(clip):
    """A ReLU in place, right behind the layer, must neither change what was seen nor break the gradient."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
        )
    classifier = ew.Classifier(network, MEL, ["low", "high"]).eval()
    question = ew.ask(classifier, clip, ew.Units("0"))
    assert float(question.x.min()) < 0
    assert np.isfinite(ew.GradCAM()(question).values).all()
    np.testing.assert_allclose(question.ends()[0], float(question.clip_logits[question.resolved.index]), rtol=1e-5)


def test_layers_of_networks_on_samples(clip):
    network = nn.Sequential(
        nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 3, 80, 40), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(3, 2)
    )
    classifier = ew.Classifier(network, ew.Waveform(8000), ["low", "high"]).eval()
    question = ew.ask(classifier, clip, ew.Units("1"))
    assert [axis.name for axis in question.axes] == ["time"] and question.axes[0].edges[-1] == pytest.approx(1.0)
    assert ew.GradCAM()(question).shape == question.shape == (199,)


def test_places_are_heard_and_channels_are_not(cnn, clip):
    places = ew.Occlusion()(ew.ask(cnn(MEL), clip, ew.Units("features.7")))
    kept, removed = places.hear(0.3), places.hear(0.3, remove=True)
    assert float((kept.audio.samples + removed.audio.samples - clip.samples).abs().max()) < 1e-6
    channels = ew.ask(cnn(MEL), clip, ew.Units("features.7", "channels"))
    with pytest.raises(ew.EarwitnessError):
        ew.Occlusion()(channels).hear(0.3)
    with pytest.raises(ew.UsageError, match="no loudness"):
        ew.Loudness()(channels)
    assert ew.verify(ew.Occlusion()(channels)).outcome in ("stands", "does not stand", "can't tell")


def test_loudness_of_places(listener, tone):
    """A burst in the second quarter: the loudest places of a layer lie there."""
    clip, _ = tone(880, span=(0.25, 0.5), level=0.4)
    network = nn.Sequential(nn.AvgPool2d(8), nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier = ew.Classifier(network, listener.frontend, ["low", "high"]).eval()
    found = ew.Loudness()(ew.ask(classifier, ew.Audio(clip.samples, 8000, start=2.0), ew.Units("0")))
    place = found.top(1)[0].place
    assert 2.2 < place["time"][0] < place["time"][1] < 2.55 and place["frequency"][0] <= 880 <= place["frequency"][1]


@pytest.mark.parametrize(
    ("layer", "said"),
    [("features.99", "unknown stage 'network.features.99'"), ("head", "answers"), ("", "unknown stage")],
)
def test_layers_that_are_not_there(cnn, clip, layer, said):
    with pytest.raises(ew.EarwitnessError, match=said):
        ew.ask(cnn(MEL), clip, ew.Units(layer)).components  # noqa: B018
    with pytest.raises(ew.UsageError, match="unknown cut of a layer 'frames'"):
        ew.Units("features.3", "frames")


def test_ready_features_have_layers_as_well(cnn, clip):
    features, bare = MEL(clip.samples[None])[0], cnn(None)
    question, heard = ew.ask(bare, features, ew.Units("features.7")), ew.ask(cnn(MEL), clip, ew.Units("features.7"))
    np.testing.assert_allclose(question.ends()[0], heard.ends()[0], rtol=1e-5)
    np.testing.assert_allclose(ew.GradCAM()(question).values, ew.GradCAM()(heard).values, rtol=1e-4, atol=1e-7)


def test_a_layer_that_is_used_twice_is_no_place(clip):
    """A shared ReLU stands in two places: it is not listed, and refused."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.relu = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.ReLU()

        def forward(self, x):
            return self.relu(self.second(self.relu(self.first(x)))).mean((2, 3))

    classifier = ew.Classifier(Twice(), MEL, ["a", "b"]).eval()
    assert [row["layer"] for row in layers_of(classifier)] == ["first", "second"]
    with pytest.raises(ew.ModelError, match=r"uses network.relu 2 times: which is meant"):
        _ = ew.ask(classifier, clip, ew.Units("relu")).components


def test_a_layer_whose_rows_are_not_the_clips_is_refused(clip):
    class Windows(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            halves = torch.cat([x[..., :60], x[..., 60:120]])
            return self.inner(halves).mean((2, 3)).reshape(2, -1, 2).mean(0)

    classifier = ew.Classifier(Windows(), MEL, ["a", "b"]).eval()
    assert layers_of(classifier) == []
    with pytest.raises(ew.ModelError, match="does not answer each clip with numbers of its own"):
        _ = ew.ask(classifier, clip, ew.Units("inner")).components
