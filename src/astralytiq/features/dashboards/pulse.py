"""Figures of this process, told every five seconds to all who watch; taken once for all of them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from astralytiq.core.broadcast import Backlog
from astralytiq.core.db import utc_now
from astralytiq.core.metrics import Performance
from astralytiq.core.resources import Resources

from . import watching

SECONDS = 5.0
WINDOW_SECONDS = 60.0


class Pulse:
    """Beats while somebody listens. `MOST` sockets at once keep memory bounded."""

    MOST = 2_000

    def __init__(self) -> None:
        self.listening: set[Backlog] = set()
        self._beating: asyncio.Task[None] | None = None

    @contextmanager
    def felt_by(self, backlog: Backlog, performance: Performance) -> Iterator[None]:
        self.listening.add(backlog)
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat(performance))
        try:
            yield
        finally:
            self.listening.discard(backlog)
            if not self.listening and self._beating:
                self._beating.cancel()
                self._beating = None

    async def _beat(self, performance: Performance) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            message = watching.note("metrics", **self.figures(performance))
            for backlog in self.listening:
                backlog.take_in(message)

    def figures(self, performance: Performance) -> dict[str, Any]:
        """Shares of processor and memory in percent, the mean answer of the last minute in ms."""
        tallies = performance.snapshot().window(WINDOW_SECONDS).tallies.values()
        count = sum(tally.count for tally in tallies)
        seconds = sum(tally.seconds for tally in tallies)
        return {
            "timestamp": utc_now(),
            "cpu_usage": psutil.cpu_percent(),
            "memory_usage": psutil.virtual_memory().percent,
            "api_response_time": round(1000 * seconds / count, 2) if count else 0.0,
            "api_requests": count,
            "active_connections": len(self.listening),
        }

    async def close(self) -> None:
        if self._beating:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating


def pulse_of(resources: Resources) -> Pulse:
    return resources.own("dashboards.pulse", lambda _: Pulse())
