"""Doors to the sources, and to a run of one of them."""

from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.security import Actor
from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    charged_to,
    describe_page,
    mark,
    needs,
    refuse_stale,
    room,
)
from astralytiq.features.ingestion import (
    applying,
    deleting,
    injection,
    replay,
    service,
    starting,
    uploads,
)
from astralytiq.features.ingestion import preview as previewing
from astralytiq.features.ingestion.models import Run, Source
from astralytiq.features.ingestion.proposals import PlanRead, PreviewRead, SourceList
from astralytiq.features.ingestion.schemas import SourceChange, SourceRead, SourceSpec
from astralytiq.features.ingestion.schemas_quality import ReplayAsked
from astralytiq.features.ingestion.schemas_runs import RunAsked, RunRead

from .runs import RUNS, Runner

sources = room("/sources", "ingestion")

SourceReader = Annotated[Actor, needs("sources:read")]
SourceWriter = Annotated[Actor, needs("sources:write")]


@sources.get("", response_model=list[SourceRead])
async def list_sources(
    request: Request, response: Response, session: Session, page: PageAsked, actor: SourceReader
) -> list[dict[str, Any]]:
    found, total = await service.list_sources(session, page.limit, page.offset)
    describe_page(request, response, page, total)
    return await service.shown(session, *found)


@sources.post("", response_model=SourceRead, status_code=201)
async def create_source(
    house: House, response: Response, session: Session, actor: SourceWriter, body: SourceSpec
) -> dict[str, Any]:
    service.refuse_unsafe(house.settings, body)
    return await answer(response, session, await service.create_source(session, actor, body))


@sources.put("", response_model=PlanRead)
async def apply_sources(
    request: Request,
    response: Response,
    house: House,
    session: Session,
    actor: SourceWriter,
    body: SourceList,
    dry_run: bool = False,
    prune: Annotated[
        bool, Query(description="delete what may be deleted and the list lacks")
    ] = False,
) -> dict[str, Any]:
    plan = await applying.plan(session, house.settings, actor, body.sources, prune)
    refuse_stale(request, plan)
    mark(response, plan)
    if not dry_run:
        await applying.apply(session, actor, plan)
    return {"applied": not dry_run, "version": plan.version, "sources": plan.sources}


@sources.post("/preview", response_model=PreviewRead)
@charged_to("expensive")
async def preview_source(
    house: House,
    actor: SourceWriter,
    body: SourceSpec,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> dict[str, Any]:
    return await previewing.preview(house, actor, body, limit)


@sources.get("/{name}", response_model=SourceRead)
async def read_source(
    response: Response, session: Session, actor: SourceReader, name: str
) -> dict[str, Any]:
    return await answer(response, session, await service.get_source(session, name))


@sources.put("/{name}", response_model=SourceRead)
@sources.patch("/{name}", response_model=SourceRead)
async def change_source(
    request: Request,
    response: Response,
    house: House,
    session: Session,
    actor: SourceWriter,
    name: str,
    body: SourceChange,
) -> dict[str, Any]:
    source = await service.get_own(session, actor, name)
    refuse_stale(request, source)
    await service.change_source(session, actor, source, body)
    service.refuse_unsafe(house.settings, service.spec_of(source))
    return await answer(response, session, source)


@sources.delete("/{name}", status_code=204)
async def delete_source(
    request: Request,
    house: House,
    actor: SourceWriter,
    name: str,
    records: Literal["keep", "delete"] = "keep",
) -> None:
    """With `records=delete` piece by piece: stopped half-way, send it again."""
    with_records = records == "delete"

    async def own(session: AsyncSession) -> Source:
        source = await service.get_own(session, actor, name)
        refuse_stale(request, source)
        return source

    async def forget(session: AsyncSession) -> None:
        source = await own(session)
        await deleting.delete_source(session, actor, source, with_records=with_records)
        if with_records:
            uploads.forget(session, house.settings, name)

    if with_records:
        await deleting.delete_brought(house.database, own)
    await house.database.write(forget)


async def answer(response: Response, session: AsyncSession, source: Source) -> dict[str, Any]:
    (shown,) = await service.shown(session, source)
    due = shown["next_run_at"]
    mark(response, source, due.timestamp() if due else None)
    return shown


@sources.post("/{name}/run", response_model=RunRead, status_code=202)
@charged_to("expensive")
async def run_source(
    response: Response,
    house: House,
    session: Session,
    actor: Runner,
    name: str,
    body: RunAsked | None = None,
) -> Run:
    asked = body or RunAsked()
    injection.refuse_in_production(house.settings, asked.inject)
    run = await starting.start_run(
        session, actor, name, asked.full_refresh, inject=asked.inject, dry_run=asked.dry_run
    )
    response.headers["Location"] = f"{RUNS}/{run.run_id}"
    return run


@sources.post("/{name}/replay", response_model=RunRead, status_code=202)
@charged_to("expensive")
async def replay_source(
    response: Response, session: Session, actor: Runner, name: str, body: ReplayAsked | None = None
) -> Run:
    run = await replay.start(session, actor, name, body.since_run if body else None)
    response.headers["Location"] = f"{RUNS}/{run.run_id}"
    return run
