"""Sampling designs: points in the unit cube, in blocks that are independent of each other.

Statistics over blocks are honest only where the blocks are independent. Points of one low-discrepancy sequence are not:
each block is then a scrambling of its own. Monte Carlo points are independent one by one: each is its own block.

| sampler | points | blocks of `points` |
|---|---|---|
| "sobol" | Sobol' sequence, scrambled | 8 scramblings |
| "sobol-plain" | Sobol' sequence, unscrambled: always the same | 1 |
| "halton" | Halton sequence, scrambled | 8 scramblings |
| "lhs" | Latin hypercube | 8 hypercubes |
| "monte-carlo" | independent uniform | one each |

Source: `scipy.stats.qmc` draws them.
"""

import numpy as np
from scipy.stats import qmc

from earwitness.errors import UsageError, unknown

SAMPLERS = ("sobol", "sobol-plain", "halton", "lhs", "monte-carlo")
BLOCKS = 8


def block_sizes(sampler: str, points: int) -> list[int]:
    """How many points each independent block has; they sum to `points`."""
    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS)
    if points < 1:
        raise UsageError(f"at least one design is needed, not {points}")
    blocks = {"sobol-plain": 1, "monte-carlo": points}.get(sampler, max(1, min(BLOCKS, points // 2)))
    return [len(part) for part in np.array_split(np.arange(points), blocks)]


def unit_points(sampler: str, points: int, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    """`[points, dimensions]` in [0, 1): one block."""
    if sampler == "monte-carlo":
        return rng.random((points, dimensions))
    if sampler in ("sobol", "sobol-plain"):
        if dimensions > qmc.Sobol.MAXDIM:
            raise UsageError(
                f"the Sobol' sequence has at most {qmc.Sobol.MAXDIM} dimensions and {dimensions} are needed: use fewer "
                'components, or sampler="monte-carlo"'
            )
        engine = qmc.Sobol(dimensions, scramble=sampler == "sobol", rng=rng)
        return engine.random_base2(int(np.ceil(np.log2(points))))[:points]
    engine = qmc.Halton(dimensions, rng=rng) if sampler == "halton" else qmc.LatinHypercube(dimensions, rng=rng)
    return engine.random(points)
