"""What a source's schedule does when it is due."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.executor import Work
from astralytiq.core.security import SYSTEM

from . import events, service, starting
from .models import Run


async def start_due(work: Work, source: str) -> dict[str, Any]:
    """Begin the run that is due, once: an attempt that died after its commit left a checkpoint."""
    if work.checkpoint:
        return work.checkpoint
    return await work.step(lambda session: begin(session, source), checkpoint={"settled": True})


async def begin(session: AsyncSession, name: str) -> dict[str, Any]:
    source = await service.find_source(session, name)
    if source is None or not source.enabled:
        return {"skipped": "The source is gone or disabled."}
    await service.close_abandoned_runs(session)
    if running := await service.run_in_progress(session, name):
        return skip(session, running)
    run = await starting.start_run(session, SYSTEM, name, trigger="schedule")
    return {"run_id": run.run_id}


def skip(session: AsyncSession, running: Run) -> dict[str, Any]:
    """The run in progress says that the next one was due: the source is too slow for its rule."""
    words = "Its schedule was due again while this run was in progress: that run is left out."
    events.record(session, running.run_id, "skipped", words)
    resource = f"run/{running.run_id}"
    audit.record(session, SYSTEM, "run.skipped", resource, source=running.source)
    return {"skipped": words}
