"""The audit trail as a file: one line an entry, whatever somebody wrote into it."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from astralytiq.core.db import Database

from . import service
from .schemas import ExportFormat
from .service import Condition, EntryRow

COLUMNS = tuple(column.key for column in service.SHOWN)
MEDIA_TYPES = {
    ExportFormat.csv: "text/csv; charset=utf-8",
    ExportFormat.jsonl: "application/x-ndjson",
}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


async def lines(
    database: Database, conditions: Sequence[Condition], before: int, kind: ExportFormat
) -> AsyncIterator[str]:
    """In batches, each read in a session of its own: a slow reader holds no connection."""
    render = RENDERERS[kind]
    if kind is ExportFormat.csv:
        yield as_csv([COLUMNS])
    after = 0
    while batch := await next_batch(database, conditions, after, before):
        yield render(batch)
        after = batch[-1].sequence


async def next_batch(
    database: Database, conditions: Sequence[Condition], after: int, before: int
) -> Sequence[EntryRow]:
    async with database.reading() as session:
        return await service.oldest(session, conditions, after, before)


def plain(row: EntryRow) -> dict[str, Any]:
    """Times as the API writes them."""
    entry: dict[str, Any] = msgspec.to_builtins(dict(row._mapping))
    return entry


def jsonl(batch: Sequence[EntryRow]) -> str:
    return "".join(f"{json.dumps(plain(row))}\n" for row in batch)  # ASCII: no other line ends


def csv_rows(batch: Sequence[EntryRow]) -> str:
    return as_csv([[safe(value) for value in plain(row).values()] for row in batch])


def as_csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def safe(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if isinstance(value, str) and value.startswith(FORMULA) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


RENDERERS: dict[ExportFormat, Callable[[Sequence[EntryRow]], str]] = {
    ExportFormat.csv: csv_rows,
    ExportFormat.jsonl: jsonl,
}
