"""Frequency scales: hertz to mel and ERB-rate, and back. Arrays in, arrays out.

Slaney mel: 3f/200 below 1 kHz, logarithmic above (27 steps for a factor of 6.4).  HTK mel: 2595 log10(1 + f/700).
ERB-rate: 21.4 log10(1 + 0.00437 f); one unit is one equivalent rectangular bandwidth, 24.7 (1 + 4.37 f / 1000) Hz.

Source: Slaney, Auditory Toolbox (1998), as in librosa; Young et al., The HTK Book; Glasberg and Moore (1990).
"""

from collections.abc import Callable

import numpy as np

from earwitness.errors import unknown


def slaney(f: np.ndarray) -> np.ndarray:
    """Hertz to Slaney mel."""
    f = np.asarray(f, float)
    return np.where(f < 1000, 3 * f / 200, 15 + 27 * np.log(np.maximum(f, 1e-9) / 1000) / np.log(6.4))


def slaney_hz(m: np.ndarray) -> np.ndarray:
    """Slaney mel to hertz."""
    m = np.asarray(m, float)
    return np.where(m < 15, 200 * m / 3, 1000 * np.exp((np.maximum(m, 15) - 15) * np.log(6.4) / 27))


def htk(f: np.ndarray) -> np.ndarray:
    """Hertz to HTK mel."""
    return 2595 * np.log10(1 + np.asarray(f, float) / 700)


def htk_hz(m: np.ndarray) -> np.ndarray:
    """HTK mel to hertz."""
    return 700 * (10 ** (np.asarray(m, float) / 2595) - 1)


def erb(f: np.ndarray) -> np.ndarray:
    """Hertz to ERB-rate."""
    return 21.4 * np.log10(1 + 0.00437 * np.asarray(f, float))


def erb_hz(e: np.ndarray) -> np.ndarray:
    """ERB-rate to hertz."""
    return (10 ** (np.asarray(e, float) / 21.4) - 1) / 0.00437


def erb_bandwidth(f: np.ndarray) -> np.ndarray:
    """Equivalent rectangular bandwidth at f, in hertz."""
    return 24.7 * (0.00437 * np.asarray(f, float) + 1)


def identity(f: np.ndarray) -> np.ndarray:
    """Hertz to hertz."""
    return np.asarray(f, float)


SCALES: dict[str, tuple[Callable, Callable]] = {
    "slaney": (slaney, slaney_hz),
    "mel": (slaney, slaney_hz),
    "htk": (htk, htk_hz),
    "erb": (erb, erb_hz),
    "linear": (identity, identity),
}


def spaced(scale: str, low: float, high: float, count: int) -> np.ndarray:
    """`count` frequencies from `low` to `high` hertz, equally spaced on a scale."""
    if scale not in SCALES:
        raise unknown("frequency scale", scale, SCALES)
    there, back = SCALES[scale]
    points = back(np.linspace(there(low), there(high), count))
    points[0], points[-1] = low, high  # exact at both ends
    return points
