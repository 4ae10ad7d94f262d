"""Rules for projects: who sees them, who writes in them, who manages them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, false, func, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from astralytiq.core import audit, offers
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from astralytiq.core.offers import Fate, Scope
from astralytiq.core.security import Actor, Role
from astralytiq.features.accounts.models import User

from .models import Member, Project, ProjectStatus
from .schemas import Activity, ProjectChange, ProjectCreate, Summary, TaskTotals
from .search import words_asked, words_of

ACTIVITY_DAYS = 30
UNSAID = "unspecified"  # language or type of a project that names none


class Standing(IntEnum):
    """What somebody may do in a project; each includes those before it."""

    none = 0
    reader = 1
    writer = 2
    manager = 3


@dataclass(frozen=True)
class Filters:
    status: ProjectStatus | None = None
    language: str | None = None
    q: str | None = None
    sort: str = "-created_at"


# Who may what -----------------------------------------------------------------------------------


def readable_ids(actor: Actor) -> CompoundSelect[int]:
    """The projects that `actor` owns or is a member of."""
    owned = select(Project.id).where(Project.owner_id == actor.account_id)
    joined = select(Member.project_id).where(Member.user_id == actor.account_id)
    return union(owned, joined)


def readable(actor: Actor) -> list[ColumnElement[bool]]:
    return [] if actor.is_admin else [Project.id.in_(readable_ids(actor))]


async def standing(session: AsyncSession, actor: Actor, project_id: int) -> Standing:
    membership = and_(Member.project_id == Project.id, Member.user_id == actor.account_id)
    query = select(Project.owner_id, Member.role).outerjoin(Member, membership)
    found = (await session.execute(query.where(Project.id == project_id))).first()
    if found is None:
        return Standing.none
    owner_id, role = found
    if actor.is_admin or owner_id == actor.id:
        return Standing.manager
    if role is None:
        return Standing.none
    return Standing.reader if role is Role.viewer else Standing.writer


async def require(session: AsyncSession, actor: Actor, project_id: int, least: Standing) -> None:
    """Refuse who stands lower; for those outside there is no such project."""
    found = await standing(session, actor, project_id)
    if found is Standing.none:
        raise NotFound(f"There is no project {project_id}.")
    if found < least:
        words = {
            Standing.writer: "You only read this project: ask its owner for a role that writes.",
            Standing.manager: "Only its owner or an admin may do this with the project.",
        }
        raise Forbidden(words[least])


async def refuse_unknown_user(session: AsyncSession, user_id: int, field: str) -> None:
    """Nothing is given to an account that is not there, or closed."""
    user = await session.get(User, user_id)
    if user is None or not user.is_active:
        words = f"there is no active account {user_id}"
        raise Invalid(f"Name somebody else: {words}.", faults=(Fault(("body", field), words),))


# Finding ----------------------------------------------------------------------------------------


async def get(
    session: AsyncSession, actor: Actor, project_id: int, least: Standing = Standing.reader
) -> Project:
    """A project with its members, for those who stand at least so high in it."""
    await require(session, actor, project_id, least)
    query = select(Project).where(Project.id == project_id).options(selectinload(Project.members))
    return (await session.scalars(query)).one()


async def list_visible(
    session: AsyncSession, actor: Actor, filters: Filters, limit: int, offset: int
) -> tuple[Sequence[Project], int]:
    wanted = [*readable(actor), *narrowing(filters)]
    total = await session.scalar(select(func.count(Project.id)).where(*wanted)) or 0
    column = getattr(Project, filters.sort.removeprefix("-"))
    columns = (column, Project.id)
    order = [one.desc() for one in columns] if filters.sort.startswith("-") else columns
    query = select(Project).where(*wanted).order_by(*order).limit(limit).offset(offset)
    return (await session.scalars(query.options(selectinload(Project.members)))).all(), total


def narrowing(filters: Filters) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if filters.status is not None:
        wanted.append(Project.status == filters.status)
    if filters.language is not None:
        wanted.append(func.lower(Project.programming_language) == func.lower(filters.language))
    asked = words_asked(filters.q)
    if asked is not None:
        # A text without any word, such as "%", is in no project.
        alike = [Project.search.contains(f" {word}", autoescape=True) for word in asked]
        wanted += alike or [false()]
    return wanted


# Making and changing ----------------------------------------------------------------------------


async def create(session: AsyncSession, actor: Actor, body: ProjectCreate) -> Project:
    await refuse_taken(session, actor.account_id, body.name)
    project = Project(owner_id=actor.account_id, members=[], **body.model_dump())
    project.search = searched(project)
    session.add(project)
    await session.flush()  # The audit row needs the new id.
    audit.record(session, actor, "project.created", f"project/{project.id}", name=project.name)
    return project


async def refuse_taken(session: AsyncSession, owner_id: int, name: str) -> None:
    same = select(Project.id).filter_by(owner_id=owner_id, name=name)
    if await session.scalar(same):
        raise Conflict(f"There is a project {name!r} of this owner already: choose another name.")


def searched(project: Project) -> str:
    words = words_of(
        project.name, project.description, project.project_type, project.programming_language,
        project.framework,
    )  # fmt: skip
    return "".join(f" {word}" for word in words)


async def change(
    session: AsyncSession, actor: Actor, project: Project, body: ProjectChange
) -> Project:
    given = body.model_dump(exclude_unset=True)
    fresh = {name: value for name, value in given.items() if getattr(project, name) != value}
    if "name" in fresh:
        await refuse_taken(session, project.owner_id, fresh["name"])
    for name, value in fresh.items():
        setattr(project, name, value)
    if fresh:
        project.search = searched(project)
        note(session, actor, project, "changed", fields=sorted(fresh))
        await session.flush()
    return project


def note(session: AsyncSession, actor: Actor, project: Project, what: str, **details: Any) -> None:
    audit.record(session, actor, f"project.{what}", f"project/{project.id}", **details)


async def delete(session: AsyncSession, actor: Actor, project: Project, fate: Fate) -> None:
    """What belongs to it is detached from it, or goes with it."""
    settled = await offers.delete_project(session, project.id, fate)
    note(session, actor, project, "deleted", name=project.name, resources=fate.value, **settled)
    await session.delete(project)
    await session.flush()


# Members ----------------------------------------------------------------------------------------


async def put_member(
    session: AsyncSession, actor: Actor, project: Project, user_id: int, role: Role
) -> Member:
    if user_id == project.owner_id:
        raise Invalid("The owner of a project needs no membership.")
    member = next((one for one in project.members if one.user_id == user_id), None)
    if member is None:
        await refuse_unknown_user(session, user_id, "user_id")
        member = Member(user_id=user_id, role=role)
        project.members.append(member)
    elif member.role is role:
        return member
    member.role = role
    await members_changed(session, actor, project, "member_put", user_id=user_id, role=role.value)
    return member


async def remove_member(
    session: AsyncSession, actor: Actor, project: Project, user_id: int
) -> None:
    member = next((one for one in project.members if one.user_id == user_id), None)
    if member is None:
        raise NotFound(f"The account {user_id} is no member of this project.")
    project.members.remove(member)
    await members_changed(session, actor, project, "member_removed", user_id=user_id)


async def members_changed(
    session: AsyncSession, actor: Actor, project: Project, what: str, **details: Any
) -> None:
    project.updated_at = utc_now()  # Members are part of what it shows: its ETag changes.
    note(session, actor, project, what, **details)
    await session.flush()


# Summary ----------------------------------------------------------------------------------------


async def summary(session: AsyncSession, actor: Actor) -> Summary:
    """Totals of all that `actor` may read, in this room and in those above it."""
    since = utc_now() - timedelta(days=ACTIVITY_DAYS)
    rooms = await offers.count_all(session, Scope(actor, since))
    by_status = dict.fromkeys(ProjectStatus, 0) | await totals_by(session, actor, Project.status)
    news = select(func.count(Project.id)).where(Project.updated_at >= since, *readable(actor))
    changed = {name: counts["changed"] for name, counts in rooms.items()}
    changed["projects"] = await session.scalar(news) or 0
    return Summary(
        total_projects=sum(by_status.values()),
        by_status=by_status,
        by_language=await totals_by(session, actor, Project.programming_language),
        by_type=await totals_by(session, actor, Project.project_type),
        tasks=TaskTotals(**rooms.get("tasks", {})),
        datasets=rooms.get("datasets", {}).get("total", 0),
        models=rooms.get("models", {}).get("total", 0),
        activity=Activity(days=ACTIVITY_DAYS, total=sum(changed.values()), **changed),
    )


async def totals_by(session: AsyncSession, actor: Actor, column: Any) -> dict[str, int]:
    query: Select[Any, int] = (
        select(column, func.count(Project.id)).where(*readable(actor)).group_by(column)
    )
    return {name or UNSAID: total for name, total in await session.execute(query)}
