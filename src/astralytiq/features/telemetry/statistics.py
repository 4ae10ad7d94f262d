"""What the roll-ups say: statistics of any time, and the summary of a dashboard.

A time is cut into whole hours, whole minutes at its ends, and the seconds that are left: hours and
minutes come from the roll-ups, only the seconds from events. So it is exact, and never a scan.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.errors import Fault, Invalid
from astralytiq.engines.severity import perclos

from .intake import DURATION_UNITS, EAR_UNITS
from .models import ALL
from .reading import EventFilters
from .rollups import HOUR, MINUTE, SELECTED, SUMS
from .schemas import microseconds_of, moment_of

HOURS_SHOWN = 24
WARNING, CRITICAL = 25.0, 50.0  # percent of the last hour's events that are drowsy
LONGEST = timedelta(days=1)
DEVICE = "(SELECT id FROM telemetry_devices WHERE device_id = :device)"
NAMED = ", ".join(f"{one} AS {name}" for one, name in zip(SELECTED, SUMS, strict=True))
# A float holds these sums exactly up to 285 years; whole numbers of SQLite end at 64 bits.
TOTALS = ", ".join(f"sum(CAST({name} AS DOUBLE PRECISION)) AS {name}" for name in SUMS)


@dataclass(frozen=True)
class Span:
    """Where a part of a time is looked up: from `low` on, before `high`; None: no bound."""

    table: str
    low: int | None
    high: int | None


@dataclass(frozen=True)
class Totals:
    """Sums over some events: as the roll-ups have them."""

    events: int = 0
    drowsy: int = 0
    ear: int = 0
    duration: int = 0
    closed: int = 0
    low: int = 0
    medium: int = 0
    high: int = 0
    critical: int = 0

    @property
    def average_ear(self) -> float:
        return round(self.ear / self.events / EAR_UNITS, 6) if self.events else 0.0

    @property
    def average_duration_ms(self) -> float:
        return round(self.duration / self.events / DURATION_UNITS, 3) if self.events else 0.0

    @property
    def rate(self) -> float:
        """Drowsy events in percent."""
        return round(100 * self.drowsy / self.events, 4) if self.events else 0.0

    @property
    def severities(self) -> dict[str, int]:
        grave = {name: getattr(self, name) for name in ("low", "medium", "high", "critical")}
        return {"none": self.events - sum(grave.values()), **grave}


# Cutting ----------------------------------------------------------------------------------------


def spans_of(low: int | None, high: int | None) -> list[Span]:
    minutes, edges = cut("telemetry_events", low, high, MINUTE)
    if minutes is None:
        return edges
    hours, more = cut("telemetry_minutes", *minutes, HOUR)
    whole = [Span("telemetry_hours", *hours)] if hours else []
    return [*whole, *more, *edges]


Bounds = tuple[int | None, int | None]


def cut(
    table: str, low: int | None, high: int | None, step: int
) -> tuple[Bounds | None, list[Span]]:
    """The whole steps within the bounds, if any, and what is left over at their ends."""
    first = None if low is None else low + -low % step
    last = None if high is None else high - high % step
    if first is not None and last is not None and first >= last:
        return None, [Span(table, low, high)] if (low or 0) < (high or 0) else []
    left = [Span(table, low, first), Span(table, last, high)]
    return (first, last), [one for one in left if one.low != one.high]


# Summing ----------------------------------------------------------------------------------------


async def totals(session: AsyncSession, filters: EventFilters) -> Totals:
    low = None if filters.since is None else microseconds_of(filters.since)
    high = None if filters.until is None else microseconds_of(filters.until)
    spans = spans_of(low, high)
    if not spans:
        return Totals()
    values: dict[str, Any] = {"device": filters.device} if filters.device is not None else {}
    selects = [selected(at, span, filters.device, values) for at, span in enumerate(spans)]
    query = f"SELECT {TOTALS} FROM ({' UNION ALL '.join(selects)}) AS parts"
    row = (await session.execute(text(query), values)).one()
    return Totals(*(int(one or 0) for one in row))


def selected(at: int, span: Span, device: str | None, values: dict[str, Any]) -> str:
    is_events = span.table == "telemetry_events"
    time, columns = ("at", NAMED) if is_events else ("start", ", ".join(SUMS))
    conditions = []
    if device is not None:
        # The plus keeps SQLite from looking through all events of the device for those of a minute.
        conditions.append(f"{'+' if is_events else ''}device = {DEVICE}")
    elif not is_events:
        conditions.append(f"device = {ALL}")
    for name, sign, bound in (("low", ">=", span.low), ("high", "<", span.high)):
        if bound is not None:
            values[f"{name}{at}"] = bound
            conditions.append(f"{time} {sign} :{name}{at}")
    where = " AND ".join(conditions) or "true"
    return f"SELECT {columns} FROM {span.table} WHERE {where}"


async def statistics(session: AsyncSession, filters: EventFilters) -> dict[str, Any]:
    return shown(await totals(session, filters))


def shown(found: Totals) -> dict[str, Any]:
    return {
        "total_events": found.events,
        "drowsy_events": found.drowsy,
        "average_ear": found.average_ear,
        "average_duration_ms": found.average_duration_ms,
        "drowsiness_rate": found.rate,
        "severity_distribution": found.severities,
    }


# The dashboard ----------------------------------------------------------------------------------


async def summary(session: AsyncSession) -> dict[str, Any]:
    now = utc_now()
    hour = await totals(session, latest(timedelta(hours=1), now))
    return {
        "overall": await statistics(session, EventFilters()),
        "last_hour": {
            "period": "last_hour",
            "events_count": hour.events,
            "drowsy_count": hour.drowsy,
            "average_ear": hour.average_ear,
            "alert_rate": hour.rate,
        },
        "hourly": await hourly(session, now),
        "status": status_of(hour),
        "timestamp": now,
    }


def latest(time: timedelta, now: datetime) -> EventFilters:
    """Up to now, in whole minutes: so it costs the same however much comes in. With the rest of
    this minute, as the clocks of devices may be a little ahead of ours."""
    this = now.replace(second=0, microsecond=0)
    return EventFilters(since=this - time, until=this + timedelta(minutes=1))


def status_of(hour: Totals) -> str:
    if not hour.events:
        return "idle"
    percent = 100 * hour.drowsy / hour.events
    if percent > CRITICAL:
        return "critical"
    return "warning" if percent > WARNING else "normal"


async def hourly(session: AsyncSession, now: datetime) -> list[dict[str, Any]]:
    """The last 24 hours of the clock, with those in which nothing came."""
    this = microseconds_of(now) // HOUR * HOUR
    starts = [this - back * HOUR for back in reversed(range(HOURS_SHOWN))]
    query = (
        f"SELECT start, {', '.join(SUMS)} FROM telemetry_hours"
        f" WHERE device = {ALL} AND start >= :low AND start <= :high"
    )
    rows = await session.execute(text(query), {"low": starts[0], "high": this})
    known = {row[0]: Totals(*row[1:]) for row in rows}
    found = [(start, known.get(start, Totals())) for start in starts]
    return [
        {
            "hour": moment_of(start),
            "events_count": one.events,
            "drowsy_count": one.drowsy,
            "average_ear": one.average_ear,
            "alert_rate": one.rate,
        }
        for start, one in found
    ]


# PERCLOS ----------------------------------------------------------------------------------------


async def perclos_minutes(
    session: AsyncSession, device: str, since: datetime | None, until: datetime | None
) -> list[dict[str, Any]]:
    """The minutes that begin in a time of a day at most (default: the last hour)."""
    end = until or utc_now()
    begin = since or end - timedelta(hours=1)
    if end - begin > LONGEST:
        words = "Ask for a day at most: bring since and until closer together."
        raise Invalid(words, faults=(Fault(("query", "since"), words),))
    query = (
        f"SELECT start, events, duration, closed FROM telemetry_minutes"
        f" WHERE device = {DEVICE} AND start >= :low AND start < :high ORDER BY start"
    )
    values = {"device": device, "low": microseconds_of(begin), "high": microseconds_of(end)}
    return [
        minute(start, events, duration / DURATION_UNITS, closed / DURATION_UNITS)
        for start, events, duration, closed in await session.execute(text(query), values)
    ]


def minute(start: int, events: int, covered_ms: float, closed_ms: float) -> dict[str, Any]:
    share = perclos(closed_ms, covered_ms)
    return {
        "minute": moment_of(start),
        "events": events,
        "covered_ms": covered_ms,
        "closed_ms": closed_ms,
        "perclos": None if share is None else round(share, 6),
    }
