"""Background work on what was predicted: counting it, and deleting what is old."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.executor import Work
from astralytiq.core.jobs import job

from . import counting
from .asking_to_count import COUNT
from .models import Prediction

TIDY = "predictions.tidy"
PART = 1_000  # predictions of one transaction; their outcomes and shadow results go with them


@job(COUNT)
async def count(work: Work) -> dict[str, Any]:
    return {"rows": await count_all(work)}


async def count_all(work: Work) -> int:
    rows = 0
    while (done := await counting.count_page(work.resources.database)) is not None:
        rows += done
        work.report(0.5, "counting", f"{rows} rows")
    return rows


@job(TIDY)
async def tidy(work: Work) -> dict[str, Any]:
    """Counts first: what was counted stays when the predictions go."""
    rows = await count_all(work)
    days = work.resources.settings.predictions_retention_days
    if not days:
        return {"rows": rows, "deleted": 0}
    oldest = utc_now() - timedelta(days=days)
    deleted = 0
    while part := await work.step(lambda session: delete_part(session, oldest)):
        deleted += part
        work.report(0.5, "deleting", f"{deleted} predictions")
    return {"rows": rows, "deleted": deleted}


async def delete_part(session: AsyncSession, oldest: datetime) -> int:
    query = select(Prediction.id).where(Prediction.created_at < oldest).limit(PART)
    ids = (await session.scalars(query)).all()
    await session.execute(delete(Prediction).where(Prediction.id.in_(ids)))
    return len(ids)
