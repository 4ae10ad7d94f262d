"""Rows as the databases' drivers take them, made from columns: a batch's work for a thread."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import JSON, Column, LargeBinary, String, Table
from sqlalchemy.dialects import sqlite

from astralytiq.core.db import UtcDateTime, to_json

# In the text of COPY.
NULL = "\\N"
ESCAPED = "\\\t\n\r"
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Rows:
    """Rows of a table as its driver takes them: of SQLite tuples, of PostgreSQL lines of COPY.

    All of them have the values in `shared`, which may be told as late as the rows are stored.
    """

    table: Table
    names: tuple[str, ...]
    values: Sequence[Any]
    shared: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all_names(self) -> tuple[str, ...]:
        return (*self.names, *self.shared)

    def sharing(self, values: Mapping[str, Any]) -> Self:
        return replace(self, shared=values)

    def at(self, places: Sequence[int]) -> Self:
        values = [self.values[at] for at in places]
        return replace(self, values=values)


def rows_of(table: Table, columns: Columns, *, for_sqlite: bool) -> Rows:
    """Rows from their columns, all of one length."""
    form = bound if for_sqlite else copied
    values = [form(table.c[name], column) for name, column in columns.items()]
    rows = zip(*values, strict=True)
    return Rows(table, tuple(columns), list(rows if for_sqlite else map("\t".join, rows)))


def copied(column: Column[Any], values: Sequence[Any]) -> Sequence[str]:
    """The values as COPY reads them."""
    write = writer(column)
    if write is escaped and {str}.issuperset(map(type, values)) and is_plain("".join(values)):
        return values
    return [NULL if value is None else write(value) for value in values]


def writer(column: Column[Any]) -> Callable[[Any], str]:
    if isinstance(column.type, UtcDateTime):
        return lambda moment: f"{stored_time(moment)}+00"
    if isinstance(column.type, JSON):
        return lambda value: escaped(to_json(value))
    if isinstance(column.type, LargeBinary):
        return lambda value: f"\\\\x{value.hex()}"
    return escaped if isinstance(column.type, String) else str


def is_plain(text: str) -> bool:
    return not any(mark in text for mark in ESCAPED)


def escaped(text: str) -> str:
    return text if is_plain(text) else text.translate(ESCAPES)


def bound(column: Column[Any], values: Sequence[Any]) -> Sequence[Any]:
    """The values as SQLite's driver takes them."""
    process = processor(column)
    return list(map(process, values)) if process else values


def processor(column: Column[Any]) -> Callable[[Any], Any] | None:
    if isinstance(column.type, UtcDateTime):
        return stored_time
    if isinstance(column.type, JSON):
        return stored_json
    dialect = sqlite.dialect()
    return column.type.dialect_impl(dialect).bind_processor(dialect)


def stored_json(value: Any) -> str | None:
    return None if value is None else to_json(value)


def stored_time(moment: datetime | None) -> str | None:
    """As SQLAlchemy stores it in SQLite, at a tenth of the time."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    utc = aware if aware.tzinfo is UTC else aware.astimezone(UTC)
    return utc.isoformat(" ", "microseconds")[:26]
