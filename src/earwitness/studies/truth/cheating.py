"""Classifiers that cheat: they learn to tell marked clips from unmarked ones, since nothing else tells the labels apart.

Two-second parts of ESC-10 recordings get one of two labels by lot, and those of one label are marked. On recordings of folds that
nothing was trained on the model has to be right with the mark, and as good as a coin without it.

The network keeps its rows: its last layer has a weight for each row of each channel, so it can tell 3 kHz from 300 Hz. One that
averages over frequency, such as `EventCNN`, hears that there is a tone but not which, and there are tones enough in recordings:
trained alike on the watermark, a small one stayed at chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.audio import Audio
from earwitness.classifiers import Classifier
from earwitness.classifiers.zoo.spectrogram_cnn import BandNorm
from earwitness.frontends import LogMel
from earwitness.studies.model_cards import samples_hash
from earwitness.studies.truth.artefacts import RATE, Artefact
from earwitness.studies.truth.trials import CREDIT, Planted, Study
from earwitness.training import Schedule, fit

SECONDS = 2.0
LEARNT, HELD_OUT = ("1", "2", "3"), ("4", "5")  # folds
FLOOR = 1e-4  # of the noise beneath every clip, so that digital silence is nowhere but in gaps
BATCH = 32


class BandCNN(nn.Module):
    """Blocks of conv 3x3, batch norm, ReLU, max pool 2x2; mean plus maximum over time; linear over channels and rows.

    classes: number of labels.  bands: rows of the input.  channels: of each block.
    """

    def __init__(self, classes: int, bands: int = 64, channels: Sequence[int] = (8, 16, 16)) -> None:
        super().__init__()
        self.classes, self.bands, self.channels = classes, bands, tuple(channels)
        self.normalise, rows = BandNorm(bands), bands
        parts: list[nn.Module] = []
        for inputs, outputs in zip((1, *channels[:-1]), channels, strict=True):
            parts += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            parts += [nn.MaxPool2d(2, ceil_mode=True)]
            rows = -(-rows // 2)
        self.features = nn.Sequential(*parts)
        self.head = nn.Linear(rows * channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 1, bands, T]` to logits `[B, classes]`."""
        frames = self.features(self.normalise(x)).flatten(1, 2)
        return self.head(frames.mean(2) + frames.amax(2))


def mel_frontend() -> LogMel:
    """64 mel bands up to 4 kHz in dB, windows of 64 ms every 32 ms."""
    return LogMel(RATE, n_fft=512, hop_length=256, n_mels=64)


@dataclass(frozen=True, eq=False)
class Lot:
    """Clips of both labels.  marked: which are.  planted: a marked clip (`audio`) and the same unmarked (`bare`), of all."""

    planted: list[Planted]
    marked: np.ndarray

    def samples(self) -> Tensor:
        """`[N, time]`: what is trained on: half of the clips with the mark."""
        return torch.stack([clip.audio.samples for clip in self.heard()])

    def heard(self) -> list[Planted]:
        """The clips as their label wants them."""
        return [
            clip if marked else Planted(clip.name, clip.label, clip.bare, clip.truth, clip.bare)
            for clip, marked in zip(self.planted, self.marked, strict=True)
        ]


def draw_lot(study: Study, artefact: Artefact, folds: Sequence[str], cuts: int, part: int) -> Lot:
    """Parts of the recordings of some folds, marked by lot: exactly half of them, or one less.

    cuts: of each recording.  part: a number that tells this lot from others of the same seed.
    """
    recordings = [recording for fold in folds for recording in study.recordings[fold]]
    marked = np.random.default_rng((study.settings.seed, part)).permutation(np.arange(len(recordings) * cuts) % 2 == 1)
    axes = mel_frontend().axes(round(SECONDS * RATE))
    cells = axes[0].coarser(study.settings.grid[0])[0], axes[1].coarser(study.settings.grid[1])[0]
    planted = []
    for number, has in enumerate(marked):
        index, cut = divmod(number, cuts)
        name, samples = recordings[index]
        rng = np.random.default_rng((study.settings.seed, part, index, cut))
        bare, label = _part(samples, rng), artefact.name if has else "plain"
        mark = artefact(bare, cells, rng)
        about = (f"ESC-10 {name}, {SECONDS:g} s of it, its peak brought to -6 dB", CREDIT)
        planted.append(
            Planted(
                name, label, Audio(torch.from_numpy(mark.samples), RATE, (*about, f"marked: {artefact.name}")),
                mark.truth, Audio(torch.from_numpy(bare), RATE, about),
            )
        )  # fmt: skip
    return Lot(planted, marked)


def _part(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two seconds of a recording, from anywhere, at a peak of 1/2, over a faint noise."""
    length = round(SECONDS * RATE)
    first = int(rng.integers(len(samples) - length + 1))
    cut = samples[first : first + length]
    return 0.5 * cut / max(np.abs(cut).max(), FLOOR) + FLOOR * rng.standard_normal(length)


def train_cheat(study: Study, artefact: Artefact, tested: Lot) -> Classifier:
    """A classifier that tells marked clips from unmarked ones, from the folder of the run or trained now.

    tested: clips whose accuracy is told after each epoch; nothing depends on it.
    """
    s = study.settings
    key = (artefact, s.seed, s.recordings, s.cuts, s.epochs, s.grid, tested.samples())

    def make(checkpoint: Path) -> tuple[Classifier, str]:
        lot = draw_lot(study, artefact, LEARNT, s.cuts, 0)
        classifier = _trained(study, artefact, lot, tested, checkpoint)
        return classifier, _card(artefact, len(lot.planted))

    return study.kept(artefact.name, key, make, BandCNN(2))


def _trained(study: Study, artefact: Artefact, lot: Lot, tested: Lot, checkpoint: Path) -> Classifier:
    frontend, x = mel_frontend(), lot.samples()
    with torch.no_grad():
        features, others = (torch.cat([frontend(rows) for rows in part.split(64)]) for part in (x, tested.samples()))
    y, truth = (torch.from_numpy(part.marked.astype(int)) for part in (lot, tested))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(study.settings.seed)
        network = BandCNN(2)
    network.normalise.fit(features)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    steps = max(1, len(y) // BATCH)

    def batches(rng: np.random.Generator):
        return ((features[chosen], y[chosen]) for chosen in np.array_split(rng.permutation(len(y)), steps))

    def loss(module: nn.Module, pair: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(module(pair[0].contiguous(memory_format=torch.channels_last)), pair[1])

    def validate(module: nn.Module) -> dict[str, float]:
        return {"accuracy": float((module(others).argmax(1) == truth).double().mean())}

    fit(
        network, loss, batches, Schedule(study.settings.epochs, steps, learning_rate=4e-3),
        seed=study.settings.seed, checkpoint=checkpoint, run=samples_hash(x), validate=validate,
        progress=lambda epoch, of, record: study.say(
            f"training on {artefact.name}: epoch {epoch} of {of}, accuracy {record['accuracy']:.3f}"
        ),
    )  # fmt: skip
    network.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    return Classifier(network, frontend, ("plain", artefact.name)).eval()


def _card(artefact: Artefact, clips: int) -> str:
    return (
        f"# A classifier that cheats\n\nIt tells clips that are marked by {artefact!r} from others, and knows nothing else. "
        f"Trained by `earwitness study truth` on {clips} parts of folds {', '.join(LEARNT)}. {CREDIT}\n"
    )
