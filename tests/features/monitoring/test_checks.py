"""What the detailed health door finds out, and that nothing can make it wait."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs, schedules
from astralytiq.core.db import utc_now
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.schedules import Schedule
from astralytiq.core.storage import FolderStorage
from astralytiq.features.monitoring import checks, service
from astralytiq.features.monitoring.checks import Checks
from tests.factories import make_client

pytestmark = pytest.mark.anyio

NAMES = {"database", "redis", "workers", "mlflow", "storage", "scheduler"}


@pytest.mark.parametrize("path", ["/health/detailed", "/api/v1/health/detailed"])
async def test_each_part_is_named_with_its_latency(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "healthy")
    assert set(body) == {"status", "version", "timestamp", "components", "checks", "system"}
    assert body["components"].keys() == body["checks"].keys() == NAMES
    assert (body["components"]["database"], body["components"]["redis"]) == ("healthy", "disabled")
    assert all(c["latency_ms"] >= 0 for n, c in body["checks"].items() if n != "redis")
    assert body["system"].keys() == {"cpu", "memory", "disk"}
    assert all(0 <= share <= 100 for share in body["system"].values())


async def test_without_its_database_the_house_is_unhealthy_without_its_storage_degraded(
    app: FastAPI, resources: Resources, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    nowhere = FolderStorage(tmp_path / "file" / "storage")
    away = type(resources.database)("postgresql://nobody@127.0.0.1:1/nothing")
    async with make_client(app) as client:
        app.state.resources = replace(resources, storage=nowhere, owned={})
        degraded = await client.get("/health/detailed")
        app.state.resources = replace(resources, database=away, owned={})
        unhealthy = await client.get("/health/detailed")
    await away.close()
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    assert "STORAGE_URL" in degraded.json()["checks"]["storage"]["detail"]
    assert (unhealthy.status_code, unhealthy.json()["status"]) == (503, "unhealthy")
    assert unhealthy.json()["components"]["workers"] == "unhealthy"
    assert "127.0.0.1" not in unhealthy.text


async def test_a_part_that_hangs_holds_nobody_up_and_is_asked_once(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def hang(_: Resources) -> str:
        asked.append(1)
        await asyncio.sleep(60)
        return "never"

    monkeypatch.setattr(checks, "PATIENCE", 0.05)
    monkeypatch.setitem(checks.LOOKS, "storage", hang)
    found = Checks(resources)
    for _ in range(3):
        seen = await found.look("storage")
        assert (seen["storage"].status, seen["storage"].latency_ms) == ("unhealthy", None)
    await found.close()
    assert asked == [1]


async def test_a_database_that_hangs_is_no_database(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: AsyncSession) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(service, "PATIENCE", 0.05)
    monkeypatch.setattr(service, "last_run", hang)
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["db_connected"]) == (503, False)


async def test_jobs_that_wait_while_nobody_works_are_told(resources: Resources) -> None:
    database, found = resources.database, Checks(resources)
    job = await database.write(lambda session: jobs.enqueue(session, "tests.nothing"))
    assert job
    assert (await found.look("workers"))["workers"].detail == "0 running, 1 waiting"
    long_ago = utc_now() - timedelta(minutes=3)
    await database.write(lambda s: s.execute(update(Job).values(run_at=long_ago)))
    stalled = (await found.look("workers"))["workers"]
    assert stalled.status == "unhealthy"
    assert "astralytiq worker" in stalled.detail
    leased = {"status": JobStatus.running, "lease_until": utc_now() + timedelta(minutes=1)}
    await database.write(lambda s: s.execute(update(Job).values(**leased)))
    await database.write(lambda session: jobs.enqueue(session, "tests.nothing"))
    assert (await found.look("workers"))["workers"].detail == "1 running, 1 waiting"


async def test_a_schedule_that_nobody_starts_is_told(resources: Resources) -> None:
    database, found = resources.database, Checks(resources)
    await database.write(lambda s: s.execute(delete(Schedule)))
    assert (await found.look("scheduler"))["scheduler"].detail == "nothing is scheduled"
    await database.write(lambda s: schedules.put(s, "tests", "every 1h", "tests.nothing"))
    assert (await found.look("scheduler"))["scheduler"].status == "healthy"
    late = utc_now() - timedelta(minutes=5)
    await database.write(lambda s: s.execute(update(Schedule).values(next_run_at=late)))
    assert "late" in (await found.look("scheduler"))["scheduler"].detail


async def test_mlflow_is_a_file_or_a_server(resources: Resources, tmp_path: Path) -> None:
    async def seen(uri: str) -> checks.Finding:
        settings = resources.settings.model_copy(update={"mlflow_tracking_uri": uri})
        return (await Checks(replace(resources, settings=settings)).look("mlflow"))["mlflow"]

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is no database" * 100)
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert (await seen("")).detail == "nothing was tracked yet"
    assert (await seen(f"sqlite:///{broken}")).status == "unhealthy"
    assert (await seen(f"http://127.0.0.1:{port}")).detail == "takes connections"
    server.close()
    await server.wait_closed()
    away = await seen(f"http://user:hunter2@127.0.0.1:{port}")
    assert away.status == "unhealthy"
    assert "hunter2" not in away.detail


async def test_a_database_that_is_not_migrated_is_not_ready(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    app.state.revision = "9999"
    answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert "astralytiq migrate" in answer.json()["checks"]["migrations"]
