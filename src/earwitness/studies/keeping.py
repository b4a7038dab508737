"""Classifiers that a study trains, kept in the folder of its run.

Each lies under a fingerprint of everything that it was made from: the same command takes it from there, and another setting makes
another. A training that was stopped goes on from its checkpoint.
"""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from earwitness.classifiers import Classifier, load_classifier, save_classifier
from earwitness.fingerprints import fingerprint


def kept(
    folder: Path, name: str, key: object, make: Callable[[Path], tuple[Classifier, str]], network: nn.Module | None = None
) -> Classifier:  # fmt: skip
    """A classifier from a folder, on the CPU, or made and kept there.

    key: everything that it depends on.  make: from the path of a checkpoint to a classifier and its card (Markdown).
    network: its architecture, where it is not one of the zoo's.
    """
    home = folder / f"{name}-{fingerprint(key)[:12]}"
    if not (home / "config.json").is_file():
        home.mkdir(parents=True, exist_ok=True)
        classifier, card = make(home / "checkpoint.pt")
        save_classifier(classifier, home, card)
        (home / "checkpoint.pt").unlink(missing_ok=True)
    return load_classifier(home, network, device="cpu")
