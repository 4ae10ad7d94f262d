"""JSON Lines into Parquet, streaming, in two passes: find columns and types, then convert.

What is nested is kept as JSON text. Text that is a date or a time in every row becomes one.
"""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from . import csv
from .columns import BadTable, Column, checked_names
from .parquet import ParquetWriter
from .records import Discovery, Row, to_table

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 5_000
BATCH_BYTES = 8 << 20
LONGEST_LINE = 16 << 20
BOM = b"\xef\xbb\xbf"
decode = msgspec.json.Decoder().decode


def to_parquet(source: Path, target: BinaryIO) -> tuple[int, list[Column]]:
    """Convert the file; returns how many rows, and the columns. Raises BadTable."""
    text, moments = learnt(source)
    columns = [Column(one.name, moments.get(one.name, one.type)) for one in text]
    with ParquetWriter(target, columns) as writer:
        for rows in batches(source):
            writer.add(converted(rows, text, moments))
    return writer.rows, columns


def learnt(source: Path) -> tuple[list[Column], dict[str, str]]:
    """The columns as JSON has them, and those of text that hold dates or times."""
    found, moments, order = Discovery(), dict[str, str](), dict[str, None]()
    for rows in batches(source):
        for row in rows:
            order.update(dict.fromkeys(row))
        found.see(rows)
        checked_names(list(order), f"Lines up to {found.rows}")
        types = {column.name: column.type for column in found.columns((), frozenset())}
        for name, type_ in types.items():
            if type_ == "string" and moments.get(name) != "string":
                moments[name] = moment_of(moments.get(name, ""), rows, name)
    if not found.rows:
        raise BadTable("The file is empty: send one JSON object a line.")
    if not order:
        raise BadTable("Its objects are empty: there is no column.")
    columns = found.columns(list(order), frozenset(order))
    kept = {column.name for column in columns if column.type == "string"}
    return columns, {
        name: type_ for name, type_ in moments.items() if name in kept and type_ in csv.NEXT["date"]
    }


def moment_of(known: str, rows: Sequence[Row], name: str) -> str:
    """What all text so far is: a "date", a "timestamp", or only a "string"; "" if there is none."""
    import pyarrow as pa

    values = [row.get(name) for row in rows]
    if not any(value is not None for value in values):
        return known
    if not all(value is None or isinstance(value, str) for value in values):
        return "string"
    text = pa.array(values, pa.string())
    for candidate in csv.NEXT[known or "date"]:
        try:
            csv.parse(text, candidate)
            return candidate
        except pa.ArrowInvalid:
            continue
    return "string"


def converted(rows: Sequence[Row], columns: list[Column], moments: dict[str, str]) -> "pa.Table":
    table = to_table(rows, columns)
    for place, column in enumerate(columns):
        if type_ := moments.get(column.name):
            cells = csv.parse(table[column.name].combine_chunks(), type_)
            table = table.set_column(place, column.name, cells)
    return table


def batches(source: Path) -> Iterator[list[Row]]:
    rows, size = list[Row](), 0
    for number, line in lines(source):
        rows.append(read(number, line))
        size += len(line)
        if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def lines(source: Path) -> Iterator[tuple[int, bytes]]:
    """With their numbers, without those that are blank."""
    with source.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise BadTable(f"Line {number}: longer than {LONGEST_LINE >> 20} MB.")
            if number == 1:
                line = line.removeprefix(BOM)
            if line := line.strip():
                yield number, line


def read(number: int, line: bytes) -> Row:
    try:
        found: Any = decode(line)
    except RecursionError:
        raise BadTable(f"Line {number}: nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadTable(f"Line {number}: no JSON ({error}).") from None
    if not isinstance(found, dict):
        raise BadTable(f"Line {number}: no object; send JSON Lines, one {{...}} a line.")
    return found
