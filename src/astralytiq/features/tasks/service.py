"""Rules for tasks: who may change what, and how status and completion stay one thing."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CursorResult, Delete, Update, insert, select, update
from sqlalchemy import delete as deletion
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Forbidden, NotFound
from astralytiq.core.offers import Fate
from astralytiq.core.security import Actor
from astralytiq.features.projects import service as projects
from astralytiq.features.projects.search import with_shared, words_of
from astralytiq.features.projects.service import Standing

from . import queries
from .models import FACETS, Task, TaskStatus, TaskWord
from .queries import Filters
from .schemas import TaskChange, TaskCreate

# Who is asked to do a task says how far it is, and leaves the rest to those who asked.
FOR_ASSIGNEES = frozenset({"status"})
SEARCHED = frozenset({"title", "description", "tags", *FACETS})


# Finding ----------------------------------------------------------------------------------------


async def get(session: AsyncSession, actor: Actor, task_id: int) -> Task:
    """Somebody else's task is not found: that it exists stays private."""
    task = await session.get(Task, task_id)
    if task is None or not await may_read(session, actor, task):
        raise NotFound(f"There is no task {task_id}.")
    return task


async def may_read(session: AsyncSession, actor: Actor, task: Task) -> bool:
    if actor.is_admin or actor.account_id in (task.owner_id, task.assignee_id):
        return True
    return await standing(session, actor, task) >= Standing.reader


async def standing(session: AsyncSession, actor: Actor, task: Task) -> Standing:
    """In the task's project."""
    if task.project_id is None:
        return Standing.none
    return await projects.standing(session, actor, task.project_id)


async def list_visible(
    session: AsyncSession, actor: Actor, filters: Filters, limit: int, offset: int
) -> tuple[Sequence[Task], int]:
    if filters.project is not None:
        await projects.require(session, actor, filters.project, Standing.reader)
    return await queries.list_visible(session, actor, filters, limit, offset)


# Making and changing ----------------------------------------------------------------------------


async def create(session: AsyncSession, actor: Actor, body: TaskCreate) -> Task:
    given = body.model_dump(exclude={"status", "is_completed"})
    await refuse_foreign(session, actor, given)
    task = Task(owner_id=actor.account_id, status=TaskStatus.pending, **given)
    settle(task, status_asked(task, body.model_dump(exclude_unset=True)))
    session.add(task)
    await session.flush()  # Words and audit row need the new id.
    await keep_words(session, task)
    note(session, actor, task, "created", project_id=task.project_id)
    return task


async def refuse_foreign(session: AsyncSession, actor: Actor, given: dict[str, Any]) -> None:
    """A task goes into a project that one may write in, and to somebody who is there."""
    if (project_id := given.get("project_id")) is not None:
        await projects.require(session, actor, project_id, Standing.writer)
    if (assignee_id := given.get("assignee_id")) is not None:
        await projects.refuse_unknown_user(session, assignee_id, "assignee_id")


def status_asked(task: Task, given: dict[str, Any]) -> TaskStatus:
    """What `status` or `is_completed` of a body means for this task."""
    if "status" in given:
        return TaskStatus(given["status"])
    if given.get("is_completed"):
        return TaskStatus.completed
    reopened = given.get("is_completed") is False and task.is_completed
    return TaskStatus.pending if reopened else task.status


def settle(task: Task, status: TaskStatus) -> None:
    """A task has the time of its completion exactly while it is completed."""
    task.status = status
    if status is not TaskStatus.completed:
        task.completed_at = None
    elif task.completed_at is None:
        task.completed_at = utc_now()


async def change(session: AsyncSession, actor: Actor, task: Task, body: TaskChange) -> Task:
    fresh = differing(task, body)
    await refuse_beyond(session, actor, task, fresh.keys() <= FOR_ASSIGNEES)
    await refuse_foreign(session, actor, fresh)
    for name, value in fresh.items():
        setattr(task, name, value)
    settle(task, task.status)
    if fresh.keys() & SEARCHED:
        await keep_words(session, task)
    if fresh:
        note(session, actor, task, "changed", fields=sorted(fresh), status=task.status.value)
        await session.flush()
    return task


def differing(task: Task, body: TaskChange) -> dict[str, Any]:
    """The fields that `body` would change, and what to."""
    given = body.model_dump(exclude_unset=True)
    given["status"] = status_asked(task, given)
    given.pop("is_completed", None)
    return {name: value for name, value in given.items() if getattr(task, name) != value}


async def refuse_beyond(
    session: AsyncSession, actor: Actor, task: Task, only_status: bool = False
) -> None:
    """The owner and who writes in the project change all of it, its assignee only the status."""
    if actor.is_admin or task.owner_id == actor.account_id:
        return
    if only_status and task.assignee_id == actor.account_id:
        return
    if await standing(session, actor, task) < Standing.writer:
        raise Forbidden("Only its owner or a writer of its project may do this with the task.")


async def keep_words(session: AsyncSession, task: Task) -> None:
    """Rewrite the words that the task is found by, and with them its facets."""
    await session.execute(deletion(TaskWord).where(TaskWord.task_id == task.id))
    same = {"task_id": task.id} | {name: getattr(task, name) for name in FACETS}
    words = words_of(task.title, task.description, *task.tags)
    entries = [{"word": word, "shared": shared, **same} for word, shared in with_shared(words)]
    if entries:
        await session.execute(insert(TaskWord), entries)


def note(session: AsyncSession, actor: Actor, task: Task, what: str, **details: Any) -> None:
    """Never its title: the trail stays for ever, and a to-do often names a person."""
    audit.record(session, actor, f"task.{what}", f"task/{task.id}", **details)


async def delete(session: AsyncSession, actor: Actor, task: Task) -> None:
    await refuse_beyond(session, actor, task)
    await session.execute(deletion(TaskWord).where(TaskWord.task_id == task.id))
    await session.delete(task)
    note(session, actor, task, "deleted", project_id=task.project_id)
    await session.flush()


async def leave_project(session: AsyncSession, project_id: int, fate: Fate) -> int:
    """What becomes of the tasks of a project that goes; how many they were."""
    theirs = Task.project_id == project_id
    words = TaskWord.task_id.in_(select(Task.id).where(theirs))
    if fate is Fate.delete:
        await touched(session, deletion(TaskWord).where(words))
        return await touched(session, deletion(Task).where(theirs))
    await touched(session, update(TaskWord).where(words).values(project_id=None))
    moved = {"project_id": None, "version": Task.version + 1, "updated_at": utc_now()}
    return await touched(session, update(Task).where(theirs).values(moved))


async def unassign(session: AsyncSession, user_id: int) -> int:
    """Take their tasks from somebody who goes; how many they were."""
    theirs = Task.assignee_id == user_id
    words = TaskWord.task_id.in_(select(Task.id).where(theirs))
    await touched(session, update(TaskWord).where(words).values(assignee_id=None))
    freed = {"assignee_id": None, "version": Task.version + 1, "updated_at": utc_now()}
    return await touched(session, update(Task).where(theirs).values(freed))


async def touched(session: AsyncSession, statement: Delete | Update) -> int:
    """Run it past the session's own objects; how many rows it met."""
    statement = statement.execution_options(synchronize_session=False)
    done: CursorResult[Any] = await session.execute(statement)  # type: ignore[assignment]
    return done.rowcount
