"""HTTP doors to background jobs."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Header, Query, Request, Response

from astralytiq.core import sse
from astralytiq.core.jobs import Job, JobEvent, JobStatus
from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
from astralytiq.core.streams import TOLD_EVENTS, told_events, wants_list
from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    describe_page,
    identity_of,
    needs,
    room,
)

from . import following, service
from .schemas import JobDetail, JobEventRead, JobRead

router = room("/jobs", "jobs")

Reader = Annotated[Actor, needs("jobs:read")]
Writer = Annotated[Actor, needs("jobs:write")]


@router.get("", response_model=list[JobRead])
async def list_jobs(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: Reader,
    status: JobStatus | None = None,
    kind: Annotated[str | None, Query(max_length=100)] = None,
) -> Sequence[Job]:
    found, total = await service.list_visible(
        session, actor, page.limit, page.offset, status=status, kind=kind
    )
    describe_page(request, response, page, total)
    return found


@router.get("/{job_id}")
async def read_job(session: Session, actor: Reader, job_id: str) -> JobDetail:
    job = JobDetail.model_validate(await service.get(session, actor, job_id))
    job.logs = [JobEventRead.model_validate(e) for e in await service.history(session, job_id)]
    return job


@router.get("/{job_id}/events", response_model=list[JobEventRead], responses=TOLD_EVENTS)
async def read_events(
    request: Request,
    house: House,
    actor: Reader,
    job_id: str,
    after: Annotated[Id | None, Query(description="only events with a higher id")] = None,
    last_event_id: Annotated[
        str | None, Header(description="what an event stream takes up again after")
    ] = None,
) -> Sequence[JobEvent] | Response:
    """As server-sent events until the job ends; with `Accept: application/json` those so far, at
    most 500 at once: ask again with `after`.

    Lines of the job's history are named `log`. `progress` tells how far it is, and `ended` what
    became of it: both hold the job as it is then, and have no id.
    """
    since = after or sse.number_in(last_event_id)
    async with house.database.reading() as session:
        await service.get(session, actor, job_id)
        if wants_list(request):
            return await service.history(session, job_id, since, sse.PAGE)
    told = following.stream(house.database, request.app.state.broadcast, job_id, since)
    return told_events(request, identity_of(request, actor), told)


@router.post("/{job_id}/cancel", response_model=JobRead, status_code=202)
async def cancel_job(response: Response, session: Session, actor: Writer, job_id: str) -> Job:
    return located(response, await service.cancel(session, actor, job_id))


@router.post("/{job_id}/retry", response_model=JobRead, status_code=202)
async def retry_job(response: Response, session: Session, actor: Writer, job_id: str) -> Job:
    return located(response, await service.retry(session, actor, job_id))


def located(response: Response, job: Job) -> Job:
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return job
