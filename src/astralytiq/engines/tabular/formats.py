"""Which kind of table a file is, by its content first and its name second, and how it is read."""

import zipfile
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from . import csv, foreign_parquet, jsonl, xlsx
from .columns import BadTable, Column, OtherKind

HEAD = 1 << 16
NAMED_LETTERS = 12


class Format(StrEnum):
    csv = "csv"
    parquet = "parquet"
    jsonl = "jsonl"
    xlsx = "xlsx"


READ = "CSV, Parquet, JSON Lines and XLSX are read"
# None: any text. What it is then tells its first line.
SUFFIXES: dict[str, Format | None] = {
    "": None,
    ".txt": None,
    ".csv": Format.csv,
    ".tsv": Format.csv,
    ".parquet": Format.parquet,
    ".pq": Format.parquet,
    ".jsonl": Format.jsonl,
    ".ndjson": Format.jsonl,
    ".json": Format.jsonl,
    ".xlsx": Format.xlsx,
    ".xlsm": Format.xlsx,
}
FOREIGN = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"\xd0\xcf\x11\xe0": "an old Excel or other Office file",
    b"%PDF": "PDF",
    b"SQLite format 3\0": "SQLite",
    b"ARROW1": "Arrow IPC",
    b"Obj\x01": "Avro",
    b"ORC": "ORC",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}
TEXTS = frozenset({Format.csv, Format.jsonl})


def told(source: Path, filename: str) -> Format:
    """The file's kind. Raises OtherKind if it is none of ours, or not what its name says."""
    named = by_name(filename)
    with source.open("rb") as file:
        head = file.read(HEAD)
    if not head.strip():
        return named or Format.csv  # Its reader says that there is nothing in it.
    found = by_content(source, head)
    if found is named or (named in TEXTS and found in TEXTS):
        return named or found
    if named is None and found in TEXTS:
        return found
    suffix = PurePosixPath(filename).suffix or "no suffix"
    raise OtherKind(
        f"The file is {found.value} by its content, but named with {suffix}: rename it."
    )


def by_name(filename: str) -> Format | None:
    suffix = PurePosixPath(filename).suffix.lower()
    if suffix not in SUFFIXES:
        raise OtherKind(f"{suffix[:NAMED_LETTERS]} files are not read: {READ}.")
    return SUFFIXES[suffix]


def by_content(source: Path, head: bytes) -> Format:
    if head.startswith(b"PAR1"):
        return Format.parquet
    if head.startswith(b"PK\x03\x04"):
        return workbook(source)
    for mark, name in FOREIGN.items():
        if head.startswith(mark):
            raise OtherKind(f"The file is {name} by its content: {READ}, unpacked.")
    return Format.jsonl if begins_with_object(head) else Format.csv


def workbook(source: Path) -> Format:
    try:
        with zipfile.ZipFile(source) as archive:
            if "xl/workbook.xml" in archive.NameToInfo:
                return Format.xlsx
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise BadTable(
            "The file is cut off or damaged: it begins like XLSX. Save it anew."
        ) from None
    raise OtherKind(f"The file is a ZIP archive and no XLSX workbook: {READ}, unpacked.")


def begins_with_object(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(b"{"):
        return False
    line, ended, _ = text.partition(b"\n")
    if not ended and len(head) == HEAD:
        return True  # A line of more than we have looked at.
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def to_parquet(
    format_: Format, source: Path, target: BinaryIO, most: int
) -> tuple[int, list[Column]]:
    """Convert the file; returns how many rows, and the columns. Raises BadTable.

    `most`: bytes that a packed file may unpack to. Blocks: call it from a thread.
    """
    if format_ is Format.csv:
        return csv.to_parquet(source, target)
    if format_ is Format.jsonl:
        return jsonl.to_parquet(source, target)
    if format_ is Format.xlsx:
        return xlsx.to_parquet(source, target, most)
    return foreign_parquet.to_parquet(source, target, most)
