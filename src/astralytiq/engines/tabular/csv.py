"""CSV into Parquet, streaming, in two passes: find the narrowest types, then convert.

One pass would have to guess the types from the first megabyte and fail where they change.
"""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from .columns import BadTable, Column, arrow_schema, arrow_types, checked_names
from .export import unguarded
from .parquet import ParquetWriter

if TYPE_CHECKING:
    import pyarrow as pa

Cells: TypeAlias = "pa.Array[Any]"

# The reader holds 32 blocks ahead of us, and no row may be longer than one.
BLOCK_BYTES = 1 << 20
LONGEST_ROW = 8 << 20
STRADDLES = "straddl"  # what the reader says of a row that is longer
DELIMITERS = ",;\t|"
# What people write for "no value" in a column of numbers, truths or dates; in text it is text.
NO_VALUE = ("", "na", "n/a", "#n/a", "nan", "null", "none", "-")
# 007 and 0x1F are names, not numbers: as numbers they would lose what they look like.
CODE = r"^[+-]?0[0-9xX]"
ZONE = r"(Z|[+-]\d\d:?\d\d)$"
# A float would lose the last digits of such a number.
LONG = r"^[+-]?[0-9]{17,}$"
TRUTH = r"(?i)^(true|false)$"
# What a column may still become when a value does not fit; text always fits.
NEXT: dict[str, tuple[str, ...]] = {
    "": ("int64", "float64", "bool", "date", "timestamp"),
    "int64": ("int64", "float64"),
    "float64": ("float64",),
    "bool": ("bool",),
    "date": ("date", "timestamp"),
    "timestamp": ("timestamp",),
    "string": (),
}


@dataclass(frozen=True)
class Dialect:
    delimiter: str
    names: list[str]
    block: int = BLOCK_BYTES


def to_parquet(
    source: Path, target: BinaryIO, dialect: Dialect | None = None
) -> tuple[int, list[Column]]:
    """Convert the CSV file; returns how many rows, and the columns. Raises BadTable."""
    import pyarrow as pa

    try:
        dialect = dialect or sniff(source)
        try:
            columns = narrowest(source, dialect)
        except pa.ArrowInvalid as error:
            if STRADDLES not in str(error):
                raise
            dialect = replace(dialect, block=LONGEST_ROW)
            columns = narrowest(source, dialect)
        return convert(source, dialect, columns, target), columns
    except pa.ArrowInvalid as error:
        raise BadTable(reworded(str(error), source)) from None


def convert(source: Path, dialect: Dialect, columns: list[Column], target: BinaryIO) -> int:
    import pyarrow as pa

    schema = arrow_schema(columns)
    with ParquetWriter(target, columns) as writer:
        for batch in text_batches(source, dialect):
            cells = [cast(text, column.type) for text, column in zip(batch, columns, strict=True)]
            writer.add(pa.Table.from_arrays(cells, schema=schema))
    return writer.rows


def sniff(source: Path) -> Dialect:
    """The delimiter is the commonest in the first line; names are trimmed and must differ."""
    import pyarrow as pa

    with source.open("rb") as file:
        start = file.read(LONGEST_ROW)
    if not start.strip():
        raise BadTable("The file is empty: send a CSV file with a header and rows.")
    if b"\0" in start:
        raise BadTable("The file is not text: send CSV in UTF-8.")
    first_line = start.lstrip().split(b"\n", 1)[0]
    delimiter = max(DELIMITERS, key=lambda mark: first_line.count(mark.encode()))
    given: Any = unguarded(pa.array(header(source, delimiter), pa.string())).to_pylist()
    return Dialect(delimiter, checked_names(given, "Row 1"))


def header(source: Path, delimiter: str) -> list[str]:
    """The names as the reader sees them: in the beginning, or else it would read far ahead."""
    import pyarrow as pa

    dialect = Dialect(delimiter, [], LONGEST_ROW)
    with source.open("rb") as file:
        head = file.read(BLOCK_BYTES)
    if len(head) == BLOCK_BYTES:
        head = head[: head.rfind(b"\n") + 1]
    try:
        with opened(io.BytesIO(head), dialect) as reader:
            return reader.schema.names
    except UnicodeDecodeError:
        raise BadTable("Row 1: not UTF-8 text: save the file as UTF-8.") from None
    except pa.ArrowInvalid:  # Perhaps only of what was cut off.
        with opened(source, dialect) as reader:
            return reader.schema.names


def opened(source: Path | BinaryIO, dialect: Dialect) -> "pa.RecordBatchReader":
    """Every cell of the named columns as text. Without threads an error names its row."""
    import pyarrow as pa
    from pyarrow import csv

    return csv.open_csv(
        source,
        read_options=csv.ReadOptions(use_threads=False, block_size=dialect.block),
        parse_options=csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(dialect.names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )


def text_batches(source: Path, dialect: Dialect) -> Iterator[list[Cells]]:
    raw_names = header(source, dialect.delimiter)
    with opened(source, replace(dialect, names=raw_names)) as reader:
        for batch in reader:
            yield batch.columns


def narrowest(source: Path, dialect: Dialect) -> list[Column]:
    types = [""] * len(dialect.names)
    rows, last = 0, None
    for batch in text_batches(source, dialect):
        types = [widened(type_, text) for type_, text in zip(types, batch, strict=True)]
        rows += len(batch[0])
        last = batch if len(batch[0]) else last
    if last is None:
        raise BadTable("The file has a header but no rows: send at least one.")
    refuse_open_quote(source, last, rows)
    return [
        Column(name, type_ or "string") for name, type_ in zip(dialect.names, types, strict=True)
    ]


def widened(type_: str, text: Cells) -> str:
    """The narrowest type that holds `text` and all that `type_` held before."""
    import pyarrow as pa

    bare = values_of(text)
    if bare.null_count == len(bare):
        return type_
    for candidate in NEXT[type_]:
        try:
            if looks_like(bare, candidate):
                parse(bare, candidate)
                return candidate
        except pa.ArrowInvalid:
            continue
    return "string"


def looks_like(bare: Cells, type_: str) -> bool:
    """What the parser would take although a person would not."""
    import pyarrow.compute as pc

    if type_ in ("int64", "float64"):
        name = CODE if type_ == "int64" else f"{CODE}|{LONG}"
        return not pc.any(pc.match_substring_regex(bare, name)).as_py()
    if type_ == "bool":
        return bool(pc.all(pc.match_substring_regex(bare, TRUTH)).as_py())
    return True


def values_of(text: Cells) -> Cells:
    """Trimmed, and null where somebody wrote that there is no value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(text)
    absent = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(NO_VALUE))
    bare: Cells = pc.if_else(absent, pa.scalar(None, pa.string()), trimmed)
    return bare


def cast(text: Cells, type_: str) -> Cells:
    return unguarded(text) if type_ == "string" else parse(values_of(text), type_)


def parse(bare: Cells, type_: str) -> Cells:
    import pyarrow.compute as pc

    return as_moments(bare) if type_ == "timestamp" else pc.cast(bare, arrow_types()[type_])


def as_moments(bare: Cells) -> Cells:
    """A time without a zone is UTC. Arrow parses either kind, but not both in one go."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.scalar(None, pa.string())
    zoned: Any = pc.match_substring_regex(bare, ZONE)
    naive = pc.cast(pc.if_else(zoned, nothing, bare), pa.timestamp("us"))
    utc = arrow_types()["timestamp"]
    aware = pc.cast(pc.if_else(zoned, bare, nothing), utc)
    moments: Cells = pc.if_else(zoned, aware, pc.cast(naive, utc))
    return moments


def refuse_open_quote(source: Path, last: list[Cells], rows: int) -> None:
    """A quote that is opened and never closed swallows the rest of the file into one cell."""
    if not any("\n" in (column[-1].as_py() or "") for column in last):
        return
    with source.open("rb") as file:
        quotes = sum(chunk.count(b'"') for chunk in iter(lambda: file.read(BLOCK_BYTES), b""))
    if quotes % 2:
        raise BadTable(f"Row {rows + 1}: a quote is opened and never closed.")


def reworded(message: str, source: Path) -> str:
    """The parser's words without its name and without the row's content."""
    if match := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message):
        return f"Row {match[1]}: {match[3]} values where the header names {match[2]} columns."
    if STRADDLES in message:
        return f"A row is longer than {LONGEST_ROW >> 20} MB, or a quote is never closed."
    if "UTF8" in message:
        return f"Row {first_foreign_row(source)}: not UTF-8 text: save the file as UTF-8."
    return "The file cannot be read as CSV: check its quotes and that all rows are equally long."


def first_foreign_row(source: Path) -> int:
    with source.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1
