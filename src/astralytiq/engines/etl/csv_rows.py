"""Rows of a CSV stream, a batch at a time, never the whole of it; what is bent costs its own row.

Nearly all rows of a file in UTF-8 are read by a compiled kernel, which leaves what is unusual, and
other files, to the csv module. What it finds is the definition: a batch at its own speed, or, where
that holds anything unusual, again from its first line, record by record. All ways find the same
rows. A quote that is never closed would swallow what follows: where the strict reader stumbles, the
line alone is set aside (or read as far as one line can be), and reading goes on with the next.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

from astralytiq.engines.etl import lines, sniffing
from astralytiq.engines.etl.compiled_csv import CompiledCsv, compiled_csv
from astralytiq.engines.etl.compressed import Readable
from astralytiq.engines.etl.lines import AUTO, MARK, Lines, has_marks
from astralytiq.engines.etl.normalise import Broken
from astralytiq.engines.etl.payloads import Payloads

LONGEST_CELL = 16 << 20
LARGEST_BATCH = 32 << 20  # in bytes, more or less: a larger one is cut
LONGEST_SHOWN = 1 << 20
FEW = 500
FEWER = 100  # rows that Python reads before the kernel tries again
LONGEST_TURN = 6400
csv.field_size_limit(LONGEST_CELL)

Row = list[str] | Broken


@dataclass(frozen=True)
class Written:
    """How the file is written: `auto` is detected. Without a quote all quotes are plain text."""

    encoding: str = "utf-8-sig"
    delimiter: str = ","
    quote: str = '"'  # or "none"
    header: bool | Literal["auto"] | Sequence[str] = True


class Unusual(Exception):
    """This batch cannot be read the quick way."""


class CsvRows:
    """Reads on from where it stands; `row` counts the rows read, the header and blank lines not.

    Raises ValueError if the columns cannot be named, and, after all good rows, if the stream is
    damaged. With the encoding `auto`, rows that are not UTF-8 are read as cp1252.
    """

    def __init__(self, stream: Readable, written: Written) -> None:
        self._written = written
        self._lines = Lines(stream, written.encoding)
        has_header = written.header in (True, AUTO)
        if found := sniffing.other_format(self._lines.waiting, has_header=has_header):
            raise ValueError(f"it is no CSV but {found}")
        self._dialect = self._detected()
        self.row = 0
        self.header: list[str] = [] if self._lines.empty else self._read_header()
        self._compiled: CompiledCsv | None = None
        self._turn, self._for_python = FEWER, 0
        if self._lines.in_utf8:
            longest = min(LARGEST_BATCH, lines.LONGEST_LINE)
            marks = self._dialect["delimiter"], self._dialect["quotechar"]
            self._compiled = compiled_csv(self.header, *marks, longest)

    def skip(self, count: int) -> None:
        while count > 0 and (rows := self._some(min(count, 10_000), self._next)):
            self.row += len(rows)
            count -= len(rows)

    def read(self, most: int) -> Sequence[dict[str, str] | Broken]:
        """The next rows, at most so many; none at the end."""
        parts: list[Sequence[Any]] = []
        found, end = 0, self._lines.size + LARGEST_BATCH
        while found < most and self._lines.size < end:
            if not (part := self._some(most - found, self._named)):
                break
            parts.append(part)
            found += len(part)
        self.row += found
        if not found and self._lines.fault:
            raise self._lines.fault
        if self._compiled:
            return Payloads.joined(map(Payloads.of, parts))
        return list(chain.from_iterable(parts))

    def _some(self, most: int, by_hand: Callable[[int], Sequence[Any]]) -> Sequence[Any]:
        """Rows as the kernel finds them or, where it leaves them to Python, as `by_hand` does."""
        if self._compiled is None:
            return by_hand(min(FEW, most))
        if not self._for_python and (found := self._plain(self._compiled, most)):
            return found
        rows = by_hand(min(FEW, most, self._for_python))
        self._for_python -= len(rows)
        return rows

    def _plain(self, compiled: CompiledCsv, most: int) -> Payloads:
        """None where the next row is not: from there on Python has its turn.

        Each turn is twice as long as the one before, until plain rows are the most again: what was
        read ahead as bytes must become text, and what was not taken of it bytes again.
        """
        blocks = self._lines.as_blocks()
        while True:
            taken = compiled.take(blocks.held, blocks.at, most, last=blocks.ended)
            blocks.at += taken.size
            self._lines.number += taken.lines
            found = len(taken.payloads)
            if found >= self._turn:
                self._turn = FEWER
            if found:
                return taken.payloads
            if taken.left_to_python or not blocks.more():
                self._for_python, self._turn = self._turn, min(2 * self._turn, LONGEST_TURN)
                return taken.payloads

    def _named(self, most: int) -> list[dict[str, str] | Broken]:
        # A few at a time, which are still in the processor's cache when they get their names.
        header = self.header
        return [
            row if isinstance(row, Broken) else dict(zip(header, row))  # noqa: B905  (is checked)
            for row in self._next(most)
        ]

    def _detected(self) -> dict[str, Any]:
        sample, given = list(self._lines.waiting)[: sniffing.SAMPLE], self._written
        quote = sniffing.quote_of(sample) if given.quote == AUTO else given.quote
        known = None if quote == "none" else quote
        delimiter = given.delimiter
        if delimiter == AUTO:
            delimiter = sniffing.delimiter_of(sample, known)
        return {
            "delimiter": delimiter,
            "quotechar": known,
            "quoting": csv.QUOTE_MINIMAL if known else csv.QUOTE_NONE,
        }

    def _read_header(self) -> list[str]:
        given = self._written.header
        if not isinstance(given, (bool, str)):
            return list(given)
        taken: list[str] = []
        rows = self._records(taken)
        if given is False:  # Then the first row is as good as any other: it may be broken.
            rows = (row for row in rows if isinstance(row, list))
        first = next(rows, None)
        if not isinstance(first, list):
            raise ValueError("it has no header row" + (f": it {first.reason}" if first else ""))
        if given is False or (given == AUTO and not sniffing.names_columns(first)):
            self._lines.put_back(taken)
            return [f"column_{place}" for place in range(1, len(first) + 1)]
        return self._names(first)

    def _names(self, first: list[str]) -> list[str]:
        cells = self._decoded(first)
        if isinstance(cells, Broken):
            raise ValueError(f"its header {cells.reason}")
        if "\x00" in "".join(cells):
            raise ValueError("its header holds NUL characters: set the encoding, perhaps to utf-16")
        names = [cell.strip() or f"column_{place}" for place, cell in enumerate(cells, 1)]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"its header names {', '.join(sorted(twice))} more than once")
        return names

    def _next(self, most: int) -> Sequence[Row]:
        try:
            return self._quick(most)
        except (csv.Error, Unusual):
            return self._careful(most)

    def _quick(self, most: int) -> list[list[str]]:
        blocks: list[list[str]] = []
        done = 0
        try:
            coming = chain(self._lines.waiting, chain.from_iterable(self._blocks(blocks)))
            reader = csv.reader(coming, strict=True, **self._dialect)
            rows = list(islice(filter(None, reader), most))
            if self._lines.marked or not {len(self.header)}.issuperset(map(len, rows)):
                raise Unusual
            done = reader.line_num
        finally:
            self._lines.settle(blocks, done)
        return rows

    def _blocks(self, blocks: list[list[str]]) -> Iterator[list[str]]:
        most = self._lines.size + LARGEST_BATCH
        while found := self._lines.more():
            blocks.append(found)
            if self._lines.size > most:
                raise Unusual
            yield found

    def _careful(self, most: int) -> list[Row]:
        found: list[Row] = []
        size = 0
        taken: list[str] = []
        for row in self._records(taken):
            size += sum(map(len, taken))
            taken.clear()
            found.append(self._checked(row) if isinstance(row, list) else row)
            if len(found) == most or size > LARGEST_BATCH:
                break
        self._lines.look()
        return found

    def _records(self, taken: list[str]) -> Iterator[Row]:
        """Records, blank lines left out; `taken` are the lines read since it was last cleared."""
        reader = csv.reader(self._lines.taking(taken), strict=True, **self._dialect)
        while True:
            start = len(taken)
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                self._lines.put_back(taken[start + 1 :])
                del taken[start + 1 :]
                reader = csv.reader(self._lines.taking(taken), strict=True, **self._dialect)
                yield self._alone(taken[start])
                continue
            if cells:
                yield cells
            else:
                del taken[start:]

    def _alone(self, line: str) -> Row:
        """What one line is by itself, where it and what follows are not CSV."""
        shown = {"line": self._lines.number, "text": visible(line[:LONGEST_SHOWN])}
        try:
            cells = next(csv.reader([line.rstrip("\r\n") + "\n"], **self._dialect))
        except csv.Error as fault:
            return Broken(f"is not CSV: {fault}", shown)
        if cells and cells[-1].endswith("\n"):
            return Broken("opens a quote that is never closed", shown)
        return cells

    def _checked(self, cells: list[str]) -> Row:
        if len(cells) != len(self.header):
            reason = f"has {len(cells)} cells where the header has {len(self.header)}"
            return Broken(reason, self._shown(cells))
        return self._decoded(cells) if self._lines.marked else cells

    def _decoded(self, cells: list[str]) -> Row:
        """The cells without marks: as cp1252, if the encoding is not given."""
        if not has_marks(cells):
            return cells
        if self._written.encoding != AUTO:
            words = f"is not written in {self._written.encoding}: set the source's encoding, or"
            return Broken(f"{words} auto, which reads such rows as cp1252", self._shown(cells))
        try:
            return [MARK.sub(lambda one: marked_byte(one[0]).decode("cp1252"), c) for c in cells]
        except UnicodeDecodeError:
            words = f"is written neither in {self._lines.encoding} nor in cp1252"
            return Broken(words, self._shown(cells))

    def _shown(self, cells: list[str]) -> dict[str, Any]:
        return {"line": self._lines.number, "cells": [visible(cell) for cell in cells]}


def marked_byte(mark: str) -> bytes:
    return bytes([ord(mark) & 0xFF])


def visible(text: str) -> str:
    """Bytes that are no text as `\\xfc`: a payload holds text only."""
    return MARK.sub(lambda one: f"\\x{ord(one[0]) & 0xFF:02x}", text)
