"""The newest events: the last 1,000 that arrived since somebody cleared the list.

They are read from the store, by its primary key: the list survives every start, and each process
shows the same. To clear it is to move a mark; what is stored stays.
"""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.db import utc_now
from astralytiq.core.security import Actor

from .models import Device, Event, Mark
from .reading import ROWS, shown
from .schemas import MOST_RECENT

CLEARED = "recent.cleared"


async def recent(session: AsyncSession, limit: int) -> dict[str, Any]:
    mark = await cleared_up_to(session)
    query = ROWS.where(Event.id > mark, Device.deleted_at.is_(None))
    rows = await session.execute(query.order_by(Event.id.desc()).limit(limit))
    events = [shown(*row) for row in rows]
    return {"events": events, "count": len(events), "timestamp": utc_now()}


async def clear(session: AsyncSession, actor: Actor) -> dict[str, Any]:
    mark = await cleared_up_to(session)
    newest = select(Event.id).where(Event.id > mark).order_by(Event.id.desc()).limit(MOST_RECENT)
    found = newest.subquery()
    count, last = (await session.execute(select(func.count(), func.max(found.c.id)))).one()
    if last is not None:
        await session.merge(Mark(name=CLEARED, value=last))
    audit.record(session, actor, "telemetry.cache_cleared", "telemetry", events=count)
    return {"status": "cleared", "events_cleared": count, "timestamp": utc_now()}


async def cleared_up_to(session: AsyncSession) -> int:
    return await session.scalar(select(Mark.value).where(Mark.name == CLEARED)) or 0
