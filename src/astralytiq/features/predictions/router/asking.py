"""Doors for one prediction: asking for it, reading it, walking it back."""

from typing import Annotated

from fastapi import Request

from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
from astralytiq.core.web import House, Session, charged_to, needs, room
from astralytiq.features.predictions import outcomes, service, tracing
from astralytiq.features.predictions.schemas import (
    PredictAnswer,
    PredictionRead,
    PredictRequest,
    Trace,
)

models = room("/models", "predictions")
predictions = room("/predictions", "predictions")

Predictor = Annotated[Actor, needs("models:predict")]
Reader = Annotated[Actor, needs("models:read")]


@models.post("/{name}/predict")
@charged_to("predict")
async def predict(
    request: Request, house: House, actor: Predictor, name: str, body: PredictRequest
) -> PredictAnswer:
    key = request.headers.get("idempotency-key")
    return await service.predict(house, actor, name, None, body, key)


@models.post("/{name}/versions/{version}/predict")
@charged_to("predict")
async def predict_with_version(
    request: Request,
    house: House,
    actor: Predictor,
    name: str,
    version: Id,
    body: PredictRequest,
) -> PredictAnswer:
    key = request.headers.get("idempotency-key")
    return await service.predict(house, actor, name, version, body, key)


@predictions.get("/{prediction_id}")
async def read_prediction(session: Session, actor: Reader, prediction_id: str) -> PredictionRead:
    return await outcomes.described(session, await service.get(session, actor, prediction_id))


@predictions.get("/{prediction_id}/trace")
async def trace_prediction(
    house: House, session: Session, actor: Reader, prediction_id: str
) -> Trace:
    return await tracing.trace(house, session, actor, prediction_id)
