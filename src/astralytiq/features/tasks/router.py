"""HTTP doors of the task room."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
from astralytiq.core.web import (
    PageAsked,
    Session,
    describe_page,
    mark,
    needs,
    refuse_stale,
    room,
)

from . import queries, service
from .models import Task, TaskPriority, TaskStatus
from .queries import Filters
from .schemas import TaskChange, TaskCreate, TaskRead, TaskStats

router = room("/tasks", "tasks")

Reader = Annotated[Actor, needs("tasks:read")]
Writer = Annotated[Actor, needs("tasks:write")]


async def filters_asked(
    status: TaskStatus | None = None,
    priority: TaskPriority | None = None,
    project: Id | None = None,
    assignee: Id | None = None,
    overdue: Annotated[bool | None, Query(description="open, and past the due date")] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="beginnings of words that must all be there")
    ] = None,
) -> Filters:
    return Filters(status, priority, project, assignee, overdue, q)


@router.get("", response_model=list[TaskRead])
async def list_tasks(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: Reader,
    filters: Annotated[Filters, Depends(filters_asked)],
) -> Sequence[Task]:
    found, total = await service.list_visible(session, actor, filters, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@router.post("", response_model=TaskRead)  # 200, as existing clients expect
async def create_task(
    response: Response, session: Session, actor: Writer, body: TaskCreate
) -> Task:
    task = await service.create(session, actor, body)
    response.headers["Location"] = f"/api/v1/tasks/{task.id}"
    mark(response, task)
    return task


@router.get("/stats")
async def read_stats(session: Session, actor: Reader) -> TaskStats:
    return await queries.stats(session, actor)


@router.get("/{task_id}", response_model=TaskRead)
async def read_task(response: Response, session: Session, actor: Reader, task_id: Id) -> Task:
    task = await service.get(session, actor, task_id)
    mark(response, task)
    return task


@router.put("/{task_id}", response_model=TaskRead)
@router.patch("/{task_id}", response_model=TaskRead)
async def change_task(
    request: Request,
    response: Response,
    session: Session,
    actor: Writer,
    task_id: Id,
    body: TaskChange,
) -> Task:
    task = await service.get(session, actor, task_id)
    refuse_stale(request, task)
    await service.change(session, actor, task, body)
    mark(response, task)
    return task


@router.delete("/{task_id}", status_code=204)
async def delete_task(request: Request, session: Session, actor: Writer, task_id: Id) -> None:
    task = await service.get(session, actor, task_id)
    refuse_stale(request, task)
    await service.delete(session, actor, task)
