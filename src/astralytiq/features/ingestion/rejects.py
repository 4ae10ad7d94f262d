"""What could not become a record: tried again with the mapping of today, or put aside for good."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Forbidden, NotFound
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job, Transient
from astralytiq.core.security import Actor
from astralytiq.engines.etl import packing
from astralytiq.engines.etl.normalise import Normaliser

from . import drift, erasing, indexing, raw, records, service
from .models import Reject, RejectStatus
from .pipeline import normaliser_of
from .records import Row
from .schemas_quality import RejectsAsked

JOB = "ingestion.retry_rejects"
PART = 200

NOT_KEPT = "its payload is not kept any more: discard it"

# Of each reject, by its id: its record, or why it is still none.
Made = dict[int, Row | str]


def open_ones(ids: list[int] | None, source: str | None, run_id: str | None) -> Select[Reject]:
    query = select(Reject).where(Reject.status == RejectStatus.open)
    if ids is not None:
        query = query.where(Reject.id.in_(ids))
    wanted = {"source": source, "run_id": run_id}
    return query.filter_by(**{name: value for name, value in wanted.items() if value is not None})


async def counted(session: AsyncSession, query: Select[Reject]) -> dict[str, int]:
    """How many of each source; none at all is an error."""
    grouped = query.with_only_columns(Reject.source, func.count()).group_by(Reject.source)
    if found := dict((await session.execute(grouped)).all()):
        return found
    raise NotFound("None of the rejects asked for is open: see GET /api/v1/etl/rejects?status=open")


async def get_open(session: AsyncSession, reject_id: int) -> Reject:
    """Held until the transaction ends, so that nobody else settles it meanwhile."""
    found = await session.get(Reject, reject_id, with_for_update=True)
    if found is None:
        raise NotFound(f"There is no reject {reject_id}.")
    if found.status is not RejectStatus.open:
        raise Conflict(f"The reject {reject_id} has been settled already: {found.status}.")
    return found


# Trying again -----------------------------------------------------------------------------------


async def retry_one(session: AsyncSession, actor: Actor, reject_id: int) -> Reject:
    """If it still cannot become a record it stays open, with the reason of today."""
    reject = await get_open(session, reject_id)
    await retry_of(session, reject.source, [reject])
    audit.record(
        session, actor, "reject.retried", f"reject/{reject_id}", status=reject.status.value
    )
    await session.flush()
    return reject


async def start_retry(session: AsyncSession, actor: Actor, asked: RejectsAsked) -> tuple[Job, int]:
    """Queue the work, and answer how many rejects it has before it."""
    which = asked.model_dump()
    totals = await counted(session, open_ones(**which))
    for name in totals:
        await service.get_source(session, name)
        await refuse_meanwhile(session, name)
    job = await jobs.enqueue(session, JOB, owner_id=actor.id, **which)
    assert job
    for name, total in totals.items():
        resource = f"source/{name}"
        audit.record(session, actor, "rejects.retried", resource, job_id=job.id, rejects=total)
    await session.flush()
    return job, sum(totals.values())


async def work_off(
    work: Work, ids: list[int] | None, source: str | None, run_id: str | None
) -> dict[str, Any]:
    """All open ones in their order, a part in one transaction with the job's checkpoint."""
    done = work.checkpoint or {"after": 0, "retried": 0, "still_open": 0}
    query = open_ones(ids, source, run_id).with_only_columns(Reject.id).order_by(Reject.id)
    while True:
        async with work.resources.database.reading() as session:
            part = list(await session.scalars(query.where(Reject.id > done["after"]).limit(PART)))
        if not part:
            return {"retried": done["retried"], "still_open": done["still_open"]}
        done = await work.step(partial(retry_part, work, part, done))


async def retry_part(
    work: Work, ids: Sequence[int], done: dict[str, Any], session: AsyncSession
) -> dict[str, Any]:
    query = open_ones(list(ids), None, None).order_by(Reject.source, Reject.id)
    held = (await session.scalars(query.with_for_update())).all()
    try:
        for source, own in groupby(held, key=lambda reject: reject.source):
            await retry_of(session, source, list(own))
    except Conflict as busy:
        raise Transient(busy.detail) from None
    retried = sum(reject.status is RejectStatus.retried for reject in held)
    later = {
        "after": ids[-1],
        "retried": done["retried"] + retried,
        "still_open": done["still_open"] + len(held) - retried,
    }
    await jobs.renew(
        session, work.claim, work.resources.settings.job_lease_seconds, checkpoint=later
    )
    return later


async def retry_of(session: AsyncSession, name: str, rejects: Sequence[Reject]) -> None:
    """Store what passes now as of the run that read it; later payloads stay what counts."""
    source = await service.hold_source(session, name)
    await refuse_meanwhile(session, name)
    spec = service.spec_of(source)
    let_in = await drift.fields_let_in(session, name, spec.schema_policy, "")
    normaliser, now = normaliser_of(spec, let_in), utc_now()
    rows: dict[str, Row] = {}
    fetched: dict[str, datetime] = {}
    in_order = sorted(rejects, key=place_of)
    for (raw_id, run_id), batch in groupby(in_order, key=lambda one: (one.raw_id, one.run_id)):
        own = list(batch)
        payloads = await raw.raw_behind(session, name, run_id, raw_id)
        if payloads is None:
            settle(own, dict.fromkeys((reject.id for reject in own), NOT_KEPT), now)
            continue
        made = await asyncio.to_thread(again, normaliser, payloads.payload, own)
        for key, row in settle(own, made, now).items():
            if payloads.created_at >= fetched.get(key, payloads.created_at):
                rows[key], fetched[key] = row, payloads.created_at
    kept = await raw.unreplaced(session, name, list(rows.values()), fetched)
    await records.store_rows(session, name, kept, now)
    await indexing.enqueue(session)


def place_of(reject: Reject) -> tuple[int, str, int]:
    """Numbers of raw rows are those of one kind: only with the run do they name one."""
    return reject.raw_id, reject.run_id, reject.raw_position


def settle(rejects: Sequence[Reject], made: Made, now: datetime) -> dict[str, Row]:
    """Of those that pass now the records, by their source_id."""
    rows: dict[str, Row] = {}
    for reject in rejects:
        row = made[reject.id]
        if isinstance(row, str):
            reject.reason = row
            continue
        reject.status, reject.settled_at = RejectStatus.retried, now
        names = ("run_id", "raw_id", "raw_position")
        row |= {name: getattr(reject, name) for name in names}
        rows[row["source_id"]] = row | {"created_at": now, "updated_at": now}
    return rows


def again(normaliser: Normaliser, payload: bytes, rejects: Sequence[Reject]) -> Made:
    payloads = packing.opened(payload)
    made: Made = {}
    for reject in rejects:
        try:
            made[reject.id] = normaliser.one(payloads[reject.raw_position])
        except ValueError as fault:
            made[reject.id] = str(fault)
    return made


async def refuse_meanwhile(session: AsyncSession, source: str) -> None:
    await service.close_abandoned_runs(session)
    if run := await service.run_in_progress(session, source):
        raise Conflict(f"Run {run.run_id} of {source!r} is in progress: wait for its end.")
    await erasing.refuse_before_the_end(session, source)


# Putting aside ----------------------------------------------------------------------------------


async def discard_one(session: AsyncSession, actor: Actor, reject_id: int) -> Reject:
    reject = await get_open(session, reject_id)
    await refuse_strangers(session, actor, [reject.source])
    reject.status, reject.settled_at = RejectStatus.discarded, utc_now()
    audit.record(session, actor, "reject.discarded", f"reject/{reject_id}", source=reject.source)
    await session.flush()
    return reject


async def discard(session: AsyncSession, actor: Actor, asked: RejectsAsked) -> int:
    query = open_ones(**asked.model_dump())
    totals = await counted(session, query)
    await refuse_strangers(session, actor, list(totals))
    settled = update(Reject).where(Reject.id.in_(query.with_only_columns(Reject.id)))
    values = {"status": RejectStatus.discarded, "settled_at": utc_now()}
    done: Any = await session.execute(
        # Once more, as another may have settled some of them meanwhile.
        settled.where(Reject.status == RejectStatus.open)
        .values(values)
        .execution_options(synchronize_session=False)
    )
    for name, total in totals.items():
        audit.record(session, actor, "rejects.discarded", f"source/{name}", rejects=total)
    return int(done.rowcount)


async def refuse_strangers(session: AsyncSession, actor: Actor, sources: Sequence[str]) -> None:
    """What is discarded will never be a record: that is for a source's owner and admins."""
    for name in sources:
        source = await service.find_source(session, name)
        if not (actor.is_admin if source is None else service.may_change(actor, source)):
            raise Forbidden(f"Rejects of {name!r} are discarded by its owner or an admin: ask one.")
