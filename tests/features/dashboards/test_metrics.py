"""Figures are measured, sampled once a minute, and added up by day."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from astralytiq.core.db import utc_now
from astralytiq.core.offers import FIGURES
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.dashboards import sampling, showing
from astralytiq.features.dashboards.models import FigureSample
from astralytiq.features.dashboards.sampling import Sampler, sampler_of
from tests.conftest import SignIn
from tests.features.datasets.factories import upload
from tests.features.projects.factories import enter
from tests.patience import until

pytestmark = pytest.mark.anyio

URL = "/api/v1/metrics"
FIXED = {
    "total_datasets", "active_models", "total_dashboards", "data_processed_tb", "api_calls_today",
    "uptime_percentage", "active_users", "model_accuracy_avg", "data_quality_score",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_midnight(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Neither a minute nor a day ends while a test looks."""
    now = utc_now()
    monkeypatch.setattr(sampling, "utc_now", lambda: now)
    return now


@pytest.mark.parametrize("second", [0.0, 0.2, 30.0, 59.9999])
async def test_no_minute_is_missed_by_a_sleep_that_ends_a_little_early(second: float) -> None:
    now = datetime(2026, 1, 31, 23, 59, tzinfo=UTC) + timedelta(seconds=second)
    woken = sampling.next_look(now) - timedelta(milliseconds=500)
    assert sampling.minute_of(woken) == datetime(2026, 2, 1, tzinfo=UTC)


async def test_every_figure_is_measured(app: FastAPI, sign_in: SignIn) -> None:
    person = await enter(sign_in, Role.data_scientist)
    before = (await person.client.get(URL)).json()
    assert before.keys() >= FIXED
    assert before["total_datasets"] == before["data_processed_tb"] == 0
    assert before["model_accuracy_avg"] is None, "nothing is measured yet"
    assert before["active_users"] == 1
    assert before["uptime_percentage"] == 100
    await upload(person.client)
    await person.client.post("/api/v1/dashboards", json={"name": "shop"})
    after = (await person.client.get(URL)).json()
    assert after["total_datasets"] == after["total_dashboards"] == 1
    assert after["data_processed_tb"] > 0
    assert after["api_calls_today"] == before["api_calls_today"] + 3
    assert after["figures"].keys() == FIGURES.keys()


async def test_the_catalogue_says_what_each_figure_is(sign_in: SignIn) -> None:
    found = (await (await enter(sign_in)).client.get(f"{URL}/figures")).json()
    assert {one["name"] for one in found} == FIGURES.keys()
    assert all(one["about"] for one in found)


async def test_a_minute_is_sampled_once_and_old_ones_go(app: FastAPI, resources: Resources) -> None:
    sampler = Sampler(resources, app.state.performance)
    old = sampling.minute_of(utc_now()) - timedelta(days=30)
    async with resources.database.transaction() as session:
        session.add(FigureSample(name="datasets", at=old, value=9))
    for _ in range(2):
        await sampler.sample()
    async with resources.database.reading() as session:
        query = select(FigureSample.at, FigureSample.value).where(FigureSample.name == "datasets")
        rows = [row for row in await session.execute(query) if row.at > old]
        left = [row for row in await session.execute(query) if row.at == old]
    assert [value for _, value in rows] == [0]
    assert not left


async def test_each_process_samples_by_itself_until_it_ends(
    app: FastAPI, resources: Resources, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "seconds_left", lambda _: 0.01)
    sampler = Sampler(resources, app.state.performance)
    running = asyncio.create_task(sampler.run())

    async def up() -> float | None:
        async with resources.database.reading() as session:
            return await session.scalar(select(FigureSample.value).filter_by(name=sampling.UP))

    assert await until(up) == 1
    await (await enter(sign_in)).client.get(URL)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sampler.unstored == 0


async def test_requests_of_the_day_are_added_up_once(
    app: FastAPI, resources: Resources, sign_in: SignIn
) -> None:
    person = await enter(sign_in)
    sampler = sampler_of(resources, app.state.performance)
    first = (await person.client.get(URL)).json()["api_calls_today"]
    await sampler.add_requests()
    await sampler.add_requests()
    assert sampler.unstored == 0
    assert (await person.client.get(URL)).json()["api_calls_today"] == first + 1


async def test_uptime_is_the_share_of_minutes_with_a_sample(
    resources: Resources, no_midnight: datetime
) -> None:
    now = sampling.minute_of(no_midnight)
    async with resources.database.transaction() as session:
        for ago in (9, 8, 7, 2, 1):
            at = now - timedelta(minutes=ago)
            session.add(FigureSample(name=sampling.UP, at=at, value=1))
    async with resources.database.reading() as session:
        assert await sampling.uptime_percentage(session) == 50


def test_a_long_line_is_thinned_to_means() -> None:
    points = [
        (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=n), float(n)) for n in range(1001)
    ]
    thinned = showing.thinned(points)
    assert len(thinned) == 334
    assert thinned[:2] == [(points[0][0], 1.0), (points[3][0], 4.0)]
    assert showing.thinned(points[:5]) == points[:5]
    assert showing.thinned([]) == []
