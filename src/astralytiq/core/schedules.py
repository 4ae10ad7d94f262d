"""Schedules as rows: when one is due, its job is queued, once per due time whoever ticks."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from croniter import CroniterBadCronError, croniter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core import jobs
from astralytiq.core.db import Entity, utc_now
from astralytiq.core.errors import Invalid

EVERY = re.compile(r"every (\d+)([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Schedule(Entity):
    __tablename__ = "schedules"

    name: Mapped[str] = mapped_column(unique=True)
    rule: Mapped[str]
    job_name: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    enabled: Mapped[bool] = mapped_column(default=True)
    next_run_at: Mapped[datetime] = mapped_column(index=True)


def next_time(rule: str, after: datetime) -> datetime:
    """When `rule` (cron in UTC, or "every 15m") is due next, always later than `after`."""
    if match := EVERY.fullmatch(rule.strip()):
        count = int(match[1])
        if count == 0:
            raise Invalid(f"{rule!r} would never wait; say, for example, 'every 15m'.")
        try:
            return after + timedelta(**{UNITS[match[2]]: count})
        except OverflowError:
            raise Invalid(f"{rule!r} would never be due: wait for less.") from None
    try:
        due: datetime = croniter(rule, after).get_next(datetime)
    except (CroniterBadCronError, ValueError):
        raise Invalid(
            f"{rule!r} is no schedule; use cron ('0 3 * * *') or 'every 15m' (s, m, h, d)."
        ) from None
    return due


async def put(
    session: AsyncSession, name: str, rule: str, job_name: str, **arguments: Any
) -> Schedule:
    """Create the schedule `name` or change it."""
    found = await session.scalar(select(Schedule).where(Schedule.name == name))
    due = next_time(rule, utc_now())
    if found is None:
        found = Schedule(
            name=name, rule=rule, job_name=job_name, next_run_at=due, arguments=arguments
        )
        session.add(found)
    elif found.rule != rule:
        found.rule, found.next_run_at = rule, due
    found.job_name, found.arguments, found.enabled = job_name, arguments, True
    return found


async def remove(session: AsyncSession, name: str) -> None:
    if found := await session.scalar(select(Schedule).where(Schedule.name == name)):
        await session.delete(found)


async def next_times(session: AsyncSession, names: Sequence[str]) -> dict[str, datetime]:
    """When each schedule of `names` that there is will be due."""
    query = select(Schedule.name, Schedule.next_run_at).where(
        Schedule.enabled, Schedule.name.in_(names)
    )
    return dict((await session.execute(query)).all())


async def any_due(session: AsyncSession) -> bool:
    due = select(Schedule.id).where(Schedule.enabled, Schedule.next_run_at <= utc_now())
    return (await session.execute(due.limit(1))).first() is not None


async def tick(session: AsyncSession) -> int:
    """Queue what is due. After a long stop each schedule runs once, not once per missed time."""
    now = utc_now()
    due = (
        select(Schedule)
        .where(Schedule.enabled, Schedule.next_run_at <= now)
        .with_for_update(skip_locked=True)
    )
    found = (await session.scalars(due)).all()
    for schedule in found:
        key = f"schedule:{schedule.id}:{schedule.next_run_at.isoformat()}"
        await jobs.enqueue(session, schedule.job_name, idempotency_key=key, **schedule.arguments)
        schedule.next_run_at = next_time(schedule.rule, now)
    return len(found)
