"""A job told while it goes on: the lines of its history, how far it is, and what became of it."""

from collections.abc import AsyncIterator, Sequence

from astralytiq.core import sse
from astralytiq.core.broadcast import Broadcast
from astralytiq.core.db import Database
from astralytiq.core.jobs import FINISHED, Job, JobEvent

from . import service
from .schemas import JobEventRead, JobRead

# Progress is a column that the worker's heartbeat stores each second; no message tells of it.
LOOK_SECONDS = 1.0


async def stream(
    database: Database, live: Broadcast, job_id: str, after: int
) -> AsyncIterator[bytes]:
    """Server-sent events of the job until it ends."""
    followed = Followed(database, job_id)
    lines = sse.follow(live, f"job/{job_id}", after, followed.look, written, followed.wait)
    async for block in lines:
        yield block
    if followed.has_ended:
        yield followed.told("ended")


class Followed:
    def __init__(self, database: Database, job_id: str) -> None:
        self._database = database
        self._job_id = job_id
        self._silent_for = 0.0
        self._seen = b""
        self.has_ended = False
        self._job: JobRead | None = None

    async def look(self, after: int) -> tuple[Sequence[JobEvent], bool]:
        async with self._database.reading() as session:
            # First how it stands: the line of its end is then among those found.
            job = await session.get_one(Job, self._job_id)
            self._job, self.has_ended = JobRead.model_validate(job), job.status in FINISHED
            return await service.history(session, job.id, after, sse.PAGE), self.has_ended

    async def wait(self, queue: sse.Queue) -> bytes:
        """The job if it went on, a heartbeat after a long silence, or nothing."""
        if self._goes_on():
            return self.told("progress")
        pause = min(LOOK_SECONDS, sse.BEAT_SECONDS)
        await sse.heard(queue, pause)
        self._silent_for += pause
        if self._silent_for < sse.BEAT_SECONDS:
            return b""
        self._silent_for = 0.0
        return sse.BEAT

    def _goes_on(self) -> bool:
        assert self._job is not None
        stands = self._job.model_dump_json(include={"status", "progress", "phase", "message"})
        changed, self._seen = stands.encode() != self._seen, stands.encode()
        return changed

    def told(self, name: str) -> bytes:
        assert self._job is not None
        self._silent_for = 0.0
        return sse.written(name, self._job.model_dump_json().encode())


def written(event: JobEvent) -> bytes:
    data = JobEventRead.model_validate(event).model_dump_json()
    return sse.written("log", data.encode(), event.id)
