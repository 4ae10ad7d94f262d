"""Tells listeners of events that were stored: a few times a second, whatever comes in.

A message for each event would fill the outbox faster than anybody can look. So what was committed
since the last message goes into one: how many, and the newest of them.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import broadcast
from astralytiq.core.db import Database
from astralytiq.core.resources import Resources

from .reading import shown

log = logging.getLogger(__name__)

TOPIC = "telemetry"
PAUSE_SECONDS = 0.25
MOST_LATEST = 20


class Announcer:
    def __init__(self, resources: Resources) -> None:
        self._database: Database = resources.database
        self._events = self._drowsy = 0
        self._latest: list[Any] = []
        self._telling: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def add(self, events: int, drowsy: int, latest: Sequence[Any]) -> None:
        """Events that are committed; `latest` the newest first."""
        if not events:
            return
        self._events += events
        self._drowsy += drowsy
        self._latest = [*latest, *self._latest][:MOST_LATEST]
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell())

    async def close(self) -> None:
        """Tell what is left at once."""
        self._closing.set()
        if self._telling:
            await self._telling

    async def _tell(self) -> None:
        try:
            while self._events:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), PAUSE_SECONDS)
                await self._publish()
        finally:
            self._telling = None

    async def _publish(self) -> None:
        payload = {
            "events": self._events,
            "drowsy": self._drowsy,
            "latest": [shown(*row) for row in self._latest],
        }
        self._events, self._drowsy, self._latest = 0, 0, []

        async def write(session: AsyncSession) -> None:
            broadcast.publish(session, TOPIC, payload)

        try:
            await self._database.write(write)
        except (SQLAlchemyError, OSError) as fault:  # The events are stored all the same.
            log.warning("listeners were not told of events", extra={"error": str(fault)})


def announcer(resources: Resources) -> Announcer:
    return resources.own("telemetry.announcer", Announcer)
