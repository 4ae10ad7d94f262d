"""Columns of a Parquet file for computing: some columns at a time, some rows at a time.

A `Part` holds the values of one column in some successive rows, in the one form its kind has:
numbers as NumPy arrays of 64 bits, times as counts of microseconds (dates: of days) since 1970,
text as its different values and a place in them for each row.
"""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import hashing
from .columns import arrow_types
from .hashing import Cells, Words

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1 << 16
BATCH_BYTES = 16 << 20
LEAST_BATCH = 64
FIRST_WORDS = 1024
BLOCK_CELLS = 1 << 22
NUMBERS = frozenset({"int", "float"})
TIMES = frozenset({"date", "timestamp"})
ORDERED = NUMBERS | TIMES
TEXTS = frozenset({"text", "bytes"})


@dataclass(frozen=True)
class Field:
    """A column: its name, its type's name, and its kind.

    Kinds: int, float, bool, date, timestamp, text, bytes, other.
    """

    name: str
    type: str
    kind: str
    place: int


@dataclass(frozen=True)
class Part:
    """One column in the rows from `start` on."""

    field: Field
    start: int
    cells: Cells

    def __len__(self) -> int:
        return len(self.cells)

    def each(self, stride: int) -> "Part":
        """One row of `stride`, drawn by its number: each k-th would follow what recurs in data."""
        if stride == 1:
            return self
        numbers = np.arange(self.start, self.start + len(self), dtype=np.uint64)
        drawn = hashing.mixed(numbers) % np.uint64(stride) == 0
        return Part(self.field, self.start, self.cells.take(np.flatnonzero(drawn)))

    @property
    def nulls(self) -> int:
        return int(self.cells.null_count)

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        flags: NDArray[np.bool_] = self.cells.is_valid().to_numpy(zero_copy_only=False)
        return flags

    @cached_property
    def present(self) -> Cells:
        return self.cells.drop_null() if self.nulls else self.cells

    @cached_property
    def numbers(self) -> NDArray[Any]:
        """Of kinds that have an order (and truths, as 0 and 1): the values that are not null."""
        import pyarrow as pa

        cells = self.present
        if self.field.kind == "timestamp":
            cells = cells.view(pa.int64())
        elif self.field.kind == "date":
            cells = cells.view(pa.int32())
        found: NDArray[Any] = cells.to_numpy(zero_copy_only=False)
        kind = {"f": np.float64, "u": np.uint64}.get(found.dtype.kind, np.int64)
        return found.astype(kind, copy=False)

    @cached_property
    def encoded(self) -> tuple[Cells, NDArray[Any]]:
        """Of text and bytes: its values, and which of them each row that has one has.

        Each value is there once, unless most differ: then finding equal ones costs more than it
        saves, and they stay as they are.
        """
        first: Any = self.present[:FIRST_WORDS]
        if len(first) == FIRST_WORDS and len(first.unique()) > FIRST_WORDS // 2:
            return self.present, np.arange(len(self.present))
        found: Any = self.present.dictionary_encode()
        return found.dictionary, found.indices.to_numpy(zero_copy_only=False)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many rows each of the values of `encoded` stands for."""
        words, places = self.encoded
        return np.bincount(places, minlength=len(words)).astype(np.int64, copy=False)

    @cached_property
    def word_hashes(self) -> Words:
        return hashing.of_texts(self.encoded[0])

    @cached_property
    def hashes(self) -> Words:
        """Of the values that are not null."""
        if self.field.kind not in TEXTS:
            return hashing.of_numbers(self.numbers)
        found: Words = self.word_hashes[self.encoded[1]]
        return found

    @cached_property
    def row_hashes(self) -> Words:
        """One for each row, nulls too. Nested values have none: all rows are alike."""
        if not self.nulls and self.field.kind != "other":
            return self.hashes
        every = np.full(len(self), hashing.NULL, dtype=np.uint64)
        if self.field.kind != "other":
            every[self.valid] = self.hashes
        return every


class Table:
    """A Parquet file on disk, open for reading; to be closed."""

    def __init__(self, path: Path, metadata: Any = None) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self._file: pq.ParquetFile = pq.ParquetFile(path, metadata=metadata)
        self.metadata: Any = self._file.metadata
        self.rows: int = self.metadata.num_rows
        schema = self._file.schema_arrow
        self.fields = [field_of(field, place) for place, field in enumerate(schema)]
        self._named = {field.name: field for field in self.fields}

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def field(self, name: str) -> Field | None:
        return self._named.get(name)

    def blocks(self, fields: Sequence[Field] | None = None) -> Iterator[list[Field]]:
        """Columns (all) to be read together: one by one, but many at once where rows are few."""
        wanted = self.fields if fields is None else fields
        size = max(1, BLOCK_CELLS // max(1, self.rows))
        for start in range(0, len(wanted), size):
            yield list(wanted[start : start + size])

    def parts(self, fields: Sequence[Field], batch_rows: int | None = None) -> Iterator[list[Part]]:
        """Those columns in successive rows, from the first to the last."""
        start = 0
        names = [field.name for field in fields]
        size = batch_rows or self._batch_rows(fields)
        for batch in self._file.iter_batches(size, columns=names):
            yield [Part(field, start, plain(batch.column(field.name), field)) for field in fields]
            start += batch.num_rows

    def _batch_rows(self, fields: Sequence[Field]) -> int:
        """Fewer rows at a time where values are long, or columns many."""
        if not flat(self.metadata):
            return LEAST_BATCH
        groups = [self.metadata.row_group(at) for at in range(self.metadata.num_row_groups)]
        sizes = (
            sum(group.column(field.place).total_uncompressed_size for field in fields)
            / max(1, group.num_rows)
            for group in groups
        )
        size = max([1.0, len(fields), *sizes])
        return min(BATCH_ROWS, max(LEAST_BATCH, int(BATCH_BYTES / size)))


def flat(metadata: Any) -> bool:
    """Whether each column is one of the file, which nested ones are not."""
    return bool(len(metadata.schema) == len(metadata.schema.to_arrow_schema()))


def field_of(field: "pa.Field[Any]", place: int) -> Field:
    names = {arrow: name for name, arrow in arrow_types().items()}
    return Field(field.name, names.get(field.type, str(field.type)), kind_of(field.type), place)


def kind_of(type_: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return kind_of(type_.value_type)
    tests: dict[str, Callable[[Any], Any]] = {
        "int": pa.types.is_integer,
        "float": lambda t: pa.types.is_floating(t) or pa.types.is_decimal(t),
        "bool": pa.types.is_boolean,
        "date": pa.types.is_date,
        "timestamp": pa.types.is_timestamp,
        "text": lambda t: (
            pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t)
        ),
        "bytes": lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t),
    }
    return next((kind for kind, holds in tests.items() if holds(type_)), "other")


def plain(cells: Cells, field: Field) -> Cells:
    """In the one type that stands for its kind."""
    import pyarrow as pa

    wanted: dict[str, pa.DataType] = {
        "float": pa.float64(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz=getattr(cells.type, "tz", None)),
    }
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_string_view(cells.type):
        return cells.cast(pa.large_string())
    target = wanted.get(field.kind)
    return cells if target is None or cells.type == target else cells.cast(target, safe=False)
