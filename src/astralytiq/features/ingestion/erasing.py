"""Erases a thing of the real world: its records at all sources, what they were, their payloads.

The records go at once, with the request. Payloads lie packed in the batches of every run that ever
read them: a job goes through these (purging.py).
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.errors import Conflict, Forbidden, NotFound
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.schemas import Answer
from astralytiq.core.security import Actor

from . import history, indexing, records, service
from .models import DataRecord, RecordVersion

JOB = "ingestion.erase"
MOST = 1000  # records of one thing

# Where a payload lies: the number of its batch, its position there, and the run that names it.
Place = tuple[int, int, str]


class Erased(Answer):
    """`job_id`: the job that removes the payloads, the last of what is left."""

    entity_id: str
    records: int
    sources: list[str]
    job_id: str


async def erase(resources: Resources, actor: Actor, record_id: int) -> Erased:
    """All records of the thing that this record is of."""
    database = resources.database
    async with database.reading() as session:
        entity_id = (await history.get_any(session, record_id)).entity_id
        # A look at every record: outside of the transaction that others wait for.
        same = select(DataRecord.id).filter_by(entity_id=entity_id).limit(MOST + 1)
        ids = (await session.scalars(same)).all()
    if len(ids) > MOST:
        raise Conflict(
            f"More than {MOST:,} records have the address of record {record_id}: that is no thing "
            "of its own. Map another field to url, or delete the source with its records."
        )
    return await database.write(
        lambda session: erase_records(session, actor, entity_id, [record_id, *ids])
    )


async def erase_records(
    session: AsyncSession, actor: Actor, entity_id: str, ids: Sequence[int]
) -> Erased:
    query = select(DataRecord).where(DataRecord.id.in_(ids), DataRecord.entity_id == entity_id)
    found = (await session.scalars(query.order_by(DataRecord.id))).all()
    if not found:
        raise NotFound("Somebody else has just erased it.")
    names = sorted({record.source for record in found})
    await refuse_strangers(session, actor, names)
    await refuse_during_runs(session, names)
    own = [record.id for record in found]
    versions = (
        await session.scalars(select(RecordVersion).where(RecordVersion.record_id.in_(own)))
    ).all()
    arguments: dict[str, Any] = {
        "entity_id": entity_id,
        "keys": {name: keys_of(found, name) for name in names},
        "places": {name: places_of([*found, *versions], name) for name in names},
    }
    await indexing.note_changed(session, own)
    for table, column in ((RecordVersion, RecordVersion.record_id), (DataRecord, DataRecord.id)):
        await session.execute(delete(table).where(column.in_(own)))
    for name in names:
        shown = [one for one in found if one.source == name and one.deleted_at is None]
        await records.count(session, name, -len(shown))
        audit.record(session, actor, "entity.erased", f"source/{name}", records=len(shown))
    await indexing.enqueue(session)
    job = await jobs.enqueue(session, JOB, owner_id=actor.id, **arguments)
    assert job
    return Erased(entity_id=entity_id, records=len(own), sources=names, job_id=job.id)


async def refuse_strangers(session: AsyncSession, actor: Actor, names: Sequence[str]) -> None:
    """Of a source that is gone, only admins erase."""
    for name in names:
        source = await service.find_source(session, name)
        if not (actor.is_admin if source is None else service.may_change(actor, source)):
            raise Forbidden(f"Records of {name!r} are erased by its owner or an admin: ask one.")


async def refuse_during_runs(session: AsyncSession, names: Sequence[str]) -> None:
    for name in names:
        if await service.find_source(session, name):
            await service.hold_source(session, name)
        if run := await service.run_in_progress(session, name):
            raise Conflict(
                f"Run {run.run_id} of {name!r} may bring it back: wait for its end, or cancel it."
            )


async def refuse_before_the_end(session: AsyncSession, source: str) -> None:
    """Payloads that wait to be erased would bring back what has been."""
    query = select(Job).where(Job.name == JOB, Job.status != JobStatus.succeeded)
    for job in await session.scalars(query):
        if source in job.arguments["keys"]:
            raise Conflict(
                f"The job {job.id} has yet to erase payloads of {source!r}: wait for its end, or "
                f"if it is {job.status}, have it tried again (POST /api/v1/jobs/{job.id}/retry)."
            )


def keys_of(found: Sequence[DataRecord], name: str) -> list[str]:
    return [digest_of(record.source_id) for record in found if record.source == name]


def places_of(found: Sequence[DataRecord | RecordVersion], name: str) -> list[Place]:
    return sorted(
        {(one.raw_id, one.raw_position, one.run_id) for one in found if one.source == name}
    )


def digest_of(source_id: str) -> str:
    """A job's arguments must not keep what is erased."""
    return sha256(source_id.encode(errors="surrogatepass")).hexdigest()
