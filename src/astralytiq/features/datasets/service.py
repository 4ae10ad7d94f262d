"""Rules for data sets: who may make, see and delete them, and how versions come to be."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.engines.tabular import parquet
from astralytiq.features.ingestion import service as ingestion
from astralytiq.features.ingestion.searching import Filters

from . import from_jobs, from_telemetry, origins, tables
from .models import Dataset, DatasetStatus, DatasetType, DatasetVersion
from .schemas import DatasetCreate, FromQuery, Preview, VersionCreate
from .tables import Written

if TYPE_CHECKING:
    import pyarrow as pa

DIGITS = 19  # 64 bits hold any number of fewer


# Finding ----------------------------------------------------------------------------------------


def living() -> Select[Dataset]:
    return select(Dataset).where(Dataset.deleted_at.is_(None))


async def list_all(session: AsyncSession, limit: int, offset: int) -> tuple[Sequence[Dataset], int]:
    """All of them: what belongs to no project is the whole team's to read."""
    total = await session.scalar(select(func.count()).select_from(living().subquery())) or 0
    query = living().order_by(Dataset.id.desc()).limit(limit).offset(offset)
    return (await session.scalars(query)).all(), total


async def get(session: AsyncSession, dataset_id: int) -> Dataset:
    if found := await session.scalar(living().where(Dataset.id == dataset_id)):
        return found
    raise NotFound(f"There is no data set {dataset_id}.")


async def get_own(session: AsyncSession, actor: Actor, dataset_id: int) -> Dataset:
    """One that `actor` may change."""
    dataset = await get(session, dataset_id)
    if dataset.owner_id != actor.id and not actor.is_admin:
        raise Forbidden("Only its owner or an admin may change this data set.")
    return dataset


async def list_versions(
    session: AsyncSession, dataset_id: int, limit: int, offset: int
) -> tuple[Sequence[DatasetVersion], int]:
    dataset = await get(session, dataset_id)
    query = select(DatasetVersion).where(DatasetVersion.dataset_id == dataset_id)
    newest = query.order_by(DatasetVersion.number.desc()).limit(limit).offset(offset)
    return (await session.scalars(newest)).all(), dataset.current


async def get_version(
    session: AsyncSession, dataset_id: int, number: int | None = None
) -> DatasetVersion:
    """The numbered version, or the newest."""
    dataset = await get(session, dataset_id)
    wanted = dataset.current if number is None else number
    if number is None and wanted == 0:
        raise Conflict(f"The data set {dataset_id} has no version yet: it is {dataset.status}.")
    if not 1 <= wanted <= dataset.current:
        raise NotFound(f"The data set {dataset_id} has no version {number}.")
    query = select(DatasetVersion).filter_by(dataset_id=dataset_id, number=wanted)
    return (await session.scalars(query)).one()


async def resolve(
    session: AsyncSession, reference: int | str, loc: tuple[str, ...] = ("body", "dataset_id")
) -> DatasetVersion:
    """The version that "7@2" names; "7" or 7 means the newest of data set 7."""
    dataset_id, at, number = str(reference).partition("@")
    parts = [dataset_id, number] if at else [dataset_id]
    if not all(part.isascii() and part.isdigit() and len(part) < DIGITS for part in parts):
        words = f"{reference!r} names no data set: write '7@2', or '7' for its newest version."
        raise Invalid(words, faults=(Fault(loc, words),))
    return await get_version(session, int(dataset_id), int(number) if at else None)


async def origin_of(session: AsyncSession, version_id: int) -> tuple[Dataset, DatasetVersion]:
    """A version and its set, also if the set was deleted: traces must not end there."""
    version = await session.get_one(DatasetVersion, version_id)
    return await session.get_one(Dataset, version.dataset_id), version


# Making -----------------------------------------------------------------------------------------


async def create(
    session: AsyncSession,
    actor: Actor,
    *,
    name: str,
    description: str | None,
    source: str | None = None,
    query: dict[str, Any] | None = None,
) -> Dataset:
    """A set whose first version a job is asked to freeze: from the records of `source`, or from
    what `query` (`asked_for`) names."""
    query = await settled(session, actor, query if query is not None else {"source": source})
    await refuse_taken(session, actor, name)
    dataset = Dataset(
        name=name,
        type=type_of(query),
        description=description,
        owner_id=actor.account_id,
        source=query.get("source"),
        query=query,
    )
    session.add(dataset)
    await session.flush()  # The job needs the new id.
    audit.record(session, actor, "dataset.created", f"dataset/{dataset.id}", **query)
    dataset.job_id = (await ask_to_freeze(session, actor, dataset, query)).id
    await session.flush()
    return dataset


def type_of(query: dict[str, Any]) -> DatasetType:
    made = (one for one in (DatasetType.job, DatasetType.telemetry) if one.value in query)
    return next(made, DatasetType.records)


def asked_for(body: DatasetCreate | VersionCreate | None) -> dict[str, Any] | None:
    """Which records, as the filters of /data that are set; which job's table; which events."""
    if body and body.from_telemetry:
        return {"telemetry": body.from_telemetry.model_dump(mode="json", exclude_none=True)}
    if body and body.from_job:
        return {"job": body.from_job.job_id, "table": body.from_job.table}
    if body and body.from_records:
        return {"source": body.from_records.source}
    if body and body.from_query:
        return body.from_query.model_dump(mode="json", exclude_none=True)
    return None


def filters_of(query: dict[str, Any]) -> Filters:
    return Filters(**FromQuery.model_validate(query).model_dump())


def origin_of_records(query: dict[str, Any]) -> dict[str, Any]:
    if query.keys() == {"source"}:
        return {"kind": "records", **query}
    return {"kind": "query", "query": query}


async def settled(session: AsyncSession, actor: Actor, query: dict[str, Any]) -> dict[str, Any]:
    """Refuses what is not there or may not be seen; names what was left open."""
    if "job" in query:
        return await from_jobs.settled(session, actor, query)
    if "telemetry" in query:
        return await from_telemetry.settled(session, actor, query)
    await refuse_unknown(session, query)
    return query


async def refuse_unknown(session: AsyncSession, query: dict[str, Any]) -> None:
    """The records of a source may outlive it."""
    if (source := query.get("source")) is None:
        return
    if await ingestion.find_source(session, source) is None and not await ingestion.count_records(
        session, source
    ):
        words = f"There is no source {source!r}: GET /api/v1/sources lists them."
        field = "from_records" if query.keys() == {"source"} else "from_query"
        raise Invalid(words, faults=(Fault(("body", field, "source"), words),))


async def refuse_taken(session: AsyncSession, actor: Actor, name: str) -> None:
    same = living().where(Dataset.owner_id == actor.account_id, Dataset.name == name)
    if await session.scalar(same.limit(1)):
        raise Conflict(f"You have a data set named {name!r} already: choose another name.")


async def freeze_again(
    session: AsyncSession, actor: Actor, dataset: Dataset, body: VersionCreate | None
) -> Job:
    usual = {"source": dataset.source} if dataset.source else None
    query = next((one for one in (asked_for(body), dataset.query, usual) if one is not None), None)
    if query is None:
        raise Invalid(
            "This data set was not frozen: say from_records: {source}, or send the next version's "
            f"file to POST /api/v1/datasets/{dataset.id}/versions/upload."
        )
    query = await settled(session, actor, query)
    job = await ask_to_freeze(session, actor, dataset, query)
    dataset.job_id = job.id
    audit.record(session, actor, "dataset.freeze_asked", f"dataset/{dataset.id}", **query)
    await session.flush()
    return job


async def ask_to_freeze(
    session: AsyncSession, actor: Actor, dataset: Dataset, query: dict[str, Any]
) -> Job:
    job = await jobs.enqueue(
        session,
        "datasets.freeze",
        owner_id=actor.id,
        dataset_id=dataset.id,
        source=query.get("source"),
        query=query,
        actor_id=actor.id,
        actor_name=actor.name,
    )
    assert job  # Only an idempotency key can keep a job out.
    return job


async def version_of_job(session: AsyncSession, job_id: str) -> DatasetVersion | None:
    return await session.scalar(select(DatasetVersion).where(DatasetVersion.job_id == job_id))


async def add_version(
    session: AsyncSession,
    actor: Actor,
    dataset_id: int,
    written: Written,
    origin: dict[str, Any],
    job_id: str | None = None,
) -> DatasetVersion:
    """Numbered in the order of their commits; a job that runs again finds its version."""
    locked = living().where(Dataset.id == dataset_id).with_for_update()
    dataset = await session.scalar(locked)
    if dataset is None:
        raise NotFound(f"The data set {dataset_id} was deleted meanwhile.")
    if job_id and (known := await version_of_job(session, job_id)):
        return known
    version = DatasetVersion(
        dataset_id=dataset_id,
        number=dataset.current + 1,
        rows=written.rows,
        columns=len(written.columns),
        size_bytes=written.stored.size,
        content_hash=written.stored.sha256,
        schema=written.schema,
        storage_key=written.stored.key,
        origin=origin,
        job_id=job_id,
        created_by=actor.id,
    )
    session.add(version)
    show_newest(dataset, version)
    audit.record(session, actor, "dataset.version_added", f"dataset/{version.reference}")
    await session.flush()
    await origins.connect(session, dataset.name, version)
    return version


def show_newest(dataset: Dataset, version: DatasetVersion) -> None:
    dataset.status = DatasetStatus.ready
    dataset.current = version.number
    dataset.rows, dataset.columns = version.rows, version.columns
    dataset.size_bytes = version.size_bytes


async def mark_failed(session: AsyncSession, dataset_id: int) -> None:
    """A set that has a version stays usable, whatever becomes of the next one."""
    dataset = await session.get(Dataset, dataset_id, with_for_update=True)
    if dataset and dataset.current == 0:
        dataset.status = DatasetStatus.failed


async def delete(session: AsyncSession, actor: Actor, dataset: Dataset) -> None:
    """Its name is free again. Its files stay: models trained on them can still be traced."""
    dataset.deleted_at = utc_now()
    audit.record(session, actor, "dataset.deleted", f"dataset/{dataset.id}", name=dataset.name)


# Reading ----------------------------------------------------------------------------------------


async def preview(resources: Resources, version: DatasetVersion, limit: int) -> Preview:
    return Preview.model_validate(
        {
            "dataset_id": version.dataset_id,
            "version": version.number,
            "columns": version.schema,
            "rows": await asyncio.to_thread(head, resources, version, limit),
            "total_rows": version.rows,
        }
    )


def head(resources: Resources, version: DatasetVersion, limit: int) -> list[dict[str, Any]]:
    with tables.file_of(resources.storage, version) as path:
        return parquet.read_head(path, limit)


async def open_table(
    resources: Resources, version: DatasetVersion, names: Sequence[str] | None = None
) -> "pa.Table":
    """The version's rows (only the named columns), once its hash is checked."""
    return await asyncio.to_thread(tables.read, resources.storage, version, names)
