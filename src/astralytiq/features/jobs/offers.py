"""What the job room holds on a person, and how jobs forget who asked for them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Select, Text, and_, cast, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.jobs import FINISHED, Job, JobStatus
from astralytiq.core.logging import redact
from astralytiq.core.offers import (
    Erasure,
    Rows,
    Values,
    account_erased,
    breakdown,
    columns_of,
    figure,
    personal_data,
    streamed,
)

# How a job is run, and by which machine, is nothing about the person.
INNER = ("lease_owner", "lease_until", "fence", "checkpoint", "idempotency_key", "traceparent")


@personal_data("jobs", "Background jobs that you asked for.")
async def jobs(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Job, *INNER)).where(Job.owner_id == user_id)
    async for row in streamed(session, query):
        yield row | {"arguments": redact(row["arguments"])}


@account_erased("jobs")
async def forget_name(session: AsyncSession, erasure: Erasure) -> int:
    """In jobs of the person, which name who asked, and in others that hold the address."""
    arguments = cast(Job.arguments, Text)
    own = and_(Job.owner_id == erasure.user_id, arguments.contains("actor_name"))
    named = or_(own, arguments.contains(erasure.email, autoescape=True))
    found = (await session.execute(select(Job.id, Job.arguments).where(named))).all()
    rows = [{"id": row.id, "arguments": renamed(row.arguments, erasure)} for row in found]
    if rows:
        await session.execute(update(Job), rows)
    return len(rows)


def renamed(arguments: dict[str, Any], erasure: Erasure) -> dict[str, Any]:
    """An actor's name is the address as it was then, which may have changed since."""
    asked = arguments.get("actor_id") == erasure.user_id and "actor_name" in arguments
    own = {"actor_name": erasure.pseudonym} if asked else {}
    kept: dict[str, Any] = without_address(arguments, erasure)
    return kept | own


def without_address(value: Any, erasure: Erasure) -> Any:
    if isinstance(value, str):
        return value.replace(erasure.email, erasure.pseudonym)
    if isinstance(value, dict):
        return {name: without_address(item, erasure) for name, item in value.items()}
    return [without_address(item, erasure) for item in value] if isinstance(value, list) else value


# Figures ----------------------------------------------------------------------------------------

DAY = timedelta(days=1)


@figure("jobs_queued", "background jobs that wait")
async def queued(session: AsyncSession) -> float | None:
    return await session.scalar(of_status(JobStatus.queued))


@figure("jobs_running", "background jobs under way")
async def running(session: AsyncSession) -> float | None:
    return await session.scalar(of_status(JobStatus.running))


@figure("jobs_failed", "background jobs that failed within the last day")
async def failed(session: AsyncSession) -> float | None:
    recent = Job.finished_at >= utc_now() - DAY
    return await session.scalar(of_status(JobStatus.failed).where(recent))


def of_status(status: JobStatus) -> Select[int]:
    return select(func.count(Job.id)).where(Job.status == status)


@figure("queue_age", "how long the oldest job that is due has waited", "seconds")
async def queue_age(session: AsyncSession) -> float | None:
    now = utc_now()
    query = select(func.min(Job.run_at)).where(Job.status == JobStatus.queued, Job.run_at <= now)
    oldest = await session.scalar(query)
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0


@breakdown("jobs", "jobs that wait or run, and others of the last day", "kind", "status")
async def by_kind(session: AsyncSession) -> Values:
    """By two indexes: jobs of long ago are not read."""
    unfinished = Job.status.in_((JobStatus.queued, JobStatus.running))
    recent = and_(Job.status.in_(FINISHED), Job.created_at >= utc_now() - DAY)
    values: Values = {}
    for chosen in (unfinished, recent):
        query = select(Job.name, Job.status, func.count(Job.id)).where(chosen)
        for name, status, count in await session.execute(query.group_by(Job.name, Job.status)):
            values[name, status] = count
    return values
