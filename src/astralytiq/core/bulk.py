"""Fast insert and upsert of many rows, on SQLite and PostgreSQL.

An upsert is staged in a temporary table, then merged in one statement; only the way into a table
differs (INSERT of many rows, or COPY). Unchanged rows are not rewritten, so an unchanged second
load costs reads only. The stage stays with its connection: making it anew for each batch costs
6 ms. What the driver takes is made beforehand (rows.py): a thread can do that while the rows before
are stored.
"""

import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from typing import Any, Self

from sqlalchemy import (
    JSON,
    Column,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.schema import CreateTable

from astralytiq.core.db import UtcDateTime
from astralytiq.core.rows import (
    Columns,
    Form,
    bound_values,
    lines,
    tuples,
    written_values,
)

INTEGRITY = "23"  # SQL states of what breaks a constraint begin so.
# Of one INSERT of SQLite; it takes no more than 32,766 parameters.
MOST_PARAMETERS = 32_000
LINES = 500  # of COPY, that are sent together


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

    def at(self, places: Sequence[int]) -> Self:
        values = [self.values[at] for at in places]
        return replace(self, values=values)


@dataclass(frozen=True)
class Upserted:
    """How many rows were new, changed, or stored already with the same content."""

    inserted: int
    updated: int
    unchanged: int


def rows_of(table: Table, columns: Columns, *, for_sqlite: bool) -> Rows:
    values: Sequence[Any] = (tuples if for_sqlite else lines)(columns, forms_of(table))
    return Rows(table, tuple(columns), values)


def forms_of(table: Table) -> dict[str, Form]:
    return {column.name: form_of(column) for column in table.columns}


def form_of(column: Column[Any]) -> Form:
    forms: tuple[tuple[type[Any], Form], ...] = (
        (JSON, "json"), (UtcDateTime, "time"), (LargeBinary, "bytes"), (String, "text")
    )  # fmt: skip
    return next((form for kind, form in forms if isinstance(column.type, kind)), "plain")


def is_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"


async def upsert(
    session: AsyncSession,
    rows: Rows,
    *,
    key: tuple[str, ...],
    content: str,
    keep: frozenset[str] = frozenset(),
) -> Upserted:
    """Insert or update rows, each `key` at most once.

    `content` names the column whose difference makes a row changed; the columns in `keep` are
    written at the first insert only.
    """
    if not rows.values:
        return Upserted(0, 0, 0)
    table, stage = rows.table, await fill_stage(session, rows)
    same_key = and_(*(table.c[name] == stage.c[name] for name in key))
    differs = table.c[content].is_distinct_from(stage.c[content])
    counts = select(func.count(), func.count().filter(differs)).select_from(
        stage.join(table, same_key)
    )
    known, changed = (await session.execute(counts)).one()
    await merge(session, table, stage, key, content, keep)
    await empty(session, stage)
    return Upserted(len(rows.values) - known, changed, known - changed)


async def append(session: AsyncSession, rows: Rows) -> None:
    """Insert rows; IntegrityError if one of them is there already."""
    if rows.values:
        insert = fill if is_sqlite(session) else copy
        await insert(await session.connection(), rows)


async def fill_stage(session: AsyncSession, rows: Rows) -> Table:
    stage = stage_of(rows.table, rows.all_names)
    await session.execute(CreateTable(stage, if_not_exists=True))
    await append(session, replace(rows, table=stage))
    return stage


def stage_of(table: Table, names: tuple[str, ...]) -> Table:
    """Its name holds the columns: another set of them is another stage."""
    name = f"stage_{table.name}_{zlib.crc32(' '.join(names).encode()):08x}"
    columns = [Column(column, table.c[column].type) for column in names]
    return Table(name, MetaData(), *columns, prefixes=["TEMPORARY"])


async def copy(connection: AsyncConnection, rows: Rows) -> None:
    """COPY as text: a third of the work of the driver's binary form, which is value by value."""
    forms = forms_of(rows.table)
    shared = [written_values([value], forms[name])[0] for name, value in rows.shared.items()]
    end = "".join(f"\t{value}" for value in shared) + "\n"
    raw: Any = (await connection.get_raw_connection()).driver_connection
    names, source = list(rows.all_names), pieces(rows.values, end)
    try:
        await raw.copy_to_table(rows.table.name, columns=names, source=source)
    except Exception as fault:
        if not (getattr(fault, "sqlstate", None) or "").startswith(INTEGRITY):
            raise
        raise IntegrityError(f"COPY {rows.table.name}", None, fault) from None


async def pieces(lines: Sequence[str], end: str) -> AsyncIterator[bytes]:
    """Lines for COPY, so many at a time that the server reads some while the next are written."""
    for start in range(0, len(lines), LINES):
        yield (end.join(lines[start : start + LINES]) + end).encode()


async def fill(connection: AsyncConnection, rows: Rows) -> None:
    """Many rows in one INSERT, past SQLAlchemy: twice as fast as the driver's executemany.

    That gives the interpreter's lock away with each row, and then waits for it: beside another
    thread at work it was ten times slower, and this is not.
    """
    for statement, values in inserts_of(rows):
        await connection.exec_driver_sql(statement, values)


def inserts_of(rows: Rows) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Statements for SQLite, and their values one behind the other."""
    forms = forms_of(rows.table)
    shared = tuple(bound_values([value], forms[name])[0] for name, value in rows.shared.items())
    most = MOST_PARAMETERS // len(rows.all_names)
    for start in range(0, len(rows.values), most):
        part = rows.values[start : start + most]
        # Numbered parameters would say the shared ones once, but SQLite looks each number up.
        flat = tuple(chain.from_iterable(row + shared for row in part))
        yield insert_of(rows.table.name, rows.all_names, len(part)), flat


@lru_cache(32)
def insert_of(table: str, names: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' for _ in names)})"
    values = ", ".join(row for _ in range(rows))
    return f"INSERT INTO {table} ({', '.join(map(quoted, names))}) VALUES {values}"


def quoted(name: str) -> str:
    return f'"{name}"'


async def empty(session: AsyncSession, stage: Table) -> None:
    """SQLite has a fast DELETE of all; PostgreSQL would keep the dead rows, so it truncates."""
    statement = "DELETE FROM" if is_sqlite(session) else "TRUNCATE"
    await session.execute(text(f"{statement} {stage.name}"))


async def merge(
    session: AsyncSession,
    table: Table,
    stage: Table,
    key: tuple[str, ...],
    content: str,
    keep: frozenset[str],
) -> None:
    build = sqlite.insert if is_sqlite(session) else postgresql.insert
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
