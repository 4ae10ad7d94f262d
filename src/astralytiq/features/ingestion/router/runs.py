"""Doors to runs and what they rejected."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Request, Response

from astralytiq.core.security import Actor
from astralytiq.core.web import (
    PageAsked,
    Session,
    describe_page,
    needs,
    room,
)
from astralytiq.features.ingestion import service
from astralytiq.features.ingestion.models import Run, RunStatus
from astralytiq.features.ingestion.schemas_runs import RunRead

etl = room("/etl", "ingestion")

Runner = Annotated[Actor, needs("etl:run")]
RunReader = Annotated[Actor, needs("runs:read")]
RUNS = "/api/v1/etl/runs"


@etl.get("/runs", response_model=list[RunRead])
async def list_runs(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: RunReader,
    source: str | None = None,
    status: RunStatus | None = None,
) -> Sequence[Run]:
    found, total = await service.list_runs(session, source, page.limit, page.offset, status=status)
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
