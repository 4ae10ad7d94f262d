"""One run: extract, normalise, store, a batch at a time, each batch in one transaction.

Raw payloads, records, rejects, the checkpoint and the run's counters commit together, so a process
that dies at any point loses nothing and doubles nothing: the job's next attempt goes on after the
last batch that was committed.
"""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Invalid
from astralytiq.core.executor import Work
from astralytiq.core.jobs import JobCancelled, LeaseLost
from astralytiq.engines.etl.normalise import Broken, Normalised, Normaliser
from astralytiq.engines.etl.packing import packed
from astralytiq.engines.etl.values import from_csv

from . import extract, records, service
from .batches import Batch, Position
from .models import Checkpoint, RawApi, RawCsv, Reject, Run, RunStatus
from .schemas import CsvSource
from .service import Spec


@dataclass(frozen=True)
class Ready:
    """A batch with all that could be computed before the transaction."""

    batch: Batch
    raw: bytes
    normalised: Normalised


class Pipeline:
    """The work of one attempt at one run."""

    def __init__(self, work: Work, run: Run, spec: Spec, full_refresh: bool) -> None:
        self.work = work
        self.run_id = run.run_id
        self.spec = spec
        self.full_refresh = full_refresh
        keys = [spec.primary_key] if isinstance(spec.primary_key, str) else spec.primary_key or []
        is_csv = isinstance(spec, CsvSource)
        convert = from_csv if is_csv else None
        self.normaliser = Normaliser(spec.name, dict[str, str](spec.mapping.items()), keys, convert)
        self.raw_table = RawCsv if is_csv else RawApi

    async def load(self, position: Position | None) -> dict[str, Any]:
        settings = self.work.resources.settings
        async with aclosing(extract.batches(settings, self.spec, position)) as found:
            async for batch in found:
                ready = await asyncio.to_thread(self.prepare, batch)
                count = await self.work.step(partial(self.store, ready), progress=batch.progress)
                self.work.report(batch.progress, "loading", f"{count:,} records")
        return await self.work.step(self.succeed)

    def prepare(self, batch: Batch) -> Ready:
        raw = packed([p.payload if isinstance(p, Broken) else p for p in batch.payloads])
        return Ready(batch, raw, self.normaliser.batch(batch.payloads))

    async def store(self, ready: Ready, session: AsyncSession) -> int:
        """One batch and all that belongs to it; answers how many records the run has read."""
        run = await session.get_one(Run, self.run_id)
        run.batches += 1
        raw_id = await self._store_raw(session, run, ready)
        origin = {"run_id": self.run_id, "raw_id": raw_id}
        now = utc_now()
        rows = ready.normalised.records
        for row in rows:
            row.update(origin, created_at=now, updated_at=now)
        await self._store_records(session, run, rows, now)
        await self._store_rejects(session, run, ready, origin)
        run.records_processed += len(ready.batch.payloads)
        await self._store_position(session, run, ready.batch.position)
        service.announce(session, run)
        return run.records_processed

    async def _store_raw(self, session: AsyncSession, run: Run, ready: Ready) -> int:
        values = {
            "source": run.source,
            "run_id": run.run_id,
            "batch": run.batches,
            "record_count": len(ready.batch.payloads),
            "payload": ready.raw,
        }
        stored = insert(self.raw_table).values(values).returning(self.raw_table.id)
        return (await session.execute(stored)).scalar_one()

    async def _store_records(
        self, session: AsyncSession, run: Run, rows: list[dict[str, Any]], now: datetime
    ) -> None:
        # What the source still has carries this run's id from now on; `succeed` marks the rest.
        done = await records.store(session, run.source, rows, now, touch=self.full_refresh)
        run.records_inserted += done.inserted
        run.records_updated += done.updated
        run.records_unchanged += done.unchanged

    async def _store_rejects(
        self, session: AsyncSession, run: Run, ready: Ready, origin: dict[str, Any]
    ) -> None:
        rejects = [
            {
                **origin,
                "source": run.source,
                "raw_position": one.position,
                "reason": one.reason,
                "payload": one.payload,
            }
            for one in ready.normalised.rejects
        ]
        if rejects:
            await session.execute(insert(Reject), rejects)
        run.records_failed += len(rejects)

    async def _store_position(self, session: AsyncSession, run: Run, position: Position) -> None:
        values = {"run_id": run.run_id, "batch": run.batches, "position": position}
        statement = update(Checkpoint).where(Checkpoint.source == run.source)
        stored = await session.execute(statement.values(**values).returning(Checkpoint.id))
        if stored.first() is None:
            session.add(Checkpoint(source=run.source, **values))

    async def succeed(self, session: AsyncSession) -> dict[str, Any]:
        run = await session.get_one(Run, self.run_id)
        await self._refuse_nothing_but_rejects(session, run)
        result = result_of(run)
        if self.full_refresh:
            result["records_deleted"] = await self._mark_vanished(session, run)
        service.end_run(session, run, RunStatus.success)
        return result

    async def _refuse_nothing_but_rejects(self, session: AsyncSession, run: Run) -> None:
        """A source of which nothing could be read has failed, whatever its batches say."""
        if not run.records_failed or run.records_failed < run.records_processed:
            return
        first = select(Reject.reason).where(Reject.run_id == run.run_id).order_by(Reject.id)
        reason = await session.scalar(first.limit(1))
        raise Invalid(
            f"All {run.records_processed:,} records were rejected, the first because: {reason} "
            f"See GET /api/v1/etl/rejects?run_id={run.run_id}, mend the source, and run it again."
        )

    async def _mark_vanished(self, session: AsyncSession, run: Run) -> int:
        """Mark what the source no longer has; nothing while rejects hide what it does have."""
        if not run.records_failed:
            run.records_deleted = await records.mark_vanished(session, run.source, run.run_id)
        return run.records_deleted


async def run(work: Work, run_id: str, full_refresh: bool) -> dict[str, Any]:
    """Bring the run to its end, whatever that is; its row says which."""
    try:
        begun = await work.step(lambda s: begin(s, work, run_id, full_refresh))
        if isinstance(begun, dict):
            return begun
        pipeline, position = begun
        return await pipeline.load(position)
    except LeaseLost:
        raise
    except JobCancelled:
        await end(work, run_id, RunStatus.cancelled, "Stopped on request.")
        raise
    except Exception as failure:
        held = work.claim
        if jobs.is_final(failure) or held.attempt >= held.max_attempts:
            words = str(failure) or type(failure).__name__
            await end(work, run_id, RunStatus.failed, words)
        raise


async def begin(
    session: AsyncSession, work: Work, run_id: str, full_refresh: bool
) -> tuple[Pipeline, Position | None] | dict[str, Any]:
    """The pipeline, and where an earlier attempt at this run got to.

    An attempt may have died between the run's success and its job's: then its result is all.
    """
    current = await service.get_run(session, run_id)
    if current.status is RunStatus.success:
        return result_of(current)
    spec = service.spec_of(await service.get_source(session, current.source))
    await reopen(session, current)
    checkpoint = await session.scalar(select(Checkpoint).filter_by(source=current.source))
    resumed = checkpoint is not None and checkpoint.run_id == run_id
    if not resumed:
        current.batches = current.records_processed = current.records_failed = 0
        current.records_inserted = current.records_updated = current.records_unchanged = 0
    service.announce(session, current)
    position = checkpoint.position if checkpoint and resumed else None
    return Pipeline(work, current, spec, full_refresh), position


def result_of(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "records_processed": run.records_processed,
        "records_inserted": run.records_inserted,
        "records_updated": run.records_updated,
        "records_failed": run.records_failed,
    }


async def reopen(session: AsyncSession, current: Run) -> None:
    """A job that is tried again after its end takes its run up again, unless another has begun."""
    if current.status is RunStatus.in_progress:
        return
    if other := await service.run_in_progress(session, current.source):
        raise Conflict(f"Run {other.run_id} of this source is in progress: let it end first.")
    current.status, current.end_time, current.error = RunStatus.in_progress, None, None
    await session.flush()


async def end(work: Work, run_id: str, status: RunStatus, error: str) -> None:
    """In a transaction of its own, and only while the job is still ours."""

    async def write(session: AsyncSession) -> None:
        await jobs.renew(session, work.claim, work.resources.settings.job_lease_seconds)
        if found := await session.get(Run, run_id):
            service.end_run(session, found, status, error)

    await work.resources.database.write(write)
