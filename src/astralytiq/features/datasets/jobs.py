"""Background work of the data-set room: freezing records into a version."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs
from astralytiq.core.errors import AppError
from astralytiq.core.executor import Work
from astralytiq.core.jobs import JobCancelled, LeaseLost, ending, job
from astralytiq.core.security import Actor
from astralytiq.features.ingestion import service as ingestion

from . import service, tables
from .models import DatasetVersion


@job("datasets.freeze")
async def freeze(
    work: Work, *, dataset_id: int, source: str, actor_id: int, actor_name: str
) -> dict[str, Any]:
    actor = Actor(actor_id, actor_name, frozenset(), via="job")
    try:
        version = await frozen(work, actor, dataset_id, source)
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


async def frozen(work: Work, actor: Actor, dataset_id: int, source: str) -> DatasetVersion:
    database, job_id = work.resources.database, work.claim.id
    async with database.reading() as session:
        if known := await service.version_of_job(session, job_id):
            return known
    # The fence in the name: a worker that was only slow cannot overwrite its successor's file.
    key = f"datasets/{job_id}-{work.claim.fence}.parquet"
    async with database.reading() as session:
        written = await tables.from_records(work, session, source, key)
        run_ids = await ingestion.runs_behind(session, source)
    origin = {"kind": "records", "source": source, "run_ids": run_ids}

    async def store(session: AsyncSession) -> DatasetVersion:
        return await service.add_version(session, actor, dataset_id, written, origin, job_id)

    try:
        return await work.step(store, progress=0.95)
    except (AppError, LeaseLost, JobCancelled):  # Raised before the commit: nothing names the file.
        work.resources.storage.delete(key)
        raise


@ending("datasets.freeze")
async def give_up(session: AsyncSession, arguments: dict[str, Any]) -> None:
    await service.mark_failed(session, arguments["dataset_id"])
