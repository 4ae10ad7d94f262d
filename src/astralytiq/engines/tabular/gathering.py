"""What is kept of a column, or of all rows, while a table passes by."""

import math
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import hashing
from .hashing import Words
from .histograms import Runs, runs
from .reading import BATCH_ROWS, Part, Table
from .texts import Gatherer

MOST_ROWS = 1 << 24


def stride_of(rows: int, most: int = MOST_ROWS) -> int:
    """Of how many rows one is looked at, so that they are about `most`."""
    return max(1, -(-rows // most))


class Gathered:
    """One column: counts of every row, values (of text: hashes) of one row in `stride`."""

    def __init__(self, stride: int) -> None:
        self.nulls = self.nan = self.infinite = 0
        self.low: Any = None
        self.high: Any = None
        self.texts = Gatherer()
        self.first: Part | None = None
        self._stride = stride
        self._kept: list[NDArray[Any]] = []

    def add(self, part: Part) -> None:
        self.first = self.first or part
        self.nulls += part.nulls
        if part.field.kind in ("text", "bytes"):
            if part.field.kind == "text":
                self.texts.add(part)
            self._kept.append(part.each(self._stride).hashes)
        elif part.field.kind != "other":
            self._add_numbers(part)

    def _add_numbers(self, part: Part) -> None:
        values = self._finite(part.numbers)
        if len(values):
            low, high = values.min().item(), values.max().item()
            self.low = low if self.low is None else min(low, self.low)
            self.high = high if self.high is None else max(high, self.high)
        if self._stride > 1:
            sample = part.each(self._stride).numbers
            values = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
        self._kept.append(values)

    def _finite(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind != "f":
            return values
        finite = np.isfinite(values)
        if finite.all():
            return values
        nan = int(np.isnan(values).sum())
        self.nan += nan
        self.infinite += len(values) - int(finite.sum()) - nan
        kept: NDArray[Any] = values[finite]
        return kept

    def ordered(self, *, and_places: bool) -> NDArray[Any]:
        """All that was kept, sorted; with `and_places`, `first_places` may be asked then."""
        values = np.concatenate(self._kept) if self._kept else np.zeros(0)
        if not and_places:
            self._kept.clear()
        values.sort()
        return values

    def first_places(self, wanted: Words) -> dict[int, tuple[int, int]]:
        """Of each of the sorted hashes: in which part it came first, and where among its values."""
        found: dict[int, tuple[int, int]] = {}
        for number, hashes in enumerate(self._kept):
            if len(found) == len(wanted):
                break
            for place in np.flatnonzero(among(hashes, wanted)).tolist():
                found.setdefault(int(hashes[place]), (number, place))
        return found


def distinct(found: Runs, stride: int) -> int:
    """Of a sample, by the estimator GEE (Charikar et al. 2000): what comes once stands for more."""
    once = int((found.counts == 1).sum())
    return round(math.sqrt(stride) * once) + len(found) - once


def among(hashes: Words, known: Words) -> NDArray[np.bool_]:
    """Which of the hashes are one of those known, which are sorted."""
    if len(known) == 0:
        return np.zeros(len(hashes), dtype=np.bool_)
    places = np.searchsorted(known, hashes).clip(max=len(known) - 1)
    found: NDArray[np.bool_] = known[places] == hashes
    return found


class RowHashes:
    """One hash for each row, over the hashes of its cells; columns may come in any order."""

    def __init__(self, rows: int) -> None:
        self.words = np.zeros(rows, dtype=np.uint64)
        self._lock = Lock()

    def add(self, part: Part) -> None:
        cells = of_cells(part)
        with self._lock:
            self.words[part.start : part.start + len(part)] += cells


def of_cells(part: Part) -> Words:
    return hashing.mixed(part.row_hashes ^ hashing.seed(part.field.place))


def of_rows(parts: Sequence[Part]) -> Words:
    words = np.zeros(len(parts[0]), dtype=np.uint64)
    for part in parts:
        words += of_cells(part)
    return words


def repeated(words: Words) -> int:
    """How many rows are equal to another one before them. Sorts in place."""
    words.sort()
    return len(words) - len(runs(words))


def repeated_of_many(table: Table, stride: int) -> int:
    """The same from one of `stride` different rows: which, their hash says, so twins stay."""
    kept = []
    for parts in table.parts(table.fields, BATCH_ROWS // 8):
        words = of_rows(parts)
        kept.append(words[(words >> np.uint64(32)) % np.uint64(stride) == 0])
    return repeated(np.concatenate(kept)) * stride
