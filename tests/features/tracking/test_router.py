"""Figures become runs of a real MLflow store, and runs are listed, without a wait on the loop."""

import asyncio
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from astralytiq.core.tracking import TrackedRun, Tracker, store
from astralytiq.features.tracking import desk
from tests.conftest import SignIn
from tests.factories import make_client
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

FIGURES = {"accuracy": 0.9, "precision": 0.8, "recall": 0.7}
Doors = tuple[str, str]


@pytest.fixture(params=["", "/api/v1"])
def doors(request: pytest.FixtureRequest) -> Doors:
    return f"{request.param}/metrics/model", f"{request.param}/mlflow/runs"


@pytest.fixture
async def scientist(sign_in: SignIn, mlflow: Tracker) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


async def listed(client: httpx2.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get("/mlflow/runs", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_figures_become_a_run_that_is_listed(
    scientist: httpx2.AsyncClient, doors: Doors
) -> None:
    more = {"f1_score": 0.75, "model_name": "churn", "params": {"depth": 3}, "tags": {"a": "b"}}
    answer = await scientist.post(doors[0], json={**FIGURES, **more})
    assert answer.status_code == 200, answer.text
    logged = answer.json()
    assert (logged["status"], set(logged)) == ("logged", {"status", "run_id", "timestamp"})
    found = (await scientist.get(doors[1])).json()
    (run,) = found["runs"]
    assert (found["count"], run["run_id"]) == (1, logged["run_id"])
    assert run["metrics"] == {**FIGURES, "f1_score": 0.75}
    assert run["params"] == {"depth": "3"}
    assert (run["tags"]["a"], run["tags"]["model_name"]) == ("b", "churn")
    assert (run["run_name"], run["experiment"]) == ("churn", "model-metrics")
    assert run["status"] == "FINISHED"
    assert run["end_time"].endswith("Z")


async def test_runs_are_listed_newest_first_and_no_more_than_asked_for(
    scientist: httpx2.AsyncClient, mlflow: Tracker
) -> None:
    for day in (2, 3, 1):
        began = datetime(2026, 3, day, tzinfo=UTC)
        mlflow.log(TrackedRun("weeks", f"day {day}", started_at=began))
    names = [run["run_name"] for run in (await listed(scientist))["runs"]]
    assert names == ["day 3", "day 2", "day 1"]
    assert (await listed(scientist, max_results=2))["count"] == 2
    for wrong in (0, 1001, "many"):
        refused = await scientist.get("/mlflow/runs", params={"max_results": wrong})
        assert refused.status_code == 422


async def test_a_metric_that_is_no_number_is_null(
    scientist: httpx2.AsyncClient, mlflow: Tracker
) -> None:
    run_id = mlflow.log(TrackedRun("odd", "odd"))
    mlflow.client().log_metric(run_id, "loss", math.nan)
    (run,) = (await listed(scientist))["runs"]
    assert run["metrics"] == {"loss": None}


async def test_a_home_where_nothing_was_trained_lists_no_runs(sign_in: SignIn) -> None:
    assert (await listed(await sign_in(Role.viewer)))["runs"] == []


NO_FIGURES: tuple[dict[str, Any], ...] = (
        {"accuracy": 1.01}, {"accuracy": "0.5"}, {"f1_score": False}, {"recall": -0.1},
        {"precision": None}, {"f1": 0.5},
        {"tags": {"astralytiq.job_id": "7"}}, {"params": {"mlflow.user": "x"}},
        {"experiment": "a\nb"}, {"tags": {str(n): "" for n in range(101)}},
    {"params": {"a//b": 1}}, {"params": {"a>b": 1}}, {"tags": {"..": "x"}}, {"tags": {"": "x"}},
    {"params": {"/etc": 1}},
)  # fmt: skip


async def test_figures_that_are_none_are_refused(scientist: httpx2.AsyncClient) -> None:
    for change in NO_FIGURES:
        answer = await scientist.post("/metrics/model", json={**FIGURES, **change})
        assert answer.status_code == 422, change
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await listed(scientist))["runs"] == []


async def test_a_request_that_comes_again_is_one_run(scientist: httpx2.AsyncClient) -> None:
    async def log(key: str, **change: Any) -> httpx2.Response:
        headers = {"Idempotency-Key": key}
        return await scientist.post("/metrics/model", json={**FIGURES, **change}, headers=headers)

    first, again, other = await log("a"), await log("a"), await log("b")
    assert first.json()["run_id"] == again.json()["run_id"] != other.json()["run_id"]
    for change in ({"accuracy": 0.1}, {"experiment": "elsewhere"}):
        refused = await log("a", **change)
        assert refused.status_code == 422
        assert "another body" in refused.json()["detail"]
    assert (await listed(scientist))["count"] == 2


async def test_who_may_not_write_or_read_runs_is_refused(
    client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    assert (await client.post("/metrics/model", json=FIGURES)).status_code == 401
    assert (await client.get("/mlflow/runs")).status_code == 401
    viewer = await sign_in(Role.viewer)
    assert (await viewer.post("/metrics/model", json=FIGURES)).status_code == 403
    key = await viewer.post("/api/v1/api-keys", json={"name": "k", "scopes": ["data:read"]})
    headers = {"X-API-Key": key.json()["key"]}
    assert (await client.get("/mlflow/runs", headers=headers)).status_code == 403


async def test_plain_curl_on_the_same_machine_needs_no_sign_in(
    app: FastAPI, mlflow: Tracker
) -> None:
    async with make_client(app, address="127.0.0.1") as here:
        here.base_url = "http://127.0.0.1"
        assert (await here.post("/metrics/model", json=FIGURES)).status_code == 200
        assert (await here.get("/mlflow/runs")).json()["count"] == 1


class Silent:
    """MLflow's store does not answer until it is told to."""

    def __init__(self) -> None:
        self.asked, self.answers = threading.Event(), threading.Event()

    def runs(self, *_: object) -> list[object]:
        self.asked.set()
        self.answers.wait(PATIENCE)
        return []


@pytest.fixture
def silent_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    silent = Silent()
    monkeypatch.setattr(store.Tracker, "runs", silent.runs)
    yield silent
    silent.answers.set()


async def test_a_silent_store_is_503_and_holds_up_nobody(
    scientist: httpx2.AsyncClient, silent_store: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "PATIENCE_SECONDS", PATIENCE)
    asked = asyncio.create_task(scientist.get("/mlflow/runs"))
    assert await asyncio.to_thread(silent_store.asked.wait, PATIENCE)
    assert (await scientist.get("/health/live")).status_code == 200
    assert not asked.done()
    monkeypatch.setattr(desk, "PATIENCE_SECONDS", 0.05)
    refused = await scientist.get("/mlflow/runs")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "MLFLOW_TRACKING_URI" in refused.json()["detail"]
    silent_store.answers.set()
    assert (await asked).json()["runs"] == []


async def test_a_broken_store_is_503_without_its_inside(
    scientist: httpx2.AsyncClient, settings: Settings
) -> None:
    store._opened.cache_clear()
    (settings.home / "mlflow.db").write_bytes(b"no database at all" * 100)
    for answer in (
        await scientist.get("/mlflow/runs"),
        await scientist.post("/metrics/model", json=FIGURES),
    ):
        assert answer.status_code == 503
        assert "mlflow.db" not in answer.text
