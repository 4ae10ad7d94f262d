"""Deletes events in parts, each with its share of the sums: by age, or with their device."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.executor import Work

from . import rollups
from .intake import oldest_kept
from .models import Device
from .recording import LOCK
from .schemas import microseconds_of

TIDY, DELETE_DEVICE = "telemetry.tidy", "telemetry.delete_device"
PART = 5_000  # events: some 50 ms in which nobody else writes
OLD, OF_DEVICE = "at < :oldest", "device = :device"
ORDER = {OLD: "at, id", OF_DEVICE: "event_id"}  # as an index has them


async def tidy(work: Work) -> dict[str, Any]:
    """Whole hours that are older than the setting says."""
    oldest = oldest_kept(utc_now(), work.resources.settings)
    return {"deleted": await remove_all(work, OLD, {"oldest": microseconds_of(oldest)})}


async def delete_device(work: Work, device: int) -> dict[str, Any]:
    deleted = await remove_all(work, OF_DEVICE, {"device": device})

    async def end(session: AsyncSession) -> None:
        if found := await session.get(Device, device):
            await session.delete(found)

    await work.step(end)
    return {"deleted": deleted}


async def remove_all(work: Work, condition: str, values: Mapping[str, int]) -> int:
    deleted = 0
    while found := await work.step(lambda session: remove_part(session, condition, values)):
        deleted += found
        work.report(0.5, "deleting", f"{deleted} events")
    return deleted


async def remove_part(session: AsyncSession, condition: str, values: Mapping[str, int]) -> int:
    """How many are gone, with what they had added to the sums."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text(LOCK))
    some = (
        f"id IN (SELECT id FROM telemetry_events WHERE {condition}"
        f" ORDER BY {ORDER[condition]} LIMIT {PART})"
    )
    for statement in rollups.taken_away(some):
        await session.execute(text(statement), values)
    gone: Any = await session.execute(text(f"DELETE FROM telemetry_events WHERE {some}"), values)
    return int(gone.rowcount)
