"""What the task room offers to projects, which stand below it."""

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import Fate, Scope, counts, project_deleted

from . import queries, service


@counts("tasks")
async def count(session: AsyncSession, scope: Scope) -> dict[str, int]:
    return await queries.totals(session, scope)


@project_deleted("tasks")
async def settle(session: AsyncSession, project_id: int, fate: Fate) -> int:
    return await service.leave_project(session, project_id, fate)
