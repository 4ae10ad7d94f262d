"""Rules for predictions: check the rows, compute, keep what was answered, walk back from it."""

import asyncio
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import new_id
from astralytiq.core.errors import Conflict, NotFound
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.engines.models.contract import Predictions
from astralytiq.features.datasets import service as datasets
from astralytiq.features.registry import service as registry

from .inputs import rows_of
from .models import Prediction
from .schemas import (
    PredictAnswer,
    PredictionRead,
    PredictRequest,
    Trace,
    TracedDataset,
    TracedModel,
    TracedTraining,
)

if TYPE_CHECKING:
    from astralytiq.features.registry.models import ModelVersion

MOST_LOADED = 8
ROWS_IN_LOOP = 100  # Fewer rows take less time than a thread costs.


class LoadedModels:
    """The models used last, ready to predict. The hash keeps two homes' models apart."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._models: OrderedDict[tuple[int, str], Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, version: "ModelVersion") -> Any:
        key = (version.id, version.sha256)
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
            return self._models.get(key)

    def put(self, version: "ModelVersion", model: Any) -> None:
        with self._lock:
            self._models[version.id, version.sha256] = model
            while len(self._models) > self._most:
                self._models.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._models.clear()


loaded = LoadedModels(MOST_LOADED)


async def predict(
    resources: Resources, actor: Actor, name: str, number: int | None, body: PredictRequest
) -> PredictAnswer:
    """Computes outside of any transaction; one short write keeps the answer."""
    began = time.perf_counter()
    async with resources.database.reading() as session:
        version = await registry.serving_version(session, name, number)
    rows = rows_of(body, version.features)
    model = await model_of(resources, actor, version)
    found = await computed(version, model, rows)
    latency = round((time.perf_counter() - began) * 1000, 3)
    prediction = prediction_of(actor, name, version, rows, found, latency)

    async def keep(session: AsyncSession) -> None:
        session.add(prediction)
        await registry.count_served(session, version.id, 1, latency)

    await resources.database.write(keep)
    return PredictAnswer(
        **prediction.outputs,
        model=name,
        version=version.number,
        latency_ms=latency,
        prediction_id=prediction.id,
    )


def prediction_of(
    actor: Actor,
    name: str,
    version: "ModelVersion",
    rows: list[list[float]],
    found: Predictions,
    latency: float,
) -> Prediction:
    return Prediction(
        id=new_id(),
        model_version_id=version.id,
        model=name,
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
    )


async def model_of(resources: Resources, actor: Actor, version: "ModelVersion") -> Any:
    if (known := loaded.get(version)) is not None:
        return known
    content = await registry.open_file(resources, actor, version)
    try:
        model = await asyncio.to_thread(load, version.algorithm, content)
    except ValueError as error:
        raise Conflict(f"This version cannot be served ({error}): train it again.") from None
    loaded.put(version, model)
    return model


def load(algorithm: str, content: bytes) -> Any:
    return adapter_of(algorithm).load(content)


async def computed(version: "ModelVersion", model: Any, rows: list[list[float]]) -> Predictions:
    adapter = adapter_of(version.algorithm)
    if len(rows) <= ROWS_IN_LOOP:
        return adapter.predict(model, rows)
    return await asyncio.to_thread(adapter.predict, model, rows)


async def get(session: AsyncSession, actor: Actor, prediction_id: str) -> Prediction:
    """Somebody else's prediction is not found: that it exists stays private."""
    # PostgreSQL refuses a NUL, which no id has.
    found = await session.get(Prediction, prediction_id) if prediction_id.isprintable() else None
    owns = found and found.actor_id is not None and found.actor_id == actor.id
    if found is None or not (owns or actor.is_admin):
        raise NotFound(f"There is no prediction {prediction_id!r}.")
    return found


async def trace(session: AsyncSession, actor: Actor, prediction_id: str) -> Trace:
    prediction = await get(session, actor, prediction_id)
    version = await registry.version_by_id(session, prediction.model_version_id)
    dataset, frozen = await datasets.origin_of(session, version.dataset_version_id)
    return Trace(
        prediction=PredictionRead.model_validate(prediction),
        model=TracedModel(name=prediction.model, version=version.number, sha256=version.sha256),
        training=TracedTraining.model_validate(version),
        dataset=TracedDataset(
            id=dataset.id,
            name=dataset.name,
            version=frozen.number,
            content_hash=frozen.content_hash,
        ),
        origin=frozen.origin,
    )
