"""Networks that eat samples: the features are the waveform, `[B, time]`, as it is or standardised per clip."""

from torch import nn

from earwitness.axes import Axis
from earwitness.frontends.base import FrontEnd, Standardise


class Waveform(FrontEnd):
    """The identity; with `standardise=True` each clip is brought to zero mean and unit variance.

    sample_rate: hertz.
    standardise: what wav2vec2-like models do. Answers then no longer depend on the level.
    """

    def __init__(self, sample_rate: int = 16000, standardise: bool = False) -> None:
        super().__init__(sample_rate, {"normalisation": Standardise() if standardise else nn.Identity()})
        self.standardise = standardise

    def axes(self, n_samples: int) -> tuple[Axis, ...]:
        """Time alone, one place a sample."""
        return (Axis("time", "s", tuple(i / self.sample_rate for i in range(n_samples + 1))),)
