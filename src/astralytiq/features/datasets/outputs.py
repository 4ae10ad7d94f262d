"""Tables that jobs write, kept as versions of data sets: one of each job, whatever is killed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.errors import AppError, Conflict
from astralytiq.core.executor import Work
from astralytiq.core.jobs import JobCancelled, LeaseLost
from astralytiq.core.security import Actor
from astralytiq.core.storage import discard

from . import measuring, service
from .models import Dataset, DatasetStatus, DatasetType, DatasetVersion
from .tables import Written

Also = Callable[[AsyncSession, DatasetVersion], Awaitable[None]]


async def reserve(session: AsyncSession, actor: Actor, name: str, kind: DatasetType) -> Dataset:
    """The set that a job will add a version to: the actor's own of this name, or a new one."""
    own = service.living().where(Dataset.owner_id == actor.account_id, Dataset.name == name)
    dataset = await session.scalar(own.with_for_update())
    if dataset is None:
        dataset = Dataset(name=name, type=kind, owner_id=actor.account_id)
        session.add(dataset)
        await session.flush()  # The job needs the new id.
        audit.record(session, actor, "dataset.created", f"dataset/{dataset.id}", type=kind)
    elif dataset.type is not kind:
        raise Conflict(
            f"You have a data set named {name!r} already, and it was not made so (its type is "
            f"{dataset.type}): choose another name."
        )
    elif dataset.current == 0:
        dataset.status = DatasetStatus.building
    return dataset


@asynccontextmanager
async def awaited(work: Work, dataset_id: int) -> AsyncIterator[None]:
    """Around a job's work: if it is over without a first version, the set says that it failed."""
    try:
        yield
    except LeaseLost:
        raise  # A successor has the job, and the word on how it ended.
    except Exception as failure:
        if is_last(work, failure):
            await work.resources.database.write(
                lambda session: service.mark_failed(session, dataset_id)
            )
        raise


def is_last(work: Work, failure: Exception) -> bool:
    attempts_over = work.claim.attempt >= work.claim.max_attempts
    return isinstance(failure, JobCancelled) or jobs.is_final(failure) or attempts_over


def key_of(work: Work) -> str:
    """The fence in the name: a worker that was only slow cannot overwrite its successor's file."""
    return f"datasets/{work.claim.id}-{work.claim.fence}.parquet"


async def keep(
    work: Work,
    actor: Actor,
    dataset_id: int,
    written: Written,
    origin: dict[str, Any],
    also: Also | None = None,
) -> DatasetVersion:
    """The file `written` under `key_of` as the job's version, measured, together with its end.

    `also` writes what belongs to the version in the same transaction. Where no version came of it
    the file is deleted.
    """
    database, storage, job_id = work.resources.database, work.resources.storage, work.claim.id
    async with database.reading() as session:
        demands = await measuring.demands_of(session, dataset_id)
    measured = await asyncio.to_thread(measuring.at_once, storage, written, demands)

    async def store(session: AsyncSession) -> DatasetVersion:
        version = await service.add_version(session, actor, dataset_id, written, origin, job_id)
        dataset = await service.get(session, dataset_id)
        await measuring.settle(session, actor, dataset, version, measured)
        if also:
            await also(session, version)
        return version

    try:
        return await work.step(store, progress=0.95)
    except (AppError, LeaseLost, JobCancelled):  # Raised before the commit: nothing names the file.
        await discard(storage, written.stored.key)
        raise
