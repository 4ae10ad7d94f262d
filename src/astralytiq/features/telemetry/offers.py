"""What the telemetry room offers to dashboards, alerts and scrapers."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.offers import Values, breakdown, figure

from .models import Device
from .reading import EventFilters
from .statistics import Totals, latest, totals

NOW, HOUR = timedelta(minutes=5), timedelta(hours=1)


async def totals_since(session: AsyncSession, time: timedelta) -> Totals:
    return await totals(session, latest(time, utc_now()))


@figure("telemetry_events", "events of devices that are stored")
async def events(session: AsyncSession) -> float | None:
    return (await totals(session, EventFilters())).events


@figure("telemetry_events_last_hour", "events of the last hour, by their own times")
async def events_last_hour(session: AsyncSession) -> float | None:
    return (await totals_since(session, HOUR)).events


@figure("drowsiness_rate", "events of the last five minutes that are drowsy", "percent")
async def drowsiness_rate(session: AsyncSession) -> float | None:
    found = await totals_since(session, NOW)
    return found.rate if found.events else None


@figure("devices", "devices that ever sent an event")
async def devices(session: AsyncSession) -> float | None:
    return await session.scalar(select(func.count(Device.id)).where(Device.deleted_at.is_(None)))


@figure("devices_active", "devices that sent something within the last hour")
async def active_devices(session: AsyncSession) -> float | None:
    seen = select(func.count(Device.id)).where(Device.deleted_at.is_(None))
    return await session.scalar(seen.where(Device.last_seen_at >= utc_now() - HOUR))


@breakdown("telemetry_severity", "events of devices that are stored", "severity")
async def by_severity(session: AsyncSession) -> Values:
    found = await totals(session, EventFilters())
    return {(name,): float(count) for name, count in found.severities.items()}
