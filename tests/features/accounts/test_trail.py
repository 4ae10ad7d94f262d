"""What the audit trail says of accounts: denials, and the use of keys."""

from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from astralytiq.core.db import utc_now
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.accounts.credentials import cache
from astralytiq.features.accounts.models import ApiKey
from tests.conftest import SignIn
from tests.factories import make_client

pytestmark = pytest.mark.anyio
ME = "/api/v1/users/me"


async def on_record(admin: httpx2.AsyncClient, action: str) -> list[tuple[str, str]]:
    entries = (await admin.get("/api/v1/audit", params={"action": action})).json()
    return [(entry["resource"], entry["outcome"]) for entry in entries]


async def test_27_a_denial_is_on_record_once_a_minute(sign_in: SignIn) -> None:
    viewer, admin = await sign_in(Role.viewer), await sign_in(Role.admin)
    for _ in range(3):
        assert (await viewer.get("/api/v1/users")).status_code == 403
    assert (await viewer.post("/api/v1/users", json={})).status_code == 403
    denials = await on_record(admin, "access.denied")
    assert sorted(denials) == [("GET /api/v1/users", "refused"), ("POST /api/v1/users", "refused")]


async def test_27_a_denial_names_who_tried_and_a_route_not_what_was_asked_for(
    sign_in: SignIn,
) -> None:
    viewer, admin = await sign_in(Role.viewer), await sign_in(Role.admin)
    who = (await viewer.get(ME)).json()["id"]
    await viewer.delete("/api/v1/users/1")
    (entry,) = (await admin.get("/api/v1/audit", params={"action": "access.denied"})).json()
    assert entry["actor_id"] == who
    assert entry["resource"] == "DELETE /api/v1/users/{user_id}"


async def test_27_the_use_of_a_key_is_on_record_and_so_is_a_wrong_one(
    app: FastAPI, resources: Resources, sign_in: SignIn
) -> None:
    viewer, admin = await sign_in(Role.viewer), await sign_in(Role.admin)
    body = {"name": "device", "scopes": ["data:read"]}
    made = (await viewer.post("/api/v1/api-keys", json=body)).json()
    resource = f"key/{made['id']}"
    async with make_client(app, made["key"]) as device:
        await device.get(ME)
        await device.get(ME)
        assert await on_record(admin, "key.used") == [(resource, "ok")]
        cache.forget((await viewer.get(ME)).json()["id"])
        await device.get(ME)  # Verified anew, within the hour.
        assert await on_record(admin, "key.used") == [(resource, "ok")]
        cache.forget((await viewer.get(ME)).json()["id"])
        earlier = utc_now() - timedelta(hours=2)
        async with resources.database.transaction() as session:
            await session.execute(update(ApiKey).values(last_used_at=earlier))
        await device.get(ME)
        assert await on_record(admin, "key.used") == [(resource, "ok")] * 2
    async with make_client(app, made["key"] + "x") as thief:
        assert [(await thief.get(ME)).status_code for _ in range(3)] == [401] * 3
    assert await on_record(admin, "key.used") == [(resource, "refused"), *[(resource, "ok")] * 2]
