"""Two versions judged on the same rows, where their own figures were measured on different ones."""

import asyncio
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.errors import Conflict, Fault, Invalid
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job
from astralytiq.core.security import Actor
from astralytiq.features.datasets import service as datasets
from astralytiq.features.registry import promoting
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.external import refuse_external
from astralytiq.features.registry.gates import COMPARISON
from astralytiq.features.registry.models import ModelVersion
from astralytiq.features.registry.serving import Served, open_file

from .plan import Plan
from .reproducing import plan_of

SPLIT = ("classification", "regression")  # tasks that hold rows back


async def ask(
    session: AsyncSession, actor: Actor, name: str, number: int, wanted: int | None
) -> tuple[Job, int]:
    """The job, and the number of the version that is compared with."""
    model = await registry.get(session, name)
    version = await registry.get_version(session, model, number)
    if wanted is None:
        other = await promoting.in_production(session, model)
        if other is None:
            raise Conflict(f"No version of {name!r} is in production: say which to compare with.")
    else:
        other = await registry.get_version(session, model, wanted)
        refuse_external(name, other)
    _, frozen = await datasets.origin_of(session, registry.trained_on(version))
    refuse_unlike(version, other, {column["name"] for column in frozen.schema})
    job = await jobs.enqueue(
        session,
        COMPARISON,
        owner_id=actor.account_id,
        model_name=name,
        number=number,
        other=other.number,
        actor_id=actor.id,
        actor_name=actor.name,
    )
    assert job  # Only an idempotency key can keep a job out.
    resource = f"model/{name}/{number}"
    audit.record(
        session, actor, "model.comparison_asked", resource, job_id=job.id, other=other.number
    )
    return job, other.number


def refuse_unlike(version: ModelVersion, other: ModelVersion, columns: set[str]) -> None:
    missing = [one["name"] for one in other.features if one["name"] not in columns]
    words = ""
    if other.number == version.number:
        words = f"version {version.number} is compared with another one, not with itself"
    elif version.task not in SPLIT:
        words = f"{version.task} holds no rows back to compare by"
    elif (version.task, version.target) != (other.task, other.target):
        words = f"version {other.number} predicts {other.target!r}, this one {version.target!r}"
    elif missing:
        words = f"{version.dataset} lacks columns that version {other.number} takes: {missing}"
    if words:
        raise Invalid(f"{words}.", faults=(Fault(("body", "other"), words),))


async def compared(
    work: Work, actor: Actor, name: str, number: int, other_number: int
) -> dict[str, Any]:
    from . import judging  # noqa: PLC0415 - NumPy: see jobs.py

    async with work.resources.database.reading() as session:
        model = await registry.get(session, name)
        version = await registry.get_version(session, model, number)
        other = await registry.get_version(session, model, other_number)
    work.report(0.05, "reading", version.dataset)
    plans = plan_of(name, version), their_plan(name, other)
    table = await rows_of(work, version, [*plans[0].columns, *plans[1].columns])
    theirs = await rows_of(work, other, plans[1].columns) if other.dataset_version_id else None
    contenders = [
        judging.Contender(
            f"version {one.number}",
            plan,
            one.algorithm,
            await open_file(work.resources, actor, Served.of(name, one)),
            learnt,
        )
        for one, plan, learnt in ((version, plans[0], None), (other, plans[1], theirs))
    ]
    work.report(0.4, "comparing", f"{name}@{number} with {name}@{other_number}")
    ours, its = contenders
    found = await asyncio.to_thread(judging.judged, ours, its, table)
    of = {"model": name, "version": number, "other": other_number, "dataset": version.dataset}
    return {**of, **found, "is_checked": theirs is not None}


def their_plan(name: str, other: ModelVersion) -> Plan:
    """Of one that was trained elsewhere only what it takes is known."""
    if other.dataset_version_id is not None:
        return plan_of(name, other)
    features = [feature["name"] for feature in other.features]
    return Plan(other.algorithm, "", other.target, features, {}, 0.0, 0, "", name)


async def rows_of(work: Work, version: ModelVersion, names: list[str]) -> Any:
    async with work.resources.database.reading() as session:
        _, frozen = await datasets.origin_of(session, registry.trained_on(version))
    return await datasets.open_table(work.resources, frozen, list(dict.fromkeys(names)))
