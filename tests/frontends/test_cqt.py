"""The constant-Q transform against the sum that defines it, and against tones whose level is known."""

import numpy as np
import pytest
import torch

import earwitness as ew
from earwitness.errors import UsageError

RATE = 8000


def slow_cqt(x, rate, hop, bins, per_octave, low):
    """`[bins, frames]`, one inner product at a time: Hann window times complex exponential, about each multiple of the hop."""
    ratio = 2 ** (1 / per_octave)
    quality = (ratio**2 + 1) / (ratio**2 - 1)
    answers = np.zeros((bins, 1 + len(x) // hop))
    for row in range(bins):
        hertz = low * ratio**row
        length = quality * rate / hertz
        half, samples = int(length / 2), int(length / 2) + int(np.ceil(length / 2))
        window = np.array([0.5 - 0.5 * np.cos(2 * np.pi * i / samples) for i in range(samples)])
        for frame in range(answers.shape[1]):
            total = 0
            for i in range(samples):
                n = i - half
                if 0 <= frame * hop + n < len(x):
                    total += x[frame * hop + n] * window[i] * np.exp(-2j * np.pi * hertz * n / rate)
            answers[row, frame] = abs(total) * np.sqrt(length) / window.sum()
    return answers


@pytest.mark.parametrize(
    ("samples", "hop", "bins", "per_octave", "low"),
    [
        (900, 64, 7, 3, 400.0),  # the lowest group of rows is not a whole octave
        (1000, 100, 12, 12, 1500.0),
        (700, 512, 6, 6, 1200.0),  # windows shorter than the hop
        (60, 32, 5, 12, 300.0),  # a clip shorter than any window
    ],
)
def test_the_sum_that_defines_it(samples, hop, bins, per_octave, low):
    x = 0.1 * np.random.default_rng(0).standard_normal(samples)
    expected = slow_cqt(x, RATE, hop, bins, per_octave, low)
    found = (
        ew.LogCQT(RATE, hop, bins, per_octave, low, level="linear").double()(torch.from_numpy(x)[None])[0, 0].numpy()
    )
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * expected.max())  # kernels are kept in float32


@pytest.mark.parametrize("row", [0, 12, 40, 83])
def test_a_tone_has_the_level_that_the_formula_gives(row):
    """A sine of amplitude A at f: A sqrt(N) / 2 in its own row, N = Q rate / f samples; in dB 20 log10 of that."""
    rate, amplitude = 22050, 0.2
    frontend = ew.LogCQT()
    hertz = 32.70319566257483 * 2 ** (row / 12)
    x = frontend(torch.from_numpy(amplitude * np.sin(2 * np.pi * hertz * np.arange(2 * rate) / rate)).float()[None])[
        0, 0
    ]
    middle = x[:, 40]
    assert int(middle.argmax()) == row
    length = (2 ** (1 / 6) + 1) / (2 ** (1 / 6) - 1) * rate / hertz
    np.testing.assert_allclose(middle[row], 20 * np.log10(amplitude * np.sqrt(length) / 2), atol=0.05)


def test_an_octave_apart_is_twelve_rows_apart():
    frequency, _ = ew.LogCQT().axes(22050)
    edges = np.array(frequency.edges)
    np.testing.assert_allclose(edges[12:] / edges[:-12], 2)
    np.testing.assert_allclose(np.sqrt(edges[9 + 36] * edges[10 + 36]), 440.0)  # A4 is nine semitones above C4
    assert frequency.size == 84 and frequency.unit == "Hz"


def test_rows_that_are_too_high_are_told():
    with pytest.raises(
        UsageError, match=r"highest of 84 rows stands at 3951 Hz and reaches to 4122 Hz, beyond 4000 Hz"
    ):
        ew.LogCQT(8000)
    with pytest.raises(UsageError, match="fmin must be a number above 0"):
        ew.LogCQT(fmin=0.0)
    with pytest.raises(UsageError, match="n_bins must be a whole number above 0"):
        ew.LogCQT(n_bins=0)
