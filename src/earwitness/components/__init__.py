"""Ways to cut a clip into components that add up to it."""

from earwitness.components.base import Components, Factorization, Regions
from earwitness.components.cells import Bands, Cells, Segments
from earwitness.components.grid import Bins, Grid

FACTORIZATIONS = (Grid, Bins, Segments, Bands, Cells)

__all__ = ["FACTORIZATIONS", "Bands", "Bins", "Cells", "Components", "Factorization", "Grid", "Regions", "Segments"]
