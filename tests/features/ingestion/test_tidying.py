"""What runs leave behind does not grow for ever, and nobody listens without end."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from astralytiq.core import secrets, sse
from astralytiq.core.db import Database, new_id, utc_now
from astralytiq.core.errors import TooMany
from astralytiq.core.resources import Resources
from astralytiq.core.security import key_id
from astralytiq.features.ingestion import events, tidying
from astralytiq.features.ingestion.models import RunEvent
from tests.features.ingestion.conftest import Ingest

pytestmark = pytest.mark.anyio

SHOP: dict[str, Any] = {"kind": "csv", "path": "shop.csv", "primary_key": "id"}


def old_id(days: float) -> str:
    """As a run's that began so long ago."""
    return tidying.first_id(utc_now() - timedelta(days=days)) + new_id()[13:]


async def test_events_of_runs_long_past_go_with_the_next_run(
    inbox: Path, ingest: Ingest, database: Database
) -> None:
    kinds = {(days, kind): old_id(days) for days in (91, 89) for kind in ("attempt", "anomaly")}

    async def note(session: Any) -> None:
        for (_, kind), run_id in kinds.items():
            events.record(session, run_id, kind, "said")

    await database.write(note)
    (inbox / "shop.csv").write_text("id\n1\n")
    run = await ingest("shop", **SHOP)
    async with database.reading() as session:
        left = set(await session.scalars(select(RunEvent.run_id)))
    assert left == set(kinds.values()) - {kinds[91, "attempt"]} | {run["run_id"]}


def test_an_id_says_when_it_was_made() -> None:
    before = tidying.first_id(utc_now() - timedelta(milliseconds=2))
    assert before < new_id() < tidying.first_id(utc_now() + timedelta(seconds=1))


async def test_08_the_next_run_seals_secrets_with_the_key_of_today(
    scientist: httpx2.AsyncClient, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scientist.put("/api/v1/secrets/shop-key", json={"value": "s"})
    keys = ("the key of tomorrow, long enough to sign with", resources.settings.signing_key)
    monkeypatch.setattr(type(resources.settings), "signing_keys", keys)
    await tidying.tidy(resources)
    async with resources.database.reading() as session:
        found = await secrets.find(session, "shop-key")
        assert found
        assert found.key_id == key_id(keys[0])
        assert await secrets.reveal(session, keys[:1], "shop-key") == "s"


async def test_a_secret_that_no_key_opens_fails_no_run_of_other_sources(
    inbox: Path,
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await scientist.put("/api/v1/secrets/shop-key", json={"value": "s"})

    async def spoil(session: Any) -> None:
        found = await secrets.find(session, "shop-key")
        assert found
        found.sealed = found.sealed[:-1] + bytes([found.sealed[-1] ^ 1])

    await resources.database.write(spoil)
    keys = ("the key of tomorrow, long enough to sign with", resources.settings.signing_key)
    monkeypatch.setattr(type(resources.settings), "signing_keys", keys)
    (inbox / "shop.csv").write_text("id\n1\n")
    assert (await ingest("shop", **SHOP))["status"] == "success"


async def test_the_door_of_a_stream_is_shut_to_who_holds_enough(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    run = await ingest("shop", **SHOP)
    me = (await scientist.get("/api/v1/auth/me")).json()["id"]
    monkeypatch.setitem(sse.OPEN, f"user:{me}", 20)
    path = f"/api/v1/etl/runs/{run['run_id']}/events"
    refused = await scientist.get(path)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "15")
    listed = await scientist.get(path, headers={"Accept": "application/json"})
    assert listed.status_code == 200


async def test_one_person_holds_so_many_streams_and_no_more(resources: Resources) -> None:
    async def told() -> Any:
        yield b"one"
        yield b"two"

    settings = resources.settings
    begun = [sse.counted("user:1", told()) for _ in range(settings.event_streams)]
    sse.refuse_more(settings, "user:1")  # None of them has begun to be read.
    for stream in begun:
        await anext(stream)
    with pytest.raises(TooMany, match="hold 20 streams"):
        sse.refuse_more(settings, "user:1")
    sse.refuse_more(settings, "user:2")
    assert [block async for block in begun[0]] == [b"two"]
    sse.refuse_more(settings, "user:1")
    for stream in begun[1:]:
        await stream.aclose()
    assert sse.OPEN == {}
