"""Reads a source's files: resumable by the count of rows read of the current one."""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from astralytiq.core.errors import Invalid
from astralytiq.engines.etl.csv_rows import CsvRows

from . import files
from .batches import Batch, Position
from .schemas import CsvSource


class CsvReader:
    """The rows of a source's files. It reads while it is asked, so that no file is held whole."""

    def __init__(self, source: CsvSource, roots: Sequence[Path], position: Position | None) -> None:
        self._source = source
        self._files = files.find(source.path, roots)
        self._sizes = [file.path.stat().st_size for file in self._files]
        self._at = 0
        self._binary: BinaryIO | None = None
        self._rows: CsvRows | None = None
        with self._worded():
            self._seek(position or {})

    def _seek(self, position: Position) -> None:
        """Go to `position`; to the first file if the list of files has changed since."""
        at = position.get("index", 0)
        if at < len(self._files) and self._files[at].name == position.get("file"):
            self._at = at
            rows = self._open()
            if rows and self._stamp == [position["size"], position["modified"]]:
                rows.skip(position["row"])

    def next_batch(self) -> Batch | None:
        with self._worded():
            while self._at < len(self._files):
                rows = self._rows or self._open()
                if rows and (found := rows.read(self._source.batch_size)):
                    return Batch(found, self._position(rows.row), self._progress())
                self.close()
                self._at += 1
        return None

    def close(self) -> None:
        if self._binary:
            self._binary.close()
        self._binary = self._rows = None

    def _open(self) -> CsvRows | None:
        """Begin the current file; None if it is empty."""
        self._binary = binary = self._files[self._at].open()
        seen = os.fstat(binary.fileno())
        self._stamp = [seen.st_size, seen.st_mtime_ns]
        if seen.st_size == 0:
            return None
        text = io.TextIOWrapper(binary, encoding=self._source.encoding, newline="")
        self._rows = CsvRows(text, self._source.delimiter)
        return self._rows

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError:
            raise Invalid(
                f"The file {self._files[self._at].name!r} is not written in "
                f"{self._source.encoding}: set the source's encoding, for example to cp1252."
            ) from None
        except ValueError as fault:
            name = self._files[self._at].name
            raise Invalid(f"The file {name!r} cannot be read: {fault}.") from None

    def _position(self, row: int) -> Position:
        return {
            "index": self._at,
            "file": self._files[self._at].name,
            "row": row,
            "size": self._stamp[0],
            "modified": self._stamp[1],
        }

    def _progress(self) -> float:
        assert self._binary
        read = sum(self._sizes[: self._at]) + self._binary.tell()
        return min(1.0, read / max(1, sum(self._sizes)))
