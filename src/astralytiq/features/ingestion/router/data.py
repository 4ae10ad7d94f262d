"""Doors that answer at the root as well: records, statistics, a run of all sources."""

import time
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from astralytiq.core.errors import Forbidden
from astralytiq.core.logging import request_id
from astralytiq.core.schemas import Id, Moment
from astralytiq.core.security import Actor
from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    charged_to,
    describe_page,
    needs,
    room,
)
from astralytiq.features.ingestion import erasing, history, queries, searching, starting
from astralytiq.features.ingestion.erasing import Erased
from astralytiq.features.ingestion.models import DataRecord
from astralytiq.features.ingestion.schemas_data import DataPage, RawRead, RecordRead
from astralytiq.features.ingestion.schemas_quality import VersionRead
from astralytiq.features.ingestion.schemas_runs import RunsAccepted, Stats

from .runs import RUNS, Runner, RunReader

served = room("", "data")

DataReader = Annotated[Actor, needs("data:read")]
RecordEraser = Annotated[Actor, needs("sources:write")]


@served.post("/etl/run", response_model=RunsAccepted, status_code=202)
@charged_to("expensive")
async def run_all(response: Response, session: Session, actor: Runner) -> dict[str, Any]:
    response.headers["Location"] = RUNS
    return {"runs": await starting.start_all(session, actor)}


@served.get("/etl/run", response_model=RunsAccepted, status_code=202)
async def run_all_by_get(response: Response, house: House, actor: Runner) -> dict[str, Any]:
    """For schedulers that can only GET: a write of its own, since GET reads."""
    if actor.via == "cookie":
        raise Forbidden("A cookie starts no runs by GET, as any page could link here: use POST.")
    response.headers["Location"] = RUNS
    return {"runs": await house.database.write(lambda s: starting.start_all(s, actor))}


async def filters_asked(
    source: str | None = None,
    category: str | None = None,
    entity_id: Annotated[
        str | None, Query(description="one thing of the real world, across sources")
    ] = None,
    published_after: Annotated[Moment | None, Query(description="at this time or later")] = None,
    published_before: Annotated[Moment | None, Query(description="before this time")] = None,
    updated_since: Annotated[
        Moment | None, Query(description="stored or changed at this time or later")
    ] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="beginnings of words that must all be there")
    ] = None,
) -> searching.Filters:
    return searching.Filters(
        source, category, entity_id, published_after, published_before, updated_since, q
    )


@served.get("/data")
async def list_data(
    session: Session,
    actor: DataReader,
    filters: Annotated[searching.Filters, Depends(filters_asked)],
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    offset: Annotated[int, Query(ge=0, lt=1 << 53)] = 0,
    cursor: Annotated[
        int | None, Query(ge=0, lt=1 << 53, description="next_cursor of the page before")
    ] = None,
) -> DataPage:
    began = time.perf_counter()
    page = await searching.page_of_records(session, filters, limit, offset, cursor)
    return DataPage(
        request_id=request_id.get(),
        total_count=page.total,
        total_is_capped=page.is_capped,
        index_pending=page.index_pending,
        limit=limit,
        offset=offset,
        api_latency_ms=round((time.perf_counter() - began) * 1000, 3),
        data=[RecordRead.model_validate(record) for record in page.records],
        next_cursor=page.following,
    )


@served.get("/data/{record_id}", response_model=RecordRead)
async def read_record(session: Session, actor: DataReader, record_id: Id) -> DataRecord:
    return await queries.get_record(session, record_id)


@served.delete("/data/{record_id}", status_code=202)
@charged_to("expensive")
async def erase_record(
    response: Response, house: House, actor: RecordEraser, record_id: Id
) -> Erased:
    """Erase the thing that this record is of, at all sources, and every payload it came from."""
    erased = await erasing.erase(house, actor, record_id)
    response.headers["Location"] = f"/api/v1/jobs/{erased.job_id}"
    return erased


@served.get("/data/{record_id}/raw")
async def read_raw(
    session: Session,
    actor: DataReader,
    record_id: Id,
    version: Annotated[
        Id | None, Query(description="see its history; without it, the current one")
    ] = None,
) -> RawRead:
    return await history.raw_of(session, record_id, version)


@served.get("/data/{record_id}/history", response_model=list[VersionRead])
async def read_history(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: DataReader,
    record_id: Id,
) -> list[dict[str, Any]]:
    found, total = await history.versions_of(session, record_id, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@served.get("/stats")
async def read_stats(
    session: Session, actor: RunReader, limit: Annotated[int, Query(ge=0, le=1000)] = 100
) -> Stats:
    return await queries.stats(session, limit)
