"""The true cause of a label as a map over frequency and time, from a clip and from the sound of its cause alone.

Both are looked at through the same STFT (64 ms windows, a quarter hop). A place belongs to the cause (1) where

    |C|^2 > |R|^2    and    |C|^2 > 10^(-range_db/10) max |C|^2,        R = clip - cause,

that is where the cause is heard in front of everything else and isn't merely the skirt of its own spectrum; elsewhere 0.
Carried to coarser components, the map becomes the share of each that the cause fills.

Source: the ideal binary mask of computational auditory scene analysis (Wang, 2005), with a criterion of 0 dB.
Differs: the floor below the cause's own peak, without which the faintest skirts count as cause in a quiet clip.
"""

import numpy as np
import torch

from earwitness.audio import Audio
from earwitness.axes import Axis
from earwitness.carrying import window_length
from earwitness.errors import InputError
from earwitness.frontends import LogSTFT


def truth_of(cause: Audio, clip: Audio, range_db: float = 30.0) -> tuple[np.ndarray, tuple[Axis, Axis]]:
    """`[frequency, time]` of zeros and ones, and its axes in hertz and seconds of the recording: `ew.ask(..., truth=this)`.

    cause: the cause alone, at its place and level in `clip`.  range_db: how far below its own peak it still counts.
    Raises `InputError` where the two don't fit together, or the cause is silent.
    """
    if cause.sample_rate != clip.sample_rate or len(cause.samples) != len(clip.samples):
        raise InputError(
            f"the cause ({len(cause.samples)} samples at {cause.sample_rate} Hz) must be as long as the clip "
            f"({len(clip.samples)} samples at {clip.sample_rate} Hz): give it at its place in the clip"
        )
    if cause.peak == 0:
        raise InputError("the cause is digital silence: it has no place in the clip")
    n_fft = window_length(clip.sample_rate)
    spectrum = LogSTFT(clip.sample_rate, n_fft, n_fft // 4, level="linear")
    sounds = torch.stack([cause.samples, clip.samples - cause.samples]).cpu()
    own, rest = spectrum(sounds)[:, 0].double().square()
    mask = (own > rest) & (own > own.max() * 10 ** (-range_db / 10))
    frequency, time = spectrum.axes(len(clip.samples))
    return mask.double().numpy(), (frequency, time.shifted(clip.start))
