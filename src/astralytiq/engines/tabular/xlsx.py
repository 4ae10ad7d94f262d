"""XLSX workbooks into Parquet: the first visible sheet, whose first filled row names the columns.

A process of its own turns the sheet into CSV: the reader is pure Python and would hold the
interpreter's lock, and a sheet made by an enemy may take memory that no look from outside foresees.
There memory and time end before ours do.
"""

import csv as plain_csv
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO

from . import csv
from .columns import BadTable, Column, TooMuch, checked_names

MOST_ENTRIES = 10_000
MOST_RATIO = 300
RATIO_FROM = 4 << 20
MOST_STRINGS = 64 << 20  # They are all held at once.
MEMORY = 2 << 30
SECONDS = 900
MOST_ROWS = 1 << 20
DAMAGED = "The workbook is damaged, or too wide to be read: save it anew as .xlsx, or send CSV."
# What Excel shows where a formula has no value.
FAULTS = frozenset({"#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"})
REFUSED = 3
HANDED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR")


# On our side ------------------------------------------------------------------------------------


def to_parquet(source: Path, target: BinaryIO, most: int) -> tuple[int, list[Column]]:
    """Convert the workbook; returns how many rows, and the columns. Raises BadTable."""
    refuse_bomb(source, most)
    with tempfile.TemporaryDirectory(prefix="astralytiq-") as folder:
        cells = Path(folder) / "sheet.csv"
        ask(source, cells)
        with cells.open(newline="", encoding="utf-8") as file:
            header = next(plain_csv.reader(file))
        return csv.to_parquet(cells, target, csv.Dialect(",", header))


def refuse_bomb(source: Path, most: int) -> None:
    """By the sizes that it declares: zipfile reads no entry beyond its own."""
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise BadTable(DAMAGED) from None
    total, packed = sum(one.file_size for one in entries), source.stat().st_size
    if len(entries) > MOST_ENTRIES:
        raise TooMuch(f"The workbook has more than {MOST_ENTRIES:,} parts: send its sheet as CSV.")
    if total > most or (total > RATIO_FROM and total > MOST_RATIO * packed):
        raise TooMuch(
            f"The workbook unpacks to {total >> 20:,} MB: more than {most >> 20:,} MB, or than "
            f"{MOST_RATIO} times its size. Send its sheet as CSV."
        )
    texts = sum(one.file_size for one in entries if one.filename.endswith("sharedStrings.xml"))
    if texts > MOST_STRINGS:
        raise TooMuch(
            f"The workbook has more than {MOST_STRINGS >> 20} MB of text: send its sheet as CSV."
        )
    if any(one.flag_bits & 1 for one in entries):
        raise BadTable("The workbook is encrypted: save it without a password.")


def ask(source: Path, target: Path) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "astralytiq.engines.tabular.xlsx", str(source), str(target)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={name: os.environ[name] for name in HANDED_ON if name in os.environ},
        )
    except subprocess.TimeoutExpired:
        raise TooMuch(f"The workbook takes more than {SECONDS} s: send its sheet as CSV.") from None
    if done.returncode == REFUSED:
        raise BadTable(done.stdout.decode(errors="replace"))
    if done.returncode:
        raise BadTable(DAMAGED)


# On its own side --------------------------------------------------------------------------------


def main(source: str, target: str) -> int:
    limit()
    try:
        write(rows_of(Path(source)), Path(target))
    except BadTable as error:
        sys.stdout.write(str(error))
        return REFUSED
    return 0


def limit() -> None:
    """Where the system can: this process dies before the machine suffers."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - not there on every system

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def rows_of(source: Path) -> Iterator[tuple[int, Sequence[Any]]]:
    """The rows that hold anything, with their numbers in the sheet."""
    from openpyxl import load_workbook  # noqa: PLC0415 - only this process needs it

    # Open: of a path the reader would look at the suffix.
    book = load_workbook(source.open("rb"), read_only=True, data_only=True, keep_links=False)
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if not sheets:
        raise BadTable("The workbook has no visible sheet with cells.")
    sheets[0].reset_dimensions()  # What the file says of them is often wrong.
    rows = sheets[0].iter_rows(values_only=True, max_row=MOST_ROWS)
    for number, row in enumerate(rows, start=1):
        cells = [text_of(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield number, cells


def write(rows: Iterator[tuple[int, Sequence[str]]], target: Path) -> None:
    number, given = next(rows, (0, ()))
    if not number:
        raise BadTable("The first sheet is empty: send one with a header and rows.")
    header = checked_names(given, f"Row {number}")
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = plain_csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for number, cells in rows:
            if len(cells) > len(header):
                raise BadTable(
                    f"Row {number}: {len(cells)} values where the header names {len(header)} "
                    "columns."
                )
            writer.writerow([*cells, *[""] * (len(header) - len(cells))])


def text_of(value: Any) -> str:
    """A cell as CSV has it; midnight is a day."""
    if value is None or (isinstance(value, str) and value in FAULTS):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
