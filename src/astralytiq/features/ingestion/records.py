"""Stores a batch of records: new ones, changed ones with the state before, unchanged ones not.

One look tells them apart, by source_id and content hash. Only one run of a source is in progress,
so that nobody writes between the look and the store; the unique key is the last guard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    String,
    Text,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import bulk
from astralytiq.core.bulk import Rows, rows_of
from astralytiq.core.db import utc_now
from astralytiq.core.rows import to_json
from astralytiq.engines.etl.columns import transposed

from . import indexing
from .models import DataRecord, RecordCount, RecordVersion
from .preparing import Prepared

Row = dict[str, Any]

KEY = ("source", "source_id")
MADE = frozenset({"created_at"})
GONE = ""  # no record's hash
# What a version keeps of the record before the change.
FIELDS = (
    "title", "description", "content", "author", "published_at", "url", "category", "entity_id",
)  # fmt: skip
ORIGIN = ("content_hash", "run_id", "raw_id", "raw_position")


@dataclass(frozen=True)
class Stored:
    inserted: int
    updated: int
    unchanged: int


@dataclass(frozen=True)
class Incoming:
    """Records to be stored, of one source, and each with a source_id of its own."""

    ids: Sequence[str]
    hashes: Sequence[str]
    rows: Rows


def incoming(prepared: Prepared, shared: Mapping[str, Any]) -> Incoming:
    table: Any = DataRecord.__table__
    rows = Rows(table, prepared.names, prepared.tuples or prepared.lines, shared)
    return Incoming(prepared.ids, prepared.hashes, rows)


def from_rows(rows: Sequence[Row], *, for_sqlite: bool) -> Incoming:
    table: Any = DataRecord.__table__
    columns = transposed(rows)
    found = rows_of(table, columns, for_sqlite=for_sqlite)
    return Incoming(columns.get("source_id", ()), columns.get("content_hash", ()), found)


async def store_rows(
    session: AsyncSession, source: str, rows: Sequence[Row], now: datetime
) -> Stored:
    found = from_rows(rows, for_sqlite=bulk.is_sqlite(session))
    return await store(session, source, found, now, touch=False)


async def store(
    session: AsyncSession,
    source: str,
    found: Incoming,
    now: datetime,
    *,
    touch: bool,
    hopeful: bool = False,
    known: Mapping[str, str] | None = None,
) -> Stored:
    """`touch` also writes on unchanged records that this run saw them, and where.

    `hopeful` spares a first load the look: all rows are inserted; if one is there already, they are
    told apart. `known`: what a look has found.
    """
    ids, rows = found.ids, found.rows
    if not ids:
        return Stored(0, 0, 0)
    before = await indexing.last_id(session, source)
    if hopeful and await all_new(session, rows):
        await indexing.note_added(session, source, before)
        await count(session, source, len(ids))
        return Stored(len(ids), 0, 0)
    known = await look(session, source, ids) if known is None else known
    hashes = list(map(known.get, ids))
    fresh = [at for at, stored in enumerate(hashes) if stored is None]
    changed = [
        at
        for at, (stored, content) in enumerate(zip(hashes, found.hashes, strict=True))
        if stored is not None and stored != content
    ]
    await bulk.append(session, rows.at(fresh))
    await indexing.note_added(session, source, before)
    await keep_versions(session, source, [ids[at] for at in changed], now)
    await bulk.upsert(session, rows.at(changed), key=KEY, content="content_hash", keep=MADE)
    if touch:
        kept = MADE | {"updated_at"}
        stored = rows.at([at for at, content in enumerate(hashes) if content is not None])
        await bulk.upsert(session, stored, key=KEY, content="run_id", keep=kept)
    await count(session, source, len(fresh) + hashes.count(GONE))
    return Stored(len(fresh), len(changed), len(ids) - len(fresh) - len(changed))


async def all_new(session: AsyncSession, rows: Rows) -> bool:
    try:
        async with session.begin_nested():
            await bulk.append(session, rows)
    except IntegrityError:
        return False
    return True


async def look(session: AsyncSession, source: str, source_ids: Sequence[str]) -> dict[str, str]:
    """The content hashes of those that are stored; GONE for those that had vanished."""
    shown = case((DataRecord.deleted_at.is_(None), DataRecord.content_hash), else_=literal(GONE))
    # As one value: SQLite's driver would give the interpreter's lock away with each row.
    as_object = func.json_group_object if bulk.is_sqlite(session) else func.json_object_agg
    query = select(cast(as_object(DataRecord.source_id, shown), Text)).where(
        DataRecord.source == source, among(session, source_ids)
    )
    found = await session.scalar(query)
    return msgspec.json.decode(found, type=dict[str, str]) if found else {}


def among(session: AsyncSession, source_ids: Sequence[str]) -> ColumnElement[bool]:
    """As one parameter, however many they are."""
    if session.get_bind().dialect.name == "postgresql":
        ids = literal(list(source_ids), postgresql.ARRAY(String))
        return DataRecord.source_id == func.any(ids)
    values = func.json_each(to_json(list(source_ids))).table_valued("value")
    return DataRecord.source_id.in_(select(values.c.value))


async def keep_versions(
    session: AsyncSession, source: str, ids: Sequence[str], now: datetime
) -> None:
    """Store what the records that change were until now."""
    if not ids:
        return
    mine = (DataRecord.source == source, among(session, ids))
    names = ("id", *FIELDS, "extra", *ORIGIN, "updated_at", "deleted_at")
    query = select(*(getattr(DataRecord, name) for name in names)).where(*mine)
    versions = [version_of(source, row._mapping, now) for row in await session.execute(query)]
    await session.execute(insert(RecordVersion), versions)
    await indexing.note_changed(session, [version["record_id"] for version in versions])
    back = update(DataRecord).where(*mine, DataRecord.deleted_at.is_not(None))
    # Without a hash, so that one that comes back as it was is written, too.
    await session.execute(
        back.values(deleted_at=None, content_hash=GONE).execution_options(synchronize_session=False)
    )


def version_of(source: str, row: Any, now: datetime) -> Row:
    fields = {name: row[name] for name in FIELDS} | {"metadata": row["extra"]}
    origin = {name: row[name] for name in ORIGIN}
    until = row["deleted_at"] or now
    times = {"valid_from": row["updated_at"], "valid_to": until, "created_at": now}
    return {"record_id": row["id"], "source": source, "fields": fields} | origin | times


async def count(session: AsyncSession, source: str, more: int) -> None:
    if not more:
        return
    statement: Any = (sqlite if bulk.is_sqlite(session) else postgresql).insert(RecordCount)
    total = {"records": RecordCount.records + more}
    await session.execute(
        statement.values(source=source, records=more).on_conflict_do_update(
            index_elements=["source"], set_=total
        )
    )


async def mark_vanished(session: AsyncSession, source: str, run_id: str) -> int:
    """Mark as deleted what a full refresh has not seen; answers how many those are."""
    gone = (
        DataRecord.source == source,
        DataRecord.run_id != run_id,
        DataRecord.deleted_at.is_(None),
    )
    total = await session.scalar(select(func.count(DataRecord.id)).where(*gone)) or 0
    await indexing.note_all(session, *gone)
    marked = update(DataRecord).where(*gone).values(deleted_at=utc_now())
    await session.execute(marked.execution_options(synchronize_session=False))
    await count(session, source, -total)
    return total
