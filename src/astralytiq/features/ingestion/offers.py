"""What the ingestion room holds on a person.

Records and payloads are what sources sent: their authors are no accounts of ours.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.offers import (
    Rows,
    Values,
    breakdown,
    columns_of,
    figure,
    personal_data,
    streamed,
)
from astralytiq.core.secrets import Secret

from . import service
from .models import Drift, Reject, RejectStatus, Run, RunStatus, Source


@personal_data("sources", "Sources that you registered; secrets stand in them by reference only.")
def sources(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Source)).where(Source.owner_id == user_id)
    return streamed(session, query.order_by(Source.id))


@personal_data("secrets", "Secrets that you keep for sources: their names, never their values.")
def secrets(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Secret, "sealed", "key_id")).where(Secret.owner_id == user_id)
    return streamed(session, query.order_by(Secret.id))


# Figures ----------------------------------------------------------------------------------------

DAY = timedelta(days=1)
LATELY = timedelta(minutes=15)


@figure("records", "records that sources have brought")
async def total(session: AsyncSession) -> float | None:
    return await service.count_records(session, None)


@figure("runs_succeeded", "ingestion runs of the last day that succeeded")
async def succeeded(session: AsyncSession) -> float | None:
    return await runs_of(session, RunStatus.success)


@figure("runs_failed", "ingestion runs of the last day that failed")
async def failed(session: AsyncSession) -> float | None:
    return await runs_of(session, RunStatus.failed)


async def runs_of(session: AsyncSession, status: RunStatus) -> float | None:
    recent = Run.start_time >= utc_now() - DAY
    query = select(func.count(Run.run_id)).where(Run.status == status, recent)
    return await session.scalar(query)


@figure("runs_failed_lately", "ingestion runs that failed within the last quarter of an hour")
async def failed_lately(session: AsyncSession) -> float | None:
    query = select(func.count(Run.run_id)).where(Run.status == RunStatus.failed)
    now = utc_now()  # By the start, which has an index: a run takes less than a week.
    return await session.scalar(
        query.where(Run.start_time >= now - 7 * DAY, Run.end_time >= now - LATELY)
    )


@figure("drift_lately", "fields that sources changed within the last quarter of an hour")
async def drift_lately(session: AsyncSession) -> float | None:
    query = select(func.count(Drift.id)).where(Drift.created_at >= utc_now() - LATELY)
    return await session.scalar(query)


@figure("rejects_open", "records that were rejected and not settled")
async def rejects(session: AsyncSession) -> float | None:
    query = select(func.count(Reject.id)).where(Reject.status == RejectStatus.open)
    return await session.scalar(query)


@breakdown("ingestion_runs", "ingestion runs of the last day", "source", "status")
async def runs_by_source(session: AsyncSession) -> Values:
    query = select(Run.source, Run.status, func.count(Run.run_id)).where(is_recent())
    found = await session.execute(query.group_by(Run.source, Run.status))
    return {(source, status): count for source, status, count in found}


OUTCOMES = ("inserted", "updated", "unchanged", "deleted", "failed")


@breakdown("ingestion_rows", "rows that the runs of the last day went through", "source", "outcome")
async def rows_by_source(session: AsyncSession) -> Values:
    """Of a run under way those of its batches so far."""
    sums = [func.sum(getattr(Run, f"records_{outcome}")) for outcome in OUTCOMES]
    query = select(Run.source, *sums).where(is_recent(), ~Run.dry_run).group_by(Run.source)
    return {
        (source, outcome): float(rows)
        for source, *every in await session.execute(query)
        for outcome, rows in zip(OUTCOMES, every, strict=True)
    }


def is_recent() -> ColumnElement[bool]:
    return Run.start_time >= utc_now() - DAY
