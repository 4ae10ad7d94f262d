"""Rows as the databases' drivers take them, from columns: SQLite's tuples, PostgreSQL's COPY.

A batch's work for a thread, or for a process of its own: so nothing heavy is imported here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Form = Literal["text", "json", "time", "bytes", "plain"]
Columns = Mapping[str, Sequence[Any]]
Forms = Mapping[str, Form]

# In the text of COPY.
NULL = "\\N"
ESCAPED = "\\\t\n\r"
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

encode = msgspec.json.Encoder().encode


def to_json(value: Any) -> str:
    """Times in RFC 3339; NaN, which JSON does not have, as null."""
    return encode(value).decode()


def tuples(columns: Columns, forms: Forms) -> list[tuple[Any, ...]]:
    """What SQLite's driver takes; the columns are of one length."""
    bound = [bound_values(column, forms[name]) for name, column in columns.items()]
    return list(zip(*bound, strict=True))


def lines(columns: Columns, forms: Forms) -> list[str]:
    """What COPY reads, without the ends of the lines."""
    written = [written_values(column, forms[name]) for name, column in columns.items()]
    return list(map("\t".join, zip(*written, strict=True)))


def bound_values(values: Sequence[Any], form: Form) -> Sequence[Any]:
    if form == "time":
        return [None if value is None else stored_time(value) for value in values]
    if form == "json":
        return [None if value is None else to_json(value) for value in values]
    return values


def written_values(values: Sequence[Any], form: Form) -> Sequence[str]:
    if form == "text" and {str}.issuperset(map(type, values)) and is_plain("".join(values)):
        return values
    write = WRITERS[form]
    return [NULL if value is None else write(value) for value in values]


def is_plain(text: str) -> bool:
    return not any(mark in text for mark in ESCAPED)


def escaped(text: str) -> str:
    return text if is_plain(text) else text.translate(ESCAPES)


def stored_time(moment: datetime) -> str:
    """As SQLAlchemy stores it in SQLite, at a tenth of the time."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    utc = aware if aware.tzinfo is UTC else aware.astimezone(UTC)
    return utc.isoformat(" ", "microseconds")[:26]


WRITERS: dict[Form, Callable[[Any], str]] = {
    "text": escaped,
    "json": lambda value: escaped(to_json(value)),
    "time": lambda moment: f"{stored_time(moment)}+00",
    "bytes": lambda value: f"\\\\x{value.hex()}",
    "plain": str,
}
