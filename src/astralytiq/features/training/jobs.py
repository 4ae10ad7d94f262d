"""Background work of the training room: one model, from a data set version to the registry."""

import asyncio
import logging
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Transient, job
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings
from astralytiq.core.tracking import TrackedRun, tracker
from astralytiq.features.datasets import service as datasets
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.gates import COMPARISON
from astralytiq.features.registry.service import Trained

from . import comparing, reproducing
from .plan import Plan, Source
from .tracked import tracked_run

if TYPE_CHECKING:
    from astralytiq.features.registry.models import ModelVersion


log = logging.getLogger(__name__)


@job("training.run")
async def run(
    work: Work, *, actor_id: int, actor_name: str, actor_role: str | None, **asked: Any
) -> dict[str, Any]:
    plan = Plan(**asked)
    actor = Actor.of_job(actor_id, actor_name, actor_role)
    async with work.resources.database.reading() as session:
        known = await registry.version_of_job(session, work.claim.id)
        wanted = await datasets.resolve(session, plan.dataset)
        source = Source(*await datasets.origin_of(session, wanted.id))
    version = known or await made(work, actor, plan, source)
    return {
        "model": plan.model_name,
        "version": version.number,
        "metrics": version.metrics,
        "dataset": plan.dataset,
        "mlflow_run_id": version.mlflow_run_id,
    }


async def made(work: Work, actor: Actor, plan: Plan, source: Source) -> "ModelVersion":
    if work.checkpoint is None:
        await fit(work, plan, source)
    assert work.checkpoint is not None
    trained = Trained(**work.checkpoint["trained"])
    times = [datetime.fromisoformat(moment) for moment in work.checkpoint["times"]]
    content = await asyncio.to_thread(work.resources.storage.get, trained.storage_key)
    run, settings = tracked_run(plan, source, trained, *times), work.resources.settings
    try:
        run_id = await asyncio.to_thread(track, settings, run, trained.job_id, content)
    except Exception as fault:  # Whatever MLflow stumbled over, the model is kept.
        log.warning("MLflow could not be written", extra={"job_id": work.claim.id}, exc_info=fault)
        raise Transient(
            f"MLflow could not be written ({type(fault).__name__}): the model is kept, and its run "
            "is written at the next attempt."
        ) from fault

    async def register(session: AsyncSession) -> "ModelVersion":
        await registry.refuse_foreign(session, actor, plan.model_name)
        tracked = replace(trained, mlflow_run_id=run_id)
        return await registry.add_version(session, actor, plan.model_name, tracked)

    return await work.step(register, progress=0.99)


async def fit(work: Work, plan: Plan, source: Source) -> None:
    """Train, and keep the outcome as the job's checkpoint.

    MLflow may be away for a while: the trees need not be grown again for that.
    """
    from . import fitting  # noqa: PLC0415 - NumPy: a worker that trains nothing pays nothing

    began = utc_now()
    work.report(0.02, "reading", plan.dataset)
    table = await datasets.open_table(work.resources, source.version, plan.columns)
    trained = await asyncio.to_thread(fitting.train, work, plan, source, table)
    times = [began.isoformat(), utc_now().isoformat()]

    async def nothing_else(_: AsyncSession) -> None: ...

    kept = {"trained": asdict(trained), "times": times}
    await work.step(nothing_else, checkpoint=kept, progress=0.9)


def track(settings: Settings, run: TrackedRun, job_id: str, content: bytes) -> str:
    """Write the run to MLflow; a job that runs again finds its run. Blocks."""
    return tracker(settings).log(run, job_id=job_id, artifacts={"model/model.bin": content})


@job(reproducing.JOB)
async def reproduce(work: Work, *, model_name: str, number: int) -> dict[str, Any]:
    return await reproducing.reproduced(work, model_name, number)


@job(COMPARISON)
async def compare(
    work: Work, *, model_name: str, number: int, other: int, actor_id: int, actor_name: str
) -> dict[str, Any]:
    actor = Actor(actor_id, actor_name, frozenset(), via="job")
    return await comparing.compared(work, actor, model_name, number, other)
