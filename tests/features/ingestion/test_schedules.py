"""Sources that run by the clock: once per due time, never twice at once, never while disabled."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs, scheduler
from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import utc_now
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.schedules import Schedule
from astralytiq.features.ingestion import scheduling, service
from astralytiq.features.ingestion.models import Run, RunEvent, RunStatus
from tests.conftest import RunJobs

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_schedules")]

SOURCES = "/api/v1/sources"
SHOP: dict[str, Any] = {
    "name": "shop",
    "kind": "csv",
    "path": "shop.csv",
    "primary_key": "id",
    "schedule": "every 15m",
}


@pytest.fixture
async def shop(scientist: httpx2.AsyncClient, inbox: Path) -> str:
    (inbox / "shop.csv").write_text("id,title\n1,a\n")
    assert (await scientist.post(SOURCES, json=SHOP)).status_code == 201
    return f"{SOURCES}/shop"


async def fall_due(resources: Resources) -> None:
    """The clock moves on by a day, and several schedulers see it."""
    past = update(Schedule).values(next_run_at=utc_now() - timedelta(days=1))
    await resources.database.write(lambda session: session.execute(past))
    await asyncio.gather(*(scheduler.tick(resources) for _ in range(3)))


async def end_runs(session: AsyncSession) -> None:
    """The worker dies, and the run that it began has come to its end elsewhere."""
    await jobs.reap(session, owner_prefix="tests")
    await session.execute(update(Run).values(status=RunStatus.success))
    done = update(Job).where(Job.name == service.JOB).values(status=JobStatus.succeeded)
    await session.execute(done)


async def all_runs(resources: Resources) -> list[Run]:
    async with resources.database.reading() as session:
        return list(await session.scalars(select(Run).order_by(Run.run_id)))


async def all_schedules(resources: Resources) -> list[str]:
    async with resources.database.reading() as session:
        return list(await session.scalars(select(Schedule.rule)))


async def test_a_source_says_when_it_is_due(
    scientist: httpx2.AsyncClient, shop: str, resources: Resources
) -> None:
    first = (await scientist.get(shop)).json()
    due = datetime.fromisoformat(first["next_run_at"])
    assert timedelta(minutes=14) < due - utc_now() <= timedelta(minutes=15)
    kept = await scientist.patch(shop, json={"batch_size": 7})
    assert kept.json()["next_run_at"] == first["next_run_at"]
    changed = await scientist.patch(shop, json={"schedule": "0 3 * * *"})
    assert datetime.fromisoformat(changed.json()["next_run_at"]).hour == 3
    assert await all_schedules(resources) == ["0 3 * * *"]
    (listed,) = (await scientist.get(SOURCES)).json()
    assert listed["next_run_at"] == changed.json()["next_run_at"]


async def test_a_source_that_is_due_at_another_time_is_no_304_and_the_same_version(
    scientist: httpx2.AsyncClient, shop: str, resources: Resources
) -> None:
    tag = (await scientist.get(shop)).headers["etag"]
    known = {"If-None-Match": tag}
    assert (await scientist.get(shop, headers=known)).status_code == 304
    await fall_due(resources)
    assert (await scientist.get(shop, headers=known)).status_code == 200
    seen = {"If-Match": tag}  # A run that fell due is no change of the source.
    assert (await scientist.patch(shop, json={"batch_size": 7}, headers=seen)).status_code == 200
    assert (await scientist.patch(shop, json={"batch_size": 8}, headers=seen)).status_code == 412


@pytest.mark.parametrize("end", ["disabled", "without a schedule", "deleted"])
async def test_a_schedule_ends_with_its_source(
    scientist: httpx2.AsyncClient, shop: str, resources: Resources, end: str
) -> None:
    if end == "deleted":
        assert (await scientist.delete(shop)).status_code == 204
    else:
        change = {"enabled": False} if end == "disabled" else {"schedule": None}
        assert (await scientist.patch(shop, json=change)).json()["next_run_at"] is None
    assert await all_schedules(resources) == []
    await fall_due(resources)
    assert await all_runs(resources) == []


async def test_a_source_that_is_enabled_again_is_due_again(
    scientist: httpx2.AsyncClient, shop: str
) -> None:
    await scientist.patch(shop, json={"enabled": False})
    again = (await scientist.patch(shop, json={"enabled": True})).json()
    assert (again["schedule"], again["next_run_at"] is None) == ("every 15m", False)


@pytest.mark.parametrize("rule", ["often", "every 0m", "every 9999999999d", "99 * * * *", ""])
async def test_a_rule_that_means_nothing_is_refused(
    scientist: httpx2.AsyncClient, rule: str
) -> None:
    refused = await scientist.post(SOURCES, json=SHOP | {"schedule": rule})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"][-1] == "schedule"


async def test_a_due_time_makes_one_run_whoever_ticks(
    scientist: httpx2.AsyncClient, shop: str, resources: Resources, run_jobs: RunJobs
) -> None:
    await fall_due(resources)
    await run_jobs()
    (run,) = await all_runs(resources)
    assert (run.trigger, run.status, run.records_processed) == ("schedule", RunStatus.success, 1)
    # The job of the run is the business of the source's owner.
    assert (await scientist.get(f"/api/v1/jobs/{run.job_id}")).status_code == 200
    await fall_due(resources)
    await run_jobs()
    assert len(await all_runs(resources)) == 2


async def test_what_is_due_while_a_run_is_in_progress_is_left_out_with_a_note(
    scientist: httpx2.AsyncClient, shop: str, resources: Resources
) -> None:
    started = (await scientist.post(f"{shop}/run")).json()
    async with resources.database.reading() as session:
        source = await service.get_source(session, "shop")
    done = await resources.database.write(lambda s: scheduling.begin(s, source.name))
    assert "left out" in done["skipped"]
    (run,) = await all_runs(resources)
    assert (run.run_id, run.trigger) == (started["run_id"], "manual")
    async with resources.database.reading() as session:
        event = (await session.scalars(select(RunEvent).filter_by(kind="skipped"))).one()
        entry = (await session.scalars(select(AuditEntry).filter_by(action="run.skipped"))).one()
    assert event.run_id == run.run_id
    assert (entry.resource, entry.details) == (f"run/{run.run_id}", {"source": "shop"})


@pytest.mark.parametrize("end", ["disabled", "deleted"])
async def test_what_was_due_before_its_source_was_stopped_does_not_run(
    scientist: httpx2.AsyncClient, shop: str, resources: Resources, run_jobs: RunJobs, end: str
) -> None:
    await fall_due(resources)
    if end == "deleted":
        await scientist.delete(shop)
    else:
        await scientist.patch(shop, json={"enabled": False})
    await run_jobs()
    assert await all_runs(resources) == []


async def test_a_worker_that_dies_after_its_commit_begins_no_second_run(
    shop: str, resources: Resources
) -> None:
    await fall_due(resources)
    for attempt in (1, 2):
        held = await resources.database.write(lambda s: jobs.claim(s, "tests", 0))
        assert held is not None
        assert (held.name, held.attempt) == (service.SCHEDULED, attempt)
        await scheduling.start_due(Work(resources, held), **held.arguments)
        await resources.database.write(end_runs)
    assert len(await all_runs(resources)) == 1
