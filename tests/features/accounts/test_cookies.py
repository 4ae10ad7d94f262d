"""Cookies and keys: the other two ways in, and how neither is turned against its owner."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.core.security import Role
from tests.conftest import SignIn
from tests.factories import make_client

pytestmark = pytest.mark.anyio

ALICE = {"email": "alice@example.com", "username": "alice", "password": "correct horse"}
LOGIN = {"email": ALICE["email"], "password": ALICE["password"]}
PAGE = {"Origin": "http://astralytiq.test", "Sec-Fetch-Site": "same-origin"}
ELSEWHERE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
ME = "/api/v1/auth/me"
CHANGE = "/api/v1/users/me"


@pytest.fixture
async def browser(app: FastAPI, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Signed in on our own page: it holds cookies and no header."""
    await client.post("/api/v1/auth/register", json=ALICE)
    answer = await client.post("/api/v1/auth/login", json=LOGIN, headers=PAGE)
    assert answer.status_code == 200
    return client


async def csrf_of(browser: httpx2.AsyncClient) -> dict[str, str]:
    answer = await browser.get("/api/v1/auth/csrf-token")
    return {**PAGE, "X-CSRF-Token": answer.json()["csrf_token"]}


async def test_12_only_browsers_get_cookies_and_scripts_cannot_read_them(
    client: httpx2.AsyncClient,
) -> None:
    await client.post("/api/v1/auth/register", json=ALICE)
    program = await client.post("/api/v1/auth/login", json=LOGIN)
    assert "set-cookie" not in program.headers
    page = await client.post("/api/v1/auth/login", json=LOGIN, headers=PAGE)
    given = page.headers.get_list("set-cookie")
    assert {one.split("=")[0] for one in given} == {"auth_token", "refresh_token"}
    assert all("HttpOnly" in one and "SameSite=lax" in one for one in given)


async def test_12_over_https_cookies_are_bound_to_our_host(app: FastAPI) -> None:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://a.test") as client:
        await client.post("/api/v1/auth/register", json=ALICE)
        page = await client.post(
            "/api/v1/auth/login", json=LOGIN, headers={"Origin": "https://a.test"}
        )
        given = page.headers.get_list("set-cookie")
        assert all(one.startswith("__Host-") and "Secure" in one for one in given)
        assert "Path=/;" in given[0]
        assert "strict-transport-security" in page.headers
        assert (await client.get(ME)).status_code == 200


async def test_13_a_cookie_reads_and_with_the_token_of_its_session_changes(
    browser: httpx2.AsyncClient,
) -> None:
    assert (await browser.get(ME)).json()["username"] == "alice"
    body = {"department": "research"}
    bare = await browser.patch(CHANGE, json=body, headers=PAGE)
    assert (bare.status_code, "X-CSRF-Token" in bare.json()["detail"]) == (403, True)
    proven = await csrf_of(browser)
    assert (await browser.patch(CHANGE, json=body, headers=proven)).status_code == 200
    foreign = {**ELSEWHERE, "X-CSRF-Token": proven["X-CSRF-Token"]}
    assert (await browser.patch(CHANGE, json=body, headers=foreign)).status_code == 403


async def test_13_the_token_of_another_session_is_worth_nothing(
    app: FastAPI, browser: httpx2.AsyncClient
) -> None:
    async with make_client(app) as other:
        await other.post("/api/v1/auth/login", json=LOGIN, headers=PAGE)
        theirs = await csrf_of(other)
    for token in (theirs["X-CSRF-Token"].encode(), b"", b"a.b", b"\xe9"):
        page = {name.encode(): value.encode() for name, value in PAGE.items()}
        headers = {**page, b"X-CSRF-Token": token}
        refused = await browser.patch(CHANGE, json={}, headers=headers)
        assert refused.status_code == 403


@pytest.mark.parametrize("prefix", ["", "Bearer ", "Bearer%20"])
@pytest.mark.parametrize("name", ["auth_token", "access_token"])
async def test_12_older_cookie_names_and_forms_still_count(
    app: FastAPI, browser: httpx2.AsyncClient, name: str, prefix: str
) -> None:
    token = browser.cookies["auth_token"]
    async with make_client(app) as older:
        headers = {"Cookie": f'{name}="{prefix}{token}"'}
        assert (await older.get(ME, headers=headers)).status_code == 200


async def test_13_a_header_wins_over_a_cookie(
    app: FastAPI, browser: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    other = await sign_in(Role.viewer)
    headers = {"Authorization": other.headers["Authorization"], **ELSEWHERE}
    me = await browser.get(ME, headers=headers)
    assert me.json()["role"] == "viewer"
    changed = await browser.patch(CHANGE, json={"department": "x"}, headers=headers)
    assert changed.status_code == 200  # No cookie was used: nothing to forge.
    wrong = await browser.get(ME, headers={"Authorization": "Bearer nonsense"})
    assert wrong.status_code == 401


@pytest.mark.parametrize("path", ["register", "login", "refresh"])
async def test_14_a_page_elsewhere_signs_nobody_in(client: httpx2.AsyncClient, path: str) -> None:
    bodies: dict[str, Any] = {"register": ALICE, "login": LOGIN, "refresh": {"refresh_token": "x"}}
    refused = await client.post(f"/api/v1/auth/{path}", json=bodies[path], headers=ELSEWHERE)
    assert refused.status_code == 403


async def test_a_browser_refreshes_and_signs_out_by_cookie(browser: httpx2.AsyncClient) -> None:
    before = browser.cookies["auth_token"]
    answer = await browser.post("/api/v1/auth/refresh", headers=PAGE)
    assert answer.status_code == 200
    assert browser.cookies["auth_token"] != before
    done = await browser.post("/api/v1/auth/logout", headers=await csrf_of(browser))
    assert done.status_code == 200
    assert "auth_token" not in browser.cookies
    assert (await browser.get(ME)).status_code == 401


async def test_13_a_link_starts_no_runs_by_cookie(browser: httpx2.AsyncClient) -> None:
    assert (await browser.get("/etl/run")).status_code == 403


async def test_17_a_key_does_what_its_scopes_say_and_is_shown_once(
    app: FastAPI, sign_in: SignIn
) -> None:
    scientist = await sign_in(Role.data_scientist)
    body = {"name": "gateway", "scopes": ["data:read"]}
    made = await scientist.post("/api/v1/api-keys", json=body)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    key = made.json()["key"]
    listed = (await scientist.get("/api/v1/api-keys")).text
    assert key not in listed
    assert made.json()["prefix"] in listed
    async with make_client(app) as device:
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            assert (await device.get("/data", headers=headers)).status_code == 200
            assert (await device.get("/stats", headers=headers)).status_code == 403
            more = await device.post("/api/v1/api-keys", json=body, headers=headers)
            assert more.status_code == 403
        used = (await scientist.get("/api/v1/api-keys")).json()[0]["last_used_at"]
        assert used is not None
        assert (await scientist.delete(f"/api/v1/api-keys/{made.json()['id']}")).status_code == 204
        assert (await device.get("/data", headers={"X-API-Key": key})).status_code == 401


async def test_17_nobody_gives_a_key_more_than_they_have(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    body = {"name": "k", "scopes": ["data:read", "users:write", "nonsense"]}
    refused = await analyst.post("/api/v1/api-keys", json=body)
    assert refused.status_code == 422
    assert len(refused.json()["errors"]) == 2


async def test_somebody_elses_key_is_not_found(sign_in: SignIn) -> None:
    analyst, stranger = await sign_in(Role.analyst), await sign_in(Role.analyst)
    made = await analyst.post("/api/v1/api-keys", json={"name": "k", "scopes": ["data:read"]})
    url = f"/api/v1/api-keys/{made.json()['id']}"
    assert (await stranger.delete(url)).status_code == 404
