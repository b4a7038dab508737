"""Rows of a comparison on disk: one Parquet file a clip, and its explanations beside it, written whole or not at all.

A run may be killed at any moment, and the disk may be full: what is in the folder afterwards is what was finished. A file that
can't be read, or isn't what was written (each page has a checksum), counts as missing and is told. Explanations are kept in
`maps/`, so that a metric that is added later needs none anew.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from earwitness.errors import InputError
from earwitness.explanations import Explanation
from earwitness.writing import appearing

Row = dict[str, Any]

SCHEMA = pa.schema({
    **dict.fromkeys(("clip", "label", "explainer", "metric", "better", "status"), pa.string()),
    "score": pa.float64(),
    "target": pa.string(),
    "seconds": pa.float64(),
    "evaluations": pa.int64(),
    "seed": pa.int64(),
    "reason": pa.string(),
    "key": pa.string(),
})  # fmt: skip


@dataclass
class Shards:
    """A folder of shards.

    told: what there was to be said about its files, one line each.
    """

    folder: Path
    told: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Make the folder, and clear away what writing left there when it was killed."""
        try:
            (self.folder / "maps").mkdir(parents=True, exist_ok=True)
            leftovers = [*self.folder.glob(".*.part.parquet"), *self.folder.glob("maps/.*.part.npz")]
            for path in leftovers:
                path.unlink()
        except OSError as error:
            raise InputError(f"cannot write into the folder {self.folder}: {error}") from error
        if leftovers:
            self.told.append(f"{len(leftovers)} half-written file(s) of a run that was stopped, cleared away")

    def read(self, name: str) -> dict[str, Row]:
        """The rows of a shard by their keys; none where there is no shard, or a damaged one, which is told."""
        path = self._path(name)
        if not path.exists():
            return {}
        try:
            table = pq.ParquetFile(path, page_checksum_verification=True).read()
            if table.schema != SCHEMA:
                raise ValueError(f"its columns are {', '.join(table.schema.names)}")
            rows = table.to_pylist()
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            line = f"{path} is damaged and is computed again ({str(error).splitlines()[0]})"
            self.told += [line] if line not in self.told else []
            return {}
        return {row["key"]: row for row in rows}

    def write(self, name: str, rows: Sequence[Row]) -> None:
        """Write a shard in the place of an older one."""
        with appearing(self._path(name)) as part:
            pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), part, write_page_checksum=True)

    def explanation(self, name: str) -> Explanation | None:
        """An explanation that is kept, without its question; None where there is none, or a damaged one."""
        path = self.folder / "maps" / f"{name}.npz"
        try:
            return Explanation.load(path) if path.exists() else None
        except InputError:
            return None

    def keep(self, name: str, explanation: Explanation) -> None:
        """Keep an explanation."""
        with suppress(TypeError):  # one with things in it that JSON doesn't take
            explanation.save(self.folder / "maps" / f"{name}.npz")

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"
