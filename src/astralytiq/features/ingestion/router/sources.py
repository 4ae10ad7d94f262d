"""Doors to the sources, and to a run of one of them."""

from typing import Annotated, Any, Literal

from fastapi import Request, Response

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
from astralytiq.features.ingestion import service
from astralytiq.features.ingestion.models import Run, Source
from astralytiq.features.ingestion.schemas import (
    RunAsked,
    RunRead,
    SourceChange,
    SourceRead,
    SourceSpec,
)

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
    return [service.shown(source) for source in found]


@sources.post("", response_model=SourceRead, status_code=201)
async def create_source(
    house: House, response: Response, session: Session, actor: SourceWriter, body: SourceSpec
) -> dict[str, Any]:
    service.refuse_unsafe(house.settings, body)
    return answer(response, await service.create_source(session, actor, body))


@sources.get("/{name}", response_model=SourceRead)
async def read_source(
    response: Response, session: Session, actor: SourceReader, name: str
) -> dict[str, Any]:
    return answer(response, await service.get_source(session, name))


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
    return answer(response, source)


@sources.delete("/{name}", status_code=204)
async def delete_source(
    request: Request,
    session: Session,
    actor: SourceWriter,
    name: str,
    records: Literal["keep", "delete"] = "keep",
) -> None:
    source = await service.get_own(session, actor, name)
    refuse_stale(request, source)
    await service.delete_source(session, actor, source, records=records == "delete")


def answer(response: Response, source: Source) -> dict[str, Any]:
    mark(response, source)
    return service.shown(source)


@sources.post("/{name}/run", response_model=RunRead, status_code=202)
@charged_to("expensive")
async def run_source(
    response: Response, session: Session, actor: Runner, name: str, body: RunAsked | None = None
) -> Run:
    asked = body or RunAsked()
    run = await service.start_run(session, actor, name, asked.full_refresh)
    response.headers["Location"] = f"{RUNS}/{run.run_id}"
    return run
