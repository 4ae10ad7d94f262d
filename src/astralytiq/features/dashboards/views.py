"""How often dashboards are opened: counted in memory, stored together every two seconds.

A view costs its reader no write. A process that is killed loses the views of its last two seconds.
"""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from typing import Any

from sqlalchemy import case, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import Database, utc_now
from astralytiq.core.resources import Resources

from .models import Dashboard
from .schemas import DashboardRead

log = logging.getLogger(__name__)
SECONDS = 2.0


class Views:
    """Those of this process that are not stored yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.waiting: Counter[int] = Counter()
        self._storing: asyncio.Task[None] | None = None

    def count(self, dashboard_id: int) -> None:
        self.waiting[dashboard_id] += 1
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_soon())

    async def _store_soon(self) -> None:
        await asyncio.sleep(SECONDS)
        await self.store()

    async def store(self) -> None:
        counted, self.waiting = self.waiting, Counter()
        try:
            await self._database.write(lambda session: add(session, counted))
        except (SQLAlchemyError, OSError) as fault:
            self.waiting += counted  # With the next ones.
            log.warning("views are not stored yet", extra={"error": type(fault).__name__})

    async def close(self) -> None:
        if self._storing:
            self._storing.cancel()
            with suppress(asyncio.CancelledError):
                await self._storing
        if self.waiting:
            await self.store()


async def add(session: AsyncSession, counted: Counter[int]) -> None:
    today = utc_now().date()
    before = case((Dashboard.viewed_on == today, Dashboard.views_of_day), else_=0)
    for dashboard_id, count in sorted(counted.items()):
        values: dict[str, Any] = {
            "views_total": Dashboard.views_total + count,
            "views_of_day": before + count,
            "viewed_on": today,
            "updated_at": Dashboard.updated_at,  # To be looked at is no change.
        }
        statement = update(Dashboard).where(Dashboard.id == dashboard_id).values(values)
        await session.execute(statement.execution_options(synchronize_session=False))


def views_of(resources: Resources) -> Views:
    return resources.own("dashboards.views", lambda house: Views(house.database))


def describe(resources: Resources, dashboard: Dashboard) -> DashboardRead:
    """With the views that wait to be stored."""
    waiting = views_of(resources).waiting[dashboard.id]
    today = dashboard.viewed_on == utc_now().date()
    shown = {name: getattr(dashboard, name) for name in SHOWN}
    return DashboardRead(
        **shown,
        widget_count=len(dashboard.widgets),
        views_today=waiting + (dashboard.views_of_day if today else 0),
        views_total=waiting + dashboard.views_total,
    )


COUNTED = {"widget_count", "views_today", "views_total"}
SHOWN = [name for name in DashboardRead.model_fields if name not in COUNTED]
