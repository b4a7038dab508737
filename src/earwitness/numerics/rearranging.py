"""Random maps of the same shape: the values of a map, in other places.

A map is to be compared with maps that know nothing and yet look alike: as many large values, as rough or as smooth, in blobs of
the same form. So its values stay, and only places change:

| axis | what may happen to it |
|---|---|
| ordered (time, frequency) | turned round by any number of places, cyclically |
| ordered, where there are too few turns | cut into blocks, up to 8, that change places, and turned |
| without order (sources, superpixels) | places exchanged freely |

A map that knows nothing of the clip is exactly as good as any of its turns, on average, whatever its form; a block that is torn
is not. So turns come first, and blocks only fill up.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

ALIKE = 0.7  # correlation from which on two maps say much the same
BLOCKS = 8
TRIES = 20  # draws for each map that is asked for


def rearranged(values: np.ndarray, ordered: tuple[bool, ...], least: int, most: int, seed: int) -> np.ndarray:
    """`[maps, *shape]`: different rearrangements of `values`, none nearly the same as `values`.

    values: `[*shape]`.  ordered: for each axis, whether its places have an order.
    least, most: up to `most` turns; and where there are fewer than `least` of them, torn maps until there are.
    Fewer than `least` come back where a map has fewer: none of a map whose values are all equal.
    """
    rng, known, found = np.random.default_rng(seed), {values.tobytes()}, []
    turns = _turns(values, rng) if all(ordered) else ()
    for moves, enough in ((turns, most), (_torn(values, ordered, TRIES * most, rng), least if turns else most)):
        for moved in moves:
            if len(found) >= enough:
                break
            if moved.tobytes() not in known and not _alike(values, moved):
                known.add(moved.tobytes())
                found.append(moved)
    return np.array(found).reshape(-1, *values.shape)


def _turns(values: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """All turns, in a random order."""
    steps = list(product(*map(range, values.shape)))
    for index in rng.permutation(len(steps)):
        yield np.roll(values, steps[index], range(values.ndim))


def _torn(values: np.ndarray, ordered: tuple[bool, ...], tries: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Places of every axis shuffled, as its order allows."""
    for _ in range(tries):
        moved = values
        for axis, order in enumerate(ordered):
            moved = moved.take(_shuffled(values.shape[axis], order, rng), axis)
        yield moved


def _shuffled(size: int, ordered: bool, rng: np.random.Generator) -> np.ndarray:
    """The places of an axis in another order: any, or blocks of neighbours exchanged and turned."""
    if not ordered:
        return rng.permutation(size)
    blocks = np.array_split(np.arange(size), min(size, BLOCKS))
    turned = np.concatenate([blocks[index] for index in rng.permutation(len(blocks))])
    return np.roll(turned, rng.integers(size))


def _alike(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two maps of the same values say nearly the same."""
    a, b = first.ravel() - first.mean(), second.ravel() - first.mean()
    return not a @ b <= ALIKE * (a @ a)
