"""Reads a source's files: resumable by the count of rows read of the current one."""

import hashlib
import os
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path

from astralytiq.core.errors import Invalid
from astralytiq.engines.etl.compressed import unpacked
from astralytiq.engines.etl.csv_rows import CsvRows, Written

from . import files
from .batches import Batch, Position
from .files import SourceFile
from .schemas import CsvSource


class CsvReader:
    """The rows of a source's files. It reads while it is asked, so that no file is held whole.

    A file that cannot be read on does not keep the others from being read; at the end `Invalid`
    names them all.
    """

    def __init__(
        self,
        source: CsvSource,
        roots: Sequence[Path],
        position: Position | None,
        downloaded: SourceFile | None = None,
    ) -> None:
        self._source = source
        self._written = Written(source.encoding, source.delimiter, source.quote, source.header)
        self._files = [downloaded] if downloaded else files.find(source.path or "", roots)
        self._stats = [file.path.stat() for file in self._files]
        self._sizes = [stat.st_size for stat in self._stats]
        self._at = 0
        self._passed = hashlib.sha256()  # of the files before, as they are
        self._faults: list[str] = []
        self._binary: BufferedReader | None = None
        self._rows: CsvRows | None = None
        self._seek(position or {})

    def _seek(self, position: Position) -> None:
        """Go to `position`; to the first file if one before it has come, gone or changed since.

        Also if a file before it could not be read: by now it may have been mended.
        """
        at = position.get("index", 0)
        if position.get("faulty"):
            return
        if at >= len(self._files) or self._files[at].name != position.get("file"):
            return
        while self._at < at:
            self._pass()
        if self._passed.hexdigest() != position.get("passed"):
            self._at, self._passed = 0, hashlib.sha256()
            return
        try:
            rows = self._open()
            if self._stamp == [position["size"], position["modified"]]:
                rows.skip(position["row"])
        except ValueError as fault:
            self._give_up(fault)

    def _pass(self) -> None:
        file, stat = self._files[self._at], self._stats[self._at]
        self._passed.update(f"{file.name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        self._at += 1

    def next_batch(self) -> Batch | None:
        while self._at < len(self._files):
            try:
                rows = self._rows or self._open()
                if found := rows.read(self._source.batch_size):
                    return Batch(found, self._position(rows.row), self._progress())
            except ValueError as fault:
                self._give_up(fault)
                continue
            self._next_file()
        if self._faults:
            raise Invalid(" ".join(self._faults))
        return None

    def _give_up(self, fault: ValueError) -> None:
        self._faults.append(f"The file {self._files[self._at].name!r} cannot be read: {fault}.")
        self._next_file()

    def _next_file(self) -> None:
        self.close()
        self._pass()

    def close(self) -> None:
        if self._binary:
            self._binary.close()
        self._binary = self._rows = None

    def _open(self) -> CsvRows:
        self._binary = binary = self._files[self._at].open()
        seen = os.fstat(binary.fileno())
        self._stamp = [seen.st_size, self._files[self._at].digest or seen.st_mtime_ns]
        self._rows = CsvRows(unpacked(binary), self._written)
        return self._rows

    def _position(self, row: int) -> Position:
        position: Position = {
            "index": self._at,
            "file": self._files[self._at].name,
            "passed": self._passed.hexdigest(),
            "row": row,
            "size": self._stamp[0],
            "modified": self._stamp[1],
        }
        return position | {"faulty": True} if self._faults else position

    def _progress(self) -> float:
        assert self._binary
        read = sum(self._sizes[: self._at]) + self._binary.tell()
        return min(1.0, read / max(1, sum(self._sizes)))
