"""What a caller meets at the accounts doors."""

import asyncio

import httpx2
import pytest

from astralytiq.core.security import Role
from tests.conftest import SignIn

pytestmark = pytest.mark.anyio

ALICE = {"email": "alice@example.com", "username": "alice", "password": "correct horse"}


async def test_register_then_sign_in_in_three_ways(client: httpx2.AsyncClient) -> None:
    registered = await client.post("/api/v1/auth/register", json=ALICE)
    assert registered.status_code == 200
    assert registered.json()["email"] == ALICE["email"]
    assert not any("hash" in name or "password" in name for name in registered.json())

    by_email = {"email": "Alice@Example.com", "password": ALICE["password"]}
    by_name = {"username": "alice", "password": ALICE["password"]}
    answers = [
        await client.post("/api/v1/auth/login", json=by_email),
        await client.post("/api/v1/auth/login", json=by_name),
        await client.post("/api/v1/auth/login", data={**by_name, "grant_type": "password"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    for answer in answers:
        body = answer.json()
        assert (body["token_type"], body["user"]["role"]) == ("bearer", "analyst")
        headers = {"Authorization": f"Bearer {body['access_token']}"}
        me = await client.get("/api/v1/auth/me", headers=headers)
        assert me.json()["name"] == "alice"


async def test_an_account_is_taken_once(client: httpx2.AsyncClient) -> None:
    answers = [await client.post("/api/v1/auth/register", json=ALICE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 400]


async def test_two_at_the_same_moment_get_one_account(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.post("/api/v1/auth/register", json=ALICE) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400]


async def test_unknown_account_and_wrong_password_are_told_alike(
    client: httpx2.AsyncClient,
) -> None:
    await client.post("/api/v1/auth/register", json=ALICE)
    wrong = [{"email": ALICE["email"], "password": "no"}, {"email": "x@y.z", "password": "no"}]
    answers = [await client.post("/api/v1/auth/login", json=body) for body in wrong]
    assert [a.status_code for a in answers] == [401, 401]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]
    assert answers[0].headers["www-authenticate"] == "Bearer"


async def test_text_is_no_sign_in(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/v1/auth/login", content=b"{}")
    assert answer.status_code == 415


@pytest.mark.parametrize("field", ["role", "is_active", "is_superuser", "id"])
async def test_nobody_gives_themselves_a_role(client: httpx2.AsyncClient, field: str) -> None:
    answer = await client.post("/api/v1/auth/register", json={**ALICE, field: "admin"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", field]


async def test_only_admins_see_and_make_accounts(sign_in: SignIn) -> None:
    admin, analyst = await sign_in(Role.admin), await sign_in(Role.analyst)
    body = {**ALICE, "role": "data_scientist"}
    assert (await analyst.get("/api/v1/users")).status_code == 403
    assert (await analyst.post("/api/v1/users", json=body)).status_code == 403
    created = await admin.post("/api/v1/users/", json=body)
    assert (created.status_code, created.json()["role"]) == (201, "data_scientist")
    assert (await admin.post("/api/v1/users/", json=body)).status_code == 409
    listed = await admin.get("/api/v1/users/")
    assert listed.headers["x-total-count"] == "3"
    assert len(listed.json()) == 3


async def test_without_a_token_nobody_is_let_in(client: httpx2.AsyncClient) -> None:
    refused = await client.get("/api/v1/auth/me")
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    forged = await client.get("/api/v1/auth/me", headers={"Authorization": "Bearer a.b.c"})
    assert forged.status_code == 401
