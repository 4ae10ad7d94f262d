"""The walk back from a prediction to payloads, and the predictions that came of model versions."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import NotFound, Unavailable
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.engines.tabular import parquet
from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets import tables
from astralytiq.features.datasets.models import DatasetVersion
from astralytiq.features.ingestion import tracing as ingestion
from astralytiq.features.ingestion.tracing import State
from astralytiq.features.registry import service as registry

from .models import Prediction
from .outcomes import described
from .schemas import (
    Trace,
    TracedDataset,
    TracedModel,
    TracedRecord,
    TracedRun,
    TracedTraining,
)
from .service import get

SAMPLE = 5  # records of a trace
MOST_RUNS = 20
COUNTED = 10_000  # predictions of a version; above, they are "10,000 or more"


async def trace(
    resources: Resources, session: AsyncSession, actor: Actor, prediction_id: str
) -> Trace:
    prediction = await get(session, actor, prediction_id)
    version = await registry.version_by_id(session, prediction.model_version_id)
    dataset, frozen = await datasets.origin_of(session, registry.trained_on(version))
    run_ids: list[str] = frozen.origin.get("run_ids", [])
    runs = await ingestion.runs_of(session, run_ids[-MOST_RUNS:])
    return Trace(
        prediction=await described(session, prediction),
        model=TracedModel(name=prediction.model, version=version.number, sha256=version.sha256),
        training=TracedTraining.model_validate(version),
        dataset=TracedDataset(
            id=dataset.id,
            name=dataset.name,
            version=frozen.number,
            content_hash=frozen.content_hash,
        ),
        origin=frozen.origin,
        records=await sample(resources, session, frozen),
        runs=[TracedRun.model_validate(run) for run in runs],
        run_count=len(run_ids),
    )


async def sample(
    resources: Resources, session: AsyncSession, frozen: DatasetVersion
) -> list[TracedRecord]:
    """The first rows of the version, as far as they were records, each with its payload's door."""
    ids = await asyncio.to_thread(record_ids, resources, frozen)
    states = await ingestion.states_at(session, ids, frozen.created_at)
    return [traced(record_id, states.get(record_id)) for record_id in ids]


def record_ids(resources: Resources, frozen: DatasetVersion) -> list[int]:
    """None if the file is away: the rest of the walk does not need it."""
    named = {column["name"] for column in frozen.schema}
    if tables.RECORD_ID not in named or frozen.origin.get("kind") == "upload":
        return []
    try:
        with resources.storage.local(frozen.storage_key) as path:
            rows = parquet.read_head(path, SAMPLE)
    except (NotFound, Unavailable):
        return []
    return [row[tables.RECORD_ID] for row in rows]


def traced(record_id: int, state: State | None) -> TracedRecord:
    if state is None:
        return TracedRecord(record_id=record_id, is_kept=False)
    return TracedRecord(
        record_id=record_id,
        is_kept=True,
        has_changed=not state.is_current,
        run_id=state.run_id,
        raw_position=state.raw_position,
        raw=f"/api/v1/data/{record_id}/raw?version={state.version}",
    )


# Downwards --------------------------------------------------------------------------------------


def seen_by(actor: Actor) -> Select[Prediction]:
    """As `service.get` decides it for one."""
    query: Select[Prediction] = select(Prediction)
    return query if actor.is_admin else query.where(Prediction.actor_id == actor.id)


async def newest_of(
    session: AsyncSession, actor: Actor, version_id: int, limit: int
) -> Sequence[Any]:
    columns = (Prediction.id, Prediction.created_at, Prediction.rows)
    query = seen_by(actor).where(Prediction.model_version_id == version_id)
    newest = query.order_by(Prediction.id.desc()).limit(limit)
    return (await session.execute(newest.with_only_columns(*columns))).all()


async def count_of(session: AsyncSession, actor: Actor, version_id: int) -> int:
    """Of those that `actor` may see, up to `COUNTED`."""
    query = seen_by(actor).where(Prediction.model_version_id == version_id)
    some = query.with_only_columns(literal(1).label("one")).limit(COUNTED).subquery()
    return await session.scalar(select(func.count()).select_from(some)) or 0
