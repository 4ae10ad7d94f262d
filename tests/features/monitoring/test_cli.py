"""The commands that look after a server."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from astralytiq.client import Client
from astralytiq.core.security import Role
from astralytiq.features.jobs import service as jobs_service
from astralytiq.features.monitoring import checks
from astralytiq.features.monitoring.checks import Sick
from astralytiq.features.monitoring.cli import app as group
from astralytiq.terminal import Connection
from tests.conftest import SignIn
from tests.features.ingestion.test_apply import ToApp
from tests.features.monitoring.test_selftest import document

pytestmark = pytest.mark.anyio

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
async def command(app: FastAPI, sign_in: SignIn) -> Command:
    app.openapi = document  # type: ignore[method-assign]
    admin = await sign_in(Role.admin)
    token = admin.headers["authorization"].removeprefix("Bearer ")

    async def run(*arguments: str) -> Result:
        transport = ToApp(app)
        connection = Connection(
            lambda: Client("http://astralytiq.test", token, transport=transport)
        )
        return await asyncio.to_thread(
            lambda: CliRunner().invoke(group, list(arguments), obj=connection)
        )

    return run


async def test_health_names_the_parts_and_fails_if_one_is_not_well(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sick(_: object) -> str:
        raise Sick("cannot be written: check STORAGE_URL")

    well = await command("health", "--json")
    assert (well.exit_code, json.loads(well.stdout)["status"]) == (0, "healthy")
    monkeypatch.setitem(checks.LOOKS, "storage", sick)
    monkeypatch.setattr(checks, "FRESH_SECONDS", -1.0)
    found = await command("health")
    assert (found.exit_code, "check STORAGE_URL" in found.stdout) == (1, True)
    assert "degraded" in found.stderr


async def test_requests_and_tables_are_listed(command: Command) -> None:
    assert (await command("requests", "--window", "7m")).exit_code == 2
    found = await command("requests", "--window", "start")
    assert (found.exit_code, "/monitoring/metrics/performance" in found.stdout) == (0, True)
    tables = await command("database")
    assert "users" in tables.stdout
    assert "counted" in tables.stdout


async def test_validate_shows_what_failed_and_says_so(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(jobs_service, "list_visible", broken)
    found = await command("validate")
    assert found.exit_code == 1
    assert "GET /api/v1/jobs" in found.stdout
    assert "GET /health" not in found.stdout
    assert "tests failed" in found.stderr
