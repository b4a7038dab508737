"""Separated sources: any function, and demucs: its own loading code, on a tiny network with random weights."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import earwitness as ew
from earwitness.carrying import analyse, synthesise
from earwitness.checks import check_components
from earwitness.components.separated import load_demucs

RATE = 8000
T = np.arange(RATE) / RATE
LOW, HIGH = 0.3 * np.sin(2 * np.pi * 300 * T), 0.2 * np.sin(2 * np.pi * 2500 * T)
TINY = {
    "sources": ["voice", "drums"], "audio_channels": 2, "channels": 8, "depth": 2, "t_layers": 1, "bottom_channels": 16,
    "t_heads": 2, "nfft": 512, "samplerate": 8000, "segment": 1,
}  # fmt: skip


@pytest.fixture
def clip():
    return ew.Audio(LOW + HIGH, RATE)


def split_at_a_quarter(waveform):
    """A separator: what lies below and above a quarter of the bins, the upper part too quiet by half."""
    z = analyse(waveform, 512)
    below = torch.arange(257)[:, None] < 64
    return torch.stack([synthesise(z * part, 512, waveform.shape[-1]) for part in (below, 0.5 * ~below)], 1)


@pytest.fixture(scope="module")
def demucs():
    """`[name]` is a file, as demucs' authors publish theirs: safetensors with the class and its arguments."""
    htdemucs = pytest.importorskip("demucs.htdemucs")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return htdemucs.HTDemucs(**TINY).eval()


def published(network: nn.Module, path, klass: str = "demucs.htdemucs.HTDemucs", arguments=TINY):
    state = {name: value.clone().contiguous() for name, value in network.state_dict().items()}
    save_file(state, path, {"klass": klass, "args": "[]", "kwargs": json.dumps(arguments)})
    return path


def test_any_function_is_a_separator(listener, clip):
    cut = ew.Separated(split_at_a_quarter, names=("below", "above"))(listener, clip)
    assert cut.axes[0].edges == ("below", "above", "rest")
    below, above, rest = (cut.sound(one).double().numpy() for one in torch.eye(3))
    for found, true in ((below, LOW), (above, HIGH / 2), (rest, HIGH / 2)):
        assert 10 * np.log10((true @ true) / ((found - true) @ (found - true))) > 30
    assert cut.done == ("separated by function at 8000 Hz",)


@pytest.mark.parametrize("seconds", [None, 0.3])
@pytest.mark.parametrize("rate", [None, 16000, 11025])
def test_the_laws(listener, clip, rate, seconds):
    cut = ew.Separated(split_at_a_quarter, ("a", "b"), rate, channels=2, seconds=seconds, baseline=("silence", "noise"))
    check_components(cut(listener, clip))


def test_a_separator_gets_what_it_takes(listener, clip):
    """Its rate, its channels, evaluation mode, no gradients; its modes come back."""

    class Watched(nn.Module):
        sources, samplerate, audio_channels = ("all",), 16000, 2

        def forward(self, waveform):
            self.seen = tuple(waveform.shape), self.training, torch.is_grad_enabled()
            return waveform[None]

    separator = Watched().train()
    cut = ew.Separated(separator)(listener, clip)
    assert separator.seen == ((1, 2, 16000), False, False) and separator.training
    assert cut.axes[0].edges == ("all", "rest")
    rest = cut.sound(torch.tensor([0.0, 1.0]))[200:-200]
    assert rest.abs().max() < 2e-3


def test_demucs_is_loaded_from_a_file_and_run(listener, demucs, tmp_path):
    """The file's network answers like the network itself; its sources and what they leave are the clip."""
    noise = ew.Audio(0.1 * np.random.default_rng(0).standard_normal(9000), RATE)
    path = published(demucs, tmp_path / "tiny.safetensors")
    loaded, direct = ew.Separated(path)(listener, noise), ew.Separated(demucs)(listener, noise)
    assert loaded.axes[0].edges == ("voice", "drums", "rest")
    torch.testing.assert_close(loaded.sounds, direct.sounds, atol=1e-6, rtol=0)
    assert loaded.sounds[0].abs().max() > 1e-3
    check_components(loaded)
    again = ew.Separated(demucs)(listener, noise)
    torch.testing.assert_close(again.sounds, direct.sounds, atol=0, rtol=0)


def test_demucs_is_asked_at_its_own_level(demucs, listener, monkeypatch):
    """It gets mean 0 and deviation 1, as in its training; level and mean are put back, and no shift is drawn."""
    seen = {}

    def recorded(model, waveform, **how):
        seen.update(how, mean=float(waveform.mean()), deviation=float(waveform.std()))
        return torch.stack([waveform, 0 * waveform], 1)

    monkeypatch.setattr("demucs.apply.apply_model", recorded)
    samples = 0.2 + 0.1 * np.random.default_rng(0).standard_normal(RATE)
    sounds = ew.Separated(demucs)(listener, ew.Audio(samples, RATE)).sounds
    assert seen == {"shifts": 0, "mean": pytest.approx(0, abs=1e-5), "deviation": pytest.approx(1, rel=1e-3)}
    np.testing.assert_allclose(sounds[0], samples - samples.mean() / 2, atol=1e-6)
    np.testing.assert_allclose(sounds[1], samples.mean() / 2, atol=1e-6)
    np.testing.assert_allclose(sounds[2], 0, atol=1e-6)


def test_weights_that_cannot_be_had(monkeypatch):
    """Without a network: what is missing, from where, and what to do instead. No pickle is fallen back on."""
    hub = pytest.importorskip("demucs.hf")

    def offline(name):
        raise ConnectionError("Network is unreachable")

    monkeypatch.setattr(hub, "get_hf_model", offline)
    with pytest.raises(ew.ModelError, match=r"weights of 'htdemucs'.*Hugging Face hub.*Network is unreachable"):
        load_demucs("htdemucs")


def test_a_bag_from_the_hub(monkeypatch, demucs, listener, clip):
    """The hub gives bags of networks: they are averaged by demucs' own code."""
    hub, apply = pytest.importorskip("demucs.hf"), pytest.importorskip("demucs.apply")
    monkeypatch.setattr(hub, "get_hf_model", lambda name: apply.BagOfModels([demucs, demucs]))
    bag = ew.Separated("a-bag")(listener, clip)
    torch.testing.assert_close(bag.sounds, ew.Separated(demucs)(listener, clip).sounds, atol=1e-6, rtol=0)
    assert bag.done == ("separated by a-bag at 8000 Hz",)


def test_a_file_may_not_make_anything_else(demucs, tmp_path, monkeypatch):
    """demucs calls whatever class a file names: only its own networks are let through."""
    path = published(demucs, tmp_path / "bad.safetensors", "os.system", {})
    with pytest.raises(ew.ModelError, match=r"makes 'os\.system' and not one of demucs"):
        load_demucs(str(path))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"nothing")
    with pytest.raises(ew.ModelError, match="no demucs model in safetensors"):
        load_demucs(str(damaged))
    with pytest.raises(ew.InputError, match="no separator at"):
        load_demucs(str(tmp_path / "nowhere.safetensors"))
    with pytest.raises(ew.UsageError, match=r"neither a \.safetensors file nor a name"):
        load_demucs("somebody/else")


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "demucs.hf", None)
    with pytest.raises(ew.UsageError, match=r"pip install earwitness\[sources\]"):
        load_demucs("another")


@pytest.mark.parametrize(
    ("separator", "names", "said"),
    [
        (lambda w: w[None], (), "say what the separator's sources are called"),
        (lambda w: w[None], ("rest",), "say what the separator's sources are called"),
        (lambda w: w[None], ("a", "b"), r"answers \[1, 1, 8000\] to \[1, 1, 8000\]: it must be \[1, 2, 1, 8000\]"),
        (lambda w: w[None, ..., :-1], ("a",), "it must be"),
        (lambda w: None, ("a",), r"answers \[\]"),
        (lambda w: w[None] * float("nan"), ("a",), "answers NaN or infinity"),
    ],
)
def test_separators_that_answer_something_else(listener, clip, separator, names, said):
    with pytest.raises(ew.EarwitnessError, match=said):
        ew.Separated(separator, names)(listener, clip)


def test_wrong_settings_are_told():
    with pytest.raises(ew.UsageError, match="channels must be a whole number above 0"):
        ew.Separated(channels=0)
    with pytest.raises(ew.UsageError, match="seconds must be a number above 0"):
        ew.Separated(seconds=0)
