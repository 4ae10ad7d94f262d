"""What the task room offers to the rooms below it: counts, and what becomes of tasks."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import (
    Erasure,
    Fate,
    Rows,
    Scope,
    account_erased,
    columns_of,
    counts,
    personal_data,
    project_deleted,
    streamed,
)

from . import queries, service
from .models import Task


@counts("tasks")
async def count(session: AsyncSession, scope: Scope) -> dict[str, int]:
    return await queries.totals(session, scope)


@project_deleted("tasks")
async def settle(session: AsyncSession, project_id: int, fate: Fate) -> int:
    return await service.leave_project(session, project_id, fate)


@personal_data("tasks", "To-dos that you own or that are assigned to you.")
async def tasks(session: AsyncSession, user_id: int) -> Rows:
    """In two parts, each in the order of an index: nothing is sorted in memory."""
    query = select(*columns_of(Task)).order_by(Task.id)
    foreign = query.where(Task.assignee_id == user_id, Task.owner_id != user_id)
    for part in (query.where(Task.owner_id == user_id), foreign):
        async for row in streamed(session, part):
            yield row


@account_erased("assignments")
async def unassign(session: AsyncSession, erasure: Erasure) -> int:
    return await service.unassign(session, erasure.user_id)
