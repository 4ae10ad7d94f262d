"""Looks at everything we depend on, at once, and waits for none of it for long.

A look that hangs is not begun a second time: however often somebody asks, one of it is under way.
"""

import asyncio
import socket
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from astralytiq.core.clock import DatabaseNow
from astralytiq.core.db import utc_now
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.schedules import Schedule

PATIENCE = 2.0
FRESH_SECONDS = 1.0  # The door is open to all: whoever asks more often gets the same findings.
STALL_SECONDS = 60.0
PORTS = {"http": 80, "https": 443, "postgresql": 5432}
HEALTHY, UNHEALTHY, DISABLED = "healthy", "unhealthy", "disabled"


class Sick(Exception):
    """What is wrong and what to do, in words that anybody may read."""


@dataclass(frozen=True)
class Finding:
    status: str
    latency_ms: float | None
    detail: str


Look = Callable[[Resources], Awaitable[str]]


# What is looked at ------------------------------------------------------------------------------


async def look_at_database(resources: Resources) -> str:
    try:
        await resources.database.ping()
    except (SQLAlchemyError, OSError):
        raise Sick("does not answer: check DATABASE_URL and that the server runs") from None
    return "answers"


async def look_at_storage(resources: Resources) -> str:
    if fault := await asyncio.to_thread(resources.storage.fault):
        raise Sick(fault)
    return "can be written"


async def look_at_workers(resources: Resources) -> str:
    """By what they do: jobs that are held, and how long the next one has been waiting."""
    running = select(func.count(Job.id)).where(
        Job.status == JobStatus.running, Job.lease_until >= DatabaseNow()
    )
    due = select(func.count(), func.min(Job.run_at)).where(
        Job.status == JobStatus.queued, Job.run_at <= DatabaseNow()
    )
    async with resources.database.reading() as session:
        held = await session.scalar(running) or 0
        waiting, oldest = (await session.execute(due)).one()
    age = seconds_since(oldest)
    if age > STALL_SECONDS and not held:
        raise Sick(f"a job has waited for {age:.0f} s and none runs: start 'astralytiq worker'")
    return f"{held} running, {waiting} waiting"


async def look_at_scheduler(resources: Resources) -> str:
    query = select(func.count(), func.min(Schedule.next_run_at)).where(Schedule.enabled)
    async with resources.database.reading() as session:
        count, due = (await session.execute(query)).one()
    late = seconds_since(due)
    if late > STALL_SECONDS:
        raise Sick(f"a schedule is {late:.0f} s late: start 'astralytiq scheduler'")
    return f"{count} schedules, none is late" if count else "nothing is scheduled"


async def look_at_mlflow(resources: Resources) -> str:
    """That its store is there: a file that can be read, or a server that can be connected to."""
    uri = resources.settings.mlflow_uri
    try:
        if uri.startswith("sqlite"):
            return await asyncio.to_thread(read_file, make_url(uri).database or "")
        return await connect(uri)
    except (OSError, sqlite3.Error, ValueError):
        raise Sick("does not answer: check MLFLOW_TRACKING_URI and that the server runs") from None


def read_file(name: str) -> str:
    path = Path(name)
    if not path.exists():
        return "nothing was tracked yet"
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    return "can be read"


async def connect(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        await asyncio.to_thread(Path(parts.path).stat)
        return "can be read"
    port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
    _, writer = await asyncio.open_connection(parts.hostname, port, family=socket.AF_UNSPEC)
    writer.close()
    return "takes connections"


def seconds_since(moment: datetime | None) -> float:
    return (utc_now() - moment).total_seconds() if moment else 0.0


LOOKS: dict[str, Look] = {
    "database": look_at_database,
    "workers": look_at_workers,
    "mlflow": look_at_mlflow,
    "storage": look_at_storage,
    "scheduler": look_at_scheduler,
}


# Looking ----------------------------------------------------------------------------------------


class Checks:
    """The looks of one process."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._under_way: dict[str, asyncio.Task[Finding]] = {}
        self._found: dict[str, Finding] = {}
        self._at = float("-inf")

    async def findings(self) -> dict[str, Finding]:
        """Of all, at most a second old."""
        if time.monotonic() - self._at > FRESH_SECONDS:
            self._found = await self.look(*LOOKS)
            self._at = time.monotonic()
        return self._found

    async def look(self, *names: str) -> dict[str, Finding]:
        for name in names:
            if name not in self._under_way:
                task = asyncio.create_task(timed(LOOKS[name], self._resources), name=name)
                task.add_done_callback(lambda done: self._under_way.pop(done.get_name()))
                self._under_way[name] = task
        tasks = {name: self._under_way[name] for name in names}
        await asyncio.wait(tasks.values(), timeout=PATIENCE)
        return {name: found(task) for name, task in tasks.items()}

    async def close(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def found(task: "asyncio.Task[Finding]") -> Finding:
    if task.done() and not task.cancelled():
        return task.result()
    return Finding(UNHEALTHY, None, f"no answer within {PATIENCE:g} s")


async def timed(look: Look, resources: Resources) -> Finding:
    began = time.perf_counter()
    try:
        status, detail = HEALTHY, await look(resources)
    except Sick as fault:
        status, detail = UNHEALTHY, str(fault)
    except (SQLAlchemyError, OSError):
        status, detail = UNHEALTHY, "cannot be told: the database does not answer"
    return Finding(status, round((time.perf_counter() - began) * 1000, 2), detail)
