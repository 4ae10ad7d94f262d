"""Background work of the data-set room: freezing records into a version, and measuring it."""

import asyncio
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs
from astralytiq.core.errors import AppError
from astralytiq.core.executor import Work
from astralytiq.core.jobs import JobCancelled, LeaseLost, ending, job
from astralytiq.core.security import Actor

from . import measuring, service, tables
from .models import DatasetVersion


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
    try:
        version = await frozen(
            work, actor, dataset_id, query if query is not None else {"source": source}
        )
    except LeaseLost:
        raise  # A successor has the job, and the word on how it ended.
    except Exception as failure:
        if is_last(work, failure):
            await work.resources.database.write(
                lambda session: service.mark_failed(session, dataset_id)
            )
        raise
    return {"dataset": version.reference, "rows": version.rows, "columns": version.columns}


def is_last(work: Work, failure: Exception) -> bool:
    attempts_over = work.claim.attempt >= work.claim.max_attempts
    return isinstance(failure, JobCancelled) or jobs.is_final(failure) or attempts_over


async def frozen(
    work: Work, actor: Actor, dataset_id: int, query: dict[str, Any]
) -> DatasetVersion:
    database, job_id = work.resources.database, work.claim.id
    async with database.reading() as session:
        if known := await service.version_of_job(session, job_id):
            return known
    # The fence in the name: a worker that was only slow cannot overwrite its successor's file.
    key = f"datasets/{job_id}-{work.claim.fence}.parquet"
    async with database.reading() as session:
        found = await tables.from_records(work, session, service.filters_of(query), key)
    written = found.written
    async with database.reading() as session:
        demands = await measuring.demands_of(session, dataset_id)
    measured = await asyncio.to_thread(measuring.at_once, work.resources.storage, written, demands)
    origin = service.origin_of_records(query) | {"run_ids": found.run_ids}

    async def store(session: AsyncSession) -> DatasetVersion:
        version = await service.add_version(session, actor, dataset_id, written, origin, job_id)
        dataset = await service.get(session, dataset_id)
        await measuring.settle(session, actor, dataset, version, measured)
        return version

    try:
        return await work.step(store, progress=0.95)
    except (AppError, LeaseLost, JobCancelled):  # Raised before the commit: nothing names the file.
        work.resources.storage.delete(key)
        raise


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
    await asyncio.to_thread(tables.path_of, storage, version)  # Says what is missing.
    measured = await asyncio.to_thread(
        measuring.measure, storage, version.storage_key, demands, version.created_at, known, report
    )

    async def store(session: AsyncSession) -> None:
        dataset, version = await service.origin_of(session, version_id)
        await measuring.keep(session, dataset, version, measured)

    await work.step(store, progress=0.95)
    return {"dataset": version.reference, "quality_score": measured.score}
