"""Drills: each fault happens once, is told, and leaves exactly the source's records."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.core import executor
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.engines.etl.faults import FORMS
from astralytiq.features.ingestion import injection
from astralytiq.features.ingestion.cli import etl, source
from tests.conftest import RunJobs, SignIn
from tests.features.ingestion.conftest import counts
from tests.features.ingestion.drills import (
    KEY,
    KEY_NAME,
    add,
    answering,
    begun,
    hurry,
    injected,
    items,
    seen,
    spec,
    stored,
    titles,
    told,
    write_files,
)
from tests.features.ingestion.servers import Server, serving
from tests.features.ingestion.test_csv_runs import Killed, survive
from tests.features.ingestion.test_quality_commands import Command, command
from tests.features.ingestion.test_retries import waits

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("sources")]
__all__ = ["command", "waits"]  # fixtures: pauses are not waited for

ITEMS = items(11)
TITLES = titles(ITEMS)
KINDS = ("api", "csv", "rss")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, inbox: Path) -> Iterator[Server]:
    monkeypatch.setenv(KEY_NAME, KEY)
    write_files(inbox / "items", ITEMS, rows=20)
    with serving(answering(ITEMS)) as server:
        yield server


@pytest.fixture
async def sources(scientist: httpx2.AsyncClient, server: Server) -> None:
    """One of each kind, named after it, and a file that a server has."""
    for kind in KINDS:
        await add(scientist, spec(kind, kind, "" if kind == "csv" else server.url))
    await add(scientist, spec("download", "csv", server.url))


def killed() -> None:
    raise Killed


# Each kind ---------------------------------------------------------------------------------------

STUMBLES = {
    "timeout": "did not answer in time",
    "http429": "answered 429",
    "http500": "answered 500",
    "truncate": "broke off in the middle of its answer (RemoteProtocolError)",
}


@pytest.mark.parametrize("fault", STUMBLES)
async def test_a_server_that_stumbles_is_asked_again(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs, waits: list[float], fault: str
) -> None:
    for name, page in (("api", 3), ("rss", 1), ("download", 1)):
        run = await begun(scientist, name, f"{fault}@page:{page}")
        await run_jobs()
        assert await stored(scientist, name) == TITLES
        found = await seen(scientist, run["run_id"])
        assert (found["status"], counts(found)) == ("success", (11, 11, 0, 0))
        assert await injected(scientist, run) == [f"{fault}@page:{page}"]
        attempts = await told(scientist, run, "attempt")
        first, second = (one for one in attempts if one["details"]["page"] == page)
        assert STUMBLES[fault] in first["message"]
        assert (second["details"]["attempt"], second["details"]["status"]) == (2, 200)
        if fault == "http429":  # It asks for no pause at all: half a second is the least.
            assert first["details"]["wait_seconds"] == 0.5
            assert 0.5 in waits


async def test_more_faults_than_tries_of_a_page_are_left_to_the_next_attempt(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs, resources: Resources
) -> None:
    faults = ["http500@page:2"] * 5
    run = await begun(scientist, "api", *faults)
    await run_jobs()
    assert (await seen(scientist, run["run_id"]))["status"] == "in_progress"
    await hurry(resources)
    await run_jobs()
    assert (await seen(scientist, run["run_id"]))["status"] == "success"
    assert await injected(scientist, run) == faults
    assert await stored(scientist, "api") == TITLES


@pytest.mark.parametrize(
    ("name", "orders"),
    [
        (
            "api",
            {
                "duplicate@page:2": "1 2 3 4 5 6 7 8 5 6 7 8 9 10 11",
                "duplicate@page:3": "1 2 3 4 5 6 7 8 9 10 11 9 10 11",
                "reorder@page:1": "5 6 7 8 1 2 3 4 9 10 11",
                "reorder@page:3": "1 2 3 4 5 6 7 8 11 10 9",
            },
        ),
        (
            "csv",
            {
                "duplicate@page:4": "1 2 3 4 5 6 7 8 9 10 11 10 11",
                "reorder@page:2": "1 2 3 7 8 9 4 5 6 10 11",
                "reorder@page:4": "1 2 3 4 5 6 7 8 9 11 10",
            },
        ),
        (
            "rss",
            {
                "duplicate@page:1": "1 2 3 4 5 6 7 8 9 10 11 1 2 3 4 5 6 7 8 9 10 11",
                "reorder@page:1": "11 10 9 8 7 6 5 4 3 2 1",
            },
        ),
    ],
)
async def test_pages_come_twice_or_out_of_order(
    scientist: httpx2.AsyncClient,
    run_jobs: RunJobs,
    arrived: list[str],
    name: str,
    orders: dict[str, str],
) -> None:
    for fault, order in orders.items():
        arrived.clear()
        run = await begun(scientist, name, fault)
        await run_jobs()
        assert " ".join(arrived) == order
        found = await seen(scientist, run["run_id"])
        assert (found["status"], found["records_processed"]) == ("success", len(order.split()))
        assert await injected(scientist, run) == [fault]
        assert await stored(scientist, name) == TITLES


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of what a run reads, in the order of their arrival."""
    ids: list[str] = []
    disturbed = injection.Drill.batches

    async def batches(*given: Any) -> Any:
        async for batch in disturbed(*given):
            ids.extend(str(one["id"]) for one in batch.payloads)
            yield batch

    monkeypatch.setattr(injection.Drill, "batches", batches)
    return ids


@pytest.mark.parametrize("name", KINDS)
async def test_a_bent_record_is_a_reject_until_it_is_tried_again_or_comes_again(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs, name: str
) -> None:
    run = await begun(scientist, name, "corrupt@record:6", "corrupt@record:11")
    await run_jobs()
    found = await seen(scientist, run["run_id"])
    assert (found["status"], counts(found)) == ("success", (11, 9, 0, 2))
    expected = {id_: title for id_, title in TITLES.items() if id_ not in ("6", "11")}
    assert await stored(scientist, name) == expected
    reject, _ = (await scientist.get("/api/v1/etl/rejects")).json()
    assert "bent by a drill (corrupt@record:6)" in reject["reason"]
    assert str(reject["payload"]["id"]) == "6"
    retried = await scientist.post(f"/api/v1/etl/rejects/{reject['id']}/retry")
    assert retried.json()["status"] == "retried"
    assert await stored(scientist, name) == expected | {"6": "Item 6"}
    await begun(scientist, name)
    await run_jobs()
    assert await stored(scientist, name) == TITLES


@pytest.mark.parametrize("name", KINDS)
async def test_a_crash_is_survived_with_all_the_other_faults(
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    faults = ["crash@batch:1", "crash@batch:3", "duplicate@page:1", "corrupt@record:2"]
    run = await begun(scientist, name, *faults)
    monkeypatch.setattr(injection, "die", killed)
    for batches in (0, 2):
        await survive(resources, run_jobs)
        assert (await seen(scientist, run["run_id"]))["batches"] == batches
    await run_jobs()
    found = await seen(scientist, run["run_id"])
    assert (found["status"], found["error"]) == ("success", None)
    assert set(await injected(scientist, run)) == set(faults)
    await begun(scientist, name)
    await run_jobs()
    assert await stored(scientist, name) == TITLES


async def test_a_crash_amid_swapped_pages_loses_none_of_them(
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Page 3 is stored already, page 2 is not."""
    monkeypatch.setattr(injection, "die", killed)
    run = await begun(scientist, "api", "reorder@page:2", "crash@batch:4")
    await survive(resources, run_jobs)
    assert "5" not in await stored(scientist, "api")
    await run_jobs()
    found = await seen(scientist, run["run_id"])
    assert (found["status"], counts(found)[1:]) == ("success", (11, 0, 0))
    assert await stored(scientist, "api") == TITLES


async def test_what_the_run_did_not_get_to_is_told(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    faults = ["crash@batch:6", "timeout@page:9", "corrupt@record:12"]
    run = await begun(scientist, "api", *faults)
    await run_jobs()
    assert await injected(scientist, run) == []
    left = await told(scientist, run, "not_injected")
    assert [event["details"]["fault"] for event in left] == faults
    assert (await seen(scientist, run["run_id"]))["status"] == "success"


# Who may, and where ------------------------------------------------------------------------------


REFUSALS = [
    ("csv", "http500@page:1", "they take crash@batch:N, duplicate@page:N, reorder@page:N"),
    ("rss", "truncate@page:2", "there is one answer, write truncate@page:1"),
    ("download", "timeout@page:2", "there is one answer, write timeout@page:1"),
    ("api", "flood@page:1", "crash@batch:N, timeout@page:N"),
    ("api", "crash@page:1", "is no fault"),
    ("api", "crash@batch:0", "with N from 1"),
    ("api", "crash", "is no fault"),
]


async def test_a_fault_that_cannot_happen_is_refused_with_those_that_can(
    scientist: httpx2.AsyncClient,
) -> None:
    for name, fault, words in REFUSALS:
        body = {"inject": ["crash@batch:1", fault]}
        refused = await scientist.post(f"/api/v1/sources/{name}/run", json=body)
        assert (refused.status_code, words in refused.json()["detail"]) == (422, True), fault
        assert refused.json()["errors"][0]["loc"] == ["body", "inject", 1]
    assert (await scientist.get("/api/v1/etl/runs")).json() == []


async def test_nobody_injects_without_the_permission_to_run(viewer: httpx2.AsyncClient) -> None:
    body = {"inject": ["crash@batch:1"]}
    assert (await viewer.post("/api/v1/sources/api/run", json=body)).status_code == 403


async def test_faults_are_in_the_audit_log(scientist: httpx2.AsyncClient, sign_in: SignIn) -> None:
    admin = await sign_in(Role.admin)
    await begun(scientist, "api", "timeout@page:1")
    entry = (await admin.get("/api/v1/audit?limit=1")).json()[0]
    assert (entry["action"], entry["details"]["inject"]) == ("run.started", ["timeout@page:1"])


async def test_production_refuses_every_fault_at_the_door_and_in_the_worker(
    app: FastAPI, scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    faults = [form.replace("N", "1") for form in FORMS]
    run = await begun(scientist, "api", *faults)
    settings = resources.settings.model_copy(
        update={"environment": "production", "source_secrets": (KEY_NAME,)}
    )
    app.state.resources = production = replace(resources, settings=settings)
    for fault in faults:
        refused = await scientist.post("/api/v1/sources/rss/run", json={"inject": [fault]})
        assert (refused.status_code, "in production" in refused.json()["detail"]) == (403, True)
    await executor.run_until_idle(production, "tests")
    found = await seen(scientist, run["run_id"])
    assert (found["status"], "in production" in found["error"]) == ("failed", True)
    assert await injected(scientist, run) == []
    assert (await scientist.post("/api/v1/sources/api/run")).status_code == 202
    await executor.run_until_idle(production, "tests")
    assert await stored(scientist, "api") == TITLES


async def test_a_source_that_fails_keeps_no_other_from_running(
    command: Command, scientist: httpx2.AsyncClient
) -> None:
    await scientist.post(
        "/api/v1/sources", json={"name": "gone", "kind": "csv", "path": "nothing.csv"}
    )
    done = await command(source, "run", "nobody", "gone", "csv", "--json")
    gone, csv = json.loads(done.stdout)
    assert (gone["source"], gone["status"]) == ("gone", "failed")
    assert (csv["source"], csv["status"]) == ("csv", "success")
    assert done.exit_code == 2
    assert "nobody: There is no source" in done.stderr
    assert "gone: There is no file 'nothing.csv'" in done.stderr
    alone = await command(source, "run", "gone", "--json")
    assert (alone.exit_code, json.loads(alone.stdout)["status"]) == (1, "failed")


async def test_a_drill_is_one_command(command: Command, scientist: httpx2.AsyncClient) -> None:
    faults = ("--inject", "http500@page:2", "--inject", "duplicate@page:1")
    done = await command(etl, "run", "api", *faults, "--json")
    run = json.loads(done.stdout)
    assert (done.exit_code, run["status"], counts(run)) == (0, "success", (15, 11, 0, 0))
    assert set(await injected(scientist, run)) == {"http500@page:2", "duplicate@page:1"}
    full = await command(etl, "run", "api", "--full-refresh")
    assert (full.exit_code, "records_unchanged  11" in full.stdout) == (0, True)
    wrong = await command(etl, "run", "csv", "--inject", "timeout@page:1")
    assert (wrong.exit_code, "files have none" in wrong.stderr) == (2, True)
    all_bent = [word for at in range(1, 12) for word in ("--inject", f"corrupt@record:{at}")]
    failing = await command(etl, "run", "rss", *all_bent)
    assert (failing.exit_code, "All 11 records were rejected" in failing.stderr) == (1, True)
