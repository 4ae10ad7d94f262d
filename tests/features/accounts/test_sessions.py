"""Sessions: rotation, reuse, the grace, and everything that must be dead at once."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from astralytiq.core import broadcast
from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import utc_now
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.accounts.credentials import cache
from astralytiq.features.accounts.models import RefreshToken, UserSession
from tests.conftest import SignIn
from tests.factories import make_client
from tests.patience import until

pytestmark = pytest.mark.anyio

ALICE = {"email": "alice@example.com", "username": "alice", "password": "correct horse"}
LOGIN = {"email": ALICE["email"], "password": ALICE["password"]}
ME = "/api/v1/auth/me"


@pytest.fixture
async def tokens(client: httpx2.AsyncClient) -> dict[str, Any]:
    await client.post("/api/v1/auth/register", json=ALICE)
    return await signed_in(client)


async def signed_in(client: httpx2.AsyncClient) -> dict[str, Any]:
    answer = await client.post("/api/v1/auth/login", json=LOGIN)
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def refresh(client: httpx2.AsyncClient, tokens: dict[str, Any]) -> httpx2.Response:
    body = {"refresh_token": tokens["refresh_token"]}
    return await client.post("/api/v1/auth/refresh", json=body)


async def age_refresh_tokens(resources: Resources, seconds: float) -> None:
    earlier = utc_now() - timedelta(seconds=seconds)
    async with resources.database.transaction() as session:
        used = RefreshToken.used_at.is_not(None)
        await session.execute(update(RefreshToken).where(used).values(used_at=earlier))


async def test_09_each_refresh_gives_a_new_token_and_the_session_goes_on(
    client: httpx2.AsyncClient, tokens: dict[str, Any]
) -> None:
    seen = {tokens["refresh_token"]}
    for _ in range(4):
        answer = await refresh(client, tokens)
        assert answer.status_code == 200
        tokens = answer.json()
        assert tokens["refresh_token"] not in seen
        seen.add(tokens["refresh_token"])
        assert (await client.get(ME, headers=bearer(tokens))).json()["username"] == "alice"


async def test_09_two_refreshes_at_once_get_the_same_child_and_a_lost_answer_is_given_again(
    client: httpx2.AsyncClient, tokens: dict[str, Any]
) -> None:
    both = await asyncio.gather(*(refresh(client, tokens) for _ in range(4)))
    assert {answer.status_code for answer in both} == {200}
    assert len({answer.json()["refresh_token"] for answer in both}) == 1
    again = await refresh(client, tokens)
    assert again.json()["refresh_token"] == both[0].json()["refresh_token"]
    assert (await refresh(client, again.json())).status_code == 200


async def test_09_reuse_after_the_grace_ends_the_whole_family_and_is_on_record(
    client: httpx2.AsyncClient, tokens: dict[str, Any], resources: Resources, sign_in: SignIn
) -> None:
    child = (await refresh(client, tokens)).json()
    await age_refresh_tokens(resources, 11)
    reused = await refresh(client, tokens)
    assert reused.status_code == 401
    assert (await refresh(client, child)).status_code == 401
    for one in (tokens, child):
        assert (await client.get(ME, headers=bearer(one))).status_code == 401
    async with resources.database.reading() as session:
        assert (await session.scalars(select(UserSession.ended_at))).one() is not None
        query = select(AuditEntry.outcome).where(AuditEntry.action == "session.token_reused")
        assert (await session.scalars(query)).all() == ["refused"]


async def test_07_no_token_stands_in_for_another_kind(
    client: httpx2.AsyncClient, tokens: dict[str, Any]
) -> None:
    as_access = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    assert (await client.get(ME, headers=as_access)).status_code == 401
    as_refresh = {"refresh_token": tokens["access_token"]}
    refused = await client.post("/api/v1/auth/refresh", json=as_refresh)
    assert refused.status_code == 401
    assert (await client.post("/api/v1/auth/refresh", json={})).status_code == 401


async def test_09_the_database_holds_no_token(tokens: dict[str, Any], resources: Resources) -> None:
    async with resources.database.reading() as session:
        stored = (await session.scalars(select(RefreshToken.token_hash))).all()
    assert tokens["refresh_token"] not in stored
    assert all(len(one) == 64 for one in stored)


async def test_10_after_logout_everything_of_the_session_is_dead_at_once(
    client: httpx2.AsyncClient, tokens: dict[str, Any]
) -> None:
    other = await signed_in(client)
    assert (await client.get(ME, headers=bearer(tokens))).status_code == 200  # now it is cached
    done = await client.post("/api/v1/auth/logout", headers=bearer(tokens))
    assert done.status_code == 200
    assert (await client.get(ME, headers=bearer(tokens))).status_code == 401
    assert (await refresh(client, tokens)).status_code == 401
    assert (await client.get(ME, headers=bearer(other))).status_code == 200


@pytest.mark.parametrize(
    ("method", "body"),
    [("PATCH", {"is_active": False}), ("PATCH", {"role": "viewer"}), ("DELETE", None)],
)
async def test_10_a_closed_changed_or_erased_account_is_dead_at_once(
    client: httpx2.AsyncClient,
    tokens: dict[str, Any],
    sign_in: SignIn,
    method: str,
    body: dict[str, Any] | None,
) -> None:
    key = await client.post(
        "/api/v1/api-keys",
        json={"name": "k", "scopes": ["datasets:write"]},
        headers=bearer(tokens),
    )
    with_key = {"X-API-Key": key.json()["key"]}
    assert (await client.get("/api/v1/jobs", headers=with_key)).status_code == 403
    assert (await client.get(ME, headers=bearer(tokens))).status_code == 200
    admin = await sign_in(Role.admin)
    url = f"/api/v1/users/{tokens['user']['id']}"
    assert (await admin.request(method, url, json=body)).is_success
    assert (await client.get(ME, headers=bearer(tokens))).status_code == 401
    assert (await refresh(client, tokens)).status_code == 401
    expected = 403 if body == {"role": "viewer"} else 401
    assert (await client.get("/api/v1/jobs", headers=with_key)).status_code == expected
    upload = await client.post("/api/v1/datasets/upload", headers=with_key)
    assert upload.status_code == expected


async def test_10_another_process_hears_of_a_revocation(
    app: FastAPI, client: httpx2.AsyncClient, tokens: dict[str, Any], resources: Resources
) -> None:
    """The change is made past this process's own cache, as a command on the same home does."""
    assert (await client.get(ME, headers=bearer(tokens))).status_code == 200
    async with resources.database.transaction() as session:
        await session.execute(update(UserSession).values(ended_at=utc_now()))
        user_id = tokens["user"]["id"]
        broadcast.publish(session, f"credentials/{user_id}", {"user_id": user_id})

    async def refused() -> bool:
        return (await client.get(ME, headers=bearer(tokens))).status_code == 401

    await until(refused)


async def test_10_a_revocation_during_a_verification_is_not_overtaken(
    app: FastAPI, tokens: dict[str, Any]
) -> None:
    token = tokens["access_token"]
    async with make_client(app, token) as client:

        async def kept() -> bool:  # The registration's own revocation may be heard of meanwhile.
            await client.get(ME)
            return cache.get(token) is not None

        await until(kept)
    found, mark = cache.get(token), cache.mark
    assert found is not None
    cache.forget(12345)
    cache.put("slow", found, mark)
    assert cache.get("slow") is None


async def test_11_one_lists_and_ends_ones_own_sessions(
    client: httpx2.AsyncClient, tokens: dict[str, Any], sign_in: SignIn
) -> None:
    other = await signed_in(client)
    mine = (await client.get("/api/v1/auth/sessions", headers=bearer(tokens))).json()
    assert [one["current"] for one in mine] == [False, True]
    assert mine[0]["address"] == "203.0.113.9"
    stranger = await sign_in(Role.admin)
    url = f"/api/v1/auth/sessions/{mine[0]['id']}"
    assert (await stranger.delete(url)).status_code == 404
    assert (await client.delete(url, headers=bearer(tokens))).status_code == 204
    assert (await client.get(ME, headers=bearer(other))).status_code == 401
    assert (await client.get(ME, headers=bearer(tokens))).status_code == 200


async def test_05_a_new_password_needs_the_old_one_and_ends_all_other_sessions(
    client: httpx2.AsyncClient, tokens: dict[str, Any]
) -> None:
    other = await signed_in(client)
    url = "/api/v1/users/me/password"
    wrong = {"old_password": "no", "new_password": "a better horse"}
    assert (await client.post(url, json=wrong, headers=bearer(tokens))).status_code == 403
    right = {**wrong, "old_password": ALICE["password"]}
    assert (await client.post(url, json=right, headers=bearer(tokens))).status_code == 204
    assert (await client.get(ME, headers=bearer(tokens))).status_code == 200
    assert (await client.get(ME, headers=bearer(other))).status_code == 401
    assert (await refresh(client, other)).status_code == 401
    old = await client.post("/api/v1/auth/login", json=LOGIN)
    new = await client.post("/api/v1/auth/login", json={**LOGIN, "password": "a better horse"})
    assert (old.status_code, new.status_code) == (401, 200)


@pytest.mark.parametrize(("idle", "old"), [(400, 0), (0, 91)])
async def test_11_idle_and_old_sessions_end_by_themselves(
    client: httpx2.AsyncClient,
    tokens: dict[str, Any],
    resources: Resources,
    idle: int,
    old: int,
) -> None:
    values = {
        "last_seen_at": utc_now() - timedelta(hours=idle),
        "created_at": utc_now() - timedelta(days=old),
    }
    async with resources.database.transaction() as session:
        await session.execute(update(UserSession).values(**values))
    assert (await refresh(client, tokens)).status_code == 401


async def test_the_last_admin_cannot_be_removed_or_lowered(sign_in: SignIn) -> None:
    admin = await sign_in(Role.admin)
    me = (await admin.get(ME)).json()
    url = f"/api/v1/users/{me['id']}"
    assert (await admin.patch(url, json={"role": "analyst"})).status_code == 409
    assert (await admin.patch(url, json={"is_active": False})).status_code == 409
    assert (await admin.delete(url)).status_code == 409
    second = await sign_in(Role.admin)
    assert (await second.delete(url)).status_code == 204
    assert (await admin.get(ME)).status_code == 401


async def test_an_erased_account_leaves_nothing_that_names_it(
    client: httpx2.AsyncClient, tokens: dict[str, Any], sign_in: SignIn
) -> None:
    admin = await sign_in(Role.admin)
    url = f"/api/v1/users/{tokens['user']['id']}"
    assert (await admin.delete(url)).status_code == 204
    listed = (await admin.get("/api/v1/users")).text
    assert "alice" not in listed
    again = await client.post("/api/v1/auth/register", json=ALICE)
    assert again.status_code == 200  # The names are free again.


async def test_status_tells_anybody_whether_they_are_signed_in(
    app: FastAPI, client: httpx2.AsyncClient, tokens: dict[str, Any]
) -> None:
    url = "/api/v1/auth/status"
    assert (await client.get(url)).json() == {"authenticated": False, "user": None}
    known = (await client.get(url, headers=bearer(tokens))).json()
    assert (known["authenticated"], known["user"]["username"]) == (True, "alice")
    async with make_client(app, "stale") as stale:
        assert (await stale.get(url)).json()["authenticated"] is False
