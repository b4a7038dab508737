"""Every question obeys the laws: batches, gradients, no traces, replacement, listening."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.checks import check_question

FRONTENDS = {
    "stft": ew.LogSTFT(8000, n_fft=256, hop_length=64),
    "stft, standardised": ew.LogSTFT(8000, n_fft=256, hop_length=64, standardise=True),
    "mel, dB": ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6),
    "mel, dB, ref max": ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, amin=1e-6, ref="max", top_db=60.0),
    "mel, log1p, standardised": ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, level="log1p", standardise=True),
    "erb, dB, standardised": ew.LogERB(8000, n_fft=256, hop_length=64, n_bands=20, amin=1e-6, standardise=True),
}
CUTS = {
    "grid": ew.Grid(4, 4),
    "bins": ew.Bins(),
    "segments, waveform": ew.Segments(count=5),
    "bands, features": ew.Bands(bands=5, stage="features"),
    "cells, waveform": ew.Cells(bands=4, seconds=0.15),
    "two baselines": ew.Cells(bands=4, seconds=0.15, stage="features", baseline=("silence", "noise")),
}


def clip_of(seed: int, samples: int = 4800) -> ew.Audio:
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / 8000
    return ew.Audio(0.4 * np.sin(2 * np.pi * 700 * t) * (t > 0.2) + 0.1 * rng.standard_normal(samples), 8000)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("frontend", FRONTENDS)
def test_every_front_end_and_cut(cnn, frontend, cut):
    classifier = cnn(FRONTENDS[frontend])
    classifier.network.features[0].train()  # modes of its parts that differ must come back as they were
    check_question(ew.ask(classifier, clip_of(0), CUTS[cut]))


@given(seed=st.integers(0, 2**31), samples=st.integers(3000, 9000), target=st.sampled_from(["low", "low - high", None]))
def test_any_clip_and_target(cnn, seed, samples, target):
    classifier = cnn(FRONTENDS["mel, dB"], seed=seed % 3)
    check_question(ew.ask(classifier, clip_of(seed, samples), ew.Grid(4, 4), target), seed=seed)


def test_a_network_in_training_mode_with_dropout(rows):
    classifier = ew.Classifier(rows([(7, 21), (21, 35)], dropout=0.5), FRONTENDS["stft"], ["low", "high"]).train()
    check_question(ew.ask(classifier, clip_of(1), ew.Grid(4, 4)))


@pytest.mark.parametrize("cut", [ew.Segments(count=5), ew.Cells(bands=4, seconds=0.15)])
def test_a_black_box(cut):
    box = ew.BlackBox(lambda x: np.stack([(x**2).mean(1), np.abs(x).max(1)], 1), 8000, ["power", "peak"])
    check_question(ew.ask(box, clip_of(2), cut, "power"), gradient=False)


def test_ready_features(cnn):
    features = torch.randn(1, 16, 24, generator=torch.Generator().manual_seed(0))
    check_question(ew.ask(cnn(None), features, ew.Grid(4, 4)))


@given(seed=st.integers(0, 2**31))
def test_games(seed):
    w = torch.randn(6, generator=torch.Generator().manual_seed(seed)).double()
    check_question(ew.Game((2, 3), lambda m: torch.tanh(m.double().flatten(1) @ w)), seed=seed)
    check_question(ew.Game(6, lambda m: (m.double() @ w) ** 2, gradient=lambda m: 2 * (m.double() @ w)[:, None] * w))


@pytest.mark.parametrize("cut", ["grid", "cells, waveform"])
def test_a_real_recording(cnn, real_clip, cut):
    check_question(ew.ask(cnn(FRONTENDS["mel, dB"]), real_clip, CUTS[cut]))
