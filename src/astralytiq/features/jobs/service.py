"""Rules for looking at background jobs and stopping them."""

from collections.abc import Sequence

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.errors import NotFound
from astralytiq.core.jobs import Job, JobEvent, JobStatus
from astralytiq.core.security import Actor


async def list_visible(
    session: AsyncSession,
    actor: Actor,
    limit: int,
    offset: int,
    *,
    status: JobStatus | None = None,
    kind: str | None = None,
) -> tuple[Sequence[Job], int]:
    def narrowed(query: Select[Job]) -> Select[Job]:
        query = query if status is None else query.where(Job.status == status)
        query = query if kind is None else query.where(Job.name == kind)
        return query if actor.is_admin else query.where(Job.owner_id == actor.account_id)

    matching = narrowed(select(Job))
    total = await session.scalar(select(func.count()).select_from(matching.subquery())) or 0
    query = matching.order_by(Job.created_at.desc(), Job.id.desc()).limit(limit).offset(offset)
    return (await session.scalars(query)).all(), total


async def get(session: AsyncSession, actor: Actor, job_id: str) -> Job:
    """Somebody else's job is not found: that it exists stays private."""
    job = await jobs.get(session, job_id)
    if not actor.is_admin and job.owner_id != actor.account_id:
        raise NotFound(f"There is no job {job_id!r}.")
    return job


async def history(
    session: AsyncSession, job_id: str, after: int = 0, limit: int | None = None
) -> Sequence[JobEvent]:
    query = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.id > after)
    return (await session.scalars(query.order_by(JobEvent.id).limit(limit))).all()


async def cancel(session: AsyncSession, actor: Actor, job_id: str) -> Job:
    await get(session, actor, job_id)
    audit.record(session, actor, "job.cancelled", f"job/{job_id}")
    return await jobs.request_cancel(session, job_id)


async def retry(session: AsyncSession, actor: Actor, job_id: str) -> Job:
    await get(session, actor, job_id)
    audit.record(session, actor, "job.retried", f"job/{job_id}")
    return await jobs.retry(session, job_id)
