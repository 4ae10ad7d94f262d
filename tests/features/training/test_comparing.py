"""Versions of different data are judged on rows that neither was trained on, for a gate."""

import random
from typing import Any

import httpx2
import pytest

from astralytiq.core.security import Role
from astralytiq.core.tracking import Tracker
from tests.conftest import RunJobs, SignIn
from tests.features.datasets.factories import upload

pytestmark = pytest.mark.anyio

API = "/api/v1"
MODEL = f"{API}/models/flowers"
Json = dict[str, Any]


def table(rows: int, extra: str = "") -> str:
    """Each row another; more rows begin as fewer do."""
    draw = random.Random(0)
    lines = [f"x,y,kind,side{extra}"]
    for _ in range(rows):
        x, y = draw.random(), draw.random()
        lines.append(f"{x:.6f},{y:.6f},{'ab'[x > 0.5]},{'lr'[y > 0.5]}" + (",1" if extra else ""))
    return "\n".join(lines) + "\n"


@pytest.fixture
async def owner(sign_in: SignIn, mlflow: Tracker) -> httpx2.AsyncClient:
    """Of a data set of two versions: 80 rows, then 40 more."""
    owner = await sign_in(Role.data_scientist)
    await upload(owner, table(80), "flowers.csv")
    await upload(owner, table(120), "flowers.csv", path="1/versions/upload")
    return owner


async def trained(client: httpx2.AsyncClient, run_jobs: RunJobs, dataset: str, **more: Any) -> None:
    body = {
        "algorithm": "decision_tree",
        "dataset_id": dataset,
        "target": "kind",
        "features": ["x", "y"],
        "model_name": "flowers",
        "test_size": 0.5,
    }
    asked = await client.post(f"{API}/ml/train", json=body | more)
    assert asked.status_code == 202, asked.text
    await run_jobs()


async def compared(client: httpx2.AsyncClient, run_jobs: RunJobs, **body: Any) -> Json:
    asked = await client.post(f"{MODEL}/versions/2/compare", json=body)
    assert asked.status_code == 202, asked.text
    await run_jobs()
    found: Json = (await client.get(asked.headers["location"])).json()
    return found


async def staged(client: httpx2.AsyncClient, number: int, **gate: Any) -> httpx2.Response:
    body: Json = {"stage": "production"} | ({"gate": gate} if gate else {})
    return await client.post(f"{MODEL}/versions/{number}/stage", json=body)


async def test_a_gate_takes_figures_of_the_same_rows(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    await trained(owner, run_jobs, "1@1", params={"max_depth": 1}, features=["y"])
    await trained(owner, run_jobs, "1@2")
    await staged(owner, 1)
    refused = await staged(owner, 2, metric="accuracy")
    assert (refused.status_code, "dataset: 1@2 and 1@1" in refused.json()["detail"]) == (409, True)
    job = await compared(owner, run_jobs)
    result = job["result"]
    assert (result["version"], result["other"], result["is_checked"]) == (2, 1, True)
    # Of the 60 rows held back from the second, the first had learnt from some of the 80 it had.
    assert result["rows"] + result["left_out"] == 60
    assert 10 <= result["left_out"] <= 30
    assert result["metrics"]["accuracy"] > result["other_metrics"]["accuracy"]
    passed = await staged(owner, 2, metric="accuracy", comparison=job["job_id"])
    gate = passed.json()["gate"]
    assert (passed.status_code, gate["same_rows"]) == (200, True)
    assert gate["rows"] == result["rows"]
    assert gate["value"] == result["metrics"]["accuracy"]
    assert gate["champion_value"] == result["other_metrics"]["accuracy"]


async def test_a_comparison_counts_for_its_two_versions_alone(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    for dataset in ("1@1", "1@2", "1@2"):
        await trained(owner, run_jobs, dataset)
    job = await compared(owner, run_jobs, other=1)
    await staged(owner, 3)
    for comparison in (job["job_id"], "nothing"):
        refused = await staged(owner, 2, metric="accuracy", comparison=comparison)
        (fault,) = refused.json()["errors"]
        assert (refused.status_code, fault["loc"]) == (422, ["body", "gate", "comparison"])
        assert "versions/2/compare makes one" in fault["msg"]
    await staged(owner, 1)
    unknown = await staged(owner, 2, metric="log_loss", comparison=job["job_id"])
    assert (unknown.status_code, "'accuracy'" in unknown.json()["detail"]) == (422, True)


async def test_what_cannot_be_compared_is_refused_in_words(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, sign_in: SignIn
) -> None:
    few = {"test_size": 0.05}
    wide = (await upload(owner, table(80, extra=",z"), "wide.csv")).json()["id"]
    await trained(owner, run_jobs, f"{wide}@1", features=["x", "z"])
    await trained(owner, run_jobs, "1@1", **few)
    await trained(owner, run_jobs, "1@1", target="side")
    door = f"{MODEL}/versions/2/compare"
    idle = await owner.post(door)
    assert (idle.status_code, "say which" in idle.json()["detail"]) == (409, True)
    for other, words in ((1, "lacks columns"), (2, "not with itself"), (3, "predicts 'side'")):
        refused = await owner.post(door, json={"other": other})
        assert (refused.status_code, words in refused.json()["detail"]) == (422, True), other
    assert (await owner.post(door, json={"other": 9})).status_code == 404
    await trained(owner, run_jobs, "1@1", **few, seed=1)
    job = await compared(owner, run_jobs, other=4)
    assert (job["status"], "too few are left" in job["error"]) == ("failed", True)
    analyst = await sign_in(Role.analyst)
    assert (await analyst.post(door, json={"other": 1})).status_code == 403
