"""Doors to what was measured."""

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq import __version__
from astralytiq.core import schedules
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.monitoring import tables
from astralytiq.features.monitoring.schemas import How
from tests.conftest import SignIn

pytestmark = pytest.mark.anyio

PERFORMANCE = "/api/v1/monitoring/metrics/performance"
DATABASE = "/api/v1/monitoring/metrics/database"
SYSTEM = "/api/v1/monitoring/system/info"


async def test_requests_are_told_by_door_and_window(app: FastAPI, sign_in: SignIn) -> None:
    viewer = await sign_in(Role.viewer)
    for path in ("/api/v1/jobs/a", "/api/v1/jobs/b", "/api/v1/jobs"):
        await viewer.get(path)
    body = (await viewer.get(PERFORMANCE)).json()
    assert [w["name"] for w in body["windows"]] == ["1m", "5m", "15m", "60m", "start"]
    assert body["process"]["pid"] > 0
    assert body["in_progress"] == 1
    for window in body["windows"]:
        assert (window["overall"]["count"], window["overall"]["errors"]) == (3, 2)
        found = {(e["method"], e["path"]): e for e in window["endpoints"]}
        job = found["GET", "/api/v1/jobs/{job_id}"]
        assert (job["count"], job["client_errors"], job["server_errors"]) == (2, 2, 0)
        assert 0 < job["p50_ms"] <= job["p95_ms"] <= job["p99_ms"] <= job["slowest_ms"]
    (alone,) = (await viewer.get(f"{PERFORMANCE}?window=5m")).json()["windows"]
    assert alone["name"] == "5m"
    assert (await viewer.get(f"{PERFORMANCE}?window=7m")).status_code == 422


async def test_the_database_is_told_in_figures(sign_in: SignIn, resources: Resources) -> None:
    admin = await sign_in(Role.admin)
    body = (await admin.get(DATABASE)).json()
    assert body["backend"] == ("sqlite" if resources.database.is_sqlite else "postgresql")
    assert 0 < body["latency_ms"] < 1000
    assert body["size_bytes"] > 100_000
    assert body["pools"]["reader"]["in_use"] >= 1
    rows = {table["name"]: table for table in body["tables"]}
    assert rows["users"] == {"name": "users", "rows": 1, "how": "counted"}


async def test_large_tables_are_not_read_through(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound a number is an estimate, and says so."""
    monkeypatch.setattr(tables, "COUNTED", 20)
    async with resources.database.transaction() as session:
        for number in range(50):
            await schedules.put(session, f"t{number}", "every 1h", "tests.nothing")
    async with resources.database.reading() as session:
        found = {t.name: t for t in await tables.sizes(session, resources.database)}
    assert found["users"].how is How.counted
    large = found["schedules"]
    assert large.how is not How.counted
    assert large.rows >= 20


async def test_the_machine_is_told_without_a_path_or_a_secret(
    sign_in: SignIn, resources: Resources
) -> None:
    admin = await sign_in(Role.admin)
    answer = await admin.get(SYSTEM)
    body = answer.json()
    assert body["version"] == __version__
    assert body["cpu"]["count"] >= 1
    assert body["process"]["memory_bytes"] > 1_000_000
    assert body["disk"]["total_bytes"] >= body["disk"]["free_bytes"] > 0
    for hidden in (str(resources.settings.home), resources.settings.signing_key, "postgresql://"):
        assert hidden not in answer.text


@pytest.mark.parametrize("path", [DATABASE, SYSTEM])
async def test_the_inside_is_shown_to_admins_alone(
    client: httpx2.AsyncClient, sign_in: SignIn, path: str
) -> None:
    scientist = await sign_in(Role.data_scientist)
    assert (await scientist.get(path)).status_code == 403
    assert (await client.get(path)).status_code == 401
    assert (await client.get(PERFORMANCE)).status_code == 401
