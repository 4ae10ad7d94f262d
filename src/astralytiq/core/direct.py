"""One transaction past SQLAlchemy, for what is stored thousands of times a second.

On SQLite every statement through SQLAlchemy and aiosqlite takes three turns with the driver's
thread, and a transaction of two statements a dozen: 350 µs of the event loop for a request, where
groups of eight shared it. Here the whole transaction is one turn. The connection is that of all
other writes, so that those wait in line and not on SQLite's lock.
"""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from astralytiq.core import bulk
from astralytiq.core.db import Database, unbroken

Result = TypeVar("Result")


@dataclass(frozen=True)
class Statement:
    """SQL with a `?` for each of the values: no other question mark."""

    sql: str
    values: tuple[Any, ...]


async def store(
    database: Database, rows: Sequence[bulk.Rows], statements: Sequence[Statement] = ()
) -> None:
    """Insert `rows` and run `statements`: all or nothing. Raises SQLAlchemy's errors."""
    if database.is_sqlite:
        every = [*chain.from_iterable(map(inserts, rows)), *statements]
        await unbroken(in_one_turn(database, partial(run_all, every)))
    else:
        await unbroken(copy_all(database, rows, statements))


def inserts(rows: bulk.Rows) -> list[Statement]:
    return [Statement(sql, values) for sql, values in bulk.inserts_of(rows)]


def run_all(statements: Sequence[Statement], connection: sqlite3.Connection) -> None:
    for statement in statements:
        connection.execute(statement.sql, statement.values)


async def copy_all(
    database: Database, rows: Sequence[bulk.Rows], statements: Sequence[Statement]
) -> None:
    async with in_one_transaction(database) as (connection, raw):
        for some in rows:
            await bulk.copy(connection, some)
        for statement in statements:
            await raw.execute(numbered(statement.sql), *statement.values)


async def in_one_turn(database: Database, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """`work` in the thread of SQLite's driver, as one transaction. Run it inside `unbroken`."""
    async with database.writer.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        # What its thread does for every method of its own; there is no public name for it.
        result: Result = await raw._execute(committed, raw._conn, work)
        return result


def committed(
    connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Result]
) -> Result:
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException as fault:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if not isinstance(fault, sqlite3.Error):
            raise
        known = IntegrityError if isinstance(fault, sqlite3.IntegrityError) else OperationalError
        raise known("a group of statements", None, fault) from None
    return result


@asynccontextmanager
async def in_one_transaction(database: Database) -> AsyncIterator[tuple[AsyncConnection, Any]]:
    """A connection to PostgreSQL and its driver's own. Run it inside `unbroken`."""
    async with database.writer.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        try:
            async with raw.transaction():
                yield connection, raw
        except Exception as fault:
            raise worded(fault) from None


def worded(fault: Exception) -> Exception:
    """SQLAlchemy's name for what PostgreSQL refused; anything else stays what it is."""
    state: str | None = getattr(fault, "sqlstate", None)
    if state is None:
        return fault
    known = IntegrityError if state.startswith(bulk.INTEGRITY) else OperationalError
    return known("a group of statements", None, fault)


def numbered(sql: str) -> str:
    """PostgreSQL's placeholders: $1, $2 and so on."""
    numbers = count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", sql)
