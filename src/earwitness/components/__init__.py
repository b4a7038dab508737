"""Ways to cut a clip into components that add up to it."""

from earwitness.components.base import Components, Factorization, Regions
from earwitness.components.cells import Bands, Cells, Segments
from earwitness.components.grid import Bins, Grid
from earwitness.components.sources import HarmonicPercussive, NMFAtoms
from earwitness.components.stems import Stems
from earwitness.components.words import Words

FACTORIZATIONS = (Grid, Bins, Segments, Bands, Cells, Words, HarmonicPercussive, NMFAtoms, Stems)

__all__ = [
    "FACTORIZATIONS",
    "Bands",
    "Bins",
    "Cells",
    "Components",
    "Factorization",
    "Grid",
    "HarmonicPercussive",
    "NMFAtoms",
    "Regions",
    "Segments",
    "Stems",
    "Words",
]
