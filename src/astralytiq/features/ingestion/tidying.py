"""What grows with every run and loses its worth with time: events of runs long past.

It is done where it grows, before a run, a part at a time: no clock is needed for it.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import secrets
from astralytiq.core.db import utc_now
from astralytiq.core.errors import AppError
from astralytiq.core.resources import Resources

from . import anomalies
from .models import RunEvent

PART = 5000  # events: more than a run makes


log = logging.getLogger(__name__)


async def tidy(resources: Resources) -> None:
    """No run fails because of what others have left behind."""
    try:
        await tidied(resources)
    except (SQLAlchemyError, AppError) as fault:
        log.warning("tidying was left to the next run", extra={"error": str(fault)})


async def tidied(resources: Resources) -> None:
    """Look first: mostly there is nothing to write."""
    database, settings = resources.database, resources.settings
    oldest = utc_now() - timedelta(days=settings.run_events_days)
    async with database.reading() as session:
        old = await events_before(session, oldest)
        stale = len(settings.signing_keys) > 1 and await secrets.any_stale(
            session, settings.signing_keys
        )
    if old:
        await database.write(
            lambda session: session.execute(delete(RunEvent).where(RunEvent.id.in_(old)))
        )
    if stale:
        await database.write(lambda session: secrets.renew(session, settings.signing_keys))


async def events_before(session: AsyncSession, oldest: datetime) -> Sequence[int]:
    """Anomalies are findings, and stay."""
    query = select(RunEvent.id).where(
        RunEvent.run_id < first_id(oldest), RunEvent.kind != anomalies.KIND
    )
    return (await session.scalars(query.limit(PART))).all()


def first_id(moment: datetime) -> str:
    """Ids of runs begin with their time: the lowest that was made at `moment` or later."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"
