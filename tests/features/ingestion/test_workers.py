"""What only real worker processes can show: dying within a transaction, and being two."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from astralytiq.client import Client
from astralytiq.core import jobs
from astralytiq.core.resources import Resources
from astralytiq.features.ingestion.cli import etl
from astralytiq.terminal import Connection
from tests.features.ingestion.conftest import counts
from tests.features.ingestion.drills import (
    KEY,
    KEY_NAME,
    add,
    answering,
    begun,
    injected,
    items,
    seen,
    spec,
    stored,
    titles,
    told,
)
from tests.features.ingestion.servers import Asked, Reply, Server, serving
from tests.features.ingestion.test_apply import ToApp
from tests.features.ingestion.workers import Nursery, nursery

pytestmark = pytest.mark.anyio

ITEMS = items(11)


@pytest.fixture(scope="module")
def workers() -> Iterator[Nursery]:
    with nursery() as found:
        yield found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(KEY_NAME, KEY)
    with serving(answering(ITEMS)) as server:
        yield server


@contextmanager
def held_up(server: Server) -> Iterator[Event]:
    """It answers nobody meanwhile; the event says that somebody has asked."""
    asked, go_on = Event(), Event()
    answer = server.answer

    def slow(request: Asked) -> Reply:
        asked.set()
        assert go_on.wait(60)
        return answer(request)

    server.answer = slow
    try:
        yield asked
    finally:
        go_on.set()


async def ended(client: httpx2.AsyncClient, run: dict[str, Any]) -> dict[str, Any]:
    url = f"/api/v1/etl/runs/{run['run_id']}/events"
    async with asyncio.timeout(60):
        await client.get(url, headers={"Accept": "text/event-stream"})
    return await seen(client, run["run_id"])


async def command(app: FastAPI, client: httpx2.AsyncClient, *arguments: str) -> Result:
    token = client.headers["authorization"].removeprefix("Bearer ")
    transport = ToApp(app)
    connection = Connection(lambda: Client("http://astralytiq.test", token, transport=transport))
    return await asyncio.to_thread(lambda: CliRunner().invoke(etl, arguments, obj=connection))


async def test_a_worker_that_is_killed_before_its_commit_loses_and_doubles_nothing(
    scientist: httpx2.AsyncClient, resources: Resources, server: Server, workers: Nursery
) -> None:
    await add(scientist, spec("items", "api", server.url))
    run = await begun(scientist, "items", "crash@batch:2", "http500@page:2", "duplicate@page:3")
    first = workers.start(resources.settings, "first")
    assert await asyncio.to_thread(workers.wait, first) == -signal.SIGKILL
    assert (await seen(scientist, run["run_id"]))["batches"] == 1
    assert len(await stored(scientist, "items")) == 3
    await resources.database.write(lambda s: jobs.reap(s, owner_prefix="first"))
    async with workers.working(resources.settings, "second"):
        found = await ended(scientist, run)
    assert (found["status"], found["batches"], counts(found)) == ("success", 6, (14, 11, 0, 0))
    assert await stored(scientist, "items") == titles(ITEMS)
    # The first may have met the one of page 2 when it died, and could tell nobody.
    assert {"crash@batch:2", "duplicate@page:3"} <= set(await injected(scientist, run))
    assert [one["message"] for one in await told(scientist, run, "started")] == [
        "Started.", "Goes on after batch 1.",
    ]  # fmt: skip


async def test_of_two_workers_told_to_run_one_source_one_runs_and_the_other_says_so(
    app: FastAPI,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    server: Server,
    workers: Nursery,
) -> None:
    await add(scientist, spec("items", "api", server.url))
    url = "/api/v1/sources/items/run"
    settings = resources.settings
    async with workers.working(settings, "first"), workers.working(settings, "second"):
        with held_up(server) as asked:
            both = await asyncio.gather(scientist.post(url), scientist.post(url))
            started, refused = sorted(both, key=lambda one: one.status_code)
            run = started.json()
            assert (started.status_code, refused.status_code) == (202, 409)
            assert await asyncio.to_thread(asked.wait, 60)
            again = await scientist.post(url)
            words = f"Run {run['run_id']} of 'items' is in progress"
            assert words in refused.json()["detail"]
            assert words in again.json()["detail"]
            by_command = await command(app, scientist, "run", "items")
            assert (by_command.exit_code, words in by_command.stderr) == (2, True)
        found = await ended(scientist, run)
    assert (found["status"], counts(found)) == ("success", (11, 11, 0, 0))
    listed = (await scientist.get("/api/v1/etl/runs")).json()
    assert [one["run_id"] for one in listed] == [run["run_id"]]
    assert await stored(scientist, "items") == titles(ITEMS)
    pages = [one.params["p"] for one in server.asked]
    assert pages == ["1", "2", "3", "4"]  # Nobody else asked the source.
