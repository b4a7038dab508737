"""What the tests share: small classifiers that can be reasoned about, clips with a known cause, and real recordings.

The shapes in the signatures of the modules through which arrays flow are checked on every call, by jaxtyping and beartype; those
that answer to users' mistakes with errors of their own are left out.

Everything is deterministic. Real recordings are looked for in $EARWITNESS_DATA (default: ../shared/data beside the repository);
tests that need them are skipped where they are not.
"""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook
from torch import Tensor, nn

SHAPED = (
    "carrying frontends.base frontends.stft classifiers.base components.base components.baselines questions.base "
    "questions.game"
).split()
with install_import_hook([f"earwitness.{module}" for module in SHAPED], "beartype.beartype"):
    import earwitness as ew
    from earwitness.classifiers.zoo import SmallSpecCNN

    for module in SHAPED:
        importlib.import_module(f"earwitness.{module}")

torch.set_num_threads(1)
settings.register_profile("laws", derandomize=True, deadline=None, database=None, max_examples=10)
settings.load_profile("laws")

SAMPLE_RATE = 8000


@pytest.fixture(autouse=True)
def seeded():
    """Networks that a test builds without more ado have the same weights each time."""
    torch.manual_seed(0)


class Rows(nn.Module):
    """A network that can be reasoned about: the logit of a class is the mean of its rows of the features.

    rows: for each class the first row and the last but one.  dropout: of the logits, so that modes can be seen.
    """

    def __init__(self, rows: list[tuple[int, int]], dropout: float = 0.0) -> None:
        super().__init__()
        self.rows, self.dropout = rows, nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 1, F, T]` to `[B, classes]`."""
        return self.dropout(torch.stack([x[:, :, a:b].mean((1, 2, 3)) for a, b in self.rows], 1))


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings."""
    folder = Path(os.environ.get("EARWITNESS_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recordings in {folder}: set EARWITNESS_DATA")
    return folder


@pytest.fixture(scope="session")
def real_clip(recordings) -> ew.Audio:
    """Two seconds of a dog in front of rain (or whatever mixture comes first), at 8 kHz."""
    paths = sorted((recordings / "localized" / "esc10_mix" / "mix").glob("*"))
    if not paths:
        pytest.skip(f"no mixtures in {recordings}")
    return ew.load(paths[0], SAMPLE_RATE).window(1.0, 2.0)


@pytest.fixture(scope="session")
def tone():
    """`tone(hertz, seconds, span, level, seed, noise)`: a tone burst in noise, and the burst alone."""

    def make(
        hertz: float = 440.0,
        seconds: float = 1.0,
        span: tuple[float, float] = (0.0, 1.0),
        level: float = 0.3,
        seed: int = 0,
        noise: float = 0.02,
    ) -> tuple[ew.Audio, ew.Audio]:
        t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        burst = level * np.sin(2 * np.pi * hertz * t) * ((t >= span[0]) & (t < span[1]))
        rest = noise * np.random.default_rng(seed).standard_normal(len(t))
        return ew.Audio(burst + rest, SAMPLE_RATE), ew.Audio(burst, SAMPLE_RATE)

    return make


@pytest.fixture(scope="session")
def rows():
    """The class `Rows`, for tests that build their own."""
    return Rows


@pytest.fixture(scope="session")
def cnn():
    """`cnn(frontend)`: a small convolutional classifier with seeded weights and lived-in batch statistics, in eval mode."""

    def make(frontend: ew.FrontEnd | None, labels: tuple[str, ...] = ("low", "high"), seed: int = 0) -> ew.Classifier:
        generator = torch.Generator().manual_seed(seed)
        network = SmallSpecCNN(len(labels), (4, 8))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                if value.is_floating_point():
                    noise = torch.randn(value.shape, generator=generator)
                    value.copy_(1 + 0.2 * noise.abs() if "running_var" in name else 0.4 * noise)
        return ew.Classifier(network, frontend, labels).eval()

    return make


@pytest.fixture
def listener() -> ew.Classifier:
    """Hears tones: the logit of "low" ("high") is the mean of log(1 + |X|) in 220-660 Hz (660-1100 Hz)."""
    frontend = ew.LogSTFT(SAMPLE_RATE, n_fft=256, hop_length=64)  # 31.25 Hz a row
    return ew.Classifier(Rows([(7, 21), (21, 35)]), frontend, ["low", "high"]).eval()
