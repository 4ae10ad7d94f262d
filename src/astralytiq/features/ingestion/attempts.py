"""An attempt at a run: where it begins, and how it ends, whatever becomes of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs
from astralytiq.core.errors import Conflict
from astralytiq.core.executor import Work
from astralytiq.core.jobs import JobCancelled, LeaseLost

from . import calls, drift, events, extract, incremental, indexing, injection, service, tracing
from .batches import Position
from .models import Checkpoint, Run, RunStatus
from .pipeline import Pipeline, result_of


async def run(
    work: Work,
    run_id: str,
    full_refresh: bool,
    inject: Sequence[str],
    made: type[Pipeline] = Pipeline,
) -> dict[str, Any]:
    async with attempt(work, run_id):
        begun = await work.step(lambda s: begin(s, work, run_id, full_refresh, made))
        if isinstance(begun, dict):
            return begun
        pipeline, position = begun
        pipeline.drill = await injection.take_up(work, run_id, inject, pipeline.calls)
        return await pipeline.load(position)


@asynccontextmanager
async def attempt(work: Work, run_id: str) -> AsyncIterator[None]:
    """Bring the run to its end, whatever that is; its row says which."""
    try:
        yield
    except LeaseLost:
        raise
    except JobCancelled:
        await end(work, run_id, RunStatus.cancelled, "Stopped on request.")
        raise
    except Exception as failure:
        held = work.claim
        if jobs.is_final(failure) or held.attempt >= held.max_attempts:
            await end(work, run_id, RunStatus.failed, jobs.worded(failure))
        raise


async def begin(
    session: AsyncSession, work: Work, run_id: str, full_refresh: bool, made: type[Pipeline]
) -> tuple[Pipeline, Position | None] | dict[str, Any]:
    """The pipeline, and where an earlier attempt at this run got to.

    An attempt may have died between the run's success and its job's: then its result is all.
    """
    current = await service.get_run(session, run_id)
    if current.status is RunStatus.success:
        return result_of(current)
    spec = service.spec_of(await service.hold_source(session, current.source))
    await reopen(session, current)
    checkpoint = await session.scalar(select(Checkpoint).filter_by(source=current.source))
    stopped = checkpoint if checkpoint and checkpoint.run_id == run_id else None
    resumed = stopped is not None and extract.fits(stopped.position, spec)
    # What an earlier attempt has stored stays in the history, and so do its numbers.
    if not resumed and not made.keeps:
        current.batches = current.records_processed = current.records_failed = 0
        current.records_inserted = current.records_updated = current.records_unchanged = 0
        current.profile = {}
    known = calls.take_known(checkpoint, spec.model_dump()) if made.keeps else {}
    words = f"Goes on after batch {current.batches}." if resumed else "Started."
    events.record(session, run_id, "started", words, attempt=work.claim.attempt)
    service.announce(session, current)
    position = checkpoint.position if checkpoint and resumed else None
    let_in = await drift.fields_let_in(session, spec.name, spec.schema_policy, run_id)
    increment = incremental.take_up(spec, checkpoint, current, full_refresh, position)
    if increment and increment.asks:  # Another question each time: its answers are no versions.
        known = {}
    pipeline = made(work, current, spec, full_refresh, let_in, known)
    pipeline.increment = increment
    return pipeline, position


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
            await tracing.connect(session, found)
            await indexing.enqueue(session)

    await work.resources.database.write(write)
