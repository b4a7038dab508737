"""What the network is given: the clips, their spectrograms, and the sets that it learns from and is tested on."""

import numpy as np
import pandas as pd

from earwitness.data.synthetic import Scene
from earwitness.studies.pages import Curves, Heat, Picture, Section
from earwitness.studies.scene_training import stacked
from earwitness.studies.sobol_lab.lab import LAB, Lab, lab_frontend

SHOWN = 0.05  # seconds of a waveform that are drawn closely


def waveforms(lab: Lab) -> Section:
    """Four clips, as waveforms and to be heard, and what each is made of."""
    made = lab.scenes(4, snr_db=20.0)[:2] + lab.scenes(4, snr_db=0.0)[2:]
    snr = (20, 20, 0, 0)
    sounds, rows, whole, closely = {}, [], [], []
    for number, scene in enumerate(made):
        x, cause = scene.audio.samples.numpy(), scene.cause.samples.numpy()
        seconds, near = np.arange(len(x)) / scene.audio.sample_rate, slice(round(SHOWN * scene.audio.sample_rate))
        title = f"{scene.label}, {snr[number]} dB"
        whole.append(Curves(seconds, {"clip": x, "tone alone": cause}, "time (s)", "amplitude", title))
        lines = {"clip": x[near], "tone alone": cause[near]}
        closely.append(Curves(seconds[near], lines, "time (s)", "amplitude", f"{title}: the first 50 ms"))
        sounds[f"{number}-{scene.label}-{snr[number]}dB"] = scene.audio
        rows.append({"clip": number, "label": scene.label, "snr_db": snr[number], **levels(scene)})
    picture = Picture(
        whole + closely, "Four clips, whole and closely, and the tone alone that makes their label.", columns=4
    )
    return Section(
        "01-waveforms", "1. Four clips",
        "Half a second at 8 kHz. A tone of 220 Hz is called low, one of 880 Hz high; its amplitude swells by 30 % two to six "
        "times a second. Beside it stand another tone somewhere between 300 and 1500 Hz, which means nothing, and white noise "
        "0 to 20 dB below the tone. Levels in dB of full scale (RMS).",
        tables={"levels": pd.DataFrame(rows)}, pictures={"four": picture}, sounds=sounds,
    )  # fmt: skip


def levels(scene: Scene) -> dict[str, float]:
    """RMS levels of a clip, of its tone, and of everything else, in dB of full scale."""
    x, cause = scene.audio.samples.double().numpy(), scene.cause.samples.double().numpy()
    parts = {"clip_db": x, "tone_db": cause, "rest_db": x - cause}
    return {name: float(10 * np.log10(np.mean(part**2))) for name, part in parts.items()}


def spectrograms(lab: Lab) -> Section:
    """One spectrogram of each class, as the network is given it."""
    frontend, panels = lab_frontend(standardise=False), []
    for scene in lab.scenes(2, snr_db=10.0):
        values = frontend(scene.audio.samples[None])[0, 0].numpy()
        axes = frontend.axes(len(scene.audio.samples))
        panels.append(Heat(values, (axes[0], axes[1]), scene.label, unit="log(1 + |X|)"))
    bins, frames = panels[0].values.shape
    return Section(
        "02-spectrograms", "2. What the network sees",
        f"log(1 + |X|) of an STFT with windows of 256 samples (32 ms) every 64 (8 ms): {bins} rows of 31.25 Hz, {frames} "
        "columns. 220 Hz lies in row 7, 880 Hz in row 28.",
        pictures={"classes": Picture(panels, "A low and a high clip at 10 dB.", columns=2)},
    )  # fmt: skip


def data_set(lab: Lab) -> Section:
    """The sets, and what a batch of them looks like."""
    s = lab.settings
    x, y = stacked(LAB, s.batch, (s.seed, 0))
    features = lab_frontend()(x)
    rows = [
        {"what": "clips to learn from", "value": str(s.clips[0])},
        {"what": "clips to test on", "value": str(s.clips[1])},
        {"what": "waveforms of a batch", "value": str(list(x.shape))},
        {"what": "features of a batch", "value": str(list(features.shape))},
        {"what": "labels of a batch", "value": f"{list(y.shape)}, {int((y == 0).sum())} low"},
        {"what": "mean of each clip's features, at most", "value": f"{features.mean((1, 2, 3)).abs().max():.1g}"},
        {"what": "deviation of each clip's features, at least", "value": f"{features.std((1, 2, 3)).min():.4f}"},
    ]
    return Section(
        "03-data", "3. The data set",
        "Each clip has its own phase, level, modulation, interferer and noise; shifting a clip in time would only give it other "
        "phases and other noise of the same kind, so that no further shift is needed. Each clip's features are brought to zero "
        "mean and unit variance, which takes away most of the clip's level, not all of it (Q2): the 1 in log(1 + |X|) has one.",
        tables={"sets": pd.DataFrame(rows)},
    )  # fmt: skip
