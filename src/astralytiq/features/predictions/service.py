"""Rules for predictions: check the rows, compute, keep what was answered."""

import asyncio
import time
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import new_id, utc_now
from astralytiq.core.errors import Invalid, NotFound
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.contract import NoAnswer, Predictions
from astralytiq.features.registry.serving import Served, serving

from . import repeating
from .inputs import rows_of
from .loaded import model_of as model_of
from .mirroring import mirror
from .models import Prediction
from .recording import Recorded, recorder
from .schemas import PredictAnswer, PredictRequest

ROWS_IN_LOOP = 100  # Fewer rows take less time than a thread costs.


async def predict(
    resources: Resources,
    actor: Actor,
    name: str,
    number: int | None,
    body: PredictRequest,
    key: str | None = None,
) -> PredictAnswer:
    """Of a request that comes again with its Idempotency-Key the first answer."""
    if key is None:
        return await answer(resources, actor, name, number, body, new_id())
    prediction_id = repeating.id_of(actor, name, number, key)
    if known := await repeating.answered(resources, prediction_id, body):
        return known
    try:
        return await answer(resources, actor, name, number, body, prediction_id)
    except IntegrityError:  # Both were under way at once.
        if known := await repeating.answered(resources, prediction_id, body):
            return known
        raise


async def answer(
    resources: Resources,
    actor: Actor,
    name: str,
    number: int | None,
    body: PredictRequest,
    prediction_id: str,
) -> PredictAnswer:
    """Asks no table and writes in a group: a model's version and file are kept in memory."""
    began = time.perf_counter()
    version = await serving(resources).version(name, number)
    rows = rows_of(body, version.features)
    model = await model_of(resources, actor, version)
    found = await computed(version, model, rows)
    latency = round((time.perf_counter() - began) * 1000, 3)
    recorded = recorded_of(prediction_id, actor, version, rows, found, latency)
    await recorder(resources).add(recorded)
    if number is None:
        mirror(resources).offer(recorded)
    return PredictAnswer(
        **recorded.outputs,
        model=name,
        version=version.number,
        latency_ms=latency,
        prediction_id=recorded.id,
    )


def recorded_of(
    prediction_id: str,
    actor: Actor,
    version: Served,
    rows: list[list[float]],
    found: Predictions,
    latency: float,
) -> Recorded:
    return Recorded(
        id=prediction_id,
        model_version_id=version.version_id,
        model=version.model,
        version=version.number,
        inputs={"columns": [feature["name"] for feature in version.features], "data": rows},
        outputs={
            "predictions": found.labels,
            "probabilities": found.probabilities,
            "classes": version.classes,
        },
        rows=len(rows),
        latency_ms=latency,
        actor_id=actor.id,
        created_at=utc_now(),
    )


async def computed(version: Served, model: Any, rows: list[list[float]]) -> Predictions:
    adapter = adapter_of(version.algorithm)
    try:
        # Models from elsewhere may take any time, even for a row.
        if len(rows) <= ROWS_IN_LOOP and version.algorithm in ALGORITHMS:
            return adapter.predict(model, rows)
        return await asyncio.to_thread(adapter.predict, model, rows)
    except NoAnswer as error:
        raise Invalid(f"This model has no answer to these rows: {error}.") from None


async def get(session: AsyncSession, actor: Actor, prediction_id: str) -> Prediction:
    """Somebody else's prediction is not found: that it exists stays private."""
    # PostgreSQL refuses a NUL, which no id has.
    found = await session.get(Prediction, prediction_id) if prediction_id.isprintable() else None
    if found is None or not may_see(actor, found.actor_id):
        raise NotFound(f"There is no prediction {prediction_id!r}.")
    return found


def may_see(actor: Actor, asked_by: int | None) -> bool:
    """Who asked for a prediction, and admins."""
    return actor.is_admin or (asked_by is not None and asked_by == actor.id)
