"""Forgets a source, and if it is asked for also what it brought."""

from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, schedules
from astralytiq.core.errors import Conflict
from astralytiq.core.security import Actor

from . import indexing, service
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

# What goes with a source that is deleted with its records.
BROUGHT: tuple[Any, ...] = (
    DataRecord, RecordVersion, RecordCount, RawCsv, RawApi, RawRss, Reject, Drift,
)  # fmt: skip


async def delete_source(
    session: AsyncSession, actor: Actor, source: Source, *, records: bool
) -> None:
    """Forget a source; with `records` also what it brought. Its runs stay in the history."""
    await service.hold_source(session, source.name)
    await service.close_abandoned_runs(session)
    if run := await service.run_in_progress(session, source.name):
        raise Conflict(f"Run {run.run_id} of this source is in progress: cancel it first.")
    if records:
        await indexing.note_all(session, DataRecord.source == source.name)
        await indexing.enqueue(session)
    for table in (Checkpoint, SourceFields, *(BROUGHT if records else ())):
        await session.execute(delete(table).where(table.source == source.name))
    if records:  # A profile holds values of them.
        await session.execute(update(Run).where(Run.source == source.name).values(profile={}))
    await schedules.remove(session, service.schedule_of(source.name))
    await session.delete(source)
    audit.record(
        session, actor, "source.deleted", f"source/{source.name}",
        records="delete" if records else "keep",
    )  # fmt: skip
    await session.flush()
