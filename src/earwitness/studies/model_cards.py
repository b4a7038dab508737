"""Model cards: what a classifier was trained on and by which command, how well it does, and whom to thank.

A figure without its data and its command can't be checked. So a card holds the command, the seed, a SHA-256 of the data, the
figures that were measured on clips that the training never saw, and the credit that the data's licence asks for.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from earwitness.classifiers import Classifier, save_classifier
from earwitness.data.readers import Clip
from earwitness.errors import InputError

HELD_OUT = "held-out.txt"  # beside the weights: names of the recordings that a model has not learnt from
OWN_USE = "For your own use: look up the licence of the recordings before you pass these weights on."


@dataclass(frozen=True)
class Card:
    """What a card says.

    title, summary: what the model hears.  command: what trained it.  data: on what.  seed.
    data_hash: SHA-256.  figures: measured on held-out clips.  notes: paragraphs.  credit: as the licence asks for it.
    """

    title: str
    summary: str
    command: str
    data: str
    seed: int
    data_hash: str
    figures: Mapping[str, float | int]
    notes: Sequence[str] = ()
    credit: str = OWN_USE

    def text(self, classifier: Classifier) -> str:
        """The card in Markdown."""
        parameters = sum(p.numel() for p in classifier.network.parameters())
        facts = {
            "command": f"`{self.command}`",
            "data": self.data,
            "data hash (SHA-256)": f"`{self.data_hash}`",
            "seed": self.seed,
            "network": f"{_kind(classifier.network)}, {parameters:,} parameters, float32",
            "front end": f"{type(classifier.frontend).__name__} at {classifier.sample_rate} Hz",
            "labels": ", ".join(classifier.labels),
            "trained with": f"torch {torch.__version__}",
        }
        sections = [f"# {self.title}", self.summary, _table(("", ""), facts)]
        sections += ["## Figures", _table(("figure", "value"), self.figures)]
        sections += [*self.notes, "## Credit", self.credit]
        return "\n\n".join(section.strip() for section in sections) + "\n"


def publish(classifier: Classifier, folder: Path, card: Card, held: Sequence[Clip] = ()) -> None:
    """Write a classifier with its card; a checkpoint of its training that lies there has done its work and goes.

    held: recordings that it has not learnt from; their file names go into `held-out.txt`.
    """
    save_classifier(classifier, folder, card.text(classifier))
    if held:
        (folder / HELD_OUT).write_text("".join(f"{clip.path.name}\n" for clip in held), encoding="utf-8")
    checkpoint_in(folder).unlink(missing_ok=True)


def checkpoint_in(folder: str | os.PathLike) -> Path:
    """The checkpoint of a training that writes to a folder; makes the folder, or says why it can't."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error}") from error
    return folder / "checkpoint.pt"


def data_hash(clips: Sequence[Clip]) -> str:
    """SHA-256 over the clips in the order of label and file name: label, name, size and bytes of each."""
    digest = hashlib.sha256()
    for clip in sorted(clips, key=lambda clip: (clip.label, clip.path.name, str(clip.path))):
        try:
            content = clip.path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {clip.path}, which the data set lists: {error.strerror}") from error
        digest.update(f"{clip.label}/{clip.path.name}/{len(content)}/".encode() + content)
    return digest.hexdigest()


def samples_hash(*samples: torch.Tensor) -> str:
    """SHA-256 over the bytes of float32 samples, one array after the other."""
    return hashlib.sha256(b"".join(array.float().numpy().tobytes() for array in samples)).hexdigest()


def credit_of(data: str | os.PathLike) -> str:
    """The text of the `ATTRIBUTION.txt` that lies with a data set (its folder, or its table); empty if there is none."""
    folder = Path(data) if Path(data).is_dir() else Path(data).parent
    file = folder / "ATTRIBUTION.txt"
    return f"```\n{file.read_text(encoding='utf-8').strip()}\n```" if file.is_file() else ""


def _kind(network: nn.Module) -> str:
    """The class of a network; of one that is wrapped, its own."""
    return type(getattr(network, "model", network)).__name__


def _table(head: tuple[str, str], rows: Mapping[str, object]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    for name, value in rows.items():
        lines.append(f"| {name.replace('_', ' ')} | {f'{value:.4g}' if isinstance(value, float) else value} |")
    return "\n".join(lines)
