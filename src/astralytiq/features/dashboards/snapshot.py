"""What stands when somebody begins to watch, or what they missed since they last did."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.broadcast import Message, OutboxMessage
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.features.ingestion import service as ingestion
from astralytiq.features.ingestion.schemas_runs import RunRead
from astralytiq.features.jobs import service as jobs
from astralytiq.features.jobs.schemas import JobRead
from astralytiq.features.telemetry import recent

from .watching import SCOPES, Topic, Viewer

NEWEST = 20
MOST_MISSED = 1_000


async def standing(resources: Resources, viewer: Viewer) -> dict[str, Any]:
    """Of each topic that is wanted, the newest things."""
    async with resources.database.reading() as session:
        return {
            topic.value: await newest(resources, session, viewer.actor, topic, NEWEST)
            for topic in sorted(viewer.wanted & NEWEST_OF.keys())
        }


async def newest(
    resources: Resources, session: AsyncSession, actor: Actor, topic: Topic, limit: int
) -> list[dict[str, Any]]:
    """Newest first; raises Forbidden where the actor may not see them."""
    actor.require(SCOPES[topic])
    return await NEWEST_OF[topic](resources, session, actor, limit)


async def newest_jobs(
    resources: Resources, session: AsyncSession, actor: Actor, limit: int
) -> list[dict[str, Any]]:
    found, _ = await jobs.list_visible(session, actor, limit, 0)
    return [JobRead.model_validate(job).model_dump(mode="json") for job in found]


async def newest_runs(
    resources: Resources, session: AsyncSession, actor: Actor, limit: int
) -> list[dict[str, Any]]:
    found, _ = await ingestion.list_runs(session, None, limit, 0)
    return [RunRead.model_validate(run).model_dump(mode="json") for run in found]


async def newest_events(
    resources: Resources, session: AsyncSession, actor: Actor, limit: int
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await recent.recent(session, limit))["events"]
    return found


NEWEST_OF: dict[Topic, Callable[..., Awaitable[list[dict[str, Any]]]]] = {
    Topic.jobs: newest_jobs,
    Topic.runs: newest_runs,
    Topic.events: newest_events,
}


async def missed(resources: Resources, viewer: Viewer, last: int) -> Sequence[Message] | None:
    """What `viewer` would have heard after the message `last`; None if that is too long ago."""
    async with resources.database.reading() as session:
        oldest, newest = (
            await session.execute(select(func.min(OutboxMessage.id), func.max(OutboxMessage.id)))
        ).one()
        if not (oldest or 0) - 1 <= last <= (newest or 0) <= last + MOST_MISSED:
            return None
        query = select(OutboxMessage).where(OutboxMessage.id > last).order_by(OutboxMessage.id)
        rows = (await session.scalars(query)).all()
    every = [Message(row.id, row.topic, row.payload) for row in rows]
    return [message for message in every if viewer.hears(message)]
