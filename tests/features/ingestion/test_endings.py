"""However a run ends, it ends: and what it was stays true."""

import asyncio
import errno
from collections.abc import AsyncGenerator, Awaitable, Callable
from hashlib import sha512
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import bulk, executor, jobs
from astralytiq.core.executor import Work
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Role
from astralytiq.features.ingestion import deleting, indexing, pipeline, service
from astralytiq.features.ingestion.models import Run
from astralytiq.features.ingestion.pipeline import Pipeline, Ready
from tests.conftest import RunJobs, SignIn

pytestmark = pytest.mark.anyio

JSON = {"accept": "application/json"}
SOURCE = {"name": "shop", "kind": "csv", "path": "shop.csv", "primary_key": "id"}


@pytest.fixture
def inbox(resources: Resources) -> Path:
    folder = resources.settings.home / "inbox"
    (folder / "shop.csv").write_text("id,title\n1,a\n2,b\n")
    return folder


@pytest.fixture
async def scientist(sign_in: SignIn, inbox: Path) -> httpx2.AsyncClient:
    client = await sign_in(Role.data_scientist)
    assert (await client.post("/api/v1/sources", json=SOURCE)).status_code == 201
    return client


async def begun(client: httpx2.AsyncClient) -> dict[str, Any]:
    run: dict[str, Any] = (await client.post("/api/v1/sources/shop/run")).json()
    return run


async def status_of(client: httpx2.AsyncClient, run: dict[str, Any]) -> str:
    return str((await client.get(f"/api/v1/etl/runs/{run['run_id']}")).json()["status"])


async def test_a_run_whose_waiting_job_is_cancelled_is_cancelled_with_it(
    scientist: httpx2.AsyncClient,
) -> None:
    run = await begun(scientist)
    await scientist.post(f"/api/v1/jobs/{run['job_id']}/cancel")
    assert await status_of(scientist, run) == "cancelled"
    assert (await scientist.get("/stats")).json()["last_run_status"] == "cancelled"


async def test_a_run_whose_last_worker_died_has_failed(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    run = await begun(scientist)
    for _ in range(jobs.MAX_ATTEMPTS):
        await resources.database.write(lambda s: jobs.claim(s, "w", -1))
        await resources.database.write(jobs.reap)
    assert await status_of(scientist, run) == "failed"


class DriversError(Exception):
    def __init__(self, state: str) -> None:
        self.sqlstate = state


async def limit_pages(resources: Resources, more: int) -> None:
    """SQLite's own limit stands for a disk with so much room."""
    async with resources.database.writer.connect() as connection:
        used = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {used + more}")


@pytest.fixture
async def disk(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Callable[[int], Awaitable[None]]]:
    """Sets how much room is left: on PostgreSQL, which has no such switch, its error is raised."""
    store, room = pipeline.Pipeline._store_raw, [1_000_000]

    async def store_raw(self: Pipeline, session: AsyncSession, run: Run, ready: Ready) -> int:
        if run.batches >= 1 and room[0] < 100:
            raise OperationalError("INSERT", {}, DriversError("53100"))
        return await store(self, session, run, ready)

    async def leave(pages: int) -> None:
        room[0] = pages
        if resources.database.is_sqlite:
            await limit_pages(resources, pages)

    if not resources.database.is_sqlite:
        monkeypatch.setattr(pipeline.Pipeline, "_store_raw", store_raw)
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)
    yield leave
    await leave(1_000_000)


async def test_a_disk_that_fills_up_within_a_run_is_told_and_costs_nothing(
    scientist: httpx2.AsyncClient,
    inbox: Path,
    run_jobs: RunJobs,
    disk: Callable[[int], Awaitable[None]],
) -> None:
    # What packs badly: pages are what is to run out.
    rows = [f"{n},{sha512(str(n).encode()).hexdigest()}\n" for n in range(900)]
    (inbox / "shop.csv").write_text("id,title\n" + "".join(rows))
    await scientist.patch("/api/v1/sources/shop", json={"batch_size": 300})
    run = await begun(scientist)
    await disk(60)
    await run_jobs()
    address = f"/api/v1/etl/runs/{run['run_id']}"
    found = (await scientist.get(address)).json()
    assert (found["status"], 0 < found["batches"] < 3) == ("failed", True)
    assert "disk is full: free some space, then try again. What was stored" in found["error"]
    assert (await scientist.get("/data")).json()["total_count"] == found["records_inserted"]
    await disk(1_000_000)
    again = await scientist.post(f"/api/v1/jobs/{run['job_id']}/retry")
    assert again.status_code in (200, 202)
    await run_jobs()
    found = (await scientist.get(address)).json()
    assert (found["status"], found["records_inserted"], found["batches"]) == ("success", 900, 3)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OSError(errno.ENOSPC, "/srv/secret/place"), "The disk is full: free some space"),
        (OSError(errno.EDQUOT, "quota"), "The disk is full: free some space"),
        (OperationalError("X", {}, DriversError("53300")), "has no connection left: raise its max"),
        (OperationalError("X", {}, DriversError("53200")), "has run out of memory: give it more"),
        (OperationalError("X", {}, DriversError("42000")), "Internal fault (OperationalError)"),
    ],
)
def test_what_has_run_out_is_told_and_tried_again(fault: Exception, words: str) -> None:
    assert words in jobs.worded(fault)
    assert "secret" not in jobs.worded(fault)
    assert not jobs.is_final(fault)


async def test_26_a_run_that_fails_by_our_own_fault_shows_nothing_of_it(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def faulty(*_: Any) -> None:
        raise KeyError("INSERT INTO data_records VALUES ('Ada Lovelace')")

    monkeypatch.setattr(pipeline.Pipeline, "store", faulty)
    run = await begun(scientist)
    await run_jobs()
    found = (await scientist.get(f"/api/v1/etl/runs/{run['run_id']}")).json()
    told = (await scientist.get(f"/api/v1/etl/runs/{run['run_id']}/events", headers=JSON)).text
    assert found["status"] == "failed"
    assert found["error"] == "Internal fault (KeyError): see the log."
    assert "Ada" not in told


async def test_who_waits_for_a_source_that_is_being_deleted_is_told_that_it_is_gone(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    async with resources.database.transaction() as session:
        source = await service.hold_source(session, "shop")
        await deleting.delete_source(session, SYSTEM, source, with_records=True)
        waits = asyncio.create_task(scientist.post("/api/v1/sources/shop/run"))
        await until_it_waits(session)
    assert (await waits).status_code == 404


async def until_it_waits(session: AsyncSession) -> None:
    """On PostgreSQL for the row; SQLite lets nobody in who writes."""
    if bulk.is_sqlite(session):
        return
    for _ in range(500):
        # What a transaction saw of the others once, it sees until its end, unless it lets go of it.
        await session.execute(text("SELECT pg_stat_clear_snapshot()"))
        blocked = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                       "AND datname = current_database()")  # fmt: skip
        if await session.scalar(blocked):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_nobody_waits_for_another_to_ask_for_the_index(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    """Two who each hold what the other needs would wait for ever."""
    database = resources.database

    async def ask(session: AsyncSession) -> None:
        await indexing.note(session, [1])
        await indexing.enqueue(session)

    async def ask_in_time(session: AsyncSession) -> None:
        await session.execute(text("SET LOCAL lock_timeout = '5s'"))
        await ask(session)

    await database.write(ask)
    if database.is_sqlite:  # where one writes at a time
        await database.write(ask)
    else:
        async with database.transaction() as session:
            await ask(session)
            await database.write(ask_in_time)
    async with database.reading() as session:
        asked = select(func.count()).where(jobs.Job.name == indexing.JOB)
        # Whoever cannot look at a job that another holds asks for one more: it finds nothing to do.
        assert await session.scalar(asked) == (1 if database.is_sqlite else 2)


async def test_a_run_that_succeeded_stays_so_when_its_worker_dies_just_after(
    scientist: httpx2.AsyncClient, resources: Resources, run_jobs: RunJobs
) -> None:
    """Killed between the run's last commit and the job's own; then another run begins."""
    run = await begun(scientist)
    held = await resources.database.write(lambda s: jobs.claim(s, "w", 60))
    assert held
    await jobs.HANDLERS[held.name](Work(resources, held), **held.arguments)
    assert await status_of(scientist, run) == "success"
    second = await begun(scientist)
    await resources.database.write(lambda s: jobs.reap(s, owner_prefix="w"))
    await executor.run_until_idle(resources, "next")
    assert await status_of(scientist, run) == "success"
    assert await status_of(scientist, second) == "success"
    job = (await scientist.get(f"/api/v1/jobs/{run['job_id']}")).json()
    assert (job["status"], job["result"]["records_inserted"]) == ("succeeded", 2)


async def test_a_source_of_which_nothing_could_be_read_has_failed(
    scientist: httpx2.AsyncClient, inbox: Path, run_jobs: RunJobs
) -> None:
    await scientist.patch("/api/v1/sources/shop", json={"primary_key": "nope"})
    run = await begun(scientist)
    await run_jobs()
    found = (await scientist.get(f"/api/v1/etl/runs/{run['run_id']}")).json()
    assert (found["status"], found["records_failed"]) == ("failed", 2)
    assert "rejected" in found["error"]


async def test_only_its_owner_and_admins_change_a_source_or_stop_its_runs(
    scientist: httpx2.AsyncClient, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    run = await begun(scientist)
    stranger, admin = await sign_in(Role.data_scientist), await sign_in(Role.admin)
    url = "/api/v1/sources/shop"
    assert (await stranger.get(url)).status_code == 200
    assert (await stranger.patch(url, json={"enabled": False})).status_code == 403
    assert (await stranger.delete(f"{url}?records=delete")).status_code == 403
    cancel = f"/api/v1/etl/runs/{run['run_id']}/cancel"
    assert (await stranger.post(cancel)).status_code == 403
    assert (await admin.post(cancel)).status_code == 202
    assert (await stranger.post(f"{url}/run")).status_code == 202  # The team runs it.
    await run_jobs()
    assert (await admin.delete(url)).status_code == 204
