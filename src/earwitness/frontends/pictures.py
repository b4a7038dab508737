"""Spectrograms as pictures, for networks that were made for images.

    pixel = (resized(log spectrogram) - mean) / std,     the same in each colour

Axes stay in hertz and seconds: a picture of `height` pixels shares out the front end's rows.

Source: Della Libera, Subakan and Ravanelli (2024), Focal modulation networks for interpretable sound classification: FocalNet and
ViT on log(1 + |X|), 224 x 224, neither mean nor std taken off.
"""

import ast
from collections.abc import Sequence
from contextlib import suppress
from inspect import signature
from types import NoneType
from typing import Any, get_args, get_origin

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from earwitness.axes import Axis
from earwitness.errors import UsageError, positive, unknown, whole
from earwitness.fingerprints import arguments
from earwitness.frontends.base import Affine, FrontEnd
from earwitness.frontends.cqt import LogCQT
from earwitness.frontends.filterbanks import LogERB, LogMel
from earwitness.frontends.stft import LogSTFT
from earwitness.naming import options_in

VIEWS = {"linear": LogSTFT, "mel": LogMel, "erb": LogERB, "cqt": LogCQT}  # by their words
SPECTRAL = {kind.__name__: kind for kind in VIEWS.values()}
KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a word", NoneType: "None"}


class Resize(nn.Module):
    """`[B, C, rows, columns]` to `[B, C, height, width]`, bilinear."""

    def __init__(self, height: int, width: int, antialias: bool) -> None:
        super().__init__()
        self.height, self.width, self.antialias = height, width, antialias

    def forward(self, x: Float[Tensor, "batch channels rows frames"]) -> Float[Tensor, "batch channels height width"]:
        return F.interpolate(x, (self.height, self.width), mode="bilinear", antialias=self.antialias)


class Picture(FrontEnd):
    """A spectrogram as the picture that a network for images takes, `[B, channels, height, width]`, lowest frequency first.

    The front end's rows and columns are resized to `height` x `width` (bilinear), repeated for every channel, and brought to
    (x - mean) / std.

    frontend: a `LogSTFT`, `LogMel`, `LogERB` or `LogCQT`; kept as the text that makes it again, "LogMel(sample_rate=16000,
        ...)", which may be given as well.
    mean, std: the image processor's, a number or one for each channel; 0 and 1 change nothing.
    antialias: where the picture is smaller than the spectrogram, average what falls into a pixel, as PIL and newer versions of
        torchvision do; else only the nearest two rows and columns count.
    duration: the longest clip, in seconds, that is made one picture; None for any. Whatever its length, a clip fills the width.
    Differs: theirs lie on their side, time downwards; a network that wants that transposes ours.
    """

    def __init__(
        self,
        frontend: FrontEnd | str,
        height: int = 224,
        width: int = 224,
        channels: int = 3,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        antialias: bool = True,
        duration: float | None = None,
    ) -> None:
        whole(height=height, width=width, channels=channels)
        inner = _read(frontend) if isinstance(frontend, str) else frontend
        if type(inner).__name__ not in SPECTRAL:
            raise unknown("front end for a picture", type(inner).__name__, SPECTRAL)
        middle, spread = (_each(name, value, channels) for name, value in (("mean", mean), ("std", std)))
        positive(std=min(spread), duration=duration)
        further = {"resize": Resize(height, width, antialias), "colours": Affine(middle, spread)}
        super().__init__(inner.sample_rate, {**dict(inner.named_children()), **further})
        self.frontend, self.height, self.width, self.channels = _written(inner), height, width, channels
        self.mean, self.std, self.antialias, self.duration = middle, spread, antialias, duration
        self._inner = (inner,)  # in a tuple, so that it isn't a step

    def axes(self, n_samples: int) -> tuple[Axis, ...]:
        """Frequency and time; a pixel stands for as many of the front end's places, or such a part of one, as it was made of."""
        axes = self._inner[0].axes(n_samples)
        return tuple(axis.resized(size) for axis, size in zip(axes, (self.height, self.width), strict=True))


def picture_in_words(text: str) -> Picture:
    """The picture that a line of text asks for: "mel", "cqt:22050", "mel:sample_rate=22050,height=64,width=64,mean=0.5,std=0.5".

    The name is that of a front end: linear (`LogSTFT`), mel, erb or cqt. Options are the front end's, which may be given by
    place, and those of `Picture`; numbers for each channel are written 0.485/0.456/0.406.
    Raises `UsageError` for a name or option that nobody knows, and for a value that it can't have.
    """
    name = text.partition(":")[0]
    if name not in VIEWS:
        raise unknown("front end for a picture", name, VIEWS)
    inner, outer = (dict(signature(kind).parameters) for kind in (VIEWS[name], Picture))
    del outer["frontend"]
    given: dict[str, Any] = {}
    for key, value in options_in(text, [*inner, *outer], [*inner]).items():
        kinds = get_args(found := (inner | outer)[key].annotation) or (found,)
        given[key] = _fitted(value, kinds)
        if given[key] is value and type(value) not in kinds:
            wanted = " or ".join(KINDS.get(kind, "numbers with / between") for kind in kinds)
            raise UsageError(f"{key} must be {wanted}, not {value!r}, in {text!r}")
    frontend = VIEWS[name](**{key: value for key, value in given.items() if key in inner})
    return Picture(frontend, **{key: value for key, value in given.items() if key in outer})


def _fitted(value: Any, kinds: Sequence[type]) -> Any:
    """A value as one of these kinds, where it can be made one: 80 as 80.0, "0.485/0.456" as two numbers."""
    if float in kinds and int not in kinds and type(value) is int:
        return float(value)
    if isinstance(value, str) and any(get_origin(kind) is Sequence for kind in kinds):
        with suppress(ValueError):
            return tuple(map(float, value.split("/")))
    return value


def _each(name: str, value: float | Sequence[float], channels: int) -> tuple[float, ...]:
    values = tuple(float(v) for v in np.atleast_1d(value))
    if not np.isfinite(values).all():
        raise UsageError(f"{name} must be a number, not {value}")
    if len(values) not in (1, channels):
        raise UsageError(f"{name} must be a number or {channels} of them, one for each channel, not {len(values)}")
    return values * (channels // len(values))


def _written(frontend: FrontEnd) -> str:
    """The text that makes a front end again."""
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in arguments(frontend).items()}
    return f"{type(frontend).__name__}({', '.join(f'{k}={v!r}' for k, v in plain.items())})"


def _read(text: str) -> FrontEnd:
    """The front end that a text makes: one of `SPECTRAL`, called with literals."""
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("no call")
        given = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        return SPECTRAL[call.func.id](*map(ast.literal_eval, call.args), **given)
    except (SyntaxError, TypeError, KeyError, ValueError) as error:
        raise UsageError(
            f"a front end for a picture is written like LogMel(sample_rate=16000, n_mels=64), with one of {', '.join(SPECTRAL)}, "
            f"not {text!r}: {error}"
        ) from error
