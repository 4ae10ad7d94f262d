"""The demo's example content: one real table from source to served model, made once per home.

It runs beside the server after the start, through the same services and jobs as a user's own work.
"""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq import onboarding
from astralytiq.core import jobs
from astralytiq.core.errors import AppError, NotFound
from astralytiq.core.jobs import FINISHED, Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.features.accounts import service as accounts
from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets.models import Dataset
from astralytiq.features.registry import promoting, serving
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import Stage
from astralytiq.features.training import service as training
from astralytiq.features.training.schemas import TrainingRequest

log = logging.getLogger(__name__)

OWNER = "data.scientist@astralytiq.com"
TABLE = "penguins"
MODEL = "penguin_species"
TRAINING = {
    "algorithm": "random_forest",
    "target": "species",
    "features": ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"],
    "params": {"n_estimators": 50},
    "experiment": "demo",
    "model_name": MODEL,
    "seed": 7,
}
POLL_SECONDS = 0.2


async def load(resources: Resources) -> None:
    """Fill the home unless it was filled before. A fault is logged: the server goes on."""
    try:
        if not await is_loaded(resources):
            await fill(resources, await owner(resources))
    except AppError as error:
        log.error("the demo content is not complete", extra={"reason": error.detail})


async def is_loaded(resources: Resources) -> bool:
    """Whether the last step was reached; a start that was cut short goes on where it can."""
    async with resources.database.reading() as session:
        try:
            await serving.serving_version(session, MODEL)
        except AppError:
            return False
    return True


async def owner(resources: Resources) -> Actor:
    async with resources.database.reading() as session:
        found = await accounts.find(session, OWNER)
    if found is None:
        raise NotFound(f"The demo account {OWNER} is gone: nothing is loaded for it.")
    return accounts.actor_for(found, "demo")


async def fill(resources: Resources, actor: Actor) -> None:
    database = resources.database
    run = await onboarding.add_source(resources, actor, TABLE)
    await ended(resources, run.job_id)
    dataset = await database.write(lambda session: frozen(session, actor))
    await ended(resources, dataset.job_id)
    request = TrainingRequest.model_validate({**TRAINING, "dataset_id": str(dataset.id)})
    asked = await database.write(lambda session: training.start(session, actor, request))
    job = await ended(resources, asked.job_id)
    await database.write(lambda session: promote(session, actor, (job.result or {})["version"]))


async def frozen(session: AsyncSession, actor: Actor) -> Dataset:
    """The data set of the table: a start that was cut short may have left one."""
    found, _ = await datasets.list_all(session, 1000, 0)
    known = next((dataset for dataset in found if dataset.name == TABLE), None)
    return known or await datasets.create(
        session, actor, name=TABLE, description="Palmer penguins, CC0", source=TABLE
    )


async def promote(session: AsyncSession, actor: Actor, number: int) -> None:
    model = await registry.get(session, MODEL)
    await promoting.change_stage(session, actor, model, number, Stage.production)


async def ended(resources: Resources, job_id: str | None) -> Job:
    assert job_id
    while True:
        async with resources.database.reading() as session:
            job = await jobs.get(session, job_id)
        if job.status in FINISHED:
            break
        await asyncio.sleep(POLL_SECONDS)
    if job.status is not JobStatus.succeeded:
        raise AppError(f"The job {job.name} {job.status}: {job.error}")
    return job
