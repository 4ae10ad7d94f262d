"""Rules for dashboards: who sees them, who changes them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.errors import Forbidden, NotFound
from astralytiq.core.offers import Fate
from astralytiq.core.security import Actor
from astralytiq.features.projects import service as projects
from astralytiq.features.projects.service import Standing

from .models import Dashboard, DashboardStatus
from .schemas import DashboardChange, DashboardCreate

COPIED = ("description", "private", "status", "refresh_rate", "widgets")
LONGEST_NAME = 200


async def get(session: AsyncSession, actor: Actor, dashboard_id: int) -> Dashboard:
    """One that `actor` may see; that another exists stays private."""
    found = await session.scalar(
        select(Dashboard).where(Dashboard.id == dashboard_id, *visible(actor))
    )
    if found is None:
        raise NotFound(f"There is no dashboard {dashboard_id}.")
    return found


def visible(actor: Actor) -> list[ColumnElement[bool]]:
    """Their own, those of their projects, and those of no project that are not private."""
    if actor.is_admin:
        return []
    shared = Dashboard.private.is_(False) & or_(
        Dashboard.project_id.is_(None), Dashboard.project_id.in_(projects.readable_ids(actor))
    )
    return [or_(Dashboard.owner_id == actor.account_id, shared)]


async def list_visible(
    session: AsyncSession, actor: Actor, status: DashboardStatus | None, limit: int, offset: int
) -> tuple[Sequence[Dashboard], int]:
    matching = select(Dashboard).where(*visible(actor))
    matching = matching if status is None else matching.where(Dashboard.status == status)
    total = await session.scalar(select(func.count()).select_from(matching.subquery())) or 0
    page = matching.order_by(Dashboard.id.desc()).limit(limit).offset(offset)
    return (await session.scalars(page)).all(), total


async def create(session: AsyncSession, actor: Actor, body: DashboardCreate) -> Dashboard:
    if body.project_id is not None:
        await projects.require(session, actor, body.project_id, Standing.writer)
    dashboard = Dashboard(owner_id=actor.account_id, **body.model_dump(mode="json"))
    return await stored(session, actor, dashboard)


async def stored(session: AsyncSession, actor: Actor, dashboard: Dashboard) -> Dashboard:
    session.add(dashboard)
    await session.flush()
    note(session, actor, dashboard, "created", widgets=len(dashboard.widgets))
    return dashboard


def note(
    session: AsyncSession, actor: Actor, dashboard: Dashboard, what: str, **details: Any
) -> None:
    audit.record(session, actor, f"dashboard.{what}", f"dashboard/{dashboard.id}", **details)


async def change(
    session: AsyncSession, actor: Actor, dashboard: Dashboard, body: DashboardChange
) -> None:
    await refuse_foreign(session, actor, dashboard)
    given = body.model_dump(mode="json", exclude_unset=True)
    fresh = {name: value for name, value in given.items() if getattr(dashboard, name) != value}
    if fresh.get("project_id") is not None:
        await projects.require(session, actor, fresh["project_id"], Standing.writer)
    for name, value in fresh.items():
        setattr(dashboard, name, value)
    if fresh:
        note(session, actor, dashboard, "changed", fields=sorted(fresh))
        await session.flush()


async def refuse_foreign(session: AsyncSession, actor: Actor, dashboard: Dashboard) -> None:
    if actor.is_admin or dashboard.owner_id == actor.account_id:
        return
    if dashboard.project_id is not None:
        standing = await projects.standing(session, actor, dashboard.project_id)
        if standing >= Standing.writer:
            return
    raise Forbidden("Only its owner or a writer of its project may change this dashboard: copy it.")


async def duplicate(session: AsyncSession, actor: Actor, dashboard: Dashboard) -> Dashboard:
    """One's own copy, in the same project where one may write there."""
    same = {name: getattr(dashboard, name) for name in COPIED}
    suffix = " (copy)"
    name = dashboard.name[: LONGEST_NAME - len(suffix)] + suffix
    project_id = dashboard.project_id
    if project_id is not None:
        standing = await projects.standing(session, actor, project_id)
        project_id = project_id if standing >= Standing.writer else None
    copy = Dashboard(name=name, owner_id=actor.account_id, project_id=project_id, **same)
    return await stored(session, actor, copy)


async def delete(session: AsyncSession, actor: Actor, dashboard: Dashboard) -> None:
    await refuse_foreign(session, actor, dashboard)
    await session.delete(dashboard)
    note(session, actor, dashboard, "deleted")
    await session.flush()


async def leave_project(session: AsyncSession, project_id: int, fate: Fate) -> int:
    """What becomes of the dashboards of a project that goes; how many they were.

    Detached ones become private: outside the project the whole team would see them.
    """
    theirs = (
        await session.scalars(select(Dashboard).where(Dashboard.project_id == project_id))
    ).all()
    for dashboard in theirs:
        if fate is Fate.delete:
            await session.delete(dashboard)
        else:
            dashboard.project_id, dashboard.private = None, True
    await session.flush()
    return len(theirs)
