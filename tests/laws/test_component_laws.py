"""Every cut, at every stage, with every baseline, obeys the laws of components; on made and on real clips."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import earwitness as ew
from earwitness.checks import check_components

OTHER = ew.Audio(0.1 * np.random.default_rng(5).standard_normal(3000), 8000)
SOUNDS = {"silence": "silence", "noise": "noise", "another clip": OTHER, "two": ("silence", OTHER)}
MAPS = {"zero": "zero", "mean": "mean", "flat": "flat", "minimum": "minimum", "blur": "blur"}
CUTS = {
    "segments": lambda **how: ew.Segments(count=5, **how),
    "edges": lambda **how: ew.Segments(edges=(0.1, 0.15, 0.4), **how),
    "bands": lambda **how: ew.Bands(bands=6, **how),
    "mel bands": lambda **how: ew.Bands(bands=5, scale="mel", **how),
    "linear bands": lambda **how: ew.Bands(bands=4, scale="linear", **how),
    "cells": lambda **how: ew.Cells(bands=4, seconds=0.15, **how),
}
GRIDS = {"grid": lambda **how: ew.Grid(3, 4, **how), "bins": lambda **how: ew.Bins(**how)}
EVERY = {f"{c}, waveform, {b}": CUTS[c](stage="waveform", baseline=SOUNDS[b]) for c in CUTS for b in SOUNDS}
EVERY |= {
    f"{c}, features, {b}": CUTS[c](stage="features", baseline=(SOUNDS | MAPS)[b]) for c in CUTS for b in SOUNDS | MAPS
}
EVERY |= {f"{g}, features, {b}": GRIDS[g](baseline=(SOUNDS | MAPS)[b]) for g in GRIDS for b in SOUNDS | MAPS}


def clip_of(seed: int, samples: int) -> ew.Audio:
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal(samples) * np.linspace(0, 1, samples)
    return ew.Audio(sound / np.abs(sound).max(), 8000)


@pytest.fixture(scope="module")
def classifier(rows):
    frontend = ew.LogMel(8000, n_fft=256, hop_length=64, n_mels=20, level="db", amin=1e-8, standardise=True)
    return ew.Classifier(rows([(0, 10), (10, 20)]), frontend, ["low", "high"])


@pytest.mark.parametrize("name", EVERY)
@given(seed=st.integers(0, 2**31), samples=st.integers(4000, 6000))
def test_every_cut(classifier, name, seed, samples):
    check_components(EVERY[name](classifier, clip_of(seed, samples)), seed)


@pytest.mark.parametrize("name", ["cells, waveform, noise", "bands, waveform, silence", "segments, waveform, two"])
def test_a_real_recording_is_cut_without_loss(classifier, real_clip, name):
    check_components(EVERY[name](classifier, real_clip))


@pytest.mark.parametrize("name", ["grid, features, silence", "cells, features, noise", "bins, features, blur"])
def test_a_real_recording_s_features_are_cut_without_loss(classifier, real_clip, name):
    check_components(EVERY[name](classifier, real_clip))


@pytest.mark.parametrize("cut", [ew.Grid(2, 3), ew.Bins(), ew.Bins(baseline="mean"), ew.Grid(2, 2, baseline="blur")])
def test_ready_features(rows, cut):
    features = torch.randn(1, 8, 12, generator=torch.Generator().manual_seed(0))
    check_components(cut(ew.Classifier(rows([(0, 4), (4, 8)]), None, ["a", "b"]), features))
