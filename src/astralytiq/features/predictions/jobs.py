"""Background work of the predictions room: a model's answers to a whole table."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Conflict
from astralytiq.core.executor import Work
from astralytiq.core.jobs import ending, job
from astralytiq.core.security import Actor
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.features.datasets import outputs, tables
from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets.models import DatasetVersion
from astralytiq.features.datasets.tables import Written
from astralytiq.features.registry.models import ModelVersion
from astralytiq.features.registry.serving import Served, serving_version

from . import batching, service
from .batching import Layout


@dataclass(frozen=True)
class Batch:
    """What is predicted for, by which model version, into which columns."""

    version: ModelVersion
    served: Served
    frozen: DatasetVersion
    layout: Layout


@job(batching.JOB)
async def predict_batch(
    work: Work, *, output_id: int, actor_id: int, actor_name: str, **asked: Any
) -> dict[str, Any]:
    actor = Actor(actor_id, actor_name, frozenset(), via="job")
    async with outputs.awaited(work, output_id):
        async with work.resources.database.reading() as session:
            made = await datasets.version_of_job(session, work.claim.id)
            batch = None if made else await found(session, **asked)
        if batch:
            made = await predicted(work, actor, output_id, batch)
    assert made
    return batching.result_of(made)


async def found(
    session: AsyncSession, *, model: str, version: int, dataset: str, columns: list[str] | None
) -> Batch:
    asked = await serving_version(session, model, version)
    frozen = await datasets.resolve(session, dataset)
    layout = batching.layout_of(asked, frozen, columns)
    return Batch(asked, Served.of(model, asked), frozen, layout)


async def predicted(work: Work, actor: Actor, output_id: int, batch: Batch) -> DatasetVersion:
    work.report(0.01, "reading", batch.frozen.reference)
    model = await service.model_of(work.resources, actor, batch.served)
    try:
        written, origin = await asyncio.to_thread(write, work, batch, model)
    except ValueError as error:  # A model from elsewhere: ours answer to every number.
        raise Conflict(
            f"{batch.served.model}@{batch.served.number} cannot answer for "
            f"{batch.frozen.reference}: {error}."
        ) from error
    return await outputs.keep(work, actor, output_id, written, origin, batching.connect)


def write(work: Work, batch: Batch, model: Any) -> tuple[Written, dict[str, Any]]:
    """The table, and where it came from. Blocks."""
    # NumPy: a worker that predicts nothing pays nothing.
    from .scoring import Scorer, gives_probabilities  # noqa: PLC0415

    storage, key = work.resources.storage, outputs.key_of(work)
    served, layout = batch.served, batch.layout
    names, adapter = [feature["name"] for feature in served.features], adapter_of(served.algorithm)
    if len(layout.made) > 1 and not gives_probabilities(adapter, model, len(names)):
        layout = layout.without_probabilities()
    with tables.whole(storage, batch.frozen) as path, storage.writing(key) as file:
        scored = Scorer(adapter, model, names, layout).score(work, path, file)
    written = Written(storage.describe(key), scored.rows, layout.columns)
    reference, skipped = batch.frozen.reference, scored.skipped
    return written, batching.origin_of(work.claim.id, served, reference, skipped, layout)


@ending(batching.JOB)
async def give_up(session: AsyncSession, arguments: dict[str, Any]) -> None:
    await datasets.mark_failed(session, arguments["output_id"])
