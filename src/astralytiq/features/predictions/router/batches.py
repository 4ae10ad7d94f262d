"""The door to predictions of a whole table."""

from typing import Annotated

from fastapi import Response

from astralytiq.core.security import Actor
from astralytiq.core.web import Session, charged_to, needs
from astralytiq.features.predictions import batching
from astralytiq.features.predictions.schemas_batches import BatchAsked, BatchRequest

from .asking import models

__all__ = ["models"]

# It reads one data set and makes another.
BatchPredictor = Annotated[Actor, needs("models:predict", "datasets:read", "datasets:write")]


@models.post("/{name}/predict-batch", status_code=202)
@charged_to("expensive")
async def predict_batch(
    response: Response, session: Session, actor: BatchPredictor, name: str, body: BatchRequest
) -> BatchAsked:
    asked = await batching.ask(session, actor, name, body)
    response.headers["Location"] = f"/api/v1/jobs/{asked.job_id}"
    return asked
