"""What workers do with jobs: lease one, keep the lease, end it, and find those that were lost.

A worker holds a lease, and every write it makes for the job carries the job's fence: once the lease
was given to another, the write is refused, so a worker that was only slow cannot spoil its
successor's work.
"""

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Select, and_, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.clock import DatabaseNow
from astralytiq.core.db import Database
from astralytiq.core.handlers import LeaseLost, end_without_handler
from astralytiq.core.job_rows import FINISHED, Announced, Job, JobStatus, announce, note


@dataclass(frozen=True)
class Claim:
    """A leased job, as its worker needs it."""

    id: str
    name: str
    arguments: dict[str, Any]
    attempt: int
    max_attempts: int
    fence: int
    checkpoint: dict[str, Any] | None
    owner_id: int | None
    traceparent: str | None


async def claim(session: AsyncSession, owner: str, lease_seconds: float) -> Claim | None:
    """Lease the first waiting job, in one statement, so that no two workers get the same."""
    first = (
        select(Job.id)
        .where(Job.status == JobStatus.queued, Job.run_at <= DatabaseNow())
        .order_by(Job.priority.desc(), Job.run_at, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(Job)
        .where(Job.id == first.scalar_subquery())
        .values(
            status=JobStatus.running,
            attempt=Job.attempt + 1,
            fence=Job.fence + 1,
            lease_owner=owner,
            lease_until=DatabaseNow(lease_seconds),
            started_at=DatabaseNow(),
            error=None,
        )
        .returning(Job)
        .execution_options(synchronize_session=False)
    )
    found = await session.scalar(statement)
    if found is None:
        return None
    note(session, found.id, found.attempt, f"Attempt {found.attempt} began.")
    announce(session, found, JobStatus.running)
    return Claim(
        found.id, found.name, found.arguments, found.attempt,
        found.max_attempts, found.fence, found.checkpoint, found.owner_id,
        found.traceparent,
    )  # fmt: skip


async def renew(session: AsyncSession, held: Claim, lease_seconds: float, **values: Any) -> bool:
    """Keep the lease and store `values`; says whether somebody asked the job to stop."""
    statement = (
        update(Job)
        .where(Job.id == held.id, Job.fence == held.fence, Job.status == JobStatus.running)
        .values(lease_until=DatabaseNow(lease_seconds), **values)
        .returning(Job.cancel_requested)
        .execution_options(synchronize_session=False)
    )
    cancel_requested = await session.scalar(statement)
    if cancel_requested is None:
        raise LeaseLost(held.id)
    return bool(cancel_requested)


async def finish(
    session: AsyncSession,
    held: Claim,
    status: JobStatus,
    *,
    result: dict[str, Any] | None = None,
    error: str | None = None,
) -> None:
    values: dict[str, Any] = {"status": status, "result": result, "error": error}
    if status is JobStatus.succeeded:
        values["progress"] = 1.0
    await renew(
        session,
        held,
        0,
        lease_owner=None,
        finished_at=DatabaseNow(),
        cancel_requested=False,
        **values,
    )
    note(session, held.id, held.attempt, error or f"Ended: {status}.")
    announce(session, held, status)


async def hand_back(session: AsyncSession, held: Claim) -> None:
    """Into the queue again, and the attempt is not counted: the worker was told to leave."""
    await renew(
        session,
        held,
        0,
        status=JobStatus.queued,
        lease_owner=None,
        attempt=held.attempt - 1,
        run_at=DatabaseNow(),
    )
    note(session, held.id, held.attempt, "Handed back: the worker was told to stop.")
    announce(session, held, JobStatus.queued)


async def reap(session: AsyncSession, *, owner_prefix: str | None = None) -> int:
    """Return expired leases to the queue; with a prefix, those of that dead owner at once."""
    lost = Job.lease_until < DatabaseNow()
    if owner_prefix:
        lost = or_(lost, Job.lease_owner.startswith(owner_prefix, autoescape=True))
    cancelled = Job.cancel_requested
    again = and_(Job.attempt < Job.max_attempts, ~cancelled)
    statement = (
        update(Job)
        .where(Job.status == JobStatus.running, lost)
        .values(
            status=case(
                (cancelled, JobStatus.cancelled), (again, JobStatus.queued), else_=JobStatus.failed
            ),
            cancel_requested=False,
            error="The worker ended without a word.",
            finished_at=case((again, None), else_=DatabaseNow()),
            fence=Job.fence + 1,
            lease_owner=None,
            run_at=DatabaseNow(),
        )
        .returning(Job.id, Job.name, Job.owner_id, Job.attempt, Job.status, Job.arguments)
        .execution_options(synchronize_session=False)
    )
    rows = (await session.execute(statement)).all()
    for row in rows:
        note(session, row.id, row.attempt, f"The worker ended without a word; now {row.status}.")
        announce(session, cast(Announced, row), row.status)
        if row.status in FINISHED:
            await end_without_handler(session, row.name, row.arguments)
    return len(rows)


async def waiting(database: Database) -> bool:
    """Whether a claim would find something: a cheap look that takes no write lock."""
    query: Select[Any] = select(Job.id).where(
        Job.status == JobStatus.queued, Job.run_at <= DatabaseNow()
    )
    async with database.reading() as session:
        return (await session.execute(query.limit(1))).first() is not None


async def any_lost(session: AsyncSession) -> bool:
    query = select(Job.id).where(Job.status == JobStatus.running, Job.lease_until < DatabaseNow())
    return (await session.execute(query.limit(1))).first() is not None
