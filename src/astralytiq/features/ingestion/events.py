"""What happened in a run, kept with the run and told while it happens.

A batch is no event, a run may have a million: how far it is comes from its broadcasts.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import sse
from astralytiq.core.broadcast import Broadcast
from astralytiq.core.db import Database, after_commit
from astralytiq.core.schemas import Answer

from .calls import Calls
from .models import Run, RunEvent, RunKind, RunStatus

COUNTS = ("processed", "inserted", "updated", "unchanged", "deleted", "failed")


class RunEventRead(Answer):
    id: int
    run_id: str
    kind: str
    message: str
    details: dict[str, Any]
    created_at: datetime


def record(session: AsyncSession, run_id: str, kind: str, message: str, **details: Any) -> None:
    session.add(RunEvent(run_id=run_id, kind=kind, message=message, details=details))


def record_end(session: AsyncSession, run: Run) -> None:
    read, failed = run.records_processed or 0, run.records_failed or 0
    if failed:
        words = f"{failed:,} of {read:,} records ({failed / read:.1%}) were rejected."
        record(
            session, run.run_id, "rejects", words, rejected=failed, ratio=round(failed / read, 6)
        )
    counts = {name: getattr(run, f"records_{name}") or 0 for name in COUNTS}
    became = sum(counts[name] for name in ("inserted", "updated", "unchanged", "failed"))
    # Of a replay what is left over may also have been erased.
    if run.kind is not RunKind.replay and (repeated := read - became) > 0:
        words = (
            f"{repeated:,} of {read:,} records had the primary key of a later one in the same "
            "batch, which was kept: if they are different things, add a field to primary_key."
        )
        record(session, run.run_id, "repeated", words, repeated=repeated)
    words = f"Ended: {run.status}" + (f": {run.error}" if run.error else f", {read:,} records.")
    record(session, run.run_id, "ended", words, status=run.status, **counts)


async def keep(session: AsyncSession, run_id: str, calls: Calls) -> None:
    """Store what happened between the run and its source's server."""
    if noted := calls.noted:
        await session.execute(insert(RunEvent), [{"run_id": run_id, **one} for one in noted])
        after_commit(session, partial(calls.forget, len(noted)))


async def keep_apart(database: Database, run_id: str, calls: Calls) -> None:
    """The same where no batch follows that could take it along."""
    if calls.noted:
        await database.write(lambda session: keep(session, run_id, calls))


async def list_events(
    session: AsyncSession, run_id: str, after: int, limit: int = sse.PAGE
) -> Sequence[RunEvent]:
    query = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.id > after)
    return (await session.scalars(query.order_by(RunEvent.id).limit(limit))).all()


def stream(database: Database, live: Broadcast, run: Run, after: int) -> AsyncIterator[bytes]:
    """Server-sent events of the run until it ends."""

    async def look(since: int) -> tuple[Sequence[RunEvent], bool]:
        return await newer(database, run.run_id, since)

    async def wait(queue: sse.Queue) -> bytes:
        return await progress(queue, run.run_id)

    return sse.follow(live, f"run/{run.source}", after, look, written, wait)


async def newer(database: Database, run_id: str, after: int) -> tuple[Sequence[RunEvent], bool]:
    async with database.reading() as session:
        # First how it stands: an event of its end is then among those found.
        status = await session.scalar(select(Run.status).where(Run.run_id == run_id))
        return await list_events(session, run_id, after), status is not RunStatus.in_progress


async def progress(queue: sse.Queue, run_id: str) -> bytes:
    """The newest message about the run, or a heartbeat."""
    said = await sse.heard(queue, sse.BEAT_SECONDS)
    own = [one.payload for one in said if one.payload["run_id"] == run_id]
    return sse.written("progress", msgspec.json.encode(own[-1])) if own else sse.BEAT


def written(event: RunEvent) -> bytes:
    data = RunEventRead.model_validate(event).model_dump_json()
    return sse.written(event.kind, data.encode(), event.id)
