"""HTTP doors of the training room."""

from typing import Annotated

from fastapi import Response

from astralytiq.core.security import Actor
from astralytiq.core.web import Session, charged_to, needs, room

from . import service
from .schemas import Overview, TrainingAsked, TrainingRequest

router = room("/ml", "machine learning")


@router.get("")
async def read_overview() -> Overview:
    return service.overview()


@router.post("/train", status_code=202)
@charged_to("expensive")
async def train(
    response: Response,
    session: Session,
    actor: Annotated[Actor, needs("models:write")],
    body: TrainingRequest,
) -> TrainingAsked:
    asked = await service.start(session, actor, body)
    response.headers["Location"] = f"/api/v1/jobs/{asked.job_id}"
    return asked
