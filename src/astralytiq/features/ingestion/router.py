"""HTTP doors of the ingestion room: sources, runs, and the records they brought."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response

from astralytiq.core.errors import Forbidden
from astralytiq.core.logging import request_id
from astralytiq.core.schemas import Id
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

from . import queries, service
from .models import DataRecord, Reject, Run, Source
from .schemas import (
    DataPage,
    RawRead,
    RecordRead,
    RejectRead,
    RunAsked,
    RunRead,
    RunsAccepted,
    SourceChange,
    SourceRead,
    SourceSpec,
    Stats,
)

sources = room("/sources", "ingestion")
etl = room("/etl", "ingestion")
served = room("", "data")  # also at the root

SourceReader = Annotated[Actor, needs("sources:read")]
SourceWriter = Annotated[Actor, needs("sources:write")]
Runner = Annotated[Actor, needs("etl:run")]
RunReader = Annotated[Actor, needs("runs:read")]
DataReader = Annotated[Actor, needs("data:read")]
RUNS = "/api/v1/etl/runs"


# Sources ----------------------------------------------------------------------------------------


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


# Runs -------------------------------------------------------------------------------------------


@sources.post("/{name}/run", response_model=RunRead, status_code=202)
@charged_to("expensive")
async def run_source(
    response: Response, session: Session, actor: Runner, name: str, body: RunAsked | None = None
) -> Run:
    asked = body or RunAsked()
    run = await service.start_run(session, actor, name, asked.full_refresh)
    response.headers["Location"] = f"{RUNS}/{run.run_id}"
    return run


@served.post("/etl/run", response_model=RunsAccepted, status_code=202)
@charged_to("expensive")
async def run_all(response: Response, session: Session, actor: Runner) -> dict[str, Any]:
    response.headers["Location"] = RUNS
    return {"runs": await service.start_all(session, actor)}


@served.get("/etl/run", response_model=RunsAccepted, status_code=202)
async def run_all_by_get(response: Response, house: House, actor: Runner) -> dict[str, Any]:
    """For schedulers that can only GET: a write of its own, since GET reads."""
    if actor.via == "cookie":
        raise Forbidden("A cookie starts no runs by GET, as any page could link here: use POST.")
    response.headers["Location"] = RUNS
    return {"runs": await house.database.write(lambda s: service.start_all(s, actor))}


@etl.get("/runs", response_model=list[RunRead])
async def list_runs(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: RunReader,
    source: str | None = None,
) -> Sequence[Run]:
    found, total = await service.list_runs(session, source, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@etl.get("/runs/{run_id}", response_model=RunRead)
async def read_run(session: Session, actor: RunReader, run_id: str) -> Run:
    return await service.get_run(session, run_id)


@etl.post("/runs/{run_id}/cancel", response_model=RunRead, status_code=202)
async def cancel_run(response: Response, session: Session, actor: Runner, run_id: str) -> Run:
    run = await service.cancel_run(session, actor, run_id)
    response.headers["Location"] = f"{RUNS}/{run.run_id}"
    return run


@etl.get("/rejects", response_model=list[RejectRead])
async def list_rejects(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: RunReader,
    source: str | None = None,
    run_id: str | None = None,
) -> Sequence[Reject]:
    found, total = await queries.list_rejects(session, source, run_id, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


# Records ----------------------------------------------------------------------------------------


@served.get("/data")
async def list_data(
    session: Session,
    actor: DataReader,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    offset: Annotated[int, Query(ge=0, lt=1 << 53)] = 0,
    source: str | None = None,
    category: str | None = None,
    cursor: Annotated[
        int | None, Query(ge=0, lt=1 << 53, description="next_cursor of the page before")
    ] = None,
) -> DataPage:
    began = time.perf_counter()
    found, total, following = await queries.page_of_records(
        session, source=source, category=category, limit=limit, offset=offset, cursor=cursor
    )
    return DataPage(
        request_id=request_id.get(),
        total_count=total,
        limit=limit,
        offset=offset,
        api_latency_ms=round((time.perf_counter() - began) * 1000, 3),
        data=[RecordRead.model_validate(record) for record in found],
        next_cursor=following,
    )


@served.get("/data/{record_id}", response_model=RecordRead)
async def read_record(session: Session, actor: DataReader, record_id: Id) -> DataRecord:
    return await queries.get_record(session, record_id)


@served.get("/data/{record_id}/raw")
async def read_raw(session: Session, actor: DataReader, record_id: Id) -> RawRead:
    return await queries.raw_of(session, record_id)


@served.get("/stats")
async def read_stats(
    session: Session, actor: RunReader, limit: Annotated[int, Query(ge=0, le=1000)] = 100
) -> Stats:
    return await queries.stats(session, limit)
