"""Runs claimed jobs: heartbeat, progress, cancellation, and what becomes of a failure."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs, tracing
from astralytiq.core.errors import AppError
from astralytiq.core.jobs import (
    Claim,
    HandedBack,
    JobCancelled,
    JobStatus,
    LeaseLost,
    Transient,
)
from astralytiq.core.resources import Resources

log = logging.getLogger(__name__)
Result = TypeVar("Result")

POLL_SECONDS = 0.2
REPORT_SECONDS = 1.0
OUTAGE_SECONDS = 2.0


class Work:
    """A handler's view of its job: resources, progress, checkpoints, and whether to stop."""

    def __init__(self, resources: Resources, held: Claim) -> None:
        self.resources = resources
        self.claim = held
        self.checkpoint = held.checkpoint
        self._report: dict[str, Any] = {}
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._leave = threading.Event()

    def report(self, progress: float, phase: str, message: str = "") -> None:
        """Say how far the job is (0 to 1). Cheap and safe from any thread: a heartbeat stores it.

        Raises JobCancelled when somebody asked the job to stop.
        """
        self.check()
        self._report = {"progress": progress, "phase": phase, "message": message}

    def check(self) -> None:
        if self._lost.is_set():
            raise LeaseLost(self.claim.id)
        if self._stop.is_set():
            raise JobCancelled(self.claim.id)
        if self._leave.is_set():
            raise HandedBack(self.claim.id)

    def leave(self) -> None:
        """Give the job back at its next step or report. Safe from any thread."""
        self._leave.set()

    async def step(
        self,
        write: Callable[[AsyncSession], Awaitable[Result]],
        *,
        checkpoint: dict[str, Any] | None = None,
        progress: float | None = None,
    ) -> Result:
        """Commit a piece of output together with its checkpoint, or nothing of it."""
        self.check()
        values: dict[str, Any] = {"checkpoint": checkpoint} if checkpoint is not None else {}
        if progress is not None:
            values["progress"] = progress

        async def unit(session: AsyncSession) -> Result:
            # The fence comes first: its row lock keeps a successor out until we commit.
            if await jobs.renew(session, self.claim, self._lease, **values):
                raise JobCancelled(self.claim.id)
            return await write(session)

        result = await self.resources.database.write(unit)
        self.checkpoint = checkpoint if checkpoint is not None else self.checkpoint
        return result

    @property
    def _lease(self) -> float:
        return self.resources.settings.job_lease_seconds

    async def heartbeat(self) -> None:
        """Keep the lease, and store the latest report, until cancelled."""
        renewed, stored = monotonic(), self._report
        pause = min(REPORT_SECONDS, self._lease / 4)
        while True:
            await asyncio.sleep(pause)
            # By a clock: on a busy machine a pause lasts longer than it was asked to.
            if self._report is stored and monotonic() - renewed < self._lease / 4:
                continue
            renewed, stored = monotonic(), self._report
            await self._renew(stored)

    async def _renew(self, report: dict[str, Any]) -> None:
        try:
            stop = await self.resources.database.write(
                lambda session: jobs.renew(session, self.claim, self._lease, **report)
            )
        except LeaseLost:
            self._lost.set()
            return
        except (SQLAlchemyError, OSError) as error:  # The next beat may find the database again.
            log.warning("heartbeat failed", extra={"job_id": self.claim.id, "error": str(error)})
            return
        if stop:
            self._stop.set()


async def run_next(
    resources: Resources, owner: str, begun: Callable[[Work], None] | None = None
) -> bool:
    """Claim one job and run it to its end; False when none is waiting."""
    if not await jobs.waiting(resources.database):
        return False
    lease = resources.settings.job_lease_seconds
    held = await resources.database.write(lambda session: jobs.claim(session, owner, lease))
    if held is None:
        return False
    work = Work(resources, held)
    if begun:
        begun(work)
    await run(work)
    return True


async def run(work: Work) -> None:
    held = work.claim
    with tracing.span(f"job {held.name}", held.traceparent, job_id=held.id, attempt=held.attempt):
        await run_traced(work)


async def run_traced(work: Work) -> None:
    held = work.claim
    beating = asyncio.create_task(work.heartbeat())
    try:
        result = await jobs.HANDLERS[held.name](work, **held.arguments)
        await settle(work, JobStatus.succeeded, result=result)
    except HandedBack:
        await give_back(work)
    except LeaseLost:
        log.warning("lease lost", extra={"job_id": held.id})
    except JobCancelled:
        await settle(work, JobStatus.cancelled, error="Stopped on request.")
    except Exception as failure:  # The job's own fault is stored, never lost in a log.
        await settle_failure(work, failure)
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def give_back(work: Work) -> None:
    with suppress(LeaseLost):
        await work.resources.database.write(lambda session: jobs.hand_back(session, work.claim))


async def settle(work: Work, status: JobStatus, **values: Any) -> None:
    with suppress(LeaseLost):
        await work.resources.database.write(
            lambda session: jobs.finish(session, work.claim, status, **values)
        )


async def settle_failure(work: Work, failure: Exception) -> None:
    held = work.claim
    final = jobs.is_final(failure) or held.attempt >= held.max_attempts
    foreseen = isinstance(failure, (AppError, Transient))
    words = jobs.worded(failure)
    tracing.failed(words)
    log.log(
        logging.WARNING if foreseen else logging.ERROR,
        "job failed",
        extra={"job_id": held.id, "job": held.name, "error": str(failure)},
        exc_info=None if foreseen else failure,
    )
    if final:
        await settle(work, JobStatus.failed, error=words)
        return
    with suppress(LeaseLost):
        await work.resources.database.write(lambda session: jobs.retry_later(session, held, words))


async def run_until_idle(resources: Resources, owner: str) -> None:
    """Run everything that is waiting now: what a command and the tests use."""
    while await run_next(resources, owner):
        pass


async def run_forever(resources: Resources, owner: str, stop: asyncio.Event) -> None:
    """A worker's life. Told to stop, it hands the job in hand back at its next step."""
    current: list[Work] = []

    def begun(work: Work) -> None:
        current.append(work)
        if stop.is_set():  # It was told while the job was being claimed.
            work.leave()

    async def watch() -> None:
        await stop.wait()
        for work in current:
            work.leave()

    watching = asyncio.create_task(watch())
    while not stop.is_set():
        current.clear()
        if not await looked(resources, owner, begun):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)
    await watching


async def looked(resources: Resources, owner: str, begun: Callable[[Work], None]) -> bool:
    """Run the next job, if any. A database that is away for a while does not end the worker."""
    try:
        return await run_next(resources, owner, begun)
    except (SQLAlchemyError, OSError) as error:
        log.error("the database does not answer", extra={"error": str(error)})
        await asyncio.sleep(OUTAGE_SECONDS)
        return False
