"""Background work as rows: a job is stored with the change that asked for it, then run by a worker.

The table is the truth, executors are replaceable. A worker holds a lease, and every write it makes
for the job carries the job's fence: once the lease was given to another, the write is refused, so
a worker that was only slow cannot spoil its successor's work.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, cast

from sqlalchemy import Float, Index, Integer, Select, and_, case, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core import broadcast, tracing
from astralytiq.core.clock import DatabaseNow
from astralytiq.core.db import Base, Database, Entity, new_id, utc_now
from astralytiq.core.errors import AppError, Conflict, NotFound, Unavailable

MAX_ATTEMPTS = 3
BACKOFF_SECONDS = 2.0

Handler = Callable[..., Awaitable[dict[str, Any] | None]]
Ending = Callable[[AsyncSession, dict[str, Any]], Awaitable[None]]
HANDLERS: dict[str, Handler] = {}
ENDINGS: dict[str, Ending] = {}


class JobStatus(StrEnum):
    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"


FINISHED = (JobStatus.succeeded, JobStatus.failed, JobStatus.cancelled)


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_queue", "status", "priority", "run_at"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(index=True)
    arguments: Mapped[dict[str, Any]]
    owner_id: Mapped[int | None] = mapped_column(index=True)
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    status: Mapped[JobStatus] = mapped_column(default=JobStatus.queued)
    priority: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=MAX_ATTEMPTS)
    run_at: Mapped[datetime] = mapped_column(default=utc_now)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0)
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    phase: Mapped[str | None]
    message: Mapped[str | None]
    checkpoint: Mapped[dict[str, Any] | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # The span in which somebody asked for it, if that is traced: what its worker does is a part.
    traceparent: Mapped[str | None]


class JobEvent(Entity):
    """One line of a job's history: claimed, phases, retries, the end."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(index=True)
    attempt: Mapped[int] = mapped_column(Integer)
    message: Mapped[str]


class LeaseLost(Exception):
    """Another worker has the job now; this one must stop without writing anything."""


class HandedBack(LeaseLost):
    """The worker is leaving: the job goes on elsewhere, from its checkpoint."""


class JobCancelled(Exception):
    """Somebody asked for the job to stop."""


class Transient(Exception):
    """The same job may succeed later: a timeout, a dependency that is away."""


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


def job(name: str) -> Callable[[Handler], Handler]:
    """Name a handler. It takes a `Work` and JSON values (ids, not objects), and may run twice."""

    def register(handler: Handler) -> Handler:
        if name in HANDLERS:
            raise ValueError(f"Two jobs are named {name!r}.")
        HANDLERS[name] = handler
        return handler

    return register


def ending(name: str) -> Callable[[Ending], Ending]:
    """Name what follows, in the same transaction, when a job ends without its handler.

    That is: cancelled while it waited, or given up after its last worker died. The function takes
    the job's arguments.
    """

    def register(follow: Ending) -> Ending:
        ENDINGS[name] = follow
        return follow

    return register


async def end_without_handler(session: AsyncSession, name: str, arguments: dict[str, Any]) -> None:
    if follow := ENDINGS.get(name):
        await session.flush()
        await follow(session, arguments)


async def enqueue(
    session: AsyncSession,
    name: str,
    *,
    owner_id: int | None = None,
    idempotency_key: str | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    **arguments: Any,
) -> Job | None:
    """Ask for work in the caller's transaction; None if this idempotency key asked already."""
    build = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {
        "id": new_id(),
        "name": name,
        "arguments": arguments,
        "owner_id": owner_id,
        "idempotency_key": idempotency_key,
        "max_attempts": max_attempts,
        "run_at": DatabaseNow(),  # Claims compare it with this clock, not with ours.
        "traceparent": tracing.context(),
    }
    statement = build(Job).values(values).on_conflict_do_nothing(index_elements=["idempotency_key"])
    stored = await session.scalar(statement.returning(Job))
    if stored:
        announce(session, stored, JobStatus.queued)
    return stored


async def get(session: AsyncSession, job_id: str) -> Job:
    if found := await session.get(Job, job_id):
        return found
    raise NotFound(f"There is no job {job_id!r}.")


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


async def retry_later(session: AsyncSession, held: Claim, error: str) -> None:
    """Back into the queue, each time twice as far."""
    delay = BACKOFF_SECONDS * 2 ** (held.attempt - 1)
    await renew(
        session,
        held,
        0,
        status=JobStatus.queued,
        lease_owner=None,
        error=error,
        run_at=DatabaseNow(delay),
    )
    note(session, held.id, held.attempt, f"{error} Trying again in {delay:g} s.")
    announce(session, held, JobStatus.queued)


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


async def request_cancel(session: AsyncSession, job_id: str) -> Job:
    """A waiting job ends at once; a running one at its next step."""
    found = await session.get(Job, job_id, with_for_update=True)
    if found is None:
        raise NotFound(f"There is no job {job_id!r}.")
    if found.status in FINISHED:
        raise Conflict(f"This job has ended already: {found.status}.")
    found.cancel_requested = True
    if found.status is JobStatus.queued:
        found.status, found.finished_at = JobStatus.cancelled, utc_now()
        found.cancel_requested = False
        announce(session, found, found.status)
        await end_without_handler(session, found.name, found.arguments)
    note(session, found.id, found.attempt, "Asked to stop.")
    return found


async def retry(session: AsyncSession, job_id: str) -> Job:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
    found = await session.get(Job, job_id, with_for_update=True)
    if found is None:
        raise NotFound(f"There is no job {job_id!r}.")
    if found.status not in (JobStatus.failed, JobStatus.cancelled):
        raise Conflict(
            f"Only a failed or cancelled job can be tried again; this one is {found.status}."
        )
    found.status, found.run_at, found.finished_at, found.error = (
        JobStatus.queued,
        utc_now(),
        None,
        None,
    )
    found.max_attempts, found.cancel_requested = found.attempt + MAX_ATTEMPTS, False
    note(session, found.id, found.attempt, "Asked to try again.")
    announce(session, found, found.status)
    return found


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


def note(session: AsyncSession, job_id: str, attempt: int, message: str) -> None:
    session.add(JobEvent(job_id=job_id, attempt=attempt, message=message[:2000]))


class Announced(Protocol):
    """A job, or what is held or known of it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def owner_id(self) -> int | None: ...


def announce(session: AsyncSession, job: Announced, status: JobStatus) -> None:
    message = {"job_id": job.id, "kind": job.name, "status": status, "owner_id": job.owner_id}
    broadcast.publish(session, f"job/{job.id}", message)


def worded(failure: BaseException) -> str:
    """Only words that were written for people are shown: others may hold paths, SQL or data."""
    if isinstance(failure, (AppError, Transient)):
        return str(failure)
    return f"Internal fault ({type(failure).__name__}): see the log."


def is_final(failure: BaseException) -> bool:
    """Whether trying again could not help: a refusal, or a fault of the program itself."""
    if isinstance(failure, Unavailable):
        return False
    return isinstance(failure, (AppError, TypeError, KeyError, AttributeError, AssertionError))
