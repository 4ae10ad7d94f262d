"""HTTP doors of the training room."""

from typing import Annotated

from fastapi import Depends, Path, Response

from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
from astralytiq.core.web import House, Session, charged_to, needs, room

from . import comparing, reproducing, service
from .schemas import (
    ComparisonAsked,
    ComparisonRequest,
    Overview,
    ReproductionAsked,
    TrainingAsked,
    TrainingRequest,
)

router = room("/ml", "machine learning")
models = room("/models", "models")

Trainer = Annotated[Actor, needs("models:write")]


@router.get("")
async def read_overview() -> Overview:
    return service.overview()


async def request_with_data(house: House, actor: Trainer, body: TrainingRequest) -> TrainingRequest:
    return await service.with_data(house, actor, body)


# Before the session of a door that names it first: what it makes takes longer than a write may.
WithData = Annotated[TrainingRequest, Depends(request_with_data)]


@router.post("/train", status_code=202)
@charged_to("expensive")
async def train(
    response: Response, body: WithData, session: Session, actor: Trainer
) -> TrainingAsked:
    asked = await service.start(session, actor, body)
    response.headers["Location"] = f"/api/v1/jobs/{asked.job_id}"
    return asked


@models.post("/{name}/versions/{version}/reproduce", status_code=202)
@charged_to("expensive")
async def reproduce(
    response: Response,
    session: Session,
    actor: Trainer,
    name: str,
    number: Annotated[Id, Path(alias="version")],
) -> ReproductionAsked:
    job = await reproducing.ask(session, actor, name, number)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return ReproductionAsked(job_id=job.id, status=job.status, model=name, version=number)


@models.post("/{name}/versions/{version}/compare", status_code=202)
@charged_to("expensive")
async def compare(
    response: Response,
    session: Session,
    actor: Trainer,
    name: str,
    number: Annotated[Id, Path(alias="version")],
    body: ComparisonRequest | None = None,
) -> ComparisonAsked:
    job, other = await comparing.ask(session, actor, name, number, body.other if body else None)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return ComparisonAsked(
        job_id=job.id, status=job.status, model=name, version=number, other=other
    )
