"""What a caller meets at the accounts doors."""

import asyncio

import httpx2
import pytest

from astralytiq.core.security import Role
from tests.conftest import SignIn

pytestmark = pytest.mark.anyio

ALICE = {"email": "alice@example.com", "username": "alice", "password": "correct horse"}


def as_parts(fields: dict[str, str]) -> dict[str, tuple[None, str]]:
    """As a browser's FormData is sent."""
    return {name: (None, value) for name, value in fields.items()}


async def test_register_then_sign_in_in_four_ways(client: httpx2.AsyncClient) -> None:
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
        await client.post("/api/v1/auth/login", files=as_parts(by_name)),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200]
    for answer in answers:
        body = answer.json()
        assert (body["token_type"], body["user"]["role"]) == ("bearer", "analyst")
        headers = {"Authorization": f"Bearer {body['access_token']}"}
        me = await client.get("/api/v1/auth/me", headers=headers)
        assert me.json()["name"] == "alice"


async def test_14_a_form_brings_a_name_and_a_password_and_little_else(
    client: httpx2.AsyncClient,
) -> None:
    login = "/api/v1/auth/login"
    for form in (
        {"username": ("a.txt", "alice"), "password": (None, "correct horse")},
        {"username": (None, "x" * 10_000), "password": (None, "correct horse")},
        as_parts({f"field{number}": "x" for number in range(30)}),
    ):
        refused = await client.post(login, files=form)
        assert (refused.status_code, refused.json()["title"]) == (422, "Invalid input")
    nobody = await client.post(login, json={"password": "correct horse"})
    assert nobody.json()["errors"][0]["loc"] == ["body"]
    wrong = await client.post(login, json={"email": 7, "password": "correct horse"})
    assert wrong.json()["errors"][0]["loc"] == ["body", "email"]


async def test_an_account_is_taken_once(client: httpx2.AsyncClient) -> None:
    answers = [await client.post("/api/v1/auth/register", json=ALICE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 400]


async def test_two_at_the_same_moment_get_one_account(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.post("/api/v1/auth/register", json=ALICE) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400]


async def test_only_admins_see_and_make_accounts(sign_in: SignIn) -> None:
    admin, analyst = await sign_in(Role.admin), await sign_in(Role.analyst)
    body = {**ALICE, "role": "data_scientist"}
    assert (await analyst.get("/api/v1/users")).status_code == 403
    assert (await analyst.post("/api/v1/users", json=body)).status_code == 403
    created = await admin.post("/api/v1/users/", json=body)
    assert (created.status_code, created.json()["role"]) == (201, "data_scientist")
    found = await admin.get(created.headers["location"])
    assert (found.json(), found.headers["etag"]) == (created.json(), created.headers["etag"])
    assert (await admin.post("/api/v1/users/", json=body)).status_code == 409
    listed = await admin.get("/api/v1/users/")
    assert listed.headers["x-total-count"] == "3"
    assert len(listed.json()) == 3


async def test_an_admin_reads_an_account(sign_in: SignIn) -> None:
    admin = await sign_in(Role.admin)
    mine = (await admin.get("/api/v1/users/me")).json()
    read = await admin.get(f"/api/v1/users/{mine['id']}")
    assert (read.status_code, read.json()) == (200, mine)


async def test_a_secret_is_not_kept_for_an_idempotency_key(sign_in: SignIn) -> None:
    analyst, once = await sign_in(Role.analyst), {"Idempotency-Key": "once"}
    body = {"name": "phone", "scopes": ["data:read"]}
    answers = [await analyst.post("/api/v1/api-keys", json=body, headers=once) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["key"] != answers[1].json()["key"]


async def test_without_a_token_nobody_is_let_in(client: httpx2.AsyncClient) -> None:
    refused = await client.get("/api/v1/auth/me")
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    forged = await client.get("/api/v1/auth/me", headers={"Authorization": "Bearer a.b.c"})
    assert forged.status_code == 401
