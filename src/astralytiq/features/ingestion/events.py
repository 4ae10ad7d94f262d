"""What happened in a run, kept with the run and told while it happens.

A batch is no event, a run may have a million: how far it is comes from its broadcasts.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.broadcast import Broadcast, Message
from astralytiq.core.db import Database, after_commit
from astralytiq.core.errors import TooMany
from astralytiq.core.schemas import Answer
from astralytiq.core.settings import Settings

from .calls import Calls
from .models import Run, RunEvent, RunStatus

BEAT_SECONDS = 15.0  # Proxies cut what is silent for longer.
# Then the reader connects again, from the last id on: who may read is asked once more.
STREAM_SECONDS = 600.0
PAGE = 500
COUNTS = ("processed", "inserted", "updated", "unchanged", "deleted", "failed")


OPEN: Counter[str] = Counter()  # streams of this process, by who reads them
UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


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


def number_in(last_event_id: str | None) -> int:
    """A browser sends what we called an event; anything else begins at the first."""
    told = last_event_id or ""
    return int(told) if told.isascii() and told.isdigit() and len(told) < 16 else 0


async def list_events(
    session: AsyncSession, run_id: str, after: int, limit: int = PAGE
) -> Sequence[RunEvent]:
    query = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.id > after)
    return (await session.scalars(query.order_by(RunEvent.id).limit(limit))).all()


def refuse_more(settings: Settings, identity: str) -> None:
    if OPEN[identity] >= settings.event_streams:
        raise TooMany(
            f"You hold {OPEN[identity]} streams open: close one, or ask with "
            "'Accept: application/json'.",
            headers={"Retry-After": str(int(BEAT_SECONDS) or 1)},
        )


async def counted(identity: str, told: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Counts from the first byte to the last: a stream that is never begun holds no place."""
    OPEN[identity] += 1
    try:
        async for block in told:
            yield block
    finally:
        OPEN[identity] -= 1
        if not OPEN[identity]:
            del OPEN[identity]


async def stream(database: Database, live: Broadcast, run: Run, after: int) -> AsyncIterator[bytes]:
    """Server-sent events of the run until it ends. It holds no session while it waits."""
    ends_at = asyncio.get_running_loop().time() + STREAM_SECONDS
    async with live.listen(f"run/{run.source}") as queue:
        yield b": connected\n\n"
        while asyncio.get_running_loop().time() < ends_at:
            found, has_ended = await newer(database, run.run_id, after)
            for event in found:
                after = event.id
                yield written(event)
            if len(found) == PAGE:
                continue
            if has_ended:
                return
            yield await progress(queue, run.run_id)


async def newer(database: Database, run_id: str, after: int) -> tuple[Sequence[RunEvent], bool]:
    async with database.reading() as session:
        # First how it stands: an event of its end is then among those found.
        status = await session.scalar(select(Run.status).where(Run.run_id == run_id))
        return await list_events(session, run_id, after), status is not RunStatus.in_progress


async def progress(queue: asyncio.Queue[Message], run_id: str) -> bytes:
    """The newest message about the run, or a heartbeat."""
    said: list[Message] = []
    with suppress(TimeoutError):
        said.append(await asyncio.wait_for(queue.get(), BEAT_SECONDS))
    while not queue.empty():
        said.append(queue.get_nowait())
    own = [one.payload for one in said if one.payload["run_id"] == run_id]
    if not own:
        return b": still here\n\n"
    return b"event: progress\ndata: " + msgspec.json.encode(own[-1]) + b"\n\n"


def written(event: RunEvent) -> bytes:
    data = RunEventRead.model_validate(event).model_dump_json()
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode()
