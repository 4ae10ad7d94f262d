"""Where records come from: a run's edges in the lineage, and records as they once were."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import lineage
from astralytiq.core.jobs import Job
from astralytiq.core.lineage import Edge, Kind, Node

from .models import DataRecord, RecordVersion, Run, RunKind
from .raw import RAW_TABLES


async def connect(session: AsyncSession, run: Run) -> None:
    """At a run's end, whichever it is: the batches of one that failed are stored too."""
    if run.dry_run:
        return
    source, this = Node(Kind.source, run.source), Node(Kind.run, run.run_id)
    edges = [Edge(source, this, run.job_id, {"kind": run.kind, "status": run.status})]
    if run.batches:
        edges += replayed(this, await read_by(session, run)) if is_replay(run) else stored(run)
        edges.append(Edge(this, Node(Kind.records, run.run_id), run.run_id, counted(run)))
    await lineage.connect(session, edges)


def is_replay(run: Run) -> bool:
    return run.kind is RunKind.replay


def stored(run: Run) -> list[Edge]:
    raw = Node(Kind.raw, run.run_id)
    facets = {"source": run.source, "batches": run.batches}
    return [
        Edge(Node(Kind.run, run.run_id), raw, run.run_id, facets),
        Edge(raw, Node(Kind.records, run.run_id), run.run_id, counted(run)),
    ]


def counted(run: Run) -> dict[str, object]:
    return {
        "source": run.source,
        "inserted": run.records_inserted,
        "updated": run.records_updated,
        "rejected": run.records_failed,
    }


def replayed(run: Node, read: Sequence[str]) -> list[Edge]:
    return [Edge(Node(Kind.raw, run_id), run, run.id) for run_id in read]


async def read_by(session: AsyncSession, replay: Run) -> Sequence[str]:
    """The runs whose payloads it went through: a look at batches, not at records."""
    job = await session.get(Job, replay.job_id) if replay.job_id else None
    since_run = (job.arguments.get("since_run") if job else None) or ""
    found: set[str] = set()
    for table in RAW_TABLES.values():
        # Runs' ids are in the order of their making.
        query = select(table.run_id).where(table.source == replay.source).distinct()
        named = query.where(table.run_id >= since_run, table.run_id < replay.run_id)
        found.update(await session.scalars(named))
    return sorted(found)


# Records as they were ---------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """A record at a moment: which of its versions that was, and where that one came from."""

    record_id: int
    version: int
    run_id: str
    raw_position: int
    is_current: bool


async def states_at(session: AsyncSession, ids: Sequence[int], at: datetime) -> dict[int, State]:
    """Of each record that is still kept, the version that was valid at `at`."""
    query = select(RecordVersion).where(RecordVersion.record_id.in_(ids))
    earlier: dict[int, list[RecordVersion]] = {}
    for version in await session.scalars(query.order_by(RecordVersion.id)):
        earlier.setdefault(version.record_id, []).append(version)
    records = await session.scalars(select(DataRecord).where(DataRecord.id.in_(ids)))
    return {one.id: state_of(one, earlier.get(one.id, []), at) for one in records}


def state_of(record: DataRecord, earlier: Sequence[RecordVersion], at: datetime) -> State:
    for number, version in enumerate(earlier, 1):
        if version.valid_to > at:
            return State(record.id, number, version.run_id, version.raw_position, is_current=False)
    newest = len(earlier) + 1
    return State(record.id, newest, record.run_id, record.raw_position, is_current=True)


async def runs_of(session: AsyncSession, run_ids: Sequence[str]) -> Sequence[Run]:
    query = select(Run).where(Run.run_id.in_(run_ids)).order_by(Run.run_id.desc())
    return (await session.scalars(query)).all()
