"""HTTP doors to background jobs."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Request, Response

from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.security import Actor
from astralytiq.core.web import PageAsked, Session, describe_page, needs, room

from . import service
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
) -> Sequence[Job]:
    found, total = await service.list_visible(session, actor, status, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@router.get("/{job_id}")
async def read_job(session: Session, actor: Reader, job_id: str) -> JobDetail:
    job = JobDetail.model_validate(await service.get(session, actor, job_id))
    job.logs = [JobEventRead.model_validate(e) for e in await service.history(session, job_id)]
    return job


@router.post("/{job_id}/cancel", response_model=JobRead, status_code=202)
async def cancel_job(response: Response, session: Session, actor: Writer, job_id: str) -> Job:
    return located(response, await service.cancel(session, actor, job_id))


@router.post("/{job_id}/retry", response_model=JobRead, status_code=202)
async def retry_job(response: Response, session: Session, actor: Writer, job_id: str) -> Job:
    return located(response, await service.retry(session, actor, job_id))


def located(response: Response, job: Job) -> Job:
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return job
