"""One transaction past SQLAlchemy, for what is stored thousands of times a second.

On SQLite every statement through SQLAlchemy and aiosqlite takes three turns with the driver's
thread, and a transaction of two statements a dozen: 350 µs of the event loop for a request, where
groups of eight shared it. Here the whole transaction is one turn. The connection is that of all
other writes, so that those wait in line and not on SQLite's lock.
"""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from sqlalchemy.exc import IntegrityError, OperationalError

from astralytiq.core import bulk
from astralytiq.core.db import Database, unbroken


@dataclass(frozen=True)
class Statement:
    """SQL with a `?` for each of the values: no other question mark."""

    sql: str
    values: tuple[Any, ...]


async def store(
    database: Database, rows: Sequence[bulk.Rows], statements: Sequence[Statement] = ()
) -> None:
    """Insert `rows` and run `statements`: all or nothing. Raises SQLAlchemy's errors."""
    write = in_one_turn if database.is_sqlite else in_one_transaction
    await unbroken(write(database, rows, statements))


async def in_one_turn(
    database: Database, rows: Sequence[bulk.Rows], statements: Sequence[Statement]
) -> None:
    every = [*chain.from_iterable(map(inserts, rows)), *statements]
    async with database.writer.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        # What its thread does for every method of its own; there is no public name for it.
        await raw._execute(run_all, raw._conn, every)


def inserts(rows: bulk.Rows) -> list[Statement]:
    return [Statement(sql, values) for sql, values in bulk.inserts_of(rows)]


def run_all(connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement.sql, statement.values)
        connection.execute("COMMIT")
    except sqlite3.Error as fault:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        known = IntegrityError if isinstance(fault, sqlite3.IntegrityError) else OperationalError
        raise known("a group of statements", None, fault) from None


async def in_one_transaction(
    database: Database, rows: Sequence[bulk.Rows], statements: Sequence[Statement]
) -> None:
    async with database.writer.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        try:
            async with raw.transaction():
                for some in rows:
                    await bulk.copy(connection, some)
                for statement in statements:
                    await raw.execute(numbered(statement.sql), *statement.values)
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
