"""What a caller meets at the health doors."""

from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings
from astralytiq.features.monitoring import service
from tests.factories import make_client

pytestmark = pytest.mark.anyio

HEALTH = {
    "status", "service", "version", "environment", "timestamp", "uptime_seconds", "db_connected",
    "redis_connection", "etl_last_run", "etl_status", "mlflow_uri",
}  # fmt: skip


@pytest.mark.parametrize("path", ["/health", "/api/v1/health"])
async def test_a_healthy_house_says_so_to_anybody(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    body = answer.json()
    assert (answer.status_code, set(body)) == (200, HEALTH)
    assert (body["status"], body["etl_status"], body["etl_last_run"]) == (
        "healthy",
        "unknown",
        None,
    )
    assert body["timestamp"].endswith("Z")


async def test_without_its_database_the_house_is_unhealthy_but_alive(
    app: FastAPI, settings: Settings
) -> None:
    """The answer comes from the door itself, not from an error handler."""
    away = "postgresql://nobody@127.0.0.1:1/nothing"
    async with make_client(app) as client:
        app.state.resources = broken(app.state.resources, away)
        health = await client.get("/health")
        ready = await client.get("/api/v1/health/ready")
        live = await client.get("/api/v1/health/live")
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert "retry-after" in health.headers
    assert (ready.status_code, live.status_code) == (503, 200)
    assert "DATABASE_URL" in ready.json()["checks"]["database"]


def broken(resources: Resources, url: str) -> Resources:
    return Resources(resources.settings, type(resources.database)(url), resources.storage)


async def test_a_ready_house_names_its_checks_and_a_stopping_one_is_not_ready(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    ready = await client.get("/api/v1/health/ready")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (200, "ok")
    app.state.stopping = True
    assert (await client.get("/api/v1/health/ready")).status_code == 503


async def test_the_root_gives_programs_a_card_and_people_a_page(
    client: httpx2.AsyncClient,
) -> None:
    card = (await client.get("/")).json()
    assert set(card) == {
        "message", "service", "version", "status", "timestamp", "documentation", "endpoints",
    }  # fmt: skip
    page = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    assert (page.status_code, page.headers["location"]) == (307, "/docs")
    assert (await client.get("/docs")).status_code == 200


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://user:secret@mlflow.example:5000/x", "http://mlflow.example:5000"),
        ("postgresql://user:secret@db.example/mlflow", "postgresql:///mlflow"),
        ("", "sqlite:///mlflow.db"),
    ],
)
async def test_the_mlflow_address_is_shown_without_credentials_and_folder(
    tmp_path: Path, uri: str, shown: str
) -> None:
    settings = Settings(_env_file=None, astralytiq_home=tmp_path, mlflow_tracking_uri=uri)
    assert service.shown_mlflow_uri(settings) == shown


async def test_29_loopback_reads_data_without_signing_in_and_nobody_else_does(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    here = httpx2.ASGITransport(app, client=("127.0.0.1", 5000))
    async with httpx2.AsyncClient(transport=here, base_url="http://localhost:8000") as local:
        assert (await local.get("/data")).status_code == 200
        assert (await local.get("/api/v1/users")).status_code == 401
        for name in ("X-Forwarded-For", "X-Real-IP", "Via", "Forwarded", "X-Forwarded-Host"):
            handed_on = await local.get("/data", headers={name: "203.0.113.9"})
            assert handed_on.status_code == 401
        rebound = {"Host": "evil.example"}
        assert (await local.get("/data", headers=rebound)).status_code == 401
    assert (await client.get("/data")).status_code == 401
