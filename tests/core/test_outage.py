"""A database that is away for a while, a full disk, a worker told to leave: all of it passes."""

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import executor, jobs, supervisor
from astralytiq.core.broadcast import Broadcast, publish
from astralytiq.core.db import Database
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.problems import refuse_database
from astralytiq.core.resources import Resources
from tests.patience import soon, until

pytestmark = pytest.mark.anyio


class DiskFull(Exception):
    sqlstate = "53100"


REQUEST = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": []}
FULL_SERVER = OperationalError("INSERT", {}, DiskFull())
AWAY = OperationalError("SELECT 1", {}, Exception("the server is gone"))


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Makes the next `times` reads and writes fail."""

    def begin(times: int) -> list[int]:
        left = [times]

        def breaking(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(self: Database, *arguments: Any) -> Any:
                if left[0] > 0:
                    left[0] -= 1
                    raise AWAY
                return original(self, *arguments)

            return call

        for name in ("reading", "write"):
            monkeypatch.setattr(Database, name, breaking(getattr(Database, name)))
        monkeypatch.setattr(executor, "OUTAGE_SECONDS", 0.01)
        monkeypatch.setattr("astralytiq.core.broadcast.OUTAGE_SECONDS", 0.01)
        return left

    return begin


async def read(resources: Resources, job_id: str) -> Job:
    async with resources.database.reading() as session:
        return await jobs.get(session, job_id)


async def queued(resources: Resources) -> str:
    job = await resources.database.write(lambda s: jobs.enqueue(s, "tests.wait", steps=3))
    assert job
    return job.id


async def test_a_worker_outlives_an_outage(
    resources: Resources,
    outage: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing(work: Work, steps: int) -> None:
        return None

    monkeypatch.setitem(jobs.HANDLERS, "tests.wait", nothing)
    left = outage(0)
    job_id = await queued(resources)
    left[0] = 4
    stop = asyncio.Event()
    life = asyncio.create_task(executor.run_forever(resources, "w", stop))

    async def succeeded() -> bool:
        if left[0]:
            return False
        return (await read(resources, job_id)).status == JobStatus.succeeded

    await until(succeeded)
    assert not life.done()
    stop.set()
    await life


async def test_a_heartbeat_outlives_an_outage(
    resources: Resources,
    outage: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executor, "REPORT_SECONDS", 0.01)
    left = outage(0)

    async def report(work: Work, steps: int) -> None:
        left[0] = 2
        for step in range(1, steps + 1):
            work.report(step / steps, "working")
            refused = min(step, 2)
            await until(lambda n=refused: asyncio.sleep(0, left[0] == 2 - n))  # type: ignore[misc]

    monkeypatch.setitem(jobs.HANDLERS, "tests.wait", report)
    job_id = await queued(resources)
    await executor.run_until_idle(resources, "w")
    assert (await read(resources, job_id)).status == JobStatus.succeeded


async def test_broadcasts_go_on_after_an_outage(
    resources: Resources, outage: Callable[[int], list[int]]
) -> None:
    live = Broadcast(resources.database)
    left = outage(0)

    async def say(session: AsyncSession) -> None:
        publish(session, "t", {"n": 1})

    async with live.listen("t") as queue:
        tail = asyncio.create_task(live.tail())
        left[0] = 3
        await until(lambda: asyncio.sleep(0, left[0] == 0))
        await resources.database.write(say)
        assert (await soon(queue.get())).payload == {"n": 1}
        tail.cancel()


async def test_the_supervisor_outlives_an_outage_and_a_failed_start(
    resources: Resources,
    outage: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts: list[str] = []

    async def start(command: list[str]) -> int:
        starts.append(command[-1])
        if len(starts) == 1:
            raise OSError(errno.EAGAIN, "no process left")
        return 1

    monkeypatch.setattr(supervisor, "run_one", start)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.01)
    left = outage(2)
    life = asyncio.create_task(supervisor.run_forever(resources, ["worker"], "home:x"))
    await until(lambda: asyncio.sleep(0, len(starts) >= 3 and left[0] == 0))
    assert len(set(starts)) >= 3  # Each worker has a name of its own in its leases.
    assert not life.done()
    life.cancel()
    with suppress(asyncio.CancelledError):
        await life


async def test_a_full_database_says_so_stores_nothing_and_recovers(
    app: FastAPI, client: httpx2.AsyncClient, resources: Resources
) -> None:
    """SQLite's own page limit stands for a disk without space; PostgreSQL has no such switch."""
    if not resources.database.is_sqlite:
        answer = await refuse_database(Request(REQUEST), FULL_SERVER)
        assert answer.status_code == 507
        return

    async def limit(pages: int) -> None:
        async with resources.database.writer.connect() as connection:
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    url = "/api/v1/auth/register"
    body = {"email": "a@example.com", "username": "ada", "password": "correct horse"}
    await limit(1)  # Never less than what is used: no page can be added.
    padding = "x" * 200
    answers = [
        await client.post(url, json={**body, "email": f"{n}@example.com", "username": f"{n}user",
                                     "full_name": padding})
        for n in range(100)
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} == {200, 507}
    assert "free some space" in answers[-1].json()["detail"]
    await limit(1_000_000)
    assert (await client.post(url, json=body)).status_code == 200


async def test_a_worker_told_to_leave_hands_its_job_back_and_the_attempt_is_not_counted(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def go_on(work: Work, steps: int) -> None:
        done = (work.checkpoint or {"done": 0})["done"]
        for step in count(done):
            await work.step(nothing, checkpoint={"done": step + 1})
            begun.set()
            await asyncio.sleep(0.01)

    async def nothing(session: AsyncSession) -> None:
        return None

    monkeypatch.setitem(jobs.HANDLERS, "tests.wait", go_on)
    job_id = await queued(resources)
    stop = asyncio.Event()
    life = asyncio.create_task(executor.run_forever(resources, "w", stop))
    await soon(begun.wait())
    stop.set()
    await soon(life)
    found = await read(resources, job_id)
    assert (found.status, found.attempt, found.lease_owner) == ("queued", 0, None)
    assert found.checkpoint
    assert found.checkpoint["done"] >= 1


async def test_a_job_asked_to_stop_does_not_come_back_when_its_worker_dies(
    resources: Resources,
) -> None:
    job_id = await queued(resources)
    write = resources.database.write
    await write(lambda s: jobs.claim(s, "w", -1))
    await write(lambda s: jobs.request_cancel(s, job_id))
    await write(jobs.reap)
    assert (await read(resources, job_id)).status == JobStatus.cancelled
    await write(lambda s: jobs.retry(s, job_id))
    assert (await read(resources, job_id)).cancel_requested is False


async def test_26_what_a_job_stumbled_over_is_not_shown_unless_it_was_written_for_people(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stumble(work: Work, steps: int) -> None:
        raise FileNotFoundError(2, "No such file", "/srv/secret/place")

    monkeypatch.setitem(jobs.HANDLERS, "tests.wait", stumble)
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)
    job_id = await queued(resources)
    await executor.run_until_idle(resources, "w")
    found = await read(resources, job_id)
    assert found.status == JobStatus.failed
    assert found.error == "Internal fault (FileNotFoundError): see the log."


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (PoolTimeout(), 503),
        (ConnectionRefusedError(111, "refused"), 503),
        (OSError(errno.ENOSPC, "no space"), 507),
        (AWAY, 503),
    ],
)
async def test_a_dependency_that_is_away_or_full_is_no_fault_of_ours(
    client: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
    status: int,
) -> None:
    def fail(self: Database) -> None:
        raise fault

    monkeypatch.setattr(Database, "reading", fail)
    answer = await client.post("/api/v1/auth/login", json={"email": "a@b.c", "password": "x"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
