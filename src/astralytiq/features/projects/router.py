"""HTTP doors of the project room."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from astralytiq.core.offers import Fate
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

from . import service
from .models import Member, Project, ProjectStatus
from .schemas import (
    MemberPut,
    MemberRead,
    ProjectChange,
    ProjectCreate,
    ProjectRead,
    Sort,
    Summary,
)
from .service import Filters, Standing

router = room("/projects", "projects")

Reader = Annotated[Actor, needs("projects:read")]
Writer = Annotated[Actor, needs("projects:write")]


async def filters_asked(
    status: ProjectStatus | None = None,
    language: Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$")] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="beginnings of words that must all be there")
    ] = None,
    sort: Sort = "-created_at",
) -> Filters:
    return Filters(status, language, q, sort)


@router.get("", response_model=list[ProjectRead])
async def list_projects(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: Reader,
    filters: Annotated[Filters, Depends(filters_asked)],
) -> Sequence[Project]:
    found, total = await service.list_visible(session, actor, filters, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@router.post("", response_model=ProjectRead, status_code=201)
async def create_project(
    response: Response, session: Session, actor: Writer, body: ProjectCreate
) -> Project:
    project = await service.create(session, actor, body)
    response.headers["Location"] = f"/api/v1/projects/{project.id}"
    mark(response, project)
    return project


@router.get("/stats/summary")
async def read_summary(session: Session, actor: Reader) -> Summary:
    return await service.summary(session, actor)


@router.get("/{project_id}", response_model=ProjectRead)
async def read_project(
    response: Response, session: Session, actor: Reader, project_id: Id
) -> Project:
    project = await service.get(session, actor, project_id)
    mark(response, project)
    return project


@router.put("/{project_id}", response_model=ProjectRead)
@router.patch("/{project_id}", response_model=ProjectRead)
async def change_project(
    request: Request,
    response: Response,
    session: Session,
    actor: Writer,
    project_id: Id,
    body: ProjectChange,
) -> Project:
    project = await service.get(session, actor, project_id, Standing.writer)
    refuse_stale(request, project)
    await service.change(session, actor, project, body)
    mark(response, project)
    return project


@router.delete("/{project_id}", status_code=204)
async def delete_project(
    request: Request,
    session: Session,
    actor: Writer,
    project_id: Id,
    resources: Annotated[Fate, Query(description="what becomes of its resources")] = Fate.detach,
) -> None:
    project = await service.get(session, actor, project_id, Standing.manager)
    refuse_stale(request, project)
    await service.delete(session, actor, project, resources)


@router.put("/{project_id}/members/{user_id}", response_model=MemberRead)
async def put_member(
    request: Request,
    response: Response,
    session: Session,
    actor: Writer,
    project_id: Id,
    user_id: Id,
    body: MemberPut,
) -> Member:
    project = await service.get(session, actor, project_id, Standing.manager)
    refuse_stale(request, project)
    member = await service.put_member(session, actor, project, user_id, body.role)
    mark(response, project)
    return member


@router.delete("/{project_id}/members/{user_id}", status_code=204)
async def remove_member(
    request: Request, session: Session, actor: Writer, project_id: Id, user_id: Id
) -> None:
    project = await service.get(session, actor, project_id, Standing.manager)
    refuse_stale(request, project)
    await service.remove_member(session, actor, project, user_id)
