"""Background work of the ingestion room."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.executor import Work
from astralytiq.core.jobs import ending, job

from . import (
    attempts,
    erasing,
    indexing,
    purging,
    rejects,
    replay,
    scheduling,
    service,
    tidying,
)
from .pipeline import Pipeline
from .rehearsal import Rehearsal


@job(service.JOB)
async def ingest(
    work: Work,
    run_id: str,
    full_refresh: bool = False,
    inject: Sequence[str] = (),
    dry_run: bool = False,
) -> dict[str, Any]:
    await tidying.tidy(work.resources)
    made = Rehearsal if dry_run else Pipeline
    return await attempts.run(work, run_id, full_refresh, inject, made)


@job(service.SCHEDULED)
async def start_due(work: Work, source: str) -> dict[str, Any]:
    return await scheduling.start_due(work, source)


@job(replay.JOB)
async def replay_source(work: Work, run_id: str, since_run: str | None = None) -> dict[str, Any]:
    return await replay.run(work, run_id, since_run)


@job(rejects.JOB)
async def retry_rejects(
    work: Work,
    ids: list[int] | None = None,
    source: str | None = None,
    run_id: str | None = None,
) -> dict[str, Any]:
    return await rejects.work_off(work, ids, source, run_id)


@job(indexing.JOB)
async def index_records(work: Work) -> dict[str, Any]:
    return await indexing.work_off(work)


@job(erasing.JOB)
async def erase_payloads(
    work: Work, entity_id: str, keys: dict[str, list[str]], places: dict[str, list[list[Any]]]
) -> dict[str, Any]:
    return await purging.work_off(work, entity_id, keys, places)


@ending(replay.JOB)
@ending(service.JOB)
async def end_run(session: AsyncSession, arguments: dict[str, Any]) -> None:
    await service.close_abandoned_runs(session)
