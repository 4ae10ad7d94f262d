"""Rows of a CSV text stream, a batch at a time, never the whole of it."""

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from astralytiq.engines.etl.normalise import Broken

# A forgotten closing quote swallows what follows it: up to so many characters, not the file.
LONGEST_CELL = 1 << 20
csv.field_size_limit(LONGEST_CELL)


class CsvRows:
    """Reads on from where it stands; `row` counts the rows read, the header and blank lines not.

    The first row is the header. Raises ValueError if that cannot name the columns.
    """

    def __init__(self, lines: Iterable[str], delimiter: str = ",") -> None:
        self._reader = csv.reader(lines, delimiter=delimiter)
        self._cells = self._all_cells()
        self.row = 0
        self.header = self._read_header()

    def _read_header(self) -> list[str]:
        first = next(self._cells, None)
        if not isinstance(first, list):
            raise ValueError("it has no header row")
        names = [cell.strip() or f"column_{place}" for place, cell in enumerate(first, 1)]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"its header names {', '.join(sorted(twice))} more than once")
        return names

    def _all_cells(self) -> Iterator[list[str] | Broken]:
        while True:
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as fault:
                yield Broken(f"is not CSV: {fault}", {"line": self._reader.line_num})
                continue
            if cells:
                yield cells

    def skip(self, count: int) -> None:
        self.row += sum(1 for _ in islice(self._cells, count))

    def read(self, most: int) -> list[dict[str, str] | Broken]:
        """The next rows, at most so many; none at the end."""
        header, width = self.header, len(self.header)
        rows: list[dict[str, str] | Broken] = []
        for cells in islice(self._cells, most):
            if isinstance(cells, Broken):
                rows.append(cells)
            elif len(cells) == width:
                rows.append(dict(zip(header, cells, strict=True)))
            else:
                rows.append(self._ragged(cells))
        self.row += len(rows)
        return rows

    def _ragged(self, cells: list[str]) -> Broken:
        reason = f"has {len(cells)} cells where the header has {len(self.header)}"
        payload: dict[str, Any] = {"line": self._reader.line_num, "cells": cells}
        return Broken(reason, payload)
