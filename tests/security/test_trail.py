"""Line 27: what people did is written in the change's own transaction, or the change is not."""

from typing import Any

import httpx2
import pytest

from astralytiq.core import audit
from astralytiq.core.security import Role
from tests.conftest import SignIn

from .factories import ALICE, KEYS, USERS, bearer, entered, log_in

pytestmark = pytest.mark.anyio


async def entries(admin: httpx2.AsyncClient, action: str) -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = (await admin.get(f"/api/v1/audit?action={action}")).json()
    return found[::-1]


async def test_27_without_its_entry_no_change_is_stored(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst = await sign_in(Role.analyst)

    async def fail(session: object) -> None:
        raise RuntimeError("the trail cannot be written")

    with monkeypatch.context() as broken:
        broken.setattr(audit, "append", fail)
        made = await analyst.post("/api/v1/tasks", json={"title": "x"})
        assert made.status_code == 500
    assert (await analyst.get("/api/v1/tasks")).json() == []
    assert (await analyst.post("/api/v1/tasks", json={"title": "x"})).status_code == 200


async def test_27_sign_ins_that_succeed_and_that_fail_are_on_record(
    client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    tokens = await entered(client)
    await log_in(client, password="wrong horse")
    await log_in(client, email="nobody@example.com")
    found = await entries(await sign_in(Role.admin), "user.signed_in")
    known = f"user/{tokens['user']['id']}"
    assert [(entry["outcome"], entry["resource"]) for entry in found] == [
        ("ok", known), ("refused", known), ("refused", "user/unknown"),
    ]  # fmt: skip
    assert {entry["address"] for entry in found} == {"203.0.113.9"}
    assert "horse" not in str(found)


async def test_27_what_admins_do_to_accounts_is_on_record(
    client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    admin = await sign_in(Role.admin)
    me = (await admin.get("/api/v1/auth/me")).json()["id"]
    made = (await admin.post(USERS, json=ALICE)).json()["id"]
    url = f"{USERS}/{made}"
    await admin.patch(url, json={"role": "viewer"})
    await admin.patch(url, json={"is_active": False})
    await admin.put(f"{url}/password", json={"new_password": "a better horse"})
    await admin.delete(url)
    found = [e for e in await entries(admin, "user.") if e["resource"] == f"user/{made}"]
    assert [entry["action"] for entry in found] == [
        "user.created", "user.changed", "user.changed", "user.password_changed", "user.erased",
    ]  # fmt: skip
    assert {(entry["actor_id"], entry["outcome"]) for entry in found} == {(me, "ok")}
    assert "alice" not in str(found)
    assert "horse" not in str(found)


async def test_27_keys_and_sessions_that_end_are_on_record(
    client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    tokens = await entered(client)
    body = {"name": "k", "scopes": ["data:read"]}
    made = (await client.post(KEYS, json=body, headers=bearer(tokens))).json()
    await client.delete(f"{KEYS}/{made['id']}", headers=bearer(tokens))
    await client.post("/api/v1/auth/logout", headers=bearer(tokens))
    admin = await sign_in(Role.admin)
    for action in ("key.created", "key.removed", "session.ended"):
        (entry,) = await entries(admin, action)
        assert entry["actor_id"] == tokens["user"]["id"]
        assert made["key"] not in str(entry)
