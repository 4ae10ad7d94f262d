"""Training a version again from what the registry keeps of it, to see the same file come out."""

import asyncio
import hashlib
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job
from astralytiq.core.security import Actor
from astralytiq.features.datasets import service as datasets
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import ModelVersion

from .plan import Plan

JOB = "training.reproduce"


async def ask(session: AsyncSession, actor: Actor, name: str, number: int) -> Job:
    version = await registry.get_version(session, await registry.get(session, name), number)
    registry.trained_on(version)
    job = await jobs.enqueue(
        session, JOB, owner_id=actor.account_id, model_name=name, number=number
    )
    assert job  # Only an idempotency key can keep a job out.
    resource = f"model/{name}/{number}"
    audit.record(session, actor, "model.reproduction_asked", resource, job_id=job.id)
    return job


async def reproduced(work: Work, name: str, number: int) -> dict[str, Any]:
    from astralytiq.engines.models import environment  # noqa: PLC0415 - NumPy: see jobs.py

    from . import fitting  # noqa: PLC0415

    async with work.resources.database.reading() as session:
        version = await registry.get_version(session, await registry.get(session, name), number)
        _, frozen = await datasets.origin_of(session, registry.trained_on(version))
    plan = plan_of(name, version)
    work.report(0.02, "reading", plan.dataset)
    table = await datasets.open_table(work.resources, frozen, plan.columns)
    content = await asyncio.to_thread(fitting.trained_again, work, plan, table)
    sha256 = hashlib.sha256(content).hexdigest()
    return {
        "model": name,
        "version": number,
        "reproduced": sha256 == version.sha256,
        "sha256": sha256,
        "expected": version.sha256,
        "differences": environment.differences(version.environment or {}, environment.here()),
    }


def plan_of(name: str, version: ModelVersion) -> Plan:
    return Plan(
        algorithm=version.algorithm,
        dataset=version.dataset,
        target=version.target or None,
        features=[feature["name"] for feature in version.features],
        params=version.params,
        test_size=version.evaluation["test_size"],
        seed=version.seed or 0,
        experiment="",
        model_name=name,
    )
