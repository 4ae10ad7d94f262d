"""Line 17: API keys."""

import hmac
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from astralytiq.core.db import utc_now
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.accounts import credentials
from astralytiq.features.accounts.models import ApiKey
from tests.conftest import SignIn
from tests.factories import make_client

from .factories import AUTH, KEYS, LOGIN, PAGE, register

pytestmark = pytest.mark.anyio

BODY = {"name": "gateway", "scopes": ["data:read"]}


async def make_key(owner: httpx2.AsyncClient, **changes: Any) -> dict[str, Any]:
    made = await owner.post(KEYS, json={**BODY, **changes})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


async def status_with(app: FastAPI, key: str) -> int:
    async with make_client(app) as device:
        return (await device.get("/data", headers={"X-API-Key": key})).status_code


async def test_17_the_table_holds_a_prefix_to_look_up_and_the_sha256_of_the_rest(
    sign_in: SignIn, resources: Resources
) -> None:
    made = await make_key(await sign_in(Role.analyst))
    scheme, prefix, secret = made["key"].split("_", 2)
    async with resources.database.reading() as session:
        (row,) = (await session.execute(select(ApiKey.__table__))).mappings()
    assert (scheme, row["prefix"]) == ("ak", prefix)
    assert row["secret_hash"] == sha256(secret.encode()).hexdigest()
    assert secret not in str(dict(row))
    assert ApiKey.__table__.c.prefix.unique


@pytest.mark.parametrize(
    "wrong",
    [
        lambda key: key[:-1] + ("a" if key[-1] != "a" else "b"),
        lambda key: key.replace("ak_", "ak_0", 1),
        lambda key: key.rpartition("_")[0],
        lambda key: f"ak_{'0' * 12}_x",
        lambda key: "ak_",
        lambda key: "ak_ü_é",
    ],
    ids=["secret", "prefix", "no-secret", "unknown", "empty", "not-ascii"],
)
async def test_17_a_wrong_key_is_refused(
    app: FastAPI, sign_in: SignIn, wrong: Callable[[str], str]
) -> None:
    made = await make_key(await sign_in(Role.analyst))
    async with make_client(app) as device:
        headers = {b"X-API-Key": wrong(made["key"]).encode()}
        refused = await device.get("/data", headers=headers)
    assert refused.status_code == 401


async def test_17_a_key_ends_with_its_time(
    app: FastAPI, sign_in: SignIn, resources: Resources
) -> None:
    owner = await sign_in(Role.analyst)
    past = {**BODY, "expires_at": "2020-01-01T00:00:00Z"}
    assert (await owner.post(KEYS, json=past)).status_code == 422
    soon = utc_now() + timedelta(hours=1)
    made = await make_key(owner, expires_at=soon.isoformat())
    assert await status_with(app, made["key"]) == 200
    # It is not taken beyond its time from what was verified before either.
    kept = credentials.cache.get(made["key"])
    assert kept
    assert kept.expires <= soon.timestamp()
    async with resources.database.transaction() as session:
        await session.execute(update(ApiKey).values(expires_at=utc_now() - timedelta(seconds=1)))
    credentials.cache.forget(kept.actor.account_id)
    assert await status_with(app, made["key"]) == 401


async def test_17_known_and_unknown_keys_are_compared_in_constant_time(
    app: FastAPI, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make_key(await sign_in(Role.analyst))
    compared: list[int] = []
    compare = hmac.compare_digest

    def note(one: Any, other: Any) -> bool:
        compared.append(len(other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", note)
    for key, status in ((made["key"], 200), (made["key"] + "x", 401), ("ak_unknown_x", 401)):
        compared.clear()
        assert await status_with(app, key) == status
        assert compared == [64]


async def test_17_the_last_use_is_noted(app: FastAPI, sign_in: SignIn) -> None:
    owner = await sign_in(Role.analyst)
    before = utc_now()
    made = await make_key(owner)
    (listed,) = (await owner.get(KEYS)).json()
    assert listed["last_used_at"] is None
    await status_with(app, made["key"])
    (listed,) = (await owner.get(KEYS)).json()
    assert listed["last_used_at"] >= before.strftime("%Y-%m-%dT%H:%M:%S")


async def test_13_a_key_beside_a_cookie_is_who_asks_and_needs_no_csrf_token(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    made = await make_key(await sign_in(Role.data_scientist), scopes=["data:read", "tasks:write"])
    await register(client)
    page = await client.post(f"{AUTH}/login", json=LOGIN, headers=PAGE)
    assert "set-cookie" in page.headers
    headers = {"X-API-Key": made["key"], "Origin": "https://evil.example"}
    task = await client.post("/api/v1/tasks", json={"title": "x"}, headers=headers)
    assert task.status_code == 200
    assert task.json()["owner_id"] != page.json()["user"]["id"]
    wrong = {"X-API-Key": made["key"] + "x"}
    assert (await client.get("/data", headers=wrong)).status_code == 401
