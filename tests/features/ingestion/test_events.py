"""What happens in a run is told while it happens, and kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import sse
from astralytiq.core.broadcast import Broadcast
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.ingestion import events, service
from astralytiq.features.ingestion.calls import MOST_NOTED, Calls
from astralytiq.features.ingestion.models import Run, RunStatus
from tests.conftest import RunJobs, SignIn
from tests.factories import make_client
from tests.features.ingestion.conftest import Ingest
from tests.features.ingestion.test_csv_runs import RUNS, SHOP, write_rows

pytestmark = pytest.mark.anyio

JSON = {"Accept": "application/json"}
Told = list[tuple[str, Any]]


def messages(text: str) -> Told:
    """Of a stream: the names of the events, with their data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def waiting_run(client: httpx2.AsyncClient, inbox: Path) -> str:
    write_rows(inbox / "shop.csv", 3)
    await client.post("/api/v1/sources", json={"name": "shop", **SHOP})
    started = await client.post("/api/v1/sources/shop/run")
    found: str = started.json()["run_id"]
    return found


async def test_a_run_keeps_what_happened_in_it(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_text("id,title\n1,a\n,no key\n3,c\n")
    run = await ingest("shop", **SHOP)
    path = f"{RUNS}/{run['run_id']}/events"
    found = (await scientist.get(path, headers=JSON)).json()
    assert [event["kind"] for event in found] == ["started", "rejects", "ended"]
    assert found[1]["message"] == "1 of 3 records (33.3%) were rejected."
    assert found[2]["details"]["processed"] == 3
    later = await scientist.get(path, headers=JSON, params={"after": found[0]["id"]})
    assert later.json() == found[1:]


async def test_the_stream_of_a_run_that_has_ended_ends(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write_rows(inbox / "shop.csv", 3)
    run = await ingest("shop", **SHOP)
    path = f"{RUNS}/{run['run_id']}/events"
    answer = await scientist.get(path)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    told = messages(answer.text)
    assert [name for name, _ in told] == ["started", "ended"]
    first = str(told[0][1]["id"])
    resumed = await scientist.get(path, headers={"Last-Event-ID": first})
    assert messages(resumed.text) == told[1:]
    from_the_top = await scientist.get(path, headers={"Last-Event-ID": "x"})
    assert messages(from_the_top.text) == told


async def streamed(resources: Resources, live: Broadcast, run_id: str) -> AsyncIterator[str]:
    async with resources.database.reading() as session:
        run = await service.get_run(session, run_id)
    async for block in events.stream(resources.database, live, run, 0):
        yield block.decode()


async def test_a_stream_tells_while_it_happens_and_beats_while_nothing_does(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "BEAT_SECONDS", 0.01)
    live = Broadcast(resources.database)
    run_id = await waiting_run(scientist, inbox)
    stream = streamed(resources, live, run_id)
    assert await anext(stream) == ": connected\n\n"
    assert await anext(stream) == ": still here\n\n"
    await run_jobs()
    await live.deliver()
    rest = messages("".join([block async for block in stream]))
    assert [name for name, _ in rest] == ["started", "ended"]


async def test_between_events_the_newest_counters_of_this_run_are_told(
    inbox: Path, scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    run_id = await waiting_run(scientist, inbox)
    live = Broadcast(resources.database)

    async def announce(session: AsyncSession) -> None:
        run = await service.get_run(session, run_id)
        for run.records_processed in (10, 20):
            service.announce(session, run)
        other = Run(run_id="other", source="shop-2", status=RunStatus.in_progress)
        service.announce(session, other)

    stream = streamed(resources, live, run_id)
    assert await anext(stream) == ": connected\n\n"
    await resources.database.write(announce)
    await live.deliver()
    ((name, progress),) = messages(await anext(stream))
    assert (name, progress["run_id"], progress["records_processed"]) == ("progress", run_id, 20)


async def test_a_stream_ends_in_time_to_ask_again_who_may_read(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(sse, "STREAM_SECONDS", 0.05)
    run_id = await waiting_run(scientist, inbox)
    blocks = [block async for block in streamed(resources, Broadcast(resources.database), run_id)]
    assert set(blocks[1:]) <= {": still here\n\n"}


async def test_a_stream_holds_no_session_while_it_waits(
    inbox: Path, scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    run_id = await waiting_run(scientist, inbox)
    streams = [streamed(resources, Broadcast(resources.database), run_id) for _ in range(30)]
    for stream in streams:  # More of them than a pool has connections.
        await anext(stream)
    waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    assert (await scientist.get(f"{RUNS}/{run_id}")).status_code == 200
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_18_events_are_for_those_who_may_read_runs(
    inbox: Path, ingest: Ingest, app: FastAPI, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    write_rows(inbox / "shop.csv", 1)
    path = f"{RUNS}/{(await ingest('shop', **SHOP))['run_id']}/events"
    assert (await client.get(path)).status_code == 401
    owner = await sign_in(Role.analyst)
    made = await owner.post("/api/v1/api-keys", json={"name": "k", "scopes": ["data:read"]})
    async with make_client(app) as device:
        device.headers["X-API-Key"] = made.json()["key"]
        assert (await device.get(path)).status_code == 403
    assert (await owner.get(f"{RUNS}/absent/events")).status_code == 404


def test_a_million_pages_are_not_a_million_events() -> None:
    calls = Calls()
    for _ in range(MOST_NOTED + 5):
        calls.held("https://api.example.org/x", 1)
    assert len(calls.noted) == MOST_NOTED
