"""The commands for rejects, replays, drift and history."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from astralytiq.client import Client
from astralytiq.features.ingestion.cli import data, etl, source
from astralytiq.terminal import Connection
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest
from tests.features.ingestion.test_apply import ToApp

pytestmark = pytest.mark.anyio

Command = Callable[..., Awaitable[Result]]
SHOP: dict[str, Any] = {"kind": "csv", "path": "shop.csv", "primary_key": "id"}


@pytest.fixture
def command(
    app: FastAPI,
    scientist: httpx2.AsyncClient,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """Runs a command of a group, and beside it the jobs that it asks for."""
    token = scientist.headers["authorization"].removeprefix("Bearer ")
    defaults = Client.wait.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "pause", 0.01)

    async def run(group: typer.Typer, *arguments: str, typed: str | None = None) -> Result:
        transport = ToApp(app)
        connection = Connection(
            lambda: Client("http://astralytiq.test", token, transport=transport)
        )
        asked = asyncio.ensure_future(
            asyncio.to_thread(lambda: CliRunner().invoke(group, arguments, typed, obj=connection))
        )
        while not asked.done():
            await run_jobs()
            await asyncio.sleep(0.01)
        return await asked

    return run


@pytest.fixture
async def rejected(inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient) -> None:
    """Three rejects; two of them pass once the mapping knows of `code`."""
    (inbox / "shop.csv").write_text("id,code,name\n1,x,one\n,y,two\n,z,three\n4\n")
    await ingest("shop", **SHOP)
    change = {"primary_key": "code", "mapping": {"title": "name"}}
    await scientist.patch("/api/v1/sources/shop", json=change)


@pytest.mark.usefixtures("rejected")
async def test_rejects_are_listed_tried_again_and_discarded(command: Command) -> None:
    listed = json.loads((await command(etl, "rejects", "--status", "open", "--json")).stdout)
    assert len(listed) == 3
    first = await command(etl, "retry", str(listed[0]["id"]), "--json")
    assert json.loads(first.stdout) == {"retried": 1, "still_open": 0}
    rest = await command(etl, "retry", "--source", "shop", "--json")
    assert json.loads(rest.stdout) == {"retried": 1, "still_open": 1}
    gone = await command(etl, "discard", "--run", listed[0]["run_id"], "--json")
    assert json.loads(gone.stdout) == {"discarded": 1}
    which = await command(etl, "discard")
    assert (which.exit_code, "--source" in which.stderr) == (2, True)


@pytest.mark.usefixtures("rejected")
async def test_a_replay_is_waited_for_and_seen_in_the_history(
    command: Command, inbox: Path, scientist: httpx2.AsyncClient
) -> None:
    await scientist.patch("/api/v1/sources/shop", json={"primary_key": "id"})
    run = json.loads((await command(etl, "replay", "shop", "--json")).stdout)
    assert (run["kind"], run["status"], run["records_updated"]) == ("replay", "success", 1)
    (record,) = (await scientist.get("/data")).json()["data"]
    versions = json.loads((await command(data, "history", str(record["id"]), "--json")).stdout)
    assert [one["fields"]["title"] for one in versions] == ["one", None]


async def test_drift_is_listed(command: Command, inbox: Path, ingest: Ingest) -> None:
    for header in ("id", "id,new"):
        (inbox / "shop.csv").write_text(header + "\n1" + ",a" * (header != "id") + "\n")
        await ingest("shop", **(SHOP if header == "id" else {}))
    shown = await command(etl, "drift", "--source", "shop", "--json")
    assert [(one["field"], one["change"]) for one in json.loads(shown.stdout)] == [("new", "added")]


async def test_a_feed_is_registered_by_its_address_alone(command: Command) -> None:
    address = "https://example.org/feed.xml"
    made = json.loads((await command(source, "add", "news", "--rss", address, "--json")).stdout)
    assert (made["kind"], made["url"], made["primary_key"]) == ("rss", address, "id")
    nothing = await command(source, "add", "other")
    assert (nothing.exit_code, "--rss URL" in nothing.stderr) == (2, True)


async def test_an_api_is_registered_with_how_its_pages_end(command: Command) -> None:
    api = ("--api", "https://example.org/posts", "--paging", "page", "--end-status", "404")
    made = json.loads((await command(source, "add", "posts", *api, "--json")).stdout)
    assert made["pagination"]["style"] == "page"
    assert made["pagination"]["end_statuses"] == [404]
    refused = await command(source, "add", "others", *api[:2], "--end-status", "404")
    assert (refused.exit_code, "needs style page or offset" in refused.stderr) == (2, True)


async def test_a_checkpoint_is_shown_and_rewound(
    command: Command, inbox: Path, ingest: Ingest
) -> None:
    (inbox / "shop.csv").write_text("id,name\n1,one\n2,two\n")
    await ingest("shop", **SHOP, cursor_field="id")
    shown = json.loads((await command(etl, "checkpoint", "shop", "--json")).stdout)
    assert shown["cursor"]["bookmark"] == "2"
    assert "reads from the start" in (await command(etl, "rewind", "shop")).stdout
    gone = await command(etl, "checkpoint", "shop")
    assert (gone.exit_code, "has no checkpoint" in gone.stderr) == (2, True)
