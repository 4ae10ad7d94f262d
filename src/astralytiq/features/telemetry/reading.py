"""Events as they are read: the newest for people, all of a time for other rooms."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from .intake import DURATION_UNITS, EAR_UNITS
from .models import Device, Event
from .schemas import microseconds_of, moment_of, severity_named

COLUMNS = (
    Event.event_id, Device.device_id, Event.session_id, Event.at, Event.received, Event.ear,
    Event.drowsy, Event.duration, Event.severity,
)  # fmt: skip
# The sum keeps databases from taking all events of a device at once, to sort them for each page.
ROWS = select(*COLUMNS).join(Device, Device.id == Event.device + 0)


def shown(
    event_id: str,
    device_id: str,
    session_id: str | None,
    at: int,
    received: int,
    ear: int,
    drowsy: bool,
    duration: int,
    severity: int,
) -> dict[str, Any]:
    """A row of ROWS as people see it."""
    return {
        "event_id": event_id,
        "device_id": device_id,
        "session_id": session_id,
        "timestamp": moment_of(at),
        "received_at": moment_of(received),
        "ear_value": ear / EAR_UNITS,
        "is_drowsy": bool(drowsy),
        "duration_ms": duration / DURATION_UNITS,
        "severity": severity_named(severity),
    }


@dataclass(frozen=True)
class EventFilters:
    """Events of a device, from `since` on and before `until`."""

    device: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found = []
        if self.device is not None:
            found.append(Device.device_id == self.device)
        if self.since is not None:
            found.append(Event.at >= microseconds_of(self.since))
        if self.until is not None:
            found.append(Event.at < microseconds_of(self.until))
        return found


async def batches(
    session: AsyncSession, filters: EventFilters, size: int = 5000
) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """In the order of their times, `size` in memory: what is read on stays where it is."""
    query = ROWS.add_columns(Event.id).where(*filters.conditions())
    query = query.order_by(Event.at, Event.id).limit(size)
    after: list[ColumnElement[bool]] = []
    while found := (await session.execute(query.where(*after))).all():
        yield [shown(*row[:-1]) for row in found]
        at, number = found[-1].at, found[-1].id
        after = [Event.at >= at, or_(Event.at > at, and_(Event.at == at, Event.id > number))]
