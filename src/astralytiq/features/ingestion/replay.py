"""Normalises the stored payloads again with the mapping of today, without calling the source.

It goes through the raw rows in the order in which they came. A row's records, versions, rejects,
the run's counters and the job's checkpoint commit together, as a batch's do when it is loaded.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Select, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.db import new_id, utc_now
from astralytiq.core.errors import Conflict, Invalid
from astralytiq.core.executor import Work
from astralytiq.core.security import Actor
from astralytiq.engines.etl import batch, packing
from astralytiq.engines.etl.batch import Normalised
from astralytiq.engines.etl.columns import rows_of
from astralytiq.engines.etl.normalise import Normaliser

from . import attempts, drift, erasing, indexing, limits, pipeline, raw, records, service, tracing
from .models import Checkpoint, RawPayload, Reject, RejectStatus, Run, RunKind, RunStatus
from .service import Spec

JOB = "ingestion.replay"


@dataclass(frozen=True)
class Replay:
    """One attempt at one replay."""

    run_id: str
    spec: Spec
    normaliser: Normaliser
    since_run: str | None

    def rows(self) -> Select[RawPayload]:
        """The raw rows in the order in which they came."""
        table = raw.RAW_TABLES[self.spec.kind]
        query = select(table).where(table.source == self.spec.name).order_by(table.id)
        # Runs' ids are in the order of their making.
        return query if self.since_run is None else query.where(table.run_id >= self.since_run)


async def start(session: AsyncSession, actor: Actor, name: str, since_run: str | None) -> Run:
    await service.close_abandoned_runs(session)
    source = await service.hold_source(session, name)
    if since_run and (await service.get_run(session, since_run)).source != source.name:
        raise Invalid(f"Run {since_run} is another source's: name a run of {name!r}.")
    if running := await service.run_in_progress(session, name):
        raise Conflict(
            f"Run {running.run_id} of {name!r} is in progress: wait for its end, or cancel it."
        )
    await erasing.refuse_before_the_end(session, name)
    run = Run(run_id=new_id(), source=name, kind=RunKind.replay)
    job = await jobs.enqueue(
        session, JOB, owner_id=actor.id, run_id=run.run_id, since_run=since_run
    )
    run.job_id = job.id if job else None
    session.add(run)
    audit.record(session, actor, "run.replayed", f"run/{run.run_id}", source=name)
    await session.flush()
    service.announce(session, run)
    return run


async def run(work: Work, run_id: str, since_run: str | None) -> dict[str, Any]:
    async with attempts.attempt(work, run_id):
        begun = await work.step(lambda session: begin(session, run_id, since_run))
        return begun if isinstance(begun, dict) else await go_through(work, begun)


async def begin(
    session: AsyncSession, run_id: str, since_run: str | None
) -> Replay | dict[str, Any]:
    current = await service.get_run(session, run_id)
    if current.status is RunStatus.success:  # An attempt died between its success and its job's.
        return pipeline.result_of(current)
    source = await service.hold_source(session, current.source)
    await erasing.refuse_before_the_end(session, source.name)
    await attempts.reopen(session, current)
    spec = service.spec_of(source)
    let_in = await drift.fields_let_in(session, spec.name, spec.schema_policy, run_id)
    await let_no_refresh_go_on(session, current)
    service.announce(session, current)
    return Replay(run_id, spec, pipeline.normaliser_of(spec, let_in), since_run)


async def let_no_refresh_go_on(session: AsyncSession, run: Run) -> None:
    """A full refresh tells by the records' runs what it has seen, and the replay changes those.

    One that failed half-way would take them for vanished: tried again, it begins anew.
    """
    checkpoint = await session.scalar(select(Checkpoint).filter_by(source=run.source))
    stopped = await session.get(Run, checkpoint.run_id) if checkpoint else None
    if checkpoint and stopped and stopped.full_refresh and stopped.status is not RunStatus.success:
        checkpoint.run_id = run.run_id


async def go_through(work: Work, replay: Replay) -> dict[str, Any]:
    after = work.checkpoint["raw_id"] if work.checkpoint else 0
    last = await last_row(work, replay)
    while (row := await next_row(work, replay, after)) is not None:
        made = await asyncio.to_thread(normalised, replay, row)
        after, progress = row.id, row.id / max(1, last)
        current = await work.step(
            partial(store, replay, row, made), checkpoint={"raw_id": after}, progress=progress
        )
        work.report(progress, "replaying", f"{current.records_processed:,} records")
        limits.refuse_too_many_rejects(replay.spec.max_reject_ratio, current)
    return await work.step(partial(succeed, replay))


async def last_row(work: Work, replay: Replay) -> int:
    rows = replay.rows().order_by(None).subquery()
    async with work.resources.database.reading() as session:
        return await session.scalar(select(func.max(rows.c.id))) or 0


async def next_row(work: Work, replay: Replay, after: int) -> RawPayload | None:
    table = raw.RAW_TABLES[replay.spec.kind]
    async with work.resources.database.reading() as session:
        return await session.scalar(replay.rows().where(table.id > after).limit(1))


def normalised(replay: Replay, row: RawPayload) -> Normalised:
    payloads = packing.opened(row.payload)
    made = batch.normalised(replay.normaliser, payloads)
    # What was erased stands there as null: it is no reject either.
    left = [one for one in made.rejects if payloads[one.position] is not None]
    return Normalised(made.records, left)


async def store(replay: Replay, row: RawPayload, made: Normalised, session: AsyncSession) -> Run:
    """One raw row. What a later payload has replaced stays as it is, and counts as unchanged."""
    run = await session.get_one(Run, replay.run_id)
    now = utc_now()
    times = {"created_at": now, "updated_at": now}
    rows = [
        one | times | {"run_id": run.run_id, "raw_id": row.id}
        for one in rows_of(made.records, made.size)
    ]
    came = dict.fromkeys((one["source_id"] for one in rows), row.created_at)
    kept = await raw.unreplaced(session, run.source, rows, came)
    done = await records.store_rows(session, run.source, kept, now)
    run.batches += 1
    run.records_processed += row.record_count
    run.records_inserted += done.inserted
    run.records_updated += done.updated
    run.records_unchanged += done.unchanged + len(rows) - len(kept)
    run.records_failed += len(made.rejects)
    await settle(session, run, row, made, now)
    service.announce(session, run)
    return run


async def settle(
    session: AsyncSession, run: Run, row: RawPayload, made: Normalised, now: datetime
) -> None:
    """Rejects that pass now are retried ones; what fails and was no reject becomes one."""
    failing = {one.position: one for one in made.rejects}
    known = (await session.scalars(raw.rejects_of(row))).all()
    for reject in known:
        if reject.status is not RejectStatus.open:
            continue
        if still := failing.get(reject.raw_position):
            reject.reason = still.reason
        else:
            reject.status, reject.settled_at = RejectStatus.retried, now
    told = {one.raw_position for one in known if one.status is not RejectStatus.retried}
    origin = {"source": run.source, "run_id": run.run_id, "raw_id": row.id}
    fresh = [
        {**origin, "raw_position": at, "reason": one.reason, "payload": one.payload}
        for at, one in failing.items()
        if at not in told
    ]
    if fresh:
        await session.execute(insert(Reject), fresh)


async def succeed(replay: Replay, session: AsyncSession) -> dict[str, Any]:
    run = await session.get_one(Run, replay.run_id)
    await limits.refuse_nothing_but_rejects(session, run)
    limits.refuse_too_many_rejects(replay.spec.max_reject_ratio, run, enough=0)
    service.end_run(session, run, RunStatus.success)
    await tracing.connect(session, run)
    await indexing.enqueue(session)
    return pipeline.result_of(run)
