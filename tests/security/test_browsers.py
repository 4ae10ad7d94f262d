"""Lines 12 to 15, 28 and 29: what browsers and proxies bring along, and what they are told."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp

from astralytiq import serve
from astralytiq.app import create_app
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings, UnsafeSettings
from tests.conftest import SignIn
from tests.factories import make_client
from tests.features.datasets.factories import upload

from .factories import ALICE, AUTH, KEYS, LOGIN, ME, PAGE, bearer, entered, register

pytestmark = pytest.mark.anyio

HERE = {"Origin": "https://a.test", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def secure(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser on our page over HTTPS."""
    transport = httpx2.ASGITransport(app, client=("203.0.113.9", 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="https://a.test") as client:
        yield client


# Line 12 ----------------------------------------------------------------------------------------


def attributes(cookie: str) -> set[str]:
    return {part.strip().lower() for part in cookie.split(";")[1:]}


async def test_12_every_cookie_over_https_is_out_of_reach_for_scripts_and_siblings(
    secure: httpx2.AsyncClient,
) -> None:
    await register(secure)
    given = [
        cookie
        for path, body in (("login", LOGIN), ("refresh", None))
        for cookie in (
            await secure.post(f"{AUTH}/{path}", json=body, headers=HERE)
        ).headers.get_list("set-cookie")
    ]
    assert len(given) == 4
    for cookie in given:
        assert cookie.startswith("__Host-")
        assert {"httponly", "secure", "samesite=lax", "path=/"} <= attributes(cookie)
        assert "domain" not in cookie.lower()


async def test_12_over_plain_http_the_cookie_is_for_our_own_site_only(
    client: httpx2.AsyncClient,
) -> None:
    await register(client)
    page = await client.post(f"{AUTH}/login", json=LOGIN, headers=PAGE)
    access, refresh = page.headers.get_list("set-cookie")
    assert {"httponly", "samesite=lax", "path=/"} <= attributes(access)
    # The refresh token is sent only to where it is of use.
    assert {"httponly", "samesite=lax", f"path={AUTH}"} <= attributes(refresh)


@pytest.mark.parametrize("name", ["auth_token", "access_token", "__Host-auth_token"])
async def test_12_over_https_older_names_still_read(secure: httpx2.AsyncClient, name: str) -> None:
    token = (await entered(secure))["access_token"]
    for value in (token, f"Bearer {token}", f'"Bearer {token}"'):
        assert (await secure.get(ME, headers={"Cookie": f"{name}={value}"})).status_code == 200


async def test_12_signing_out_takes_every_cookie_away(secure: httpx2.AsyncClient) -> None:
    await register(secure)
    await secure.post(f"{AUTH}/login", json=LOGIN, headers=HERE)
    token = (await secure.get(f"{AUTH}/csrf-token")).json()["csrf_token"]
    out = await secure.post(f"{AUTH}/logout", headers={**HERE, "X-CSRF-Token": token})
    assert out.status_code == 200
    assert dict(secure.cookies) == {}


# Line 13 ----------------------------------------------------------------------------------------

# What a browser may say of where a request comes from, and whether it is our own page.
PLACES: list[tuple[dict[str, str], bool]] = [
    ({}, True),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Origin": "http://astralytiq.test"}, True),
    ({"Origin": "http://evil.test"}, False),
    ({"Origin": "http://astralytiq.test.evil.test"}, False),
    ({"Origin": "http://sub.astralytiq.test"}, False),
    ({"Origin": "http://astralytiq.test:8080"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": ""}, False),
    ({"Origin": "http://astralytiq.test", "Sec-Fetch-Site": "cross-site"}, False),
]


async def test_13_a_cookie_changes_things_from_our_own_page_only(
    client: httpx2.AsyncClient,
) -> None:
    await register(client)
    await client.post(f"{AUTH}/login", json=LOGIN, headers=PAGE)
    token = (await client.get(f"{AUTH}/csrf-token")).json()["csrf_token"]
    proof = {"X-CSRF-Token": token}
    wrong = []
    for place, ours in PLACES:
        for method in ("PUT", "PATCH"):
            answer = await client.request(
                method, "/api/v1/users/me", json={"department": "x"}, headers=place | proof
            )
            if answer.status_code != (200 if ours else 403):
                wrong.append((method, place, answer.status_code))
    assert wrong == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_13_every_unsafe_method_needs_the_token(
    client: httpx2.AsyncClient, method: str
) -> None:
    await register(client)
    await client.post(f"{AUTH}/login", json=LOGIN, headers=PAGE)
    made = await client.post("/api/v1/tasks", json={"title": "x"}, headers=PAGE)
    assert (made.status_code, "X-CSRF-Token" in made.json()["detail"]) == (403, True)
    url = "/api/v1/tasks" if method == "POST" else "/api/v1/tasks/1"
    answer = await client.request(method, url, json={}, headers=PAGE)
    assert (answer.status_code, "X-CSRF-Token" in answer.json()["detail"]) == (403, True)


# Line 14 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["register", "login", "refresh"])
@pytest.mark.parametrize("media", ["text/plain", "", "text/plain; x=application/json"])
async def test_14_a_body_of_text_signs_nobody_in(
    client: httpx2.AsyncClient, path: str, media: str
) -> None:
    """Other sites' forms can send text without asking us first."""
    headers = {"Content-Type": media} if media else {}
    content = b'{"email": "a@b.example", "password": "correct horse", "refresh_token": "x"}'
    refused = await client.post(f"{AUTH}/{path}", content=content, headers=headers)
    assert refused.status_code == 415


async def test_14_a_form_elsewhere_signs_nobody_in_and_sets_no_cookie(
    client: httpx2.AsyncClient,
) -> None:
    await register(client)
    form = {"username": ALICE["username"], "password": ALICE["password"]}
    for place, ours in PLACES:
        answer = await client.post(f"{AUTH}/login", data=form, headers=place)
        assert answer.status_code == (200 if ours else 403), place
        assert ours or "set-cookie" not in answer.headers


# Line 15 ----------------------------------------------------------------------------------------

LISTED, UNLISTED = "https://app.example", "https://evil.example"
GIVEN = "access-control-allow-origin"


async def test_15_only_listed_origins_may_read_our_answers(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"cors_origins": (LISTED,)}))
    asked = {
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "x-api-key",
    }
    async with app.router.lifespan_context(app), make_client(app) as client:
        for origin, given in ((LISTED, LISTED), (UNLISTED, None), ("null", None)):
            headers = {"Origin": origin}
            before = await client.options(ME, headers={**headers, **asked})
            answers = [
                before,
                await client.get("/health", headers=headers),
                await client.get(ME, headers=headers),
            ]
            assert before.status_code == (200 if given else 400)
            assert [answer.headers.get(GIVEN) for answer in answers] == [given] * 3
            if given:
                assert before.headers["access-control-allow-credentials"] == "true"


async def test_15_with_no_list_no_origin_is_named(client: httpx2.AsyncClient) -> None:
    for origin in (LISTED, "http://astralytiq.test"):
        answer = await client.get("/health", headers={"Origin": origin})
        assert GIVEN not in answer.headers


@pytest.mark.parametrize("environment", ["development", "test", "production"])
def test_15_a_star_refuses_to_start_wherever_it_stands(environment: str) -> None:
    origins = ("https://app.example", "*")
    with pytest.raises(UnsafeSettings, match="CORS_ORIGINS"):
        Settings(_env_file=None, environment=environment, cors_origins=origins).checked()


# Line 28 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/docs", 200), ("/data", 401), ("/nowhere", 404)]
)
async def test_28_every_answer_is_guarded_and_over_https_stays_there(
    secure: httpx2.AsyncClient, client: httpx2.AsyncClient, path: str, status: int
) -> None:
    answer = await secure.get(path)
    found = answer.headers
    assert answer.status_code == status
    assert (found["x-content-type-options"], found["referrer-policy"]) == ("nosniff", "no-referrer")
    policy = dict(part.strip().partition(" ")[::2] for part in
                  found["content-security-policy"].split(";"))  # fmt: skip
    assert policy["frame-ancestors"] == "'none'"
    assert policy["default-src"] == "'none'"
    assert int(found["strict-transport-security"].split("=")[1].split(";")[0]) >= 31_536_000
    assert "server" not in found
    assert "strict-transport-security" not in (await client.get(path)).headers


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/redoc"])
async def test_28_the_pages_of_the_document_run_only_what_is_ours(
    client: httpx2.AsyncClient, path: str
) -> None:
    page = await client.get(path)
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "http" not in policy + page.text.replace("http-equiv", "")
    assert re.findall(r"<script(?! src=)", page.text) == []
    named = re.findall(r'(?:src|href|spec-url|data-document)="(/[^"]+)"', page.text)
    assert "/openapi.json" in named
    assert len(named) >= 2
    for address in named:
        found = await client.head(address)
        assert (found.status_code, found.headers["x-content-type-options"]) == (200, "nosniff")
    assert (await client.get("/docs/assets/../../pyproject.toml")).status_code == 404


async def test_28_answers_with_secrets_stay_in_no_cache(client: httpx2.AsyncClient) -> None:
    tokens = await entered(client)
    headers = bearer(tokens)
    refresh = {"refresh_token": tokens["refresh_token"]}
    key = {"name": "k", "scopes": ["data:read"]}
    answers = [
        await client.post(f"{AUTH}/login", json=LOGIN),
        await client.post(f"{AUTH}/refresh", json=refresh),
        await client.get(f"{AUTH}/csrf-token", headers=headers),
        await client.get(f"{AUTH}/status", headers=headers),
        await client.post(KEYS, json=key, headers=headers),
    ]
    assert [answer.is_success for answer in answers] == [True] * 5
    assert [answer.headers.get("cache-control") for answer in answers] == ["no-store"] * 5


async def test_28_downloads_are_attachments_that_no_browser_opens(sign_in: SignIn) -> None:
    admin = await sign_in(Role.admin)
    dataset = (await upload(admin)).json()["id"]
    for path in (f"/api/v1/datasets/{dataset}/download", "/api/v1/audit?format=csv",
                 "/api/v1/audit?format=jsonl"):  # fmt: skip
        file = await admin.get(path)
        assert file.status_code == 200
        assert file.headers["content-disposition"].startswith("attachment; filename=")
        assert file.headers["x-content-type-options"] == "nosniff"


# Line 29 ----------------------------------------------------------------------------------------

PROXY = "198.51.100.7"
Served = Callable[[Settings], ASGIApp]


@pytest.fixture
def as_served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """The application as the server process wraps it; no port is listened on for long."""

    def wrap(settings: Settings) -> ASGIApp:
        kept: dict[str, Any] = {}

        class Kept:
            started = True

            def __init__(self, config: Any, app: FastAPI, announce: object) -> None:
                config.load()
                kept["app"] = config.loaded_app

            def run(self, sockets: Any) -> None:
                return None

        monkeypatch.setattr(serve, "Server", Kept)
        serve.run(settings.model_copy(update={"port": 0}), [], [], str)
        app: ASGIApp = kept["app"]
        return app

    return wrap


async def seen_of(wrapped: ASGIApp, headers: dict[str, str]) -> tuple[str, bool]:
    """The address that a session shows, and whether we took it for HTTPS."""
    transport = httpx2.ASGITransport(wrapped, client=(PROXY, 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://a.test") as client:
        await register(client)
        page = await client.post(
            f"{AUTH}/login", json=LOGIN, headers={"Sec-Fetch-Site": "none", **headers}
        )
        listed = await client.get(f"{AUTH}/sessions", headers=bearer(page.json()))
        secure = page.headers["set-cookie"].startswith("__Host-")
    return listed.json()[0]["address"], secure


@pytest.mark.parametrize(
    ("proxies", "believed"), [((), False), (("198.51.100.8",), False), ((PROXY,), True)]
)
async def test_29_forwarded_headers_are_believed_from_listed_proxies_only(
    settings: Settings, as_served: Served, proxies: tuple[str, ...], believed: bool
) -> None:
    wrapped = as_served(settings.model_copy(update={"trusted_proxies": proxies}))
    app = inner(wrapped)
    forwarded = {"X-Forwarded-For": "192.0.2.55", "X-Forwarded-Proto": "https"}
    async with app.router.lifespan_context(app):
        seen = await seen_of(wrapped, forwarded)
    assert seen == (("192.0.2.55", True) if believed else (PROXY, False))


def inner(wrapped: Any) -> FastAPI:
    while not isinstance(wrapped, FastAPI):
        wrapped = wrapped.app
    return wrapped
