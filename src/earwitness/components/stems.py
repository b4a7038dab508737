"""Sounds that somebody else told apart: the stems of a production, a recording of the event alone.

clip = stems + rest            whatever they leave is one more component, so nothing is lost or invented
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from earwitness.audio import Audio, load, sound_files
from earwitness.components.sources import Sources
from earwitness.errors import InputError, UsageError

REST = "rest"
MOST = 0.05  # of the clip's power: what is left of it may be so much louder than itself
SLACK = 0.001  # seconds that a stem may be longer or shorter than its clip: resampling rounds


@dataclass(frozen=True, eq=False)
class Stems(Sources):
    """Given sounds that add up to the clip, and "rest": whatever they leave of it.

    stems: names and sounds (recordings or paths), or a folder: each sound file in it is a stem, named like the file. They start
        when the recording starts and last as long; of a window, the same window is taken. Other rates are resampled.
    Raises `InputError` for stems that are shorter, and where they make what is left louder than the clip.
    """

    stems: Mapping[str, Audio | str | os.PathLike] | str | os.PathLike

    def split(self, audio: Audio) -> tuple[tuple[str, ...], Tensor, tuple[str, ...]]:
        found = {name: each if isinstance(each, Audio) else load(each) for name, each in self._named().items()}
        fitted = {name: _fitted(name, each, audio) for name, each in found.items()}
        sounds = torch.stack([each.samples.to(audio.samples) for each in fitted.values()])
        done = tuple(f"{name}: {line}" for name, each in fitted.items() for line in each.provenance)
        rest = audio.samples - sounds.sum(0)
        power = audio.samples @ audio.samples
        if rest @ rest > (1 + MOST) * power or rest @ audio.samples < -MOST * power:
            raise InputError(
                f"the stems {', '.join(found)} do not add up to the clip: what is left of it is louder than itself, or upside "
                "down. Are they of this recording, at its level, and is the whole mix not among them?"
            )
        return (*found, REST), torch.cat([sounds, rest[None]]), done

    def _named(self) -> Mapping[str, Audio | str | os.PathLike]:
        given = self.stems
        named = given if isinstance(given, Mapping) else {path.stem: path for path in sound_files(given)}
        if not named:
            raise InputError("no stems: give names and sounds, or a folder of recordings")
        if REST in named:
            raise UsageError(
                f"{REST!r} is what the stems leave of the clip: give that stem another name, or leave it out"
            )
        return named


def _fitted(name: str, stem: Audio, clip: Audio) -> Audio:
    """The stem at the clip's rate and over its time."""
    stem = stem.resampled(clip.sample_rate)
    slack = max(1, round(SLACK * clip.sample_rate))
    first, length = round((clip.start - stem.start) * clip.sample_rate), len(clip.samples)
    missing = first + length - len(stem.samples)
    if first < 0 or missing > slack:
        raise InputError(
            f"the stem {name!r} runs from {stem.start:.3f} to {stem.end:.3f} s and the clip from {clip.start:.3f} to "
            f"{clip.end:.3f} s: stems must last as long as the recording that the clip is (or is a window of)"
        )
    samples = torch.nn.functional.pad(stem.samples[first : first + length], (0, max(0, missing)))
    return stem.with_samples(samples, f"{stem.start + first / stem.sample_rate:.3f} s on, as long as the clip")
