"""Background work of the ingestion room."""

from typing import Any

from astralytiq.core.executor import Work
from astralytiq.core.jobs import job

from . import pipeline, service


@job(service.JOB)
async def ingest(work: Work, run_id: str, full_refresh: bool = False) -> dict[str, Any]:
    return await pipeline.run(work, run_id, full_refresh)
