"""Whoever guesses passwords is slowed down, by account and by address, and locks nobody out."""

import asyncio
import time
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.core import security
from astralytiq.core.security import Role
from astralytiq.features.accounts import throttle
from tests.conftest import SignIn
from tests.factories import make_client

pytestmark = pytest.mark.anyio

ALICE = {"email": "alice@example.com", "username": "alice", "password": "correct horse"}
LOGIN = "/api/v1/auth/login"
HOME, ELSEWHERE = "203.0.113.9", "198.51.100.7"


@pytest.fixture(autouse=True)
async def alice(client: httpx2.AsyncClient) -> None:
    await client.post("/api/v1/auth/register", json=ALICE)


async def tried(
    app: FastAPI, password: str, address: str = HOME, account: str = "alice"
) -> httpx2.Response:
    async with make_client(app, address=address) as client:
        return await client.post(LOGIN, json={"username": account, "password": password})


async def status(app: FastAPI, *arguments: str) -> int:
    return (await tried(app, *arguments)).status_code


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


async def test_06_after_five_failures_an_address_waits_and_the_answer_says_how_long(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [await status(app, "wrong") for _ in range(6)] == [401] * 5 + [429]
    refusal = await tried(app, ALICE["password"])
    assert refusal.status_code == 429
    assert 0 < int(refusal.headers["Retry-After"]) <= 60
    assert "wait" in refusal.json()["detail"]
    later(monkeypatch, 61)
    assert await status(app, ALICE["password"]) == 200


async def test_06_the_delay_grows_with_the_failures(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []
    for _ in range(2):
        while (answer := await tried(app, "wrong")).status_code == 401:
            pass
        waits.append(int(answer.headers["Retry-After"]))
        later(monkeypatch, 61)
    assert waits[0] <= 60 < waits[1] <= 600


async def test_06_an_account_that_does_not_exist_is_throttled_alike(app: FastAPI) -> None:
    answers = [await tried(app, "wrong", HOME, "nobody") for _ in range(6)]
    known = [await tried(app, "wrong", ELSEWHERE) for _ in range(6)]
    assert [a.status_code for a in answers] == [k.status_code for k in known]
    assert answers[-1].json()["title"] == known[-1].json()["title"]


async def test_06_successful_sign_ins_never_count(app: FastAPI) -> None:
    assert [await status(app, ALICE["password"]) for _ in range(8)] == [200] * 8
    assert await status(app, "wrong") == 401


async def test_06_email_and_username_are_one_account(app: FastAPI) -> None:
    for account in ("alice", "alice@example.com", "ALICE", "Alice@Example.com", "alice"):
        assert await status(app, "wrong", HOME, account) == 401
    assert await status(app, "wrong", HOME, "alice@example.com") == 429


async def test_06_one_address_does_not_try_every_account(app: FastAPI) -> None:
    tries = [await status(app, "wrong", ELSEWHERE, f"user{n}") for n in range(31)]
    assert tries == [401] * 30 + [429]
    assert await status(app, "wrong", HOME) == 401


async def test_06_whoever_guesses_from_many_places_does_not_lock_the_owner_out(
    app: FastAPI,
) -> None:
    assert await status(app, ALICE["password"], HOME) == 200
    for number in range(30):
        assert await status(app, "wrong", f"192.0.2.{number}") == 401
    assert await status(app, ALICE["password"], ELSEWHERE) == 429
    assert await status(app, ALICE["password"], HOME) == 200


async def test_06_a_link_from_the_mail_opens_the_way_from_a_new_place(
    app: FastAPI, sign_in: SignIn
) -> None:
    for number in range(30):
        assert await status(app, "wrong", f"192.0.2.{number}") == 401
    admin = await sign_in(Role.admin)
    users = (await admin.get("/api/v1/users")).json()
    (alice,) = [user["id"] for user in users if user["username"] == "alice"]
    link = (await admin.post(f"/api/v1/users/{alice}/link")).json()["link"]
    async with make_client(app, address=ELSEWHERE) as owner:
        body = {"token": link.partition("token=")[2], "new_password": "another horse"}
        assert (await owner.post("/api/v1/auth/password/reset", json=body)).status_code == 204
    assert await status(app, "another horse", ELSEWHERE) == 200
    assert await status(app, "another horse", "192.0.2.77") == 429


async def test_06_many_at_once_get_no_further(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0
    compare = security._compare

    def counted(*arguments: Any) -> bool:
        nonlocal compared
        compared += 1
        return compare(*arguments)

    monkeypatch.setattr(security, "_compare", counted)
    statuses = await asyncio.gather(*(status(app, "wrong") for _ in range(25)))
    assert compared == statuses.count(401) < 5 + security.HASHES_AT_ONCE
    assert set(statuses) == {401, 429}


async def test_06_whoever_stole_a_session_does_not_guess_the_password_in_it(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    signed = (await tried(app, ALICE["password"])).json()
    headers = {"Authorization": f"Bearer {signed['access_token']}"}
    body = {"old_password": "a guess", "new_password": "something long"}
    answers = [
        (await client.post("/api/v1/users/me/password", json=body, headers=headers)).status_code
        for _ in range(6)
    ]
    assert answers == [403] * 5 + [429]


def test_06_an_ipv6_site_is_one_address() -> None:
    assert throttle.address_key("2001:db8:1:2::1") == throttle.address_key("2001:db8:1:2:ffff::2")
    assert throttle.address_key("2001:db8:1:3::1") != throttle.address_key("2001:db8:1:2::1")
    assert throttle.address_key(None) == "unknown"
