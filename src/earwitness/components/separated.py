"""Sounds that a separator tells apart: a network made for it, such as demucs, or any function.

clip = sources + rest            what the separator loses (its estimates need not add up) is one more component
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from earwitness.audio import Audio
from earwitness.classifiers.base import evaluating
from earwitness.components.sources import Sources
from earwitness.components.stems import REST
from earwitness.errors import InputError, ModelError, UsageError, whole
from earwitness.extras import need

NETWORKS = ("demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", "demucs.htdemucs.HTDemucs")


@dataclass(frozen=True, eq=False)
class Separated(Sources):
    """Separated sources, and "rest": what the separator loses of the clip.

    separator: the name of a demucs model ("htdemucs", "htdemucs_6s", ...; its weights are fetched when it is first used), the
        path of one on disk (.safetensors), a demucs model, or any module or function from a waveform `[1, channels, time]` to
        sources `[1, sources, channels, time]` (or without the 1).
    names: of the sources.  sample_rate: that the separator takes, in hertz.  channels: that it takes; the clip stands in each,
        and the estimates are averaged over them. Demucs models know all three; else they are the clip's rate and one.
    Demucs needs `pip install earwitness[sources]`. Cost: one pass of the separator a clip.
    Raises `ModelError` where weights cannot be had, and where a separator answers something else.
    Source: Haunschmid et al. (2020), audioLIME; Rouard et al. (2023) for "htdemucs".
    Differs: from demucs' own program, no random shifts: the same clip gives the same sources.
    """

    separator: str | os.PathLike | nn.Module | Callable[[Tensor], Tensor] = "htdemucs"
    names: Sequence[str] = ()
    sample_rate: int | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(sample_rate=self.sample_rate, channels=self.channels)

    def split(self, audio: Audio) -> tuple[tuple[str, ...], Tensor, tuple[str, ...]]:
        given = self.separator
        separator = load_demucs(str(given)) if isinstance(given, str | os.PathLike) else given
        names = tuple(self.names) or tuple(getattr(separator, "sources", ()))
        if not names or REST in names:
            raise UsageError(
                f"say what the separator's sources are called, Separated(..., names=...), none of them {REST!r}"
            )
        rate = self.sample_rate or getattr(separator, "samplerate", audio.sample_rate)
        channels = self.channels or getattr(separator, "audio_channels", 1)
        mix = audio.resampled(rate)
        found = _separate(separator, mix.samples.expand(1, channels, -1).to(audio.samples.device), len(names))
        sounds = [_brought_back(sound, mix, audio) for sound in found]
        rest = audio.samples - torch.stack(sounds).sum(0)
        called = given if isinstance(given, str) else type(given).__name__
        return (*names, REST), torch.stack([*sounds, rest]), (f"separated by {called} at {rate} Hz",)


@lru_cache(1)
def load_demucs(name: str) -> nn.Module:
    """A demucs model by its name, or from a .safetensors file that holds its class and arguments. Kept for the next clip.

    Only safetensors are read, never the pickles of older releases, and only those that make one of demucs' own networks.
    Raises `UsageError` without demucs, `ModelError` without weights.
    """
    hub = need("demucs.hf", "sources", f"separating sources with {name!r}")
    if name.endswith(".safetensors"):
        if not Path(name).is_file():
            raise InputError(f"no separator at {name}")
        return _opened(lambda: hub.load_safetensors_model(_trusted(name)), f"{name} is no demucs model in safetensors")
    if "/" in name:
        raise UsageError(
            f"{name!r} is neither a .safetensors file nor a name of demucs' own models, such as 'htdemucs'"
        )
    return _opened(
        lambda: hub.get_hf_model(name),
        f"the weights of {name!r} could not be had: demucs fetches them from the Hugging Face hub. Is the name right and "
        "the network there? A file on disk is taken too: separator='model.safetensors'",
    )


def _trusted(path: str) -> str:
    """The path of a file that makes one of demucs' networks: demucs itself would call whatever the file names."""
    with safe_open(path, "pt") as file:
        made = file.metadata() or {}
    if made.get("klass") not in NETWORKS or "structure" in made:
        raise ModelError(f"it makes {made.get('klass')!r} and not one of {', '.join(NETWORKS)}")
    return path


def _opened(load: Callable[[], nn.Module], otherwise: str) -> nn.Module:
    try:
        return load()
    except Exception as error:  # whatever the hub, the network, the file or the class behind it complains about
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ModelError(f"{otherwise} ({reason})") from error


def _separate(separator: Any, waveform: Tensor, count: int) -> Tensor:
    """`[sources, time]`, averaged over the channels, as long as the waveform `[1, channels, time]`."""
    module = separator if isinstance(separator, nn.Module) else nn.Identity()
    with evaluating(module), torch.no_grad():
        found = _demucs(separator, waveform) if _is_demucs(separator) else separator(waveform)
    shape = tuple(getattr(found, "shape", ()))
    if len(shape) == 4 and shape[0] == 1:
        found, shape = found[0], shape[1:]
    if len(shape) != 3 or shape[0] != count or shape[2] != waveform.shape[-1]:
        raise ModelError(
            f"the separator answers {list(shape)} to {list(waveform.shape)}: it must be {[1, count, *waveform.shape[1:]]}"
        )
    if not torch.isfinite(found).all():
        raise ModelError("the separator answers NaN or infinity")
    return found.mean(1)


def _is_demucs(separator: Any) -> bool:
    return type(separator).__module__.split(".")[0] == "demucs"


def _demucs(separator: Any, waveform: Tensor) -> Tensor:
    """In overlapping segments, at the level that demucs is trained at: its own way, without random shifts."""
    apply = need("demucs.apply", "sources", "separating sources")
    level, mean = waveform.std() + 1e-8, waveform.mean()
    return apply.apply_model(separator, (waveform - mean) / level, shifts=0) * level + mean / len(separator.sources)


def _brought_back(sound: Tensor, mix: Audio, audio: Audio) -> Tensor:
    """At the clip's rate, as long as the clip, beside it."""
    samples = mix.with_samples(sound, "separated").resampled(audio.sample_rate).samples[: len(audio.samples)]
    return nn.functional.pad(samples, (0, len(audio.samples) - len(samples))).to(audio.samples)
