"""Background work as rows: a job is stored with the change that asked for it, then run by a worker.

The table is the truth, executors are replaceable. Here is how work gets into the queue, out of it
and into it again, and the names by which all others know jobs: the rows are in `job_rows`, what
runs and how it ends in `handlers`, what workers do in `leases`.
"""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import tracing
from astralytiq.core.clock import DatabaseNow
from astralytiq.core.db import new_id, utc_now
from astralytiq.core.errors import Conflict, NotFound
from astralytiq.core.handlers import HANDLERS as HANDLERS
from astralytiq.core.handlers import HandedBack as HandedBack
from astralytiq.core.handlers import JobCancelled as JobCancelled
from astralytiq.core.handlers import LeaseLost as LeaseLost
from astralytiq.core.handlers import Transient as Transient
from astralytiq.core.handlers import end_without_handler
from astralytiq.core.handlers import ending as ending
from astralytiq.core.handlers import is_final as is_final
from astralytiq.core.handlers import job as job
from astralytiq.core.handlers import worded as worded
from astralytiq.core.job_rows import FINISHED as FINISHED
from astralytiq.core.job_rows import MAX_ATTEMPTS as MAX_ATTEMPTS
from astralytiq.core.job_rows import Job as Job
from astralytiq.core.job_rows import JobEvent as JobEvent
from astralytiq.core.job_rows import JobStatus as JobStatus
from astralytiq.core.job_rows import announce, note
from astralytiq.core.leases import Claim as Claim
from astralytiq.core.leases import any_lost as any_lost
from astralytiq.core.leases import claim as claim
from astralytiq.core.leases import finish as finish
from astralytiq.core.leases import hand_back as hand_back
from astralytiq.core.leases import reap as reap
from astralytiq.core.leases import renew as renew
from astralytiq.core.leases import waiting as waiting

BACKOFF_SECONDS = 2.0


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
