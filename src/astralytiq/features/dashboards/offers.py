"""What the dashboards room offers to those below it."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import (
    Fate,
    Rows,
    Scope,
    columns_of,
    counts,
    figure,
    personal_data,
    project_deleted,
    streamed,
)

from . import service
from .models import Dashboard


@counts("dashboards")
async def count(session: AsyncSession, scope: Scope) -> dict[str, int]:
    changed = func.count(Dashboard.id).filter(Dashboard.updated_at >= scope.since)
    columns: list[Any] = [func.count(Dashboard.id), changed]
    query = select(*columns).where(*service.visible(scope.actor))
    return dict(zip(("total", "changed"), (await session.execute(query)).one(), strict=True))


@project_deleted("dashboards")
async def settle(session: AsyncSession, project_id: int, fate: Fate) -> int:
    return await service.leave_project(session, project_id, fate)


@personal_data("dashboards", "Dashboards that you own.")
def dashboards(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Dashboard)).where(Dashboard.owner_id == user_id)
    return streamed(session, query.order_by(Dashboard.id))


@figure("dashboards", "dashboards that there are")
async def total(session: AsyncSession) -> float | None:
    return await session.scalar(select(func.count(Dashboard.id)))
