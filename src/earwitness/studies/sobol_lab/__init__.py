"""The Sobol lab: a two-hour course on Sobol attribution for audio, run and answered with measurements.

Synthetic clips, a small network, Sobol maps of it, and questions about all three. Each chapter is a function of the `Lab` that
returns a `Section`; `chapters` runs them in order.

    for section in chapters(Settings(seed=225)): ...

Source: the exercise is described in `docs/references.md`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from earwitness.studies.pages import Page, Section
from earwitness.studies.sobol_lab import (
    evidence,
    features,
    further,
    ingredients,
    learning,
    limits,
    maps,
    network,
    published,
    shortcuts,
    sound,
)
from earwitness.studies.sobol_lab.lab import QUICK, Lab, Settings

__all__ = ["CHAPTERS", "QUICK", "Lab", "Settings", "chapters", "front_page", "settings_for"]

CHAPTERS: tuple[Callable[[Lab], Section], ...] = (
    sound.waveforms,
    sound.spectrograms,
    sound.data_set,
    learning.learning_curves,
    learning.mistakes,
    learning.reliance,
    maps.sobol_maps,
    maps.grids_and_samples,
    published.published_package,
    evidence.against_the_cause,
    further.more_classes,
    further.mel_and_erb,
    ingredients.modulation,
    ingredients.phase_and_level,
    features.logarithm,
    features.resolution,
    network.local_patterns,
    network.invariance,
    maps.finer_grids,
    evidence.zones,
    limits.sobol_and_saliency,
    maps.choosing_the_grid,
    evidence.misleading_map,
    shortcuts.living_on_noise,
    maps.more_samples,
)


def chapters(settings: Settings | None = None, say: Callable[[str], None] = lambda line: None) -> Iterator[Section]:
    """The sections of the lab, one after the other; `say` is told what is being done."""
    lab = Lab(settings or Settings(), say)
    for chapter in CHAPTERS:
        say((chapter.__doc__ or "").split("\n")[0])
        yield chapter(lab)


def settings_for(quick: bool, seed: int) -> Settings:
    """The settings of `earwitness study sobol-lab`."""
    return replace(QUICK if quick else Settings(), seed=seed)


def front_page(settings: Settings) -> Page:
    """What stands above the chapters."""
    quick = " --quick" if settings.clips == QUICK.clips else ""
    return Page(
        "The Sobol lab",
        "What does a small network listen to when it tells a tone of 220 Hz (low) from one of 880 Hz (high) in half a second of "
        "modulated, disturbed, noisy sound? A course on variance-based sensitivity asks this and thirteen more questions; "
        "each is answered here by a figure that was measured in the same run.",
        f"earwitness study sobol-lab{quick} --seed {settings.seed}",
    )
