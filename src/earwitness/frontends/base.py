"""What a front end is: the differentiable path from the waveform to what the network eats, in named steps.

A front end is a `torch.nn.Sequential` of steps such as `spectrum`, `filterbank`, `logarithm`, `normalisation`; each can be asked
about by its name (stage `frontend.spectrum`). It knows the axes of its features in seconds and hertz.

Some steps depend on the clip as a whole (its mean, its maximum). When a part of the clip is masked behind such a step, the
statistics must stay those of the unmasked clip: pass the waveform as `clip`, and they do.
"""

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from earwitness.axes import Axis
from earwitness.errors import UsageError, unknown


class PerClip(nn.Module):
    """A step that looks at the clip as a whole: `forward(x, like)` takes its statistics from `like`, by default x."""

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "batch *x"], like: Float[Tensor, "#batch *other"] | None = None
    ) -> Float[Tensor, "batch *x"]: ...


class Standardise(PerClip):
    """(x - mean) / sqrt(variance + 1e-7) over each clip: zero then stands for the clip's mean, not for silence."""

    def forward(
        self, x: Float[Tensor, "batch *x"], like: Float[Tensor, "#batch *other"] | None = None
    ) -> Float[Tensor, "batch *x"]:
        like = x if like is None else like
        every = tuple(range(1, like.ndim))
        mean = like.mean(every, keepdim=True)
        variance = like.var(every, keepdim=True, unbiased=False)
        return (x - mean) / torch.sqrt(variance + 1e-7)


class Affine(nn.Module):
    """(x - middle) / spread, one of each for every channel of the output: `[B, 1, F, T]` to `[B, channels, F, T]`."""

    middles: Tensor
    spreads: Tensor

    def __init__(self, middle: Sequence[float], spread: Sequence[float]) -> None:
        super().__init__()
        self.middle, self.spread = tuple(middle), tuple(spread)
        self.register_buffer("middles", torch.tensor(self.middle)[:, None, None], persistent=False)
        self.register_buffer("spreads", torch.tensor(self.spread)[:, None, None], persistent=False)

    def forward(self, x: Float[Tensor, "batch 1 rows frames"]) -> Float[Tensor, "batch channels rows frames"]:
        return (x - self.middles) / self.spreads


class FrontEnd(nn.Sequential):
    """Named steps from `[B, time]` to features; constructor arguments are kept as attributes of the same names."""

    def __init__(self, sample_rate: int, steps: dict[str, nn.Module]) -> None:
        super().__init__(OrderedDict(steps))
        self.sample_rate = int(sample_rate)

    @abstractmethod
    def axes(self, n_samples: int) -> tuple[Axis, ...]:
        """The axes of the features of a clip of `n_samples` samples, without the batch and the channel."""

    def forward(
        self, waveform: Float[Tensor, "batch time"], clip: Float[Tensor, "1 clip"] | None = None
    ) -> Float[Tensor, "batch *x"]:
        """`[B, time]` to features; statistics of a whole clip are those of `clip` `[1, time]`, by default each row's own."""
        return self.advance(waveform, "", "", clip)

    def advance(
        self, x: Float[Tensor, "batch *x"], after: str, until: str, clip: Float[Tensor, "1 clip"] | None = None
    ) -> Float[Tensor, "batch *y"]:
        """Run the steps behind step `after` up to step `until` (names; empty: from the waveform, to the features)."""
        names = [name for name, _ in self.named_children()]
        for name in filter(None, (after, until)):
            if name not in names:
                raise unknown("step of the front end", name, names)
        if after and until and names.index(until) < names.index(after):
            raise UsageError(f"the step {until!r} comes before {after!r}: {', '.join(names)}")
        running = not after
        for name, step in self.named_children():
            if running:
                x = step(x, clip) if isinstance(step, PerClip) and clip is not None else step(x)
            if clip is not None:
                with torch.no_grad():
                    clip = step(clip)
            running = running or name == after
            if name == until:
                break
        return x
