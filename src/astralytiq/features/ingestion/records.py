"""Stores a batch of records: new ones, changed ones with the state before, unchanged ones not.

One look tells them apart, by source_id and content hash. Only one run of a source is in progress,
so that nobody writes between the look and the store; the unique key is the last guard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, case, func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import bulk
from astralytiq.core.db import to_json, utc_now

from .models import DataRecord, RecordCount, RecordVersion

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


async def store(
    session: AsyncSession,
    source: str,
    rows: Sequence[Row],
    now: datetime,
    *,
    touch: bool,
    hopeful: bool = False,
) -> Stored:
    """All of `rows` have one source, and each a source_id of its own.

    `touch` also writes on unchanged records that this run saw them, and where. `hopeful` spares a
    first load the look: all rows are inserted; if one is there already, they are told apart.
    """
    table: Any = DataRecord.__table__
    if hopeful and await all_new(session, rows):
        await count(session, source, len(rows))
        return Stored(len(rows), 0, 0)
    known = await look(session, source, [row["source_id"] for row in rows])
    fresh = [row for row in rows if row["source_id"] not in known]
    stored = [row for row in rows if row["source_id"] in known] if known else []
    changed = [row for row in stored if known[row["source_id"]] != row["content_hash"]]
    await bulk.append(session, table, fresh)
    await keep_versions(session, source, changed, now)
    await bulk.upsert(session, table, changed, key=KEY, content="content_hash", keep=MADE)
    unchanged = len(stored) - len(changed)
    if touch:
        kept = MADE | {"updated_at"}
        await bulk.upsert(session, table, stored, key=KEY, content="run_id", keep=kept)
    await count(session, source, len(fresh) + list(known.values()).count(GONE))
    return Stored(len(fresh), len(changed), unchanged)


async def all_new(session: AsyncSession, rows: Sequence[Row]) -> bool:
    table: Any = DataRecord.__table__
    try:
        async with session.begin_nested():
            await bulk.append(session, table, rows)
    except IntegrityError:
        return False
    return True


async def look(session: AsyncSession, source: str, source_ids: Sequence[str]) -> dict[str, str]:
    """The content hashes of those that are stored; GONE for those that had vanished."""
    shown = case((DataRecord.deleted_at.is_(None), DataRecord.content_hash), else_=literal(GONE))
    query = select(DataRecord.source_id, shown).where(
        DataRecord.source == source, among(session, source_ids)
    )
    return dict((await session.execute(query)).all())


def among(session: AsyncSession, source_ids: Sequence[str]) -> ColumnElement[bool]:
    """As one parameter, however many they are."""
    if session.get_bind().dialect.name == "postgresql":
        ids = literal(list(source_ids), postgresql.ARRAY(String))
        return DataRecord.source_id == func.any(ids)
    values = func.json_each(to_json(list(source_ids))).table_valued("value")
    return DataRecord.source_id.in_(select(values.c.value))


async def keep_versions(
    session: AsyncSession, source: str, changed: Sequence[Row], now: datetime
) -> None:
    """Store what the changed records were until now."""
    if not changed:
        return
    ids = [row["source_id"] for row in changed]
    mine = (DataRecord.source == source, among(session, ids))
    names = ("id", *FIELDS, "extra", *ORIGIN, "updated_at", "deleted_at")
    query = select(*(getattr(DataRecord, name) for name in names)).where(*mine)
    versions = [version_of(source, row._mapping, now) for row in await session.execute(query)]
    await session.execute(insert(RecordVersion), versions)
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
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    statement: Any = (sqlite if is_sqlite else postgresql).insert(RecordCount)
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
    marked = update(DataRecord).where(*gone).values(deleted_at=utc_now())
    await session.execute(marked.execution_options(synchronize_session=False))
    await count(session, source, -total)
    return total
