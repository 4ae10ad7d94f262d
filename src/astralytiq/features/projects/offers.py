"""What the project room holds on a person, and what becomes of it."""

from typing import Any

from sqlalchemy import String, and_, cast, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.offers import (
    Erasure,
    Rows,
    account_erased,
    columns_of,
    personal_data,
    streamed,
)

from .models import Member, Project


@personal_data("projects", "Projects that you own or are a member of, and as what.")
def projects(session: AsyncSession, user_id: int) -> Rows:
    membership = and_(Member.project_id == Project.id, Member.user_id == user_id)
    role = func.coalesce(cast(Member.role, String), "owner").label("your_role")
    query = select(*columns_of(Project, "search"), role).outerjoin(Member, membership)
    mine = or_(Project.owner_id == user_id, Member.user_id == user_id)
    return streamed(session, query.where(mine).order_by(Project.id))


@account_erased("memberships")
async def leave_all(session: AsyncSession, erasure: Erasure) -> int:
    """Members are part of what a project shows: its version changes with them."""
    theirs = Member.user_id == erasure.user_id
    left = Project.id.in_(select(Member.project_id).where(theirs))
    changed: dict[str, Any] = {"version": Project.version + 1, "updated_at": utc_now()}
    options = {"synchronize_session": False}
    await session.execute(update(Project).where(left).values(changed).execution_options(**options))
    gone = delete(Member).where(theirs).returning(Member.project_id)
    return len((await session.scalars(gone.execution_options(**options))).all())
