"""Parquet that others wrote, into ours: six types, UTC, and never more than a bound."""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .columns import BadTable, Column, TooMuch, arrow_schema, arrow_types, checked_names
from .parquet import ParquetWriter
from .records import as_text

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 8_192
# Of one batch: a page of a few bytes may stand for thousands of equal long texts.
MOST_IN_BATCH = 256 << 20
EXACT_DIGITS = 15  # a float64 holds any decimal number of so many


def to_parquet(source: Path, target: BinaryIO, most: int) -> tuple[int, list[Column]]:
    """Convert the file; returns how many rows, and the columns. Raises BadTable."""
    import pyarrow as pa

    try:
        return convert(source, target, most)
    except BadTable:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # The disk's fault, not the file's.
        raise BadTable("The Parquet file is damaged or cut off: write it anew.") from None


def convert(source: Path, target: BinaryIO, most: int) -> tuple[int, list[Column]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20) as probe:
        schema = probe.schema_arrow
        declared = sum(unpacked_sizes(probe.metadata))
    if declared > most:
        raise too_much(most)
    names = checked_names(schema.names, "The schema")
    columns = [Column(name, type_of(field)) for name, field in zip(names, schema, strict=True)]
    if not columns:
        raise BadTable("The Parquet file has no columns.")
    ours = arrow_schema(columns)
    with ParquetWriter(target, columns) as writer:
        for batch in bounded(source, schema, most):
            cells = [
                cast(array, column) for array, column in zip(batch.columns, columns, strict=True)
            ]
            writer.add(pa.Table.from_arrays(cells, schema=ours))
    if not writer.rows:
        raise BadTable("The Parquet file has no rows: send at least one.")
    return writer.rows, columns


def unpacked_sizes(metadata: Any) -> Iterator[int]:
    for number in range(metadata.num_row_groups):
        yield metadata.row_group(number).total_byte_size


def bounded(source: Path, schema: "pa.Schema", most: int) -> Iterator["pa.RecordBatch"]:
    """Repeated texts stay where they are until it is known how much they would be."""
    import pyarrow.parquet as pq

    texts = [field.name for field in schema if is_text(field.type)]
    total = 0
    with pq.ParquetFile(
        source, pre_buffer=False, buffer_size=1 << 20, read_dictionary=texts
    ) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            size = sum(map(size_of, batch.columns))
            total += size
            if size > MOST_IN_BATCH or total > most:
                raise too_much(most)
            yield batch


def too_much(most: int) -> TooMuch:
    return TooMuch(
        f"The Parquet file unpacks to more than {most >> 20:,} MB, or to more than "
        f"{MOST_IN_BATCH >> 20} MB in {BATCH_ROWS:,} rows: send it in parts."
    )


def size_of(array: "pa.Array[Any]") -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(array, pa.DictionaryArray):
        return array.nbytes
    words: Any = array.dictionary
    lengths: Any = pc.binary_length(words)
    return int(pc.sum(lengths.take(array.indices)).as_py() or 0) + array.indices.nbytes


def is_text(type_: "pa.DataType") -> bool:
    import pyarrow.types as at

    return at.is_string(type_) or at.is_large_string(type_)


def type_of(field: "pa.Field[Any]") -> str:
    """Ours for a type of Arrow's; what is none of these becomes text."""
    import pyarrow.types as at

    type_: Any = field.type
    if at.is_dictionary(type_):
        type_ = type_.value_type
    if at.is_binary(type_) or at.is_large_binary(type_) or at.is_fixed_size_binary(type_):
        raise BadTable(f"The column {field.name!r} holds bytes ({type_}): leave it out.")
    if at.is_decimal(type_):
        return "float64" if type_.precision <= EXACT_DIGITS else "string"
    kinds: dict[str, Callable[[Any], bool]] = {
        "int64": at.is_integer,
        "float64": at.is_floating,
        "bool": at.is_boolean,
        "date": at.is_date,
        "timestamp": at.is_timestamp,
    }
    return next((name for name, fits in kinds.items() if fits(type_)), "string")


def cast(array: "pa.Array[Any]", column: Column) -> "pa.Array[Any]":
    """Nested values become JSON, other odd ones their text."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as at

    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if at.is_nested(array.type) or at.is_duration(array.type):
        texts = [None if value is None else text_of(value) for value in array.to_pylist()]
        return pa.array(texts, pa.string())
    try:
        # Nanoseconds lose their last three digits; nothing else may be lost.
        found: pa.Array[Any] = pc.cast(
            array, arrow_types()[column.type], safe=column.type not in ("timestamp", "float64")
        )
    except pa.ArrowException:
        raise BadTable(
            f"The column {column.name!r} holds a value that is no {column.type}: change its type."
        ) from None
    return found


def text_of(value: Any) -> str:
    try:
        return as_text(value)
    except (TypeError, ValueError, UnicodeDecodeError):
        return str(value)
