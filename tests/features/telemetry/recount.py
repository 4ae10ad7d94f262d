"""Counts all events again, and compares with what the roll-ups say."""

from typing import Any

from sqlalchemy import select

from astralytiq.core.db import Database
from astralytiq.engines.severity import SEVERITIES
from astralytiq.features.telemetry.models import Device, Event, Hour, Minute
from astralytiq.features.telemetry.rollups import HOUR, MINUTE, SUMS

Cells = dict[tuple[int, int], tuple[int, ...]]


def sums_of(event: Event) -> tuple[int, ...]:
    grave = [int(SEVERITIES[event.severity] == name) for name in SEVERITIES[1:]]
    closed = event.duration if event.severity else 0
    return (1, int(event.drowsy), event.ear, event.duration, closed, *grave)


def recounted(events: list[Event], step: int) -> Cells:
    found: Cells = {}
    for event in events:
        for device in (event.device, 0):
            key = device, event.at // step * step
            known = found.get(key, (0,) * len(SUMS))
            found[key] = tuple(a + b for a, b in zip(known, sums_of(event), strict=True))
    return found


async def refuse_wrong_sums(database: Database) -> int:
    """How many events there are, once every roll-up was found to equal a recount of them."""
    async with database.reading() as session:
        events = list(await session.scalars(select(Event)))
        tables: tuple[tuple[Any, int], ...] = ((Minute, MINUTE), (Hour, HOUR))
        for table, step in tables:
            stored = {
                (cell.device, cell.start): tuple(getattr(cell, name) for name in SUMS)
                for cell in await session.scalars(select(table))
            }
            assert stored == recounted(events, step), table.__tablename__
        for device in await session.scalars(select(Device)):
            assert device.events == sum(event.device == device.id for event in events)
    return len(events)
