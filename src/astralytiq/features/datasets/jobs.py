"""Background work of the data-set room: freezing records into a version, and measuring it."""

import asyncio
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.executor import Work
from astralytiq.core.jobs import ending, job
from astralytiq.core.security import Actor

from . import from_jobs, from_telemetry, measuring, outputs, service, tables
from .models import DatasetVersion
from .tables import Written


@job("datasets.freeze")
async def freeze(
    work: Work,
    *,
    dataset_id: int,
    source: str | None,
    actor_id: int,
    actor_name: str,
    query: dict[str, Any] | None = None,
) -> dict[str, Any]:
    actor = Actor(actor_id, actor_name, frozenset(), via="job")
    async with outputs.awaited(work, dataset_id):
        wanted = query if query is not None else {"source": source}
        version = await frozen(work, actor, dataset_id, wanted)
    return {"dataset": version.reference, "rows": version.rows, "columns": version.columns}


async def frozen(
    work: Work, actor: Actor, dataset_id: int, query: dict[str, Any]
) -> DatasetVersion:
    database, job_id = work.resources.database, work.claim.id
    async with database.reading() as session:
        if known := await service.version_of_job(session, job_id):
            return known
    async with database.reading() as session:
        written, origin = await read(work, session, query)
    return await outputs.keep(work, actor, dataset_id, written, origin)


async def read(
    work: Work, session: AsyncSession, query: dict[str, Any]
) -> tuple[Written, dict[str, Any]]:
    """What was asked for as a file, and where it came from."""
    key = outputs.key_of(work)
    if "job" in query:
        return await from_jobs.written(work, session, query, key)
    if "telemetry" in query:
        return await from_telemetry.written(work, session, query, key)
    found = await tables.from_records(work, session, service.filters_of(query), key)
    return found.written, service.origin_of_records(query) | {"run_ids": found.run_ids}


@ending("datasets.freeze")
async def give_up(session: AsyncSession, arguments: dict[str, Any]) -> None:
    await service.mark_failed(session, arguments["dataset_id"])


@job(measuring.JOB)
async def measure(work: Work, *, version_id: int) -> dict[str, Any]:
    """By the rules of now, so that it may run any number of times."""
    database, storage = work.resources.database, work.resources.storage
    async with database.reading() as session:
        dataset, version = await service.origin_of(session, version_id)
        demands = await measuring.demands_of(session, dataset.id)
        row = await measuring.row_of(session, version)

    def report(done: float) -> None:
        work.report(0.9 * done, "measuring")

    known = row.profile if row else None
    await asyncio.to_thread(tables.refuse_missing, storage, version)  # Says what is missing.
    measured = await asyncio.to_thread(
        measuring.measure, storage, version.storage_key, demands, version.created_at, known, report
    )

    async def store(session: AsyncSession) -> None:
        dataset, version = await service.origin_of(session, version_id)
        await measuring.keep(session, dataset, version, measured)

    await work.step(store, progress=0.95)
    return {"dataset": version.reference, "quality_score": measured.score}
