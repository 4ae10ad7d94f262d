"""A fresh house for each test, on SQLite and on PostgreSQL."""

import gc
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import coverage
import httpx2
import hypothesis
import pytest
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher
from sqlalchemy import delete

from astralytiq import wiring
from astralytiq.app import create_app
from astralytiq.core import executor, security
from astralytiq.core.db import Database
from astralytiq.core.resources import Resources
from astralytiq.core.schedules import Schedule
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from astralytiq.features.alerts import watching
from astralytiq.features.dashboards import sampling
from astralytiq.features.monitoring import checks, gauges, rehearsal
from astralytiq.features.monitoring import service as health
from tests.databases import Databases, postgresql_server
from tests.factories import make_client, signed_in
from tests.patience import PATIENCE
from tests.s3 import S3Server, s3_server

wiring.load_tables()
wiring.load_jobs()

# How long an example takes says something of the machine, and nothing of the code.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
)
hypothesis.settings.load_profile("house")


def pytest_collection_finish() -> None:
    """What is loaded by now stays: a sixth of all time went into looking for garbage in it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


def pytest_sessionfinish() -> None:
    """Keep what was counted before this process says that it has ended.

    A process that hands its results to another is killed ten seconds later; the end of one that
    ran thousands of tests can take longer, and what it had counted was then lost.
    """
    counted = coverage.Coverage.current()
    if counted is not None:
        counted.stop()
        counted.save()


SignIn = Callable[[Role], Awaitable[httpx2.AsyncClient]]
RunJobs = Callable[[], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def left_as_found() -> Iterator[None]:
    """A command sets up its own process, here that of all tests: its home, and what it logs."""
    root = logging.getLogger()
    handlers, level, home = root.handlers[:], root.level, ours(os.environ)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ours(os.environ):
        del os.environ[name]
    os.environ.update(home)


def ours(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith("ASTRALYTIQ_")}


@pytest.fixture(scope="session", autouse=True)
def quick_hashing() -> None:
    """bcrypt at its lowest cost: at ours a sign-in takes 235 ms of a core, by intent."""
    security._hasher = PasswordHash((BcryptHasher(rounds=4),))
    security.dummy_hash.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def nothing_by_the_clock() -> None:
    """Rules are looked at and figures sampled when a test says so: a test that lasts longer than
    such a pause would find half way what it did not ask for."""
    watching.SECONDS = 3600.0
    sampling.seconds_left = lambda now: 3600.0


@pytest.fixture(scope="session", autouse=True)
def health_is_patient() -> None:
    """What answers late on a slow machine is not sick; a test of what hangs waits less."""
    for looking in (checks, gauges, rehearsal, health):
        looking.PATIENCE = PATIENCE  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Databases:
    """Every test that asks for this, directly or not, runs on both."""
    server: str | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("server_url")
    return Databases(tmp_path_factory.mktemp(request.param), server)


@pytest.fixture
async def database_url(databases: Databases, anyio_backend: str) -> AsyncIterator[str]:
    url = await databases.fresh()
    yield url
    await databases.drop(url)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    home = tmp_path / "home"
    (home / "inbox").mkdir(parents=True)
    return Settings(
        _env_file=None,
        astralytiq_home=home,
        database_url=database_url,
        environment="test",
        secret_key="a key for the tests, long enough to sign with",
        allow_private_sources=("127.0.0.1",),
    )


@pytest.fixture
async def app(settings: Settings, anyio_backend: str) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def resources(app: FastAPI) -> Resources:
    found: Resources = app.state.resources
    return found


@pytest.fixture
def database(resources: Resources) -> Database:
    return resources.database


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Nobody in particular, on another machine."""
    async with make_client(app) as client:
        yield client


@pytest.fixture
async def sign_in(app: FastAPI) -> AsyncIterator[SignIn]:
    """Makes a new account of a role, and a client that is signed in as it."""
    async with AsyncExitStack() as stack:

        async def enter(role: Role) -> httpx2.AsyncClient:
            return await stack.enter_async_context(await signed_in(app, role))

        yield enter


@pytest.fixture
async def no_schedules(database: Database) -> None:
    """A clock that nobody has set: rooms come with schedules of their own."""
    async with database.transaction() as session:
        await session.execute(delete(Schedule))


@pytest.fixture
def run_jobs(resources: Resources) -> RunJobs:
    """Runs everything that is queued, as a worker would."""

    async def run() -> None:
        await executor.run_until_idle(resources, "tests")

    return run
