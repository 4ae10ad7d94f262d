"""Background work of the tracking room."""

import asyncio
from typing import Any

from astralytiq.core.executor import Work
from astralytiq.core.jobs import job
from astralytiq.core.security import Actor
from astralytiq.features.registry.external import add_external

from . import mirroring


@job(mirroring.JOB)
async def mirror(
    work: Work, *, model: str, actor_id: int, actor_name: str, actor_role: str | None
) -> dict[str, Any]:
    """Versions of `model` that only MLflow knows get a number in our registry, once."""
    actor = Actor.of_job(actor_id, actor_name, actor_role)
    found = await asyncio.to_thread(mirroring.registered, work.resources.settings, model)
    added = await work.step(lambda session: add_external(session, actor, model, found))
    return {"model": model, "versions": added}
