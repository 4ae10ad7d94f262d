"""Events become a data set: those of a device and a time, whole, with where they came from."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.core.security import Role
from astralytiq.features.datasets import from_telemetry
from tests.conftest import RunJobs, SignIn
from tests.features.telemetry.factories import API, ago, get, key_client, post, post_many, reading

pytestmark = pytest.mark.anyio

DATASETS = f"{API}/datasets"


async def frozen(
    client: httpx2.AsyncClient, run_jobs: RunJobs, name: str, **filters: Any
) -> dict[str, Any]:
    made = await client.post(DATASETS, json={"name": name, "from_telemetry": filters})
    assert made.status_code == 201, made.text
    await run_jobs()
    found: dict[str, Any] = await get(client, f"{DATASETS}/{made.json()['id']}")
    return found


async def test_events_are_frozen_in_the_order_of_their_times(
    admin: httpx2.AsyncClient, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_telemetry, "BATCH", 70)
    events = [
        reading(device_id=f"d{n % 2}", event_id=f"e{n:05}", timestamp=ago(minutes=n), ear_value=0.2)
        for n in range(300)
    ]
    await post_many(admin, events)
    everything = await frozen(admin, run_jobs, "all")
    assert (everything["status"], everything["rows"]) == ("ready", 300)
    assert (everything["type"], everything["columns"]) == ("telemetry", 9)
    shown = await get(admin, f"{DATASETS}/{everything['id']}/preview", limit=2)
    assert [row["event_id"] for row in shown["rows"]] == ["e00299", "e00298"]
    first = shown["rows"][0]
    assert (first["device_id"], first["ear_value"], first["severity"]) == ("d1", 0.2, "low")
    types = {column["name"]: column["type"] for column in shown["columns"]}
    assert types["timestamp"] == "timestamp"
    assert (types["is_drowsy"], types["duration_ms"]) == ("bool", "float64")

    some = await frozen(admin, run_jobs, "some", device="d1", since=ago(minutes=20, seconds=30))
    assert some["rows"] == 10
    (version,) = await get(admin, f"{DATASETS}/{some['id']}/versions")
    assert version["origin"]["kind"] == "telemetry"
    assert version["origin"]["device"] == "d1"


async def test_a_next_version_holds_the_events_of_then(
    admin: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    await post(admin, device_id="d")
    made = await frozen(admin, run_jobs, "growing", device="d")
    await post(admin, device_id="d")
    asked = await admin.post(f"{DATASETS}/{made['id']}/versions")
    assert asked.status_code == 202
    await run_jobs()
    versions = await get(admin, f"{DATASETS}/{made['id']}/versions")
    assert [version["rows"] for version in versions] == [2, 1]


async def test_lineage_leads_from_the_device_to_the_set(
    admin: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    await post(admin, device_id="cab 7")
    alone = await get(admin, f"{API}/lineage/telemetry/cab 7")
    assert alone["edges"] == []
    made = await frozen(admin, run_jobs, "drives", device="cab 7")
    graph = await get(admin, f"{API}/datasets/{made['id']}/lineage", direction="up")
    (node,) = [node for node in graph["nodes"] if node["kind"] == "telemetry"]
    assert node["id"] == "cab 7"
    assert node["href"] == "/api/v1/statistics?device=cab%207"
    assert (await admin.get(node["href"])).json()["total_events"] == 1
    down = await get(admin, f"{API}/lineage/telemetry/cab 7", direction="down")
    assert f"{made['id']}@1" in {node["id"] for node in down["nodes"]}
    everything = await frozen(admin, run_jobs, "all")
    graph = await get(admin, f"{API}/datasets/{everything['id']}/lineage", direction="up")
    assert ("telemetry", "*") in {(node["kind"], node["id"]) for node in graph["nodes"]}
    assert (await admin.get(f"{API}/lineage/telemetry/nobody")).status_code == 404


async def test_nothing_becomes_no_data_set(admin: httpx2.AsyncClient) -> None:
    refused = await admin.post(DATASETS, json={"name": "none", "from_telemetry": {"device": "d"}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == ["body", "from_telemetry"]
    both = {"name": "two", "from_telemetry": {}, "from_query": {}}
    assert (await admin.post(DATASETS, json=both)).status_code == 422


async def test_who_may_not_read_events_freezes_none(
    app: FastAPI, admin: httpx2.AsyncClient, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    await post(admin)
    async with await key_client(app, "datasets:write", "datasets:read") as key:
        refused = await key.post(DATASETS, json={"name": "x", "from_telemetry": {}})
        assert refused.status_code == 403
    analyst = await sign_in(Role.analyst)
    assert (await frozen(analyst, run_jobs, "mine"))["rows"] == 1
