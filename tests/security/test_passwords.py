"""Lines 1 to 6: passwords, from the form to the hash."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.app import create_app
from astralytiq.core import security
from astralytiq.core.db import Database
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Role
from astralytiq.core.settings import Settings
from astralytiq.features.accounts import service as accounts
from tests.conftest import SignIn
from tests.factories import make_client, signed_in
from tests.patience import PATIENCE

from .factories import ALICE, AUTH, USERS, bearer, entered, log_in, register, told

pytestmark = pytest.mark.anyio

Opening = Callable[[Database], AbstractAsyncContextManager[AsyncSession]]


class Watched:
    """The real hasher, that counts, and that a test can hold."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.inside = threading.Semaphore(0)
        self.most = self.now = 0
        self._real = security._hasher
        self._lock = threading.Lock()

    def hash(self, password: str) -> str:
        self._pass("hash")
        return self._real.hash(password)

    def verify(self, password: str, stored: str) -> bool:
        self._pass("verify")
        return self._real.verify(password, stored)

    def verify_and_update(self, password: str, stored: str) -> tuple[bool, str | None]:
        self._pass("verify")
        return self._real.verify_and_update(password, stored)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _pass(self, what: str) -> None:
        with self._lock:
            self.calls.append(what)
            self.now += 1
            self.most = max(self.most, self.now)
        self.inside.release()
        assert self.open.wait(PATIENCE)
        with self._lock:
            self.now -= 1


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    security.dummy_hash()  # Made once a process: not part of any sign-in.
    watched = Watched()
    monkeypatch.setattr(security, "_hasher", watched)
    yield watched
    watched.open.set()


# Line 1 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["wrong horse", "x" * 80, "ü" * 40])
async def test_01_unknown_account_and_wrong_password_get_one_answer_for_one_hash(
    client: httpx2.AsyncClient, hasher: Watched, password: str
) -> None:
    await register(client)
    answers = []
    for account in ("alice@example.com", "nobody@example.com"):
        hasher.calls.clear()
        answers.append(told(await log_in(client, email=account, password=password)))
        assert hasher.calls == ["verify"]
    assert answers[0] == answers[1]
    assert (answers[0]["status"], answers[0]["headers"]["www-authenticate"]) == (401, "Bearer")


async def test_01_a_closed_account_is_told_no_other_way(
    client: httpx2.AsyncClient, hasher: Watched, sign_in: SignIn
) -> None:
    """Neither with its right password: it would tell that the guess was right."""
    account = (await register(client)).json()["id"]
    admin = await sign_in(Role.admin)
    closed = await admin.patch(f"{USERS}/{account}", json={"is_active": False})
    assert closed.status_code == 200
    unknown = told(await log_in(client, email="nobody@example.com"))
    hasher.calls.clear()
    assert told(await log_in(client)) == unknown
    assert hasher.calls == ["verify"]


# Line 3 -----------------------------------------------------------------------------------------

BOB = {"email": "bob@example.com", "username": "bob"}
SetPassword = Callable[[str], Awaitable[httpx2.Response]]


async def setters(client: httpx2.AsyncClient, admin: httpx2.AsyncClient) -> dict[str, SetPassword]:
    """The ways to set a password: of a new account, of one's own, of somebody else's."""
    tokens = await entered(client)
    old = {"old_password": ALICE["password"]}

    def body(password: str) -> dict[str, str]:
        return {**BOB, "password": password}

    def change(password: str) -> Awaitable[httpx2.Response]:
        fields = {**old, "new_password": password}
        return client.post(f"{USERS}/me/password", json=fields, headers=bearer(tokens))

    def reset(password: str) -> Awaitable[httpx2.Response]:
        url = f"{USERS}/{tokens['user']['id']}/password"
        return admin.put(url, json={"new_password": password})

    return {
        "register": lambda password: client.post(f"{AUTH}/register", json=body(password)),
        "create": lambda password: admin.post(USERS, json=body(password)),
        "change": change,
        "reset": reset,
    }


async def test_03_a_password_over_72_bytes_or_under_8_characters_is_refused_wherever_it_is_set(
    client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    ways = await setters(client, await sign_in(Role.admin))
    for way, set_password in ways.items():
        for password in ("x" * 73, "ü" * 37, "seven77"):
            refused = await set_password(password)
            assert refused.status_code == 422, (way, refused.text)
            assert password not in refused.text
    assert (await log_in(client)).status_code == 200


@pytest.mark.parametrize("way", ["register", "create", "change", "reset"])
async def test_03_64_characters_count_to_the_last_one(
    client: httpx2.AsyncClient, sign_in: SignIn, way: str
) -> None:
    ways = await setters(client, await sign_in(Role.admin))
    assert (await ways[way]("x" * 64)).is_success
    email = BOB["email"] if way in ("register", "create") else ALICE["email"]
    for password, status in (("x" * 63, 401), ("x" * 64 + "y" * 20, 401), ("x" * 64, 200)):
        assert (await log_in(client, email=email, password=password)).status_code == status


@pytest.mark.parametrize(
    "password", ["just small letters", "ONLYCAPITALS", "73950284", "ααααββββ", "ü" * 36]
)
async def test_03_no_kind_of_character_is_asked_for(
    client: httpx2.AsyncClient, password: str
) -> None:
    assert (await register(client, password=password)).status_code == 200
    assert (await log_in(client, password=password)).status_code == 200


async def test_03_a_password_is_taken_exactly_as_it_is_sent(client: httpx2.AsyncClient) -> None:
    """Nothing is cut off at its ends either."""
    assert (await register(client, password="  two blanks  ")).status_code == 200
    assert (await log_in(client, password="two blanks")).status_code == 401
    form = {"username": "alice", "password": "  two blanks  "}
    assert (await client.post(f"{AUTH}/login", data=form)).status_code == 200
    assert (await log_in(client, password="  two blanks  ")).status_code == 200


@pytest.fixture
async def production(settings: Settings) -> AsyncIterator[FastAPI]:
    strict = {"environment": "production", "allowed_hosts": ("astralytiq.test",)}
    app = create_app(settings.model_copy(update=strict).checked())
    async with app.router.lifespan_context(app):
        yield app


async def test_03_common_passwords_are_refused_in_production(production: FastAPI) -> None:
    async with make_client(production) as client, await signed_in(production, Role.admin) as admin:
        ways = await setters(client, admin)
        for way, set_password in ways.items():
            for password in ("password1", "PassWord1", "12345678"):
                refused = await set_password(password)
                assert (refused.status_code, "common" in refused.text) == (422, True), way


async def test_03_common_passwords_are_warned_of_elsewhere(
    client: httpx2.AsyncClient, sign_in: SignIn, caplog: pytest.LogCaptureFixture
) -> None:
    ways = await setters(client, await sign_in(Role.admin))
    for way in ("register", "change", "reset"):
        caplog.clear()
        assert (await ways[way]("password1")).is_success
        warned = [line.getMessage() for line in caplog.records if "common" in line.getMessage()]
        assert len(warned) == 1, way
        assert "password1" not in caplog.text


async def test_03_no_rule_applies_when_somebody_signs_in(production: FastAPI) -> None:
    """A password from before the rules still opens its account."""
    resources: Resources = production.state.resources
    hashed = await security.hash_password("1234")
    await resources.database.write(
        lambda session: accounts.create(
            session,
            SYSTEM,
            email="old@example.com",
            username="old",
            password_hash=hashed,
            role=Role.analyst,
        )
    )
    async with make_client(production) as client:
        opened = await log_in(client, email="old@example.com", password="1234")
        assert opened.status_code == 200
        assert (await log_in(client, email="old@example.com", password="")).status_code == 401


# Line 4 -----------------------------------------------------------------------------------------


async def test_04_while_passwords_are_hashed_no_transaction_is_open_and_the_pool_is_bounded(
    client: httpx2.AsyncClient, sign_in: SignIn, hasher: Watched
) -> None:
    """Everything that hashes is held inside the hasher; meanwhile others write and read."""
    admin, other = await sign_in(Role.admin), await sign_in(Role.analyst)
    ways = await setters(client, admin)
    hasher.calls.clear()
    hasher.most, hasher.inside = 0, threading.Semaphore(0)
    hasher.open.clear()
    work = [asyncio.ensure_future(one) for one in (
        log_in(client),
        log_in(client, email="nobody@example.com"),
        ways["register"]("a better horse"),
        ways["change"]("a better horse"),
        ways["reset"]("a better horse"),
        *(log_in(client) for _ in range(3)),
    )]  # fmt: skip
    bound = security._hashing_pool._max_workers
    for _ in range(bound):
        assert await asyncio.to_thread(hasher.inside.acquire, timeout=PATIENCE)
    changed = await asyncio.wait_for(
        other.patch(f"{USERS}/me", json={"department": "research"}), PATIENCE
    )
    assert (changed.status_code, (await client.get("/health/live")).status_code) == (200, 200)
    assert not any(one.done() for one in work)
    hasher.open.set()
    await asyncio.gather(*work)
    assert hasher.most == bound <= 4


async def test_04_no_hash_is_asked_for_inside_a_transaction(
    client: httpx2.AsyncClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every door that hashes, at the moment of each of its hashes."""
    ways = await setters(client, await sign_in(Role.admin))
    depth: ContextVar[int] = ContextVar("depth", default=0)
    asked: list[int] = []

    def counted(open_: Opening) -> Opening:
        @asynccontextmanager
        async def opening(database: Database) -> AsyncIterator[AsyncSession]:
            depth.set(depth.get() + 1)
            try:
                async with open_(database) as session:
                    yield session
            finally:
                depth.set(depth.get() - 1)

        return opening

    def note(pool: Any, *work: Any) -> Any:
        if pool is security._hashing_pool:
            asked.append(depth.get())
        return run(pool, *work)

    for name in ("transaction", "reading"):
        monkeypatch.setattr(Database, name, counted(getattr(Database, name)))
    loop = asyncio.get_running_loop()
    run = loop.run_in_executor
    monkeypatch.setattr(loop, "run_in_executor", note)
    for way, set_password in ways.items():
        assert (await set_password(f"a better horse {way}")).status_code in (
            200,
            201,
            204,
            400,
            409,
        )
    await log_in(client)
    assert len(asked) >= len(ways) + 1
    assert set(asked) == {0}
