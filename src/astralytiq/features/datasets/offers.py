"""What the data-set room offers to the rooms below it, and what it holds on a person."""

from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import (
    Rows,
    Scope,
    columns_of,
    counts,
    figure,
    personal_data,
    streamed,
)

from .models import Dataset, DatasetProfile, DatasetVersion


@counts("datasets")
async def count(session: AsyncSession, scope: Scope) -> dict[str, int]:
    """All of them: what belongs to no project is the whole team's to read."""
    changed = func.count(Dataset.id).filter(Dataset.updated_at >= scope.since)
    columns: list[Any] = [func.count(Dataset.id), changed]
    query = select(*columns).where(Dataset.deleted_at.is_(None))
    return dict(zip(("total", "changed"), (await session.execute(query)).one(), strict=True))


@personal_data("datasets", "Data sets that you own, also deleted ones.")
def datasets(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Dataset)).where(Dataset.owner_id == user_id)
    return streamed(session, query.order_by(Dataset.id))


@personal_data("dataset_versions", "Versions of data sets that you made.")
def versions(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(DatasetVersion, "storage_key")).where(
        DatasetVersion.created_by == user_id
    )
    return streamed(session, query.order_by(DatasetVersion.id))


# Figures ----------------------------------------------------------------------------------------


@figure("datasets", "data sets that there are")
async def total(session: AsyncSession) -> float | None:
    return await session.scalar(select(func.count(Dataset.id)).where(Dataset.deleted_at.is_(None)))


@figure("dataset_bytes", "bytes of all versions of data sets that were made", "bytes")
async def stored_bytes(session: AsyncSession) -> float | None:
    total = await session.scalar(select(func.sum(DatasetVersion.size_bytes)))
    return float(total or 0)


@figure("data_quality_score", "mean quality of the data sets' newest versions, 0 to 100")
async def quality(session: AsyncSession) -> float | None:
    newest = and_(DatasetVersion.dataset_id == Dataset.id, DatasetVersion.number == Dataset.current)
    query = (
        select(func.avg(DatasetProfile.score))
        .join(DatasetVersion, DatasetVersion.id == DatasetProfile.version_id)
        .join(Dataset, newest)
        .where(Dataset.deleted_at.is_(None))
    )
    return await session.scalar(query)
