"""Fast upsert of many rows: staged in a temporary table, then merged in one statement.

The same two statements on SQLite and PostgreSQL; only the way into the stage differs (the driver's
executemany, or COPY). Unchanged rows are not rewritten, so an unchanged second load costs reads
only. The stage stays with its connection: making it anew for each batch costs 6 ms.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, Dialect, MetaData, Table, and_, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.schema import CreateTable

from astralytiq.core.db import UtcDateTime, to_json

UNIQUE_VIOLATION = "23505"  # SQL state
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Upserted:
    """How many rows were new, changed, or stored already with the same content."""

    inserted: int
    updated: int
    unchanged: int


async def upsert(
    session: AsyncSession,
    table: Table,
    rows: Sequence[Row],
    *,
    key: tuple[str, ...],
    content: str,
    keep: frozenset[str] = frozenset(),
) -> Upserted:
    """Insert or update `rows`, all with the same columns and each `key` at most once.

    `content` names the column whose difference makes a row changed; the columns in `keep` are
    written at the first insert only.
    """
    if not rows:
        return Upserted(0, 0, 0)
    stage = await fill_stage(session, table, rows)
    same_key = and_(*(table.c[name] == stage.c[name] for name in key))
    differs = table.c[content].is_distinct_from(stage.c[content])
    counts = select(func.count(), func.count().filter(differs)).select_from(
        stage.join(table, same_key)
    )
    known, changed = (await session.execute(counts)).one()
    await merge(session, table, stage, key, content, keep)
    await empty(session, stage)
    return Upserted(len(rows) - known, changed, known - changed)


async def append(session: AsyncSession, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, all with the same columns; IntegrityError if one of them is there already."""
    if not rows:
        return
    connection = await session.connection()
    columns = [table.c[name] for name in rows[0]]
    if connection.dialect.name == "postgresql":
        await copy(connection, table.name, columns, rows)
    else:
        await fill(connection, table.name, columns, rows)


async def fill_stage(session: AsyncSession, table: Table, rows: Sequence[Row]) -> Table:
    connection = await session.connection()
    stage = stage_of(table, tuple(rows[0]))
    await connection.execute(CreateTable(stage, if_not_exists=True))
    await append(session, stage, rows)
    return stage


def stage_of(table: Table, names: tuple[str, ...]) -> Table:
    """Its name holds the columns: another set of them is another stage."""
    name = f"stage_{table.name}_{zlib.crc32(' '.join(names).encode()):08x}"
    columns = [Column(column, table.c[column].type) for column in names]
    return Table(name, MetaData(), *columns, prefixes=["TEMPORARY"])


async def copy(
    connection: AsyncConnection, name: str, columns: Sequence[Column[Any]], rows: Sequence[Row]
) -> None:
    """COPY is twice as fast as the best INSERT (6.0 ms and 3.0 ms for 1,000 rows)."""
    names = [column.name for column in columns]
    copied = []
    for column in columns:
        values = [row[column.name] for row in rows]
        copied.append(map(to_json, values) if isinstance(column.type, JSON) else values)
    raw: Any = (await connection.get_raw_connection()).driver_connection
    try:
        await raw.copy_records_to_table(name, columns=names, records=zip(*copied, strict=True))
    except Exception as fault:
        if getattr(fault, "sqlstate", None) != UNIQUE_VIOLATION:
            raise
        raise IntegrityError(f"COPY {name}", None, fault) from None


async def fill(
    connection: AsyncConnection, name: str, columns: Sequence[Column[Any]], rows: Sequence[Row]
) -> None:
    """Past SQLAlchemy's own executemany, which takes half of the time of a load."""
    values = [
        bound(column, connection.dialect, [row[column.name] for row in rows]) for column in columns
    ]
    names = ", ".join(quoted(column.name) for column in columns)
    marks = ", ".join("?" for _ in columns)
    statement = f"INSERT INTO {name} ({names}) VALUES ({marks})"
    await connection.exec_driver_sql(statement, list(zip(*values, strict=True)))


def bound(column: Column[Any], dialect: Dialect, values: list[Any]) -> Iterable[Any]:
    """The values as the driver takes them."""
    process = processor(column, dialect)
    if process is None:
        return values
    first = values[0]
    if all(value is first for value in values):  # such as the time of the batch
        return [process(first)] * len(values)
    return map(process, values)


def processor(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    if isinstance(column.type, UtcDateTime):
        return stored_time
    if isinstance(column.type, JSON):
        return stored_json
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


def quoted(name: str) -> str:
    return f'"{name}"'


async def empty(session: AsyncSession, stage: Table) -> None:
    """SQLite has a fast DELETE of all; PostgreSQL would keep the dead rows, so it truncates."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    await session.execute(text(f"{'DELETE FROM' if is_sqlite else 'TRUNCATE'} {stage.name}"))


async def merge(
    session: AsyncSession,
    table: Table,
    stage: Table,
    key: tuple[str, ...],
    content: str,
    keep: frozenset[str],
) -> None:
    build = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    names = [column.name for column in stage.columns]
    # "WHERE true" keeps SQLite from reading ON CONFLICT as a join condition.
    statement = build(table).from_select(names, select(stage).where(text("true")))
    fresh = {n: statement.excluded[n] for n in names if n not in key and n not in keep}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=list(key),
            set_=fresh,
            where=table.c[content].is_distinct_from(statement.excluded[content]),
        )
    )
