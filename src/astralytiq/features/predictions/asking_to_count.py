"""Asks a worker to count what was predicted: at most once in five minutes, and only if there is
something to count. An idle house asks for nothing."""

import asyncio
import logging
import time

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs
from astralytiq.core.clock import DatabaseNow
from astralytiq.core.resources import Resources

log = logging.getLogger(__name__)

COUNT = "predictions.count"
EVERY_SECONDS = 300


class CountingAsked:
    """When this process asked last. Processes of one period ask for one job together."""

    def __init__(self, resources: Resources) -> None:
        self._database = resources.database
        self._period = 0
        self._asking: asyncio.Task[None] | None = None
        self._closed = False

    def soon(self) -> None:
        """Takes no time: the job is asked for beside the answers."""
        period = int(time.time() // EVERY_SECONDS)
        if period == self._period or self._closed:
            return
        self._period = period
        self._asking = asyncio.create_task(self._ask(period))

    async def _ask(self, period: int) -> None:
        async def ask(session: AsyncSession) -> None:
            job = await jobs.enqueue(session, COUNT, idempotency_key=f"{COUNT}:{period}")
            if job:
                job.run_at = DatabaseNow(EVERY_SECONDS)

        try:
            await self._database.write(ask)
        except (SQLAlchemyError, OSError) as fault:  # The next period asks again.
            log.warning("counting could not be asked for", extra={"error": str(fault)})

    async def close(self) -> None:
        self._closed = True
        if self._asking:
            await self._asking
