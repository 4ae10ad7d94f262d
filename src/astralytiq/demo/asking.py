"""Asks trained models for predictions, and tells them what was true where that is known."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets.tables import RECORD_ID
from astralytiq.features.predictions import outcomes
from astralytiq.features.predictions import service as predictions
from astralytiq.features.predictions.schemas import PredictAnswer, PredictRequest
from astralytiq.features.predictions.schemas_outcomes import OutcomeTold
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import ModelVersion, Stage

from .desk import Desk

if TYPE_CHECKING:
    import pyarrow as pa

SINGLE_REQUESTS = 4  # with a row each; one more has all of these rows
LATER_REQUESTS, LATER_ROWS = 10, 20  # and how many rows each of these has

Row = dict[str, Any]


async def ask(desk: Desk, name: str, version: ModelVersion) -> None:
    """About a few rows of the table it was trained on; requests that were answered count."""
    frozen = await desk.read(lambda session: datasets.resolve(session, version.dataset))
    rows = (await datasets.preview(desk.resources, frozen, SINGLE_REQUESTS)).rows
    for some in [*([row] for row in rows), rows][version.served_count :]:
        await predicted(desk, name, version, some)


async def predicted(desk: Desk, name: str, version: ModelVersion, rows: list[Row]) -> PredictAnswer:
    """As a user asks: who is in production answers, unless another version is named."""
    features = [feature["name"] for feature in version.features]
    records = [{feature: row[feature] for feature in features} for row in rows]
    number = None if version.stage is Stage.production else version.number
    body = PredictRequest.model_validate({"records": records})
    return await predictions.predict(desk.resources, desk.actor, name, number, body)


async def ask_about_later(desk: Desk, name: str, number: int, later: str) -> None:
    """About rows that came after those it was trained on; then what was true of them is told."""
    version = await desk.read(lambda session: find(session, name, number))
    rows = await unseen(desk, version, later)
    for request in range(version.served_count, LATER_REQUESTS):
        some = rows[request * LATER_ROWS : (request + 1) * LATER_ROWS]
        answer = await predicted(desk, name, version, some)
        truth = OutcomeTold(outcomes=[row[version.target] for row in some])
        await desk.write(partial(tell, desk, answer.prediction_id, truth))


async def tell(desk: Desk, prediction_id: str, truth: OutcomeTold, session: AsyncSession) -> None:
    await outcomes.tell(session, desk.actor, prediction_id, truth)


async def find(session: AsyncSession, name: str, number: int) -> ModelVersion:
    return await registry.get_version(session, await registry.get(session, name), number)


async def unseen(desk: Desk, version: ModelVersion, later: str) -> list[Row]:
    """The first rows of `later` whose records were not among those of the training."""
    before = await desk.read(lambda session: datasets.resolve(session, version.dataset))
    after = await desk.read(lambda session: datasets.resolve(session, later))
    names = [*(feature["name"] for feature in version.features), version.target, RECORD_ID]
    seen = await datasets.open_table(desk.resources, before, [RECORD_ID])
    table = await datasets.open_table(desk.resources, after, names)
    return await asyncio.to_thread(beyond, seen, table)


def beyond(seen: "pa.Table", table: "pa.Table") -> list[Row]:
    known = set(seen[RECORD_ID].to_pylist())
    rows: list[Row] = table.to_pylist()
    return [row for row in rows if row[RECORD_ID] not in known][: LATER_REQUESTS * LATER_ROWS]
