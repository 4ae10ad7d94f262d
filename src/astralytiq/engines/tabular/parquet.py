"""Parquet files: written so that equal tables give equal bytes, and read a part at a time."""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from .columns import DATES, Column, arrow_schema, columns_of

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 1 << 16


@dataclass(frozen=True)
class DateRange:
    """The first and last moment in a table's first column of dates, in ISO 8601."""

    column: str
    min: str
    max: str


class ParquetWriter:
    """Writes a table that comes in parts.

    However the parts are cut, row groups have the same size and the same bytes come out: a content
    hash depends on the content (and on the version of the library) alone.
    """

    def __init__(self, file: BinaryIO, columns: list[Column]) -> None:
        import pyarrow.parquet as pq

        self.rows = 0
        schema = arrow_schema(columns)
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._writer = pq.ParquetWriter(file, schema, compression="zstd", version="2.6")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None and self._waiting_rows:
            self._write(self._joined())
        self._writer.close()

    def add(self, part: "pa.Table") -> None:
        self._waiting.append(part)
        self._waiting_rows += part.num_rows
        self.rows += part.num_rows
        if self._waiting_rows < ROWS_PER_GROUP:
            return
        table, start = self._joined(), 0
        while table.num_rows - start >= ROWS_PER_GROUP:
            self._write(table.slice(start, ROWS_PER_GROUP))
            start += ROWS_PER_GROUP
        self._waiting, self._waiting_rows = [table.slice(start)], table.num_rows - start

    def _joined(self) -> "pa.Table":
        import pyarrow as pa

        return pa.concat_tables(self._waiting)

    def _write(self, group: "pa.Table") -> None:
        self._writer.write_table(group.combine_chunks(), row_group_size=ROWS_PER_GROUP)


def read_columns(path: Path) -> list[Column]:
    import pyarrow.parquet as pq

    return columns_of(pq.read_schema(path))


def read_table(path: Path, names: Sequence[str] | None = None) -> "pa.Table":
    """The whole table, or the named columns of it."""
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=None if names is None else list(names))


def read_head(path: Path, limit: int) -> list[dict[str, Any]]:
    """The first rows as objects. JSON has no infinity: such numbers come as None."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=limit):
            return [{name: json_safe(v) for name, v in row.items()} for row in batch.to_pylist()]
    return []


def json_safe(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def date_range(path: Path) -> DateRange | None:
    """The span of the first column of dates that has any, or None."""
    import pyarrow.compute as pc

    for column in read_columns(path):
        if column.type in DATES:
            values: Any = read_table(path, [column.name])[column.name]
            found: Any = pc.min_max(values).as_py()
            if found["min"] is not None:
                ends = (found["min"].isoformat(), found["max"].isoformat())
                return DateRange(column.name, *(end.replace("+00:00", "Z") for end in ends))
    return None
