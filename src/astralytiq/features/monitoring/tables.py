"""The database in figures that cost no scan: small tables are counted, large ones estimated."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from astralytiq.core.db import Base, Database

from .schemas import How

COUNTED = 10_000  # Tables of up to so many rows are counted, which takes less than a millisecond.
PROBES = 3


@dataclass(frozen=True)
class TableSize:
    name: str
    rows: int
    how: How


@dataclass(frozen=True)
class Pool:
    size: int
    in_use: int
    idle: int
    overflow: int


@dataclass(frozen=True)
class Latency:
    """Milliseconds: to get a connection, and of a query that reads nothing."""

    connection_ms: float
    query_ms: float


async def latency(session: AsyncSession) -> Latency:
    began = time.perf_counter()
    await session.connection()
    connected, took = time.perf_counter(), []
    for _ in range(PROBES):
        asked = time.perf_counter()
        await session.execute(text("SELECT 1"))
        took.append(time.perf_counter() - asked)
    return Latency(round((connected - began) * 1000, 3), round(median(took) * 1000, 3))


def pools(database: Database) -> dict[str, Pool]:
    """On PostgreSQL one pool serves both."""
    writer = pool(database.writer)
    return {"writer": writer, "reader": pool(database.reader) if database.is_sqlite else writer}


def pool(engine: AsyncEngine) -> Pool:
    found: Any = engine.pool
    overflow = max(0, found.overflow())  # Below zero while the pool has not filled up.
    return Pool(found.size(), found.checkedout(), found.checkedin(), overflow)


async def size_bytes(session: AsyncSession, database: Database) -> int:
    if not database.is_sqlite:
        query = text("SELECT pg_database_size(current_database())")
        return int(await session.scalar(query) or 0)
    pages = await session.scalar(text("PRAGMA page_count")) or 0
    size = await session.scalar(text("PRAGMA page_size")) or 0
    log = Path(f"{database.url.database}-wal")
    return pages * size + await asyncio.to_thread(lambda: log.stat().st_size if log.exists() else 0)


async def sizes(session: AsyncSession, database: Database) -> Sequence[TableSize]:
    """Of every table of ours, the largest first."""
    tables = Base.metadata.sorted_tables
    counts = await counted(session, tables)
    large = [table for table in tables if counts[table.name] > COUNTED]
    found = [TableSize(n, rows, How.counted) for n, rows in counts.items() if rows <= COUNTED]
    if large:
        estimate = of_sqlite if database.is_sqlite else of_postgresql
        found += await estimate(session, large)
    return sorted(found, key=lambda one: (-one.rows, one.name))


async def counted(session: AsyncSession, tables: Iterable[Table]) -> dict[str, int]:
    """In one statement, each up to one row beyond `COUNTED`. The names are those of our code."""
    parts = (
        f"SELECT '{table.name}', (SELECT count(*) FROM "
        f'(SELECT 1 FROM "{table.name}" LIMIT {COUNTED + 1}) AS part)'
        for table in tables
    )
    rows = await session.execute(text(" UNION ALL ".join(parts)))
    return {row[0]: row[1] for row in rows}


async def of_sqlite(session: AsyncSession, tables: Sequence[Table]) -> list[TableSize]:
    """By the first and the last rowid: too many where rows in between were deleted."""
    found = []
    for table in tables:
        if table.dialect_options["sqlite"]["with_rowid"] is False:
            found.append(TableSize(table.name, COUNTED, How.at_least))
            continue
        ends = f'(SELECT max(rowid) FROM "{table.name}") - (SELECT min(rowid) FROM "{table.name}")'
        rows = await session.scalar(text(f"SELECT {ends} + 1"))
        found.append(TableSize(table.name, int(rows or 0), How.estimated))
    return found


async def of_postgresql(session: AsyncSession, tables: Sequence[Table]) -> list[TableSize]:
    """By the server's statistics."""
    query = text(
        "SELECT stat.relname, greatest(stat.n_live_tup, class.reltuples::bigint) "
        "FROM pg_stat_user_tables AS stat JOIN pg_class AS class ON class.oid = stat.relid "
        "WHERE stat.schemaname = current_schema()"
    )
    known = {name: int(rows) for name, rows in await session.execute(query)}
    names = [table.name for table in tables]
    return [
        TableSize(name, known[name], How.estimated)
        if known.get(name, 0) > COUNTED
        else TableSize(name, COUNTED, How.at_least)
        for name in names
    ]
