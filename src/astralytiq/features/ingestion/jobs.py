"""Background work of the ingestion room."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.executor import Work
from astralytiq.core.jobs import ending, job

from . import pipeline, service


@job(service.JOB)
async def ingest(work: Work, run_id: str, full_refresh: bool = False) -> dict[str, Any]:
    return await pipeline.run(work, run_id, full_refresh)


@ending(service.JOB)
async def end_run(session: AsyncSession, arguments: dict[str, Any]) -> None:
    await service.close_abandoned_runs(session)
