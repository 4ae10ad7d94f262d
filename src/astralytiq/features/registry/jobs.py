"""Background work of the registry room: what it knows, told to MLflow."""

import asyncio
from typing import Any

from astralytiq.core.executor import Work
from astralytiq.core.jobs import job
from astralytiq.core.tracking import tracker

from . import promoting, service


@job(service.MIRROR_JOB)
async def mirror(work: Work, *, model: str) -> dict[str, Any]:
    """Registers the model's versions in MLflow and moves its aliases to where the stages are.

    It reads what is so now, so jobs that come late, twice or in another order end alike.
    """
    async with work.resources.database.reading() as session:
        wanted = await promoting.tracked_stages(session, model)
    await asyncio.to_thread(write, work, wanted, model)
    return {"model": model, "aliases": {a: v.number for a, v in wanted.items() if v}}


def write(work: Work, wanted: dict[str, promoting.Tracked | None], name: str) -> None:
    if not any(wanted.values()):
        return  # Nothing of this model was ever tracked: MLflow is not even opened.
    store = tracker(work.resources.settings)
    for alias, version in wanted.items():
        if version and version.mlflow_version:
            store.set_alias(name, alias, version.mlflow_version)
        elif version:
            store.register(name, version.number, version.mlflow_run_id, alias=alias)
        else:
            store.delete_alias(name, alias)
