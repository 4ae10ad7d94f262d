"""Schedules: due once, whoever ticks, and in words that people know."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import scheduler, schedules
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Invalid
from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from astralytiq.core.schedules import Schedule

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_schedules")]

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "due"),
    [
        ("every 15m", NOON + timedelta(minutes=15)),
        ("every 2d", NOON + timedelta(days=2)),
        ("30 3 * * *", datetime(2026, 3, 2, 3, 30, tzinfo=UTC)),
    ],
)
async def test_a_rule_says_when_it_is_due_next(rule: str, due: datetime) -> None:
    assert schedules.next_time(rule, NOON) == due


@pytest.mark.parametrize("rule", ["every 0m", "often", "99 * * * *", ""])
async def test_a_rule_that_means_nothing_is_refused(rule: str) -> None:
    with pytest.raises(Invalid):
        schedules.next_time(rule, NOON)


async def put(session: AsyncSession) -> None:
    await schedules.put(session, "nightly", "every 1h", "tests.nothing", source="x")


async def make_due(session: AsyncSession) -> None:
    long_ago = utc_now() - timedelta(days=3)
    await session.execute(update(Schedule).values(next_run_at=long_ago))


async def test_what_is_due_is_queued_once_even_after_a_long_stop(resources: Resources) -> None:
    await resources.database.write(put)
    await scheduler.tick(resources)
    await resources.database.write(make_due)
    await asyncio.gather(*(scheduler.tick(resources) for _ in range(3)))
    async with resources.database.reading() as session:
        assert await session.scalar(select(func.count(Job.id))) == 1
        job = (await session.scalars(select(Job))).one()
        assert (job.name, job.arguments) == ("tests.nothing", {"source": "x"})
        schedule = (await session.scalars(select(Schedule))).one()
        assert schedule.next_run_at > utc_now()


async def test_a_schedule_is_changed_and_removed_by_name(resources: Resources) -> None:
    await resources.database.write(put)
    await resources.database.write(
        lambda s: schedules.put(s, "nightly", "every 2h", "tests.nothing")
    )
    async with resources.database.reading() as session:
        assert (await session.scalars(select(Schedule.rule))).all() == ["every 2h"]
    await resources.database.write(lambda s: schedules.remove(s, "nightly"))
    async with resources.database.reading() as session:
        assert (await session.scalars(select(Schedule.rule))).all() == []
