"""Doors to what was rejected, and to how sources' fields change."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response

from astralytiq.core.schemas import Id
from astralytiq.core.web import PageAsked, Session, charged_to, describe_page
from astralytiq.features.ingestion import drift, queries, rejects
from astralytiq.features.ingestion.models import Drift, Reject, RejectStatus
from astralytiq.features.ingestion.schemas_quality import (
    Discarded,
    DriftRead,
    RejectRead,
    RejectsAsked,
    RetryAccepted,
)

from .runs import Runner, RunReader, etl

__all__ = ["etl"]


@etl.get("/rejects", response_model=list[RejectRead])
async def list_rejects(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: RunReader,
    source: str | None = None,
    run_id: str | None = None,
    status: RejectStatus | None = None,
) -> Sequence[Reject]:
    found, total = await queries.list_rejects(
        session, source, run_id, status, page.limit, page.offset
    )
    describe_page(request, response, page, total)
    return found


@etl.post("/rejects/retry", response_model=RetryAccepted, status_code=202)
@charged_to("expensive")
async def retry_rejects(
    response: Response, session: Session, actor: Runner, body: RejectsAsked
) -> dict[str, Any]:
    job, total = await rejects.start_retry(session, actor, body)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return {"job_id": job.id, "rejects": total}


@etl.post("/rejects/discard", response_model=Discarded)
async def discard_rejects(session: Session, actor: Runner, body: RejectsAsked) -> dict[str, Any]:
    return {"discarded": await rejects.discard(session, actor, body)}


@etl.post("/rejects/{reject_id}/retry", response_model=RejectRead)
async def retry_reject(session: Session, actor: Runner, reject_id: Id) -> Reject:
    return await rejects.retry_one(session, actor, reject_id)


@etl.post("/rejects/{reject_id}/discard", response_model=RejectRead)
async def discard_reject(session: Session, actor: Runner, reject_id: Id) -> Reject:
    return await rejects.discard_one(session, actor, reject_id)


@etl.get("/drift", response_model=list[DriftRead])
async def list_drift(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: RunReader,
    source: str | None = None,
    run_id: str | None = None,
) -> Sequence[Drift]:
    found, total = await drift.list_drift(session, source, run_id, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found
