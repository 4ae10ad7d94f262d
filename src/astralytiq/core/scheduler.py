"""The clockwork beside an API or on its own: due schedules, dead leases, old messages."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import broadcast, jobs, schedules
from astralytiq.core.resources import Resources

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
TRIM_EVERY = 60  # ticks


async def run_forever(resources: Resources) -> None:
    """Tick until cancelled. A database that is away for a while does not end it."""
    count = 0
    while True:
        try:
            await tick(resources, trim=count % TRIM_EVERY == 0)
        except (SQLAlchemyError, OSError) as error:
            log.error("scheduler tick failed", exc_info=error)
        count += 1
        await asyncio.sleep(TICK_SECONDS)


async def tick(resources: Resources, *, trim: bool = False) -> None:
    """Look first and write only if something is due: an idle house takes no write lock."""
    database = resources.database
    async with database.reading() as session:
        due = await schedules.any_due(session) or await jobs.any_lost(session)
    if not (due or trim):
        return

    async def write(session: AsyncSession) -> None:
        await jobs.reap(session)
        await schedules.tick(session)
        if trim:
            await broadcast.trim(session)

    await database.write(write)
