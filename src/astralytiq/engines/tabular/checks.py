"""Checks of the cells of a table: which rows fail, and the first of them as examples.

A check sees one column part by part. It answers with a mask of the rows that fail; `found` says
how many were checked, how many failed, and shows the first ten.
"""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gathering import among, of_cells
from .hashing import Cells, Words
from .reading import TEXTS, Field, Part, Table
from .texts import flags, is_empty, reads_as, trimmed

MOST_EXAMPLES = 10
LONGEST_EXAMPLE = 200
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
Judge = Callable[[Part], Mask]


@dataclass(frozen=True)
class Example:
    """A row that fails, counted from 1, and the value (of several columns, a list) that does."""

    row: int
    value: Any


@dataclass(frozen=True)
class Fault:
    """Cells of a column (of several: their names with commas; of whole rows: None) that fail.

    `rule` is one word, `detail` a sentence that says what is wrong. `share` is `rows_affected`
    over `checked`.
    """

    column: str | None
    rule: str
    detail: str
    rows_affected: int
    checked: int
    share: float
    examples: list[Example] = field(default_factory=list)


class Check:
    """One column against one judge, which gets a part and marks the rows that fail."""

    def __init__(self, column: str, rule: str, detail: str, judge: Judge) -> None:
        self.column, self.rule, self.detail = column, rule, detail
        self.checked = self.failed = 0
        self.examples: list[Example] = []
        self._judge = judge

    def add(self, part: Part) -> None:
        failing = self._judge(part)
        self.checked += len(part) if self.rule in ROW_RULES else len(part) - part.nulls
        self.failed += int(failing.sum())
        for at in np.flatnonzero(failing)[: MOST_EXAMPLES - len(self.examples)].tolist():
            self.examples.append(Example(part.start + at + 1, shown(part.cells[at].as_py())))

    def found(self) -> Fault:
        return fault(self.column, self.rule, self.detail, self.failed, self.checked, self.examples)


ROW_RULES = frozenset({"missing", "not_null"})


def fault(
    column: str | None, rule: str, detail: str, rows: int, checked: int, examples: list[Example]
) -> Fault:
    return Fault(column, rule, detail, rows, checked, rows / checked if checked else 0.0, examples)


def run(table: Table, checks: Sequence[Check]) -> None:
    """Each column that has checks is read once."""
    of_column: dict[str, list[Check]] = {}
    for check in checks:
        of_column.setdefault(check.column, []).append(check)
    for part in parts_of(table, [one for one in table.fields if one.name in of_column]):
        for check in of_column[part.field.name]:
            check.add(part)


def parts_of(table: Table, fields: Sequence[Field]) -> Iterator[Part]:
    """Of each of the columns, its parts in their order."""
    for block in table.blocks(fields):
        for parts in table.parts(block):
            yield from parts


def shown(value: Any) -> Any:
    """As JSON has it, and not too long."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (datetime, date)):
        return value.isoformat().replace("+00:00", "Z")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)[:LONGEST_EXAMPLE]


# Judges -----------------------------------------------------------------------------------------


def by_word(part: Part, judge: Callable[[Cells], Mask]) -> Mask:
    """Judges each different text once. Nulls pass."""
    words, places = part.encoded
    bad = judge(words)
    failing = np.zeros(len(part), dtype=np.bool_)
    if bad.any():
        failing[part.valid] = bad[places]
    return failing


def by_number(part: Part, judge: Callable[[NDArray[Any]], Mask]) -> Mask:
    """Judges the values that are there. Nulls pass."""
    failing = np.zeros(len(part), dtype=np.bool_)
    failing[part.valid] = judge(part.numbers)
    return failing


def missing(part: Part) -> Mask:
    """Null, NaN, or text that is blank."""
    failing = ~part.valid
    if part.field.kind == "text":
        failing |= by_word(part, blank)
    elif part.field.kind == "float":
        failing |= by_number(part, np.isnan)
    return failing


def blank(words: Cells) -> Mask:
    return is_empty(trimmed(words))


def infinite(part: Part) -> Mask:
    return by_number(part, np.isinf)


def present(part: Part) -> Mask:
    return part.valid


def padded(part: Part) -> Mask:
    import pyarrow.compute as pc

    return by_word(part, lambda words: flags(pc.not_equal(trimmed(words), words)))


def misread(meaning: str) -> Judge:
    """Marks texts that are not blank and do not read as `meaning`."""

    def judge(part: Part) -> Mask:
        return by_word(part, lambda words: ~reads_as(trimmed(words), meaning) & ~blank(words))

    return judge


def one_of(values: "Sequence[Any]", *, wanted: bool) -> Judge:
    """Marks what is none of the values, or unless `wanted`, what is one."""

    def judge(part: Part) -> Mask:
        if part.field.kind not in TEXTS:
            return by_number(part, lambda numbers: np.isin(numbers, list(values)) != wanted)
        return by_word(part, lambda words: is_in(words, values) != wanted)

    return judge


def is_in(words: Cells, values: Sequence[Any]) -> Mask:
    import pyarrow as pa
    import pyarrow.compute as pc

    return flags(pc.is_in(words, value_set=pa.array(list(values), words.type)))


def unlike(pattern: str) -> Judge:
    import pyarrow.compute as pc

    def judge(part: Part) -> Mask:
        return by_word(
            part, lambda words: ~flags(pc.match_substring_regex(words, f"^(?:{pattern})$"))
        )

    return judge


def outside(low: Any, high: Any) -> Judge:
    """NaN lies outside of every range."""

    def judge(numbers: NDArray[Any]) -> Mask:
        inside: Mask = ~np.isnan(numbers)
        if low is not None:
            inside &= numbers >= low
        if high is not None:
            inside &= numbers <= high
        outer: Mask = ~inside
        return outer

    return lambda part: by_number(part, judge)


def without_key(keys: Words) -> Judge:
    """Marks what has no equal among the sorted hashes."""

    def judge(part: Part) -> Mask:
        failing = np.zeros(len(part), dtype=np.bool_)
        failing[part.valid] = ~among(part.hashes, keys)
        return failing

    return judge


# Repeats ----------------------------------------------------------------------------------------


def repeats(table: Table, fields: Sequence[Field], *, nulls: bool) -> tuple[int, Rows]:
    """How many rows have all of the columns' values, and which of them an earlier one has, too.

    With `nulls`, a null equals a null; without, as in SQL, rows with one are left aside.
    """
    words = np.zeros(table.rows, dtype=np.uint64)
    there = np.ones(table.rows, dtype=np.bool_)
    for part in parts_of(table, fields):
        span = slice(part.start, part.start + len(part))
        words[span] += of_cells(part)
        there[span] &= nulls | part.valid
    ordered = np.sort(words[there])
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    checked = len(ordered)
    del ordered  # 8 bytes a row are held while repeats are looked for, not 16.
    rows = np.flatnonzero(among(words, twice) & there)
    order = np.argsort(words[rows], kind="stable")
    equal = words[rows][order]
    return checked, np.sort(rows[order[1:][equal[1:] == equal[:-1]]])


def examples_at(table: Table, fields: Sequence[Field], rows: Rows) -> list[Example]:
    """The first of those rows (counted from 0, ascending), with the columns' values."""
    wanted = rows[:MOST_EXAMPLES].tolist()
    values: dict[int, list[Any]] = {row: [] for row in wanted}
    for target in fields:
        for (part,) in table.parts([target]):
            for row in wanted:
                if part.start <= row < part.start + len(part):
                    values[row].append(shown(part.cells[row - part.start].as_py()))
            if not wanted or part.start + len(part) > wanted[-1]:
                break
    return [Example(row + 1, of[0] if len(fields) == 1 else of) for row, of in values.items()]
