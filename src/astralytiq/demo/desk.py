"""At whose desk the demo works, and how much of it at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs
from astralytiq.core.errors import AppError, Conflict
from astralytiq.core.jobs import FINISHED, Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor

POLL_SECONDS = 0.1
Found = TypeVar("Found")


class Desk:
    """The demo's data scientist, who waits for one job before asking for the next.

    Few jobs are asked for at once: one for each worker, and one more so that none is idle. What
    somebody else asks for then waits behind these few, and not behind the whole demo.
    """

    def __init__(self, resources: Resources, actor: Actor) -> None:
        self.resources = resources
        self.actor = actor
        self._jobs = asyncio.Semaphore(max(1, resources.settings.workers) + 1)
        self._uploads = asyncio.Lock()

    @property
    def uploading(self) -> asyncio.Lock:
        """Uploads are converted in this very process: one after another."""
        return self._uploads

    async def write(self, unit: Callable[[AsyncSession], Awaitable[Found]]) -> Found:
        return await self.resources.database.write(unit)

    async def read(self, look: Callable[[AsyncSession], Awaitable[Found]]) -> Found:
        async with self.resources.database.reading() as session:
            return await look(session)

    async def done(self, ask: Callable[[], Awaitable[str | None]]) -> Job | None:
        """Wait for the job that `ask` names (None: there is nothing to wait for)."""
        async with self._jobs:
            job_id = await ask()
            return await self._ended(job_id) if job_id else None

    async def _ended(self, job_id: str) -> Job:
        while True:
            job = await self.read(lambda session: jobs.get(session, job_id))
            if job.status in FINISHED:
                break
            await asyncio.sleep(POLL_SECONDS)
        if job.status is not JobStatus.succeeded:
            raise Conflict(f"The job {job.name} {job.status}: {job.error}")
        return job

    async def waiting(self, name: str, **arguments: Any) -> str | None:
        """The job with these arguments that an earlier start asked for and that has not ended."""
        return await self.read(lambda session: unfinished(session, self.actor, name, arguments))


async def unfinished(
    session: AsyncSession, actor: Actor, name: str, arguments: dict[str, Any]
) -> str | None:
    query = select(Job).where(
        Job.name == name, Job.owner_id == actor.id, Job.status.not_in(FINISHED)
    )
    found: Iterable[Job] = await session.scalars(query)
    return next((job.id for job in found if arguments.items() <= job.arguments.items()), None)


def worded(fault: Exception) -> str:
    return fault.detail if isinstance(fault, AppError) else f"{type(fault).__name__}: {fault}"
