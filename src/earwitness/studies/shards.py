"""Rows of a comparison on disk: one Parquet file a clip, written whole or not at all.

A run may be killed at any moment, and the disk may be full: what is in the folder afterwards is what was finished. A file that
can't be read, or isn't what was written (each page has a checksum), counts as missing and is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from earwitness.errors import InputError
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
            self.folder.mkdir(parents=True, exist_ok=True)
            leftovers = sorted(self.folder.glob(".*.part.parquet"))
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

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"
