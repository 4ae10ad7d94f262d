"""Each minute the figures of the platform are kept, and the requests of the day are added up.

Every API process does this for itself: of two samples of one minute the first stays, and requests
add up.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import bulk, offers
from astralytiq.core.db import utc_now
from astralytiq.core.metrics import Performance
from astralytiq.core.resources import Resources

from .models import DayCount, FigureSample

log = logging.getLogger(__name__)

MINUTE = timedelta(minutes=1)
INTO_THE_MINUTE = timedelta(seconds=1)
UP, REQUESTS = "up", "api_requests"


class Sampler:
    """What one process has counted and not stored yet."""

    def __init__(self, resources: Resources, performance: Performance) -> None:
        self._resources = resources
        self._performance = performance
        self._stored = 0

    @property
    def unstored(self) -> int:
        tallies = self._performance.snapshot().total.tallies.values()
        return sum(tally.count for tally in tallies) - self._stored

    async def run(self) -> None:
        """Until it is cancelled; then the last requests are added."""
        try:
            while True:
                await asyncio.sleep(seconds_left(utc_now()))
                await self.sample_if_possible()
        finally:
            await self.try_to(self.add_requests)

    async def sample_if_possible(self) -> None:
        await self.try_to(self.sample)
        await self.try_to(self.add_requests)

    async def try_to(self, work: Any) -> None:
        try:
            await work()
        except (SQLAlchemyError, OSError) as fault:  # The next minute may be better.
            log.warning("figures are not kept", extra={"error": type(fault).__name__})

    async def sample(self) -> None:
        """Measured by the read engine; what is written is a few rows."""
        at = minute_of(utc_now())
        async with self._resources.database.reading() as session:
            figures = await offers.measure_all(session)
        rows = [
            {"name": name, "at": at, "value": float(value)}
            for name, value in {**figures, UP: 1.0}.items()
            if value is not None
        ]
        kept_since = at - timedelta(days=self._resources.settings.figures_retention_days)
        await self._resources.database.write(lambda session: keep(session, rows, kept_since))

    async def add_requests(self) -> None:
        count, today = self.unstored, utc_now().date()
        if not count:
            return
        await self._resources.database.write(lambda session: add(session, REQUESTS, today, count))
        self._stored += count

    async def close(self) -> None:
        """Nothing is left: `run` has stored the last."""


def seconds_left(now: datetime) -> float:
    return (next_look(now) - now).total_seconds()


def next_look(now: datetime) -> datetime:
    """Well within the next minute: a sleep that ends a blink too early would be of the last one,
    whose sample there is already, and the next one would be missed."""
    return minute_of(now) + MINUTE + INTO_THE_MINUTE


def minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


async def keep(session: AsyncSession, rows: Sequence[dict[str, Any]], kept_since: datetime) -> None:
    build = sqlite.insert if bulk.is_sqlite(session) else postgresql.insert
    await session.execute(build(FigureSample).on_conflict_do_nothing(), list(rows))
    names = [row["name"] for row in rows]  # By name, so that the key finds them.
    old = delete(FigureSample).where(FigureSample.name.in_(names), FigureSample.at < kept_since)
    await session.execute(old.execution_options(synchronize_session=False))


async def add(session: AsyncSession, name: str, day: Any, count: int) -> None:
    build = sqlite.insert if bulk.is_sqlite(session) else postgresql.insert
    statement = build(DayCount).values(name=name, day=day, count=count)
    more = {"count": DayCount.count + statement.excluded.count}
    await session.execute(
        statement.on_conflict_do_update(index_elements=["name", "day"], set_=more)
    )


async def requests_today(session: AsyncSession) -> int:
    """Those that are stored, of every process."""
    query = select(DayCount.count).filter_by(name=REQUESTS, day=utc_now().date())
    return await session.scalar(query) or 0


async def uptime_percentage(session: AsyncSession) -> float:
    """In how many of the minutes since the first that is kept a process was up."""
    query = select(func.count(), func.min(FigureSample.at)).where(FigureSample.name == UP)
    minutes, first = (await session.execute(query)).one()
    if not first:
        return 100.0  # It came up less than a minute ago.
    passed = (minute_of(utc_now()) - first) / MINUTE + 1
    return min(100.0, round(100 * minutes / max(passed, 1.0), 3))


def sampler_of(resources: Resources, performance: Performance) -> Sampler:
    sampler: Sampler = resources.own("dashboards.sampler", lambda r: Sampler(r, performance))
    return sampler


async def keep_sampling(resources: Resources, performance: Performance) -> None:
    await sampler_of(resources, performance).run()
