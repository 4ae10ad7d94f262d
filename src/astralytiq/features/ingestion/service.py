"""Rules for sources and their runs, and what other rooms may read of the records."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, broadcast, jobs, schedules
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings

from . import events, files, indexing, objects, secrets, tracing
from .models import RecordCount, Run, RunStatus, Source, SourceKind
from .read_api import refuse_unlisted
from .schemas import ApiSource, CsvSource, RssSource, SourceChange, source_spec

Spec = CsvSource | ApiSource | RssSource
OWN_COLUMNS = frozenset({"name", "kind", "enabled", "batch_size"})
JOB = "ingestion.run"
SCHEDULED = "ingestion.scheduled"
MEANT_AMONG = 1000  # sources, among whose names a wrong one may have meant another


# Sources ----------------------------------------------------------------------------------------


def spec_of(source: Source) -> Spec:
    """The source as its owner wrote it."""
    own = {name: getattr(source, name) for name in OWN_COLUMNS}
    return source_spec.validate_python(source.config | own | {"kind": source.kind.value})


async def shown(session: AsyncSession, *sources: Source) -> list[dict[str, Any]]:
    """Sources as their doors answer them: secrets stand in them by reference only."""
    due = await schedules.next_times(session, [schedule_of(source.name) for source in sources])
    stored = ("id", "owner_id", "created_at", "updated_at")
    return [
        spec_of(source).model_dump()
        | {name: getattr(source, name) for name in stored}
        | {"next_run_at": due.get(schedule_of(source.name))}
        for source in sources
    ]


def refuse_unsafe(settings: Settings, spec: Spec) -> None:
    """What this installation does not let a source read. The run checks it once more."""
    if isinstance(spec, CsvSource) and spec.path and objects.is_object(spec.path):
        objects.allowed(settings, spec.path)
    elif isinstance(spec, CsvSource) and spec.path:
        files.refuse_outside(spec.path, settings.readable_roots)
    else:
        refuse_unlisted(settings, spec.auth)


async def find_source(session: AsyncSession, name: str) -> Source | None:
    return await session.scalar(select(Source).where(Source.name == name))


async def get_source(session: AsyncSession, name: str) -> Source:
    if found := await find_source(session, name):
        return found
    raise await missing(session, name)


async def missing(session: AsyncSession, name: str) -> NotFound:
    names = await session.scalars(select(Source.name).order_by(Source.name).limit(MEANT_AMONG))
    meant = get_close_matches(name, names.all(), n=1)
    return NotFound(
        f"There is no source {name!r}" + (f": did you mean {meant[0]!r}?" if meant else ".")
    )


async def hold_source(session: AsyncSession, name: str) -> Source:
    """Held until the transaction ends: a run begins, or rejects are tried again, never both."""
    query = select(Source).where(Source.name == name).with_for_update()
    if found := await session.scalar(query.execution_options(populate_existing=True)):
        return found
    raise await missing(session, name)


async def get_own(session: AsyncSession, actor: Actor, name: str) -> Source:
    """The team reads and runs a source; its owner and admins change it."""
    source = await get_source(session, name)
    if not may_change(actor, source):
        raise Forbidden(f"The source {name!r} is somebody else's: ask its owner or an admin.")
    return source


def may_change(actor: Actor, source: Source) -> bool:
    return actor.is_admin or (actor.id is not None and source.owner_id == actor.id)


async def list_sources(
    session: AsyncSession, limit: int, offset: int
) -> tuple[Sequence[Source], int]:
    total = await session.scalar(select(func.count(Source.id))) or 0
    query = select(Source).order_by(Source.name).limit(limit).offset(offset)
    return (await session.scalars(query)).all(), total


async def create_source(session: AsyncSession, actor: Actor, spec: Spec) -> Source:
    if await find_source(session, spec.name):
        raise Conflict(f"There is a source {spec.name!r} already: change it, or choose a name.")
    await secrets.refuse_unusable(session, actor, spec)
    source = Source(name=spec.name, kind=SourceKind(spec.kind), owner_id=actor.id, config={})
    session.add(source)
    await fill(session, source, spec)
    audit.record(session, actor, "source.created", f"source/{source.name}", kind=spec.kind)
    return source


async def ensure_source(session: AsyncSession, actor: Actor, body: Spec) -> Source:
    """The source of this name as it is, or else a new one from `body`."""
    return await find_source(session, body.name) or await create_source(session, actor, body)


async def change_source(
    session: AsyncSession, actor: Actor, source: Source, change: SourceChange
) -> Source:
    spec = changed(spec_of(source), change)
    return await replace_source(session, actor, source, spec, change.model_fields_set)


async def replace_source(
    session: AsyncSession, actor: Actor, source: Source, spec: Spec, fields: AbstractSet[str]
) -> Source:
    await secrets.refuse_unusable(session, actor, spec, before=spec_of(source))
    await fill(session, source, spec)
    resource = f"source/{source.name}"
    audit.record(session, actor, "source.changed", resource, fields=sorted(fields))
    await session.flush()
    return source


def changed(spec: Spec, change: SourceChange) -> Spec:
    """The whole source after the change, checked as a new one would be."""
    given = change.model_dump(exclude_unset=True)
    for name in ("name", "kind"):
        if given.get(name, getattr(spec, name)) != getattr(spec, name):
            raise Invalid(f"A source keeps its {name}: make a new source instead.")
    merged = spec.model_dump() | given
    try:
        return source_spec.validate_python({k: v for k, v in merged.items() if v is not None})
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        faults = tuple(judged(fault, spec.kind) for fault in found)
        words = "; ".join(f"{'.'.join(map(str, fault.loc))}: {fault.msg}" for fault in faults)
        raise Invalid(f"Correct and send again: {words}", faults=faults) from None


def judged(fault: Any, kind: str) -> Fault:
    """Each field of the change was right by itself: only the whole is not."""
    extra = fault["type"] == "extra_forbidden"  # A change may name the fields of all kinds.
    words = f"a source of kind {kind} has no such field" if extra else fault["msg"]
    return Fault(("body", *fault["loc"][1:]), words)


async def fill(session: AsyncSession, source: Source, spec: Spec) -> None:
    """Store the source as `spec` says, and its schedule beside it while it is enabled."""
    source.enabled, source.batch_size = spec.enabled, spec.batch_size
    source.config = spec.model_dump(mode="json", exclude=set(OWN_COLUMNS))
    await session.flush()
    name = schedule_of(source.name)
    if spec.enabled and spec.schedule:
        await schedules.put(session, name, spec.schedule, SCHEDULED, source=source.name)
    else:
        await schedules.remove(session, name)


def schedule_of(name: str) -> str:
    return f"source/{name}"


# Runs -------------------------------------------------------------------------------------------


async def run_in_progress(session: AsyncSession, source: str) -> Run | None:
    query = select(Run).where(Run.source == source, Run.status == RunStatus.in_progress)
    return await session.scalar(query)


async def get_run(session: AsyncSession, run_id: str) -> Run:
    if found := await session.get(Run, run_id):
        return found
    raise NotFound(f"There is no run {run_id!r}.")


async def list_runs(
    session: AsyncSession,
    source: str | None,
    limit: int,
    offset: int,
    *,
    status: RunStatus | None = None,
    stored: bool = False,
) -> tuple[Sequence[Run], int]:
    """With `stored` without the dry runs."""
    matching: Select[Run] = select(Run) if source is None else select(Run).filter_by(source=source)
    matching = matching.where(Run.dry_run.is_(False)) if stored else matching
    matching = matching.where(Run.status == status) if status else matching
    total = await session.scalar(select(func.count()).select_from(matching.subquery())) or 0
    query = matching.order_by(Run.run_id.desc()).limit(limit).offset(offset)
    return (await session.scalars(query)).all(), total


async def cancel_run(session: AsyncSession, actor: Actor, run_id: str) -> Run:
    """A waiting run ends at once, a running one after its current batch."""
    run = await get_run(session, run_id)
    if run.status is not RunStatus.in_progress:
        raise Conflict(f"This run has ended already: {run.status}.")
    source = await find_source(session, run.source)
    if source and not may_change(actor, source) and not await began(session, actor, run):
        raise Forbidden("Somebody else began this run: ask them, the source's owner, or an admin.")
    if run.job_id:
        await jobs.request_cancel(session, run.job_id)
        audit.record(session, actor, "run.cancelled", f"run/{run_id}", source=run.source)
        await session.flush()
        await session.refresh(run)
    return run


async def began(session: AsyncSession, actor: Actor, run: Run) -> bool:
    job = await session.get(Job, run.job_id) if run.job_id else None
    return job is not None and job.owner_id is not None and job.owner_id == actor.id


async def close_abandoned_runs(session: AsyncSession) -> list[Run]:
    """End the runs whose job has ended without them: cancelled in the queue, or dead for good."""
    found = (await session.execute(abandoned())).all()
    for run, status, error in found:
        cancelled = status is JobStatus.cancelled
        end_run(
            session, run, RunStatus.cancelled if cancelled else RunStatus.failed,
            error or ("Stopped on request." if cancelled else "Its job ended without a word."),
        )  # fmt: skip
        await tracing.connect(session, run)
    if found:
        await indexing.enqueue(session)
    await session.flush()
    return [run for run, _, _ in found]


def abandoned() -> Select[Run, JobStatus | None, str | None]:
    ended = (JobStatus.failed, JobStatus.cancelled)
    return (
        select(Run, Job.status, Job.error)
        .outerjoin(Job, Job.id == Run.job_id)
        .where(Run.status == RunStatus.in_progress, or_(Job.id.is_(None), Job.status.in_(ended)))
    )


def end_run(session: AsyncSession, run: Run, status: RunStatus, error: str | None = None) -> None:
    run.status, run.end_time, run.error = status, utc_now(), error
    events.record_end(session, run)
    announce(session, run)


def announce(session: AsyncSession, run: Run) -> None:
    message = {
        "run_id": run.run_id,
        "source": run.source,
        "status": run.status,
        "batches": run.batches or 0,
        "records_processed": run.records_processed or 0,
        "records_inserted": run.records_inserted or 0,
        "records_updated": run.records_updated or 0,
        "records_failed": run.records_failed or 0,
        "error": run.error,
    }
    broadcast.publish(session, f"run/{run.source}", message)


# What other rooms read --------------------------------------------------------------------------


async def count_records(session: AsyncSession, source: str | None) -> int:
    query = select(func.coalesce(func.sum(RecordCount.records), 0))
    if source is not None:
        query = query.where(RecordCount.source == source)
    return int(await session.scalar(query) or 0)


async def last_run(session: AsyncSession) -> Run | None:
    query = select(Run).where(Run.dry_run.is_(False)).order_by(Run.run_id.desc())
    return await session.scalar(query.limit(1))
