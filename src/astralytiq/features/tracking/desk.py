"""Where MLflow's store is asked from the API: threads of its own, and an end to waiting.

MLflow blocks, for seconds at its first import and longer when its server is silent. In the pool
that all others share it would hold up file reads and uploads; on the event loop, everything.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from astralytiq.core.errors import AppError, Unavailable
from astralytiq.core.resources import Resources
from astralytiq.core.tracking import Tracker, tracker

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
Answer = TypeVar("Answer")


class Desk:
    """One thread that writes, as several are slower than one on SQLite, and one that reads."""

    def __init__(self, resources: Resources) -> None:
        self._settings = resources.settings
        self._writer = ThreadPoolExecutor(1, "mlflow-write")
        self._reader = ThreadPoolExecutor(1, "mlflow-read")

    async def read(self, look: Callable[[Tracker], Answer]) -> Answer:
        return await self._ask(self._reader, look)

    async def write(self, change: Callable[[Tracker], Answer]) -> Answer:
        return await self._ask(self._writer, change)

    async def _ask(self, thread: ThreadPoolExecutor, work: Callable[[Tracker], Answer]) -> Answer:
        def worked() -> Answer:
            return work(tracker(self._settings))

        running = asyncio.get_running_loop().run_in_executor(thread, worked)
        try:
            return await asyncio.wait_for(running, PATIENCE_SECONDS)
        except AppError:
            raise
        except Exception as fault:  # MLflow's own errors would have to be imported to be named.
            log.error("MLflow's store failed", exc_info=fault)
            raise Unavailable(
                "MLflow's store does not answer: check MLFLOW_TRACKING_URI and that its server or "
                "database runs, then try again."
            ) from fault

    async def close(self) -> None:
        for thread in (self._writer, self._reader):
            thread.shutdown(wait=False, cancel_futures=True)


def desk(resources: Resources) -> Desk:
    return resources.own("tracking.desk", Desk)
