"""Erases a thing of the real world: its records at all sources, what they were, their payloads.

The records go at once, with the request. Payloads lie packed in the batches of every run that ever
read them: a job goes through these and leaves null in their place, so that the others keep theirs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.errors import Conflict, Forbidden, NotFound
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.schemas import Answer
from astralytiq.core.security import Actor
from astralytiq.engines.etl import profiles
from astralytiq.engines.etl.normalise import Normaliser
from astralytiq.engines.etl.packing import packed, unpacked

from . import history, indexing, raw, records, service
from .models import DataRecord, Drift, RawPayload, RecordVersion, Reject, Run
from .pipeline import normaliser_of

JOB = "ingestion.erase"
MOST = 1000  # records of one thing
PART = 100  # runs whose profiles are looked at together

Place = tuple[int, int]
Meant = Callable[[int, int, Any], bool]


class Erased(Answer):
    """`job_id`: the job that removes the payloads, the last of what is left."""

    entity_id: str
    records: int
    sources: list[str]
    job_id: str


# At once -----------------------------------------------------------------------------------------


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
    return sorted({(one.raw_id, one.raw_position) for one in found if one.source == name})


def digest_of(source_id: str) -> str:
    """A job's arguments must not keep what is erased."""
    return sha256(source_id.encode(errors="surrogatepass")).hexdigest()


# By the job --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """Where payloads of the thing may lie, and how they are told."""

    source: str
    table: type[RawPayload]
    meant: Meant


async def work_off(
    work: Work, entity_id: str, keys: dict[str, list[str]], places: dict[str, list[list[int]]]
) -> dict[str, Any]:
    done: dict[str, Any] = work.checkpoint or {"part": 0, "after": 0, "payloads": 0}
    searches = [one async for one in searches_of(work, entity_id, keys, places)]
    for part, search in enumerate(searches):
        if part < done["part"]:
            continue
        done = done | {"part": part, "after": done["after"] if part == done["part"] else 0}
        work.report(part / len(searches), "erasing", f"payloads of {search.source}")
        done = await go_through(work, search, done)
    for name in keys:
        await forget_values(work, name)
    return {"payloads": done["payloads"]}


async def searches_of(
    work: Work, entity_id: str, keys: dict[str, list[str]], places: dict[str, list[list[int]]]
) -> AsyncIterator[Search]:
    for name in sorted(keys):
        async with work.resources.database.reading() as session:
            source = await service.find_source(session, name)
            spec = service.spec_of(source) if source else None
        normaliser = normaliser_of(spec) if spec else None
        own = {(raw_id, position) for raw_id, position in places[name]}
        meant = partial(is_meant, normaliser, entity_id, frozenset(keys[name]), own)
        for table in [raw.RAW_TABLES[spec.kind]] if spec else raw.RAW_TABLES.values():
            yield Search(name, table, meant)


def is_meant(
    normaliser: Normaliser | None,
    entity_id: str,
    keys: frozenset[str],
    places: set[Place],
    raw_id: int,
    position: int,
    payload: Any,
) -> bool:
    """By where it stands; else by what a run would make of it today."""
    if (raw_id, position) in places:
        return True
    if normaliser is None or not isinstance(payload, dict):
        return False
    try:
        record = normaliser.one(payload)
    except ValueError:
        key = normaliser.key(payload)
        return key is not None and digest_of(key) in keys
    return record["entity_id"] == entity_id or digest_of(record["source_id"]) in keys


async def go_through(work: Work, search: Search, done: dict[str, Any]) -> dict[str, Any]:
    table = search.table
    rows = select(table).filter_by(source=search.source).order_by(table.id).limit(1)
    while True:
        async with work.resources.database.reading() as session:
            row = await session.scalar(rows.where(table.id > done["after"]))
        if row is None:
            return done
        work.check()
        payload, gone = await asyncio.to_thread(without, search.meant, row.id, row.payload)
        done = done | {"after": row.id, "payloads": done["payloads"] + len(gone)}
        if gone:
            await work.step(partial(store, search, row.id, payload, gone), checkpoint=done)


def without(meant: Meant, raw_id: int, payload: bytes) -> tuple[bytes, list[int]]:
    """The batch without what is meant, and the positions that were."""
    payloads = unpacked(payload)
    gone = [at for at, one in enumerate(payloads) if one is not None and meant(raw_id, at, one)]
    for at in gone:
        payloads[at] = None
    return packed(payloads), gone


async def store(
    search: Search, raw_id: int, payload: bytes, gone: Sequence[int], session: AsyncSession
) -> None:
    table = search.table
    await session.execute(update(table).where(table.id == raw_id).values(payload=payload))
    row = await session.get_one(table, raw_id)
    own = raw.rejects_of(row).where(Reject.raw_position.in_(gone)).with_only_columns(Reject.id)
    await session.execute(delete(Reject).where(Reject.id.in_(own)))


async def forget_values(work: Work, source: str) -> None:
    """Profiles and drift show samples of what runs have read: whose, nobody can tell any more."""
    await work.step(
        lambda session: session.execute(
            update(Drift).where(Drift.source == source).values(examples=[])
        )
    )
    after = ""
    while part := await next_runs(work, source, after):
        after = part[-1]
        await work.step(partial(forget_profiles, part))


async def next_runs(work: Work, source: str, after: str) -> Sequence[str]:
    query = select(Run.run_id).where(Run.source == source, Run.run_id > after)
    async with work.resources.database.reading() as session:
        return (await session.scalars(query.order_by(Run.run_id).limit(PART))).all()


async def forget_profiles(run_ids: Sequence[str], session: AsyncSession) -> None:
    for run in await session.scalars(select(Run).where(Run.run_id.in_(run_ids))):
        run.profile = profiles.without_values(run.profile)
