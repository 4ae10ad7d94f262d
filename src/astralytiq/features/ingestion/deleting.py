"""Forgets a source, and if it is asked for also what it brought.

What it brought may be millions of rows: they go piece by piece, each in a transaction of its own,
so that others write in between, and the source goes last. Whoever is stopped half-way finds the
source still there, without a checkpoint: the same request goes on, and a run would read everything.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, schedules
from astralytiq.core.db import Database
from astralytiq.core.errors import Conflict
from astralytiq.core.security import Actor

from . import indexing, records, service
from .lookup import among
from .models import (
    Checkpoint,
    DataRecord,
    Drift,
    RawApi,
    RawCsv,
    RawRss,
    RecordCount,
    RecordVersion,
    Reject,
    Run,
    Source,
    SourceFields,
)

# What goes with a source that is deleted with its records; rejects before what they came from.
BROUGHT: tuple[Any, ...] = (
    RecordVersion, DataRecord, RecordCount, Reject, RawCsv, RawApi, RawRss, Drift,
)  # fmt: skip
WHERE_IT_STANDS: tuple[Any, ...] = (Checkpoint, SourceFields)
UNSEEN = {"synchronize_session": False}  # Nobody holds these rows as objects.
PART = 2000  # records in one transaction
PART_OF = {RawCsv: 50, RawApi: 50, RawRss: 50}  # A batch of payloads may have megabytes.

# Raises unless the source is there, and may be deleted by who asks.
Check = Callable[[AsyncSession], Awaitable[Source]]


async def delete_brought(database: Database, check: Check) -> None:
    """Piece by piece all that the source brought."""

    async def begin(session: AsyncSession) -> str:
        source = await check(session)
        await hold(session, source.name)
        for table in WHERE_IT_STANDS:
            await session.execute(delete(table).where(table.source == source.name))
        return source.name

    name = await database.write(begin)
    while await database.write(partial(delete_records, check, name)):
        pass
    for table in BROUGHT:
        if table is not RecordCount:
            while await database.write(partial(delete_rows, check, name, table)):
                pass


async def hold(session: AsyncSession, name: str) -> None:
    """No run begins while a piece goes; one that began between two pieces keeps the rest."""
    await service.hold_source(session, name)
    await service.close_abandoned_runs(session)
    if run := await service.run_in_progress(session, name):
        raise Conflict(f"Run {run.run_id} of this source is in progress: cancel it first.")


async def delete_records(check: Check, name: str, session: AsyncSession) -> bool:
    """Some records with what they were; the count and the index of words follow."""
    await check(session)
    await hold(session, name)
    if not (ids := await some_of(session, name, DataRecord)):
        return False
    own = among(session, DataRecord.id, ids)
    shown = select(func.count(DataRecord.id)).where(own, DataRecord.deleted_at.is_(None))
    await records.count(session, name, -(await session.scalar(shown) or 0))
    await indexing.note_all(session, own)
    await session.execute(
        delete(RecordVersion).where(among(session, RecordVersion.record_id, ids)),
        execution_options=UNSEEN,
    )
    await session.execute(delete(DataRecord).where(own), execution_options=UNSEEN)
    await indexing.enqueue(session)
    return True


async def delete_rows(check: Check, name: str, table: Any, session: AsyncSession) -> bool:
    await check(session)
    await hold(session, name)
    if ids := await some_of(session, name, table):
        await session.execute(
            delete(table).where(among(session, table.id, ids)), execution_options=UNSEEN
        )
    return bool(ids)


async def some_of(session: AsyncSession, name: str, table: Any) -> Sequence[int]:
    query = select(table.id).where(table.source == name)
    return (await session.scalars(query.limit(PART_OF.get(table, PART)))).all()


async def delete_source(
    session: AsyncSession, actor: Actor, source: Source, *, with_records: bool
) -> None:
    """Forget a source; with `records` also what is left of what it brought. Its runs stay in the
    history."""

    await hold(session, source.name)
    if with_records:
        await indexing.note_all(session, DataRecord.source == source.name)
        await indexing.enqueue(session)
    for table in (*WHERE_IT_STANDS, *(BROUGHT if with_records else ())):
        await session.execute(delete(table).where(table.source == source.name))
    if with_records:  # A profile holds values of them.
        await session.execute(update(Run).where(Run.source == source.name).values(profile={}))
    await schedules.remove(session, service.schedule_of(source.name))
    await session.delete(source)
    audit.record(
        session, actor, "source.deleted", f"source/{source.name}",
        records="delete" if with_records else "keep",
    )  # fmt: skip
    await session.flush()
