"""Data sets of events: those of a device or of all, of a time, in the order of their times."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Fault, Invalid
from astralytiq.core.executor import Work
from astralytiq.core.security import Actor
from astralytiq.core.storage import writing_aside
from astralytiq.engines.tabular.columns import Column
from astralytiq.engines.tabular.parquet import ParquetWriter
from astralytiq.engines.tabular.records import to_table
from astralytiq.features.telemetry import reading, statistics
from astralytiq.features.telemetry.reading import EventFilters

from .schemas import FromTelemetry
from .tables import BATCH, Written, hold_view

Query = dict[str, Any]  # {telemetry: {device?, since?, until?}}
COLUMNS = [
    Column("event_id", "string"),
    Column("device_id", "string"),
    Column("session_id", "string"),
    Column("timestamp", "timestamp"),
    Column("received_at", "timestamp"),
    Column("ear_value", "float64"),
    Column("is_drowsy", "bool"),
    Column("duration_ms", "float64"),
    Column("severity", "string"),
]
NOTHING = "No event matches: see what GET /api/v1/statistics answers to the same filters."


async def settled(session: AsyncSession, actor: Actor, query: Query) -> Query:
    """Refuses what `actor` may not read, and where there is nothing to freeze."""
    actor.require("telemetry:read")
    await counted(session, query)
    return query


def filters_of(query: Query) -> EventFilters:
    return EventFilters(**FromTelemetry.model_validate(query["telemetry"]).model_dump())


async def counted(session: AsyncSession, query: Query) -> int:
    found = await statistics.totals(session, filters_of(query))
    if not found.events:
        raise Invalid(NOTHING, faults=(Fault(("body", "from_telemetry"), NOTHING),))
    return found.events


async def written(
    work: Work, session: AsyncSession, query: Query, key: str
) -> tuple[Written, dict[str, Any]]:
    """The file, and the version's origin. One pass: the columns are always the same."""
    await hold_view(session)
    total = await counted(session, query)
    storage = work.resources.storage
    async with writing_aside(storage, key) as file:
        with ParquetWriter(file, COLUMNS) as writer:
            async for events in reading.batches(session, filters_of(query), BATCH):
                await asyncio.to_thread(add, writer, events)
                work.report(0.9 * writer.rows / total, "writing", f"{writer.rows} events")
    stored = await asyncio.to_thread(storage.describe, key)
    origin = {"kind": "telemetry", "device": None, **query["telemetry"]}
    return Written(stored, writer.rows, COLUMNS), origin


def add(writer: ParquetWriter, events: Sequence[dict[str, Any]]) -> None:
    writer.add(to_table(events, COLUMNS))
