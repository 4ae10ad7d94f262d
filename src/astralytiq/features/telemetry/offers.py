"""Figures of the telemetry room: all from its roll-ups."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.offers import figure

from .models import ALL, Device, Hour, Minute

RECENT = timedelta(minutes=5)
MICROSECONDS = 1_000_000


@figure("telemetry_events", "events of devices that are counted")
async def events(session: AsyncSession) -> float | None:
    query = select(func.sum(Hour.events)).where(Hour.device == ALL)
    return float(await session.scalar(query) or 0)


@figure("devices", "devices that have sent events")
async def devices(session: AsyncSession) -> float | None:
    query = select(func.count(Device.id)).where(Device.deleted_at.is_(None))
    return await session.scalar(query)


@figure("drowsiness_rate", "share of drowsy events of the last five minutes", "percent")
async def drowsiness_rate(session: AsyncSession) -> float | None:
    since = int((utc_now() - RECENT).timestamp()) * MICROSECONDS
    query = select(func.sum(Minute.drowsy), func.sum(Minute.events)).where(
        Minute.device == ALL, Minute.start >= since
    )
    drowsy, every = (await session.execute(query)).one()
    return 100 * float(drowsy) / float(every) if every else None
