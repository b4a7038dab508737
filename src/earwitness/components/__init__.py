"""Ways to cut a clip into components that add up to it."""

from earwitness.components.base import Components, DatasetMean, Factorization, Regions
from earwitness.components.cells import Bands, Cells, Segments
from earwitness.components.frames import Frames
from earwitness.components.grid import Bins, Grid
from earwitness.components.separated import Separated
from earwitness.components.sources import HarmonicPercussive, NMFAtoms
from earwitness.components.stems import Stems
from earwitness.components.superpixels import Superpixels
from earwitness.components.units import Units
from earwitness.components.words import Words

FACTORIZATIONS = (
    *(Grid, Bins, Superpixels, Segments, Bands, Cells, Frames, Words),
    *(HarmonicPercussive, NMFAtoms, Stems, Separated, Units),
)

__all__ = [
    "FACTORIZATIONS",
    "Bands",
    "Bins",
    "Cells",
    "Components",
    "DatasetMean",
    "Factorization",
    "Frames",
    "Grid",
    "HarmonicPercussive",
    "NMFAtoms",
    "Regions",
    "Segments",
    "Separated",
    "Stems",
    "Superpixels",
    "Units",
    "Words",
]
