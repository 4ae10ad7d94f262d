"""Secrets that we keep: sealed at rest, sent where their owner says, shown to nobody."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import inspect, select, text

from astralytiq.core import secrets
from astralytiq.core.db import Database
from astralytiq.core.errors import Invalid
from astralytiq.core.resources import Resources
from astralytiq.core.secrets import Secret
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion.cli import secret as group
from tests.conftest import SignIn
from tests.features.ingestion.conftest import Ingest
from tests.features.ingestion.servers import Asked, Reply, serving
from tests.features.ingestion.test_quality_commands import Command, command

__all__ = ["command"]

pytestmark = pytest.mark.anyio

DOOR = "/api/v1/secrets"
VALUE = "v4lue-of-the-shop"
REFERENCE = "secret:shop-key"  # pragma: allowlist secret
AUTH = {"type": "header", "name": "X-Shop-Key", "secret": REFERENCE}


async def keep(client: httpx2.AsyncClient, value: str = VALUE) -> httpx2.Response:
    return await client.put(f"{DOOR}/shop-key", json={"value": value})


def api(url: str = "https://api.example.org", **fields: Any) -> dict[str, Any]:
    return {"name": "shop", "kind": "api", "url": url, "auth": AUTH, **fields}


def posts(asked: Asked) -> Reply:
    return Reply([{"id": 1}])


async def test_a_run_sends_the_secret_that_its_source_refers_to(
    scientist: httpx2.AsyncClient, ingest: Ingest
) -> None:
    assert (await keep(scientist)).status_code == 200
    with serving(posts) as server:
        body = api(server.url)
        previewed = await scientist.post("/api/v1/sources/preview", json=body)
        run = await ingest(**body)
        await keep(scientist, "another")
        await ingest("shop")
    assert (previewed.status_code, run["status"]) == (200, "success")
    sent = [asked.headers["x-shop-key"] for asked in server.asked]
    assert sent == [VALUE, VALUE, "another"]


@pytest.mark.parametrize("kind", ["rss", "csv"])
async def test_every_kind_of_source_may_refer_to_one(
    scientist: httpx2.AsyncClient, ingest: Ingest, kind: str
) -> None:
    await keep(scientist)
    feed = b'{"version": "https://jsonfeed.org/version/1.1", "title": "t", "items": [{"id": "1"}]}'
    with serving(lambda asked: Reply(feed if kind == "rss" else b"id\n1\n")) as server:
        run = await ingest("shop", kind=kind, url=server.url, auth=AUTH)
    assert (run["status"], server.asked[0].headers["x-shop-key"]) == ("success", VALUE)


async def test_26_its_value_stands_in_no_table_and_in_no_answer(
    scientist: httpx2.AsyncClient,
    ingest: Ingest,
    database: Database,
    resources: Resources,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = await keep(scientist)
    with serving(lambda asked: Reply(status=403)) as server:
        run = await ingest(**api(server.url))
    assert run["status"] == "failed"
    answers = [kept.text, (await scientist.get(DOOR)).text, json.dumps(run), caplog.text]
    answers.append((await scientist.get("/api/v1/sources/shop")).text)
    events = f"/api/v1/etl/runs/{run['run_id']}/events"
    answers.append((await scientist.get(events, headers={"Accept": "application/json"})).text)
    async with database.reader.connect() as connection:
        names = await connection.run_sync(lambda c: inspect(c).get_table_names())
        for name in names:
            rows = (await connection.execute(text(f'SELECT * FROM "{name}"'))).all()
            answers.append(repr(rows))
    assert [answer for answer in answers if VALUE in answer] == []
    assert "shop-key" in "".join(answers)


async def test_a_reference_to_nothing_is_refused_at_every_door(
    scientist: httpx2.AsyncClient, sign_in: SignIn, database: Database, ingest: Ingest
) -> None:
    words = "There is no secret 'shop-key': keep it first"
    for method, path, body in (
        ("POST", "", api()),
        ("POST", "/preview", api()),
        ("PUT", "?dry_run=true", {"sources": [api()]}),
    ):
        refused = await scientist.request(method, f"/api/v1/sources{path}", json=body)
        assert (refused.status_code, words in refused.json()["detail"]) == (422, True), path
    await keep(scientist)
    with serving(posts) as server:
        await scientist.post("/api/v1/sources", json=api(server.url))

        async def lose(session: Any) -> None:
            await session.delete(await secrets.find(session, "shop-key"))

        await database.write(lose)
        run = await ingest("shop")
    assert (run["status"], words in run["error"], server.asked) == ("failed", True, [])


async def test_nobody_sends_the_secret_of_another_to_a_server_of_their_choice(
    scientist: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    admin = await sign_in(Role.admin)
    await keep(admin)
    for method, path, body in (
        ("POST", "", api()),
        ("POST", "/preview", api()),
        ("PUT", "", {"sources": [api()]}),
    ):
        refused = await scientist.request(method, f"/api/v1/sources{path}", json=body)
        assert (refused.status_code, "somebody else's" in refused.text) in (
            (403, True),
            (422, True),  # of a list of sources all that is wrong is told
        ), path
    assert (await keep(scientist)).status_code == 403
    assert (await scientist.delete(f"{DOOR}/shop-key")).status_code == 403


async def test_what_an_admin_has_set_up_stays_where_it_goes(
    scientist: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    admin = await sign_in(Role.admin)
    await keep(admin)
    await scientist.post("/api/v1/sources", json=api(auth=None))
    await admin.patch("/api/v1/sources/shop", json={"auth": AUTH})
    allowed = await scientist.patch("/api/v1/sources/shop", json={"enabled": False})
    assert allowed.status_code == 200
    for change in (
        {"url": "https://elsewhere.example.org"},
        {"params": {"delete": "all"}},
        {"method": "POST", "body": {"delete": "all"}},
    ):
        refused = await scientist.patch("/api/v1/sources/shop", json=change)
        previewed = await scientist.post("/api/v1/sources/preview", json=api(**change))
        assert (refused.status_code, previewed.status_code) == (403, 403), change
    stranger = await sign_in(Role.data_scientist)
    assert (await stranger.post("/api/v1/sources/preview", json=api())).status_code == 403


async def test_one_that_is_used_stays_and_is_listed_with_its_users(
    scientist: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    await keep(scientist)
    await scientist.post("/api/v1/sources", json=api())
    (listed,) = (await scientist.get(DOOR)).json()
    assert (listed["name"], listed["sources"]) == ("shop-key", ["shop"])
    assert listed.keys().isdisjoint({"value", "sealed", "key_id"})
    refused = await scientist.delete(f"{DOOR}/shop-key")
    assert (refused.status_code, "used by shop" in refused.json()["detail"]) == (409, True)
    await scientist.delete("/api/v1/sources/shop")
    assert (await scientist.delete(f"{DOOR}/shop-key")).status_code == 204
    assert (await scientist.get(DOOR)).json() == []
    assert (await scientist.delete(f"{DOOR}/shop-key")).status_code == 404


@pytest.mark.parametrize("role", [Role.viewer, Role.analyst])
async def test_who_makes_no_sources_sees_no_secrets(sign_in: SignIn, role: Role) -> None:
    member = await sign_in(role)
    answers = [await member.get(DOOR), await keep(member), await member.delete(f"{DOOR}/x")]
    assert {answer.status_code for answer in answers} == {403}


@pytest.mark.parametrize("value", ["", "x" * 8001, None, 5])
async def test_a_value_that_cannot_be_kept_is_not_told_back(
    scientist: httpx2.AsyncClient, value: Any
) -> None:
    refused = await scientist.put(f"{DOOR}/shop-key", json={"value": value})
    assert (refused.status_code, "xxxx" in refused.text) == (422, False)


# Keys --------------------------------------------------------------------------------------------


async def test_08_a_new_signing_key_opens_what_the_last_one_sealed(
    scientist: httpx2.AsyncClient, database: Database, settings: Settings
) -> None:
    await keep(scientist)
    keys = ("the key of tomorrow, long enough to sign with", settings.signing_key)
    async with database.reading() as session:
        assert await secrets.reveal(session, keys, "shop-key") == VALUE
        with pytest.raises(Invalid, match="PREVIOUS_SECRET_KEYS"):
            await secrets.reveal(session, keys[:1], "shop-key")
    assert await database.write(lambda session: secrets.renew(session, keys)) == 1
    assert await database.write(lambda session: secrets.renew(session, keys)) == 0
    async with database.reading() as session:
        assert await secrets.reveal(session, keys[:1], "shop-key") == VALUE


async def test_what_was_sealed_for_one_name_opens_under_no_other(
    scientist: httpx2.AsyncClient, database: Database, settings: Settings
) -> None:
    await keep(scientist)
    await scientist.put(f"{DOOR}/other", json={"value": "harmless"})

    async def swap(session: Any) -> None:
        found = {one.name: one for one in await session.scalars(select(Secret))}
        found["other"].sealed = found["shop-key"].sealed

    await database.write(swap)
    async with database.reading() as session:
        with pytest.raises(Invalid, match="cannot be opened"):
            await secrets.reveal(session, settings.signing_keys, "other")


async def test_the_commands_take_a_value_from_the_input_alone(
    command: Command, app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = await command(group, "set", "shop-key")
    assert (empty.exit_code, "is empty" in empty.stderr) == (2, True)
    kept = await command(group, "set", "shop-key", "--json", typed=f"{VALUE}\n")
    assert (json.loads(kept.stdout)["name"], VALUE in kept.stdout) == ("shop-key", False)
    listed = json.loads((await command(group, "list", "--json")).stdout)
    assert [one["name"] for one in listed] == ["shop-key"]
    gone = await command(group, "remove", "shop-key")
    assert gone.stdout == "removed shop-key\n"
