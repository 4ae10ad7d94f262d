"""Stored payloads: where they stand, how they come back, and which of them still count."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from . import records
from .lookup import among
from .models import DataRecord, RawApi, RawCsv, RawPayload, RawRss, Reject, Run, RunKind
from .records import Row

RAW_TABLES: dict[str, type[RawPayload]] = {"api": RawApi, "csv": RawCsv, "rss": RawRss}


async def raw_behind(
    session: AsyncSession, source: str, run_id: str, raw_id: int
) -> RawPayload | None:
    """The row that something of this run came from.

    A run reads one kind only, so that its id tells the tables' numbers apart; a replay reads what
    earlier runs stored.
    """
    rows = [await session.get(table, raw_id) for table in RAW_TABLES.values()]
    own = [row for row in rows if row and row.source == source]
    for row in own:
        if row.run_id == run_id:
            return row
    run = await session.get(Run, run_id)
    if run is None or run.kind is not RunKind.replay:
        return None
    # Of a source that was made anew with another kind, what was there when the replay began.
    read = [row for row in own if row.created_at <= run.start_time]
    return max(read, key=lambda row: row.created_at, default=None)


def rejects_of(row: RawPayload) -> Select[Reject]:
    """What came of this row, by a load or by a replay: another kind's rows may have its number."""
    replayed = (Run.kind == RunKind.replay) & (Run.start_time >= row.created_at)
    return (
        select(Reject)
        .join(Run, Run.run_id == Reject.run_id)
        .where(Reject.source == row.source, Reject.raw_id == row.id)
        .where(or_(Reject.run_id == row.run_id, replayed))
    )


async def unreplaced(
    session: AsyncSession, source: str, rows: Sequence[Row], fetched: Mapping[str, datetime]
) -> list[Row]:
    """The rows that no later payload has replaced, nor a full refresh found vanished.

    `fetched` says of each row, by its source_id, when its payload came.
    """
    names = ("source_id", "run_id", "raw_id", "raw_position", "deleted_at")
    query = select(*(getattr(DataRecord, name) for name in names)).where(
        DataRecord.source == source, records.among(session, [row["source_id"] for row in rows])
    )
    stored = {one.source_id: one for one in await session.execute(query)}
    came = await times_across_kinds(session, source, stored.values())

    def counts(row: Row) -> bool:
        known = stored.get(row["source_id"])
        if known is None:
            return True
        if known.deleted_at is not None:
            return bool(fetched[row["source_id"]] > known.deleted_at)
        at = (row["raw_id"], row["raw_position"])
        stands = (known.raw_id, known.raw_position)
        if moment := came.get(known.source_id):
            return bool((fetched[row["source_id"]], *at) >= (moment, *stands))
        return bool(at >= stands)

    return [row for row in rows if counts(row)]


async def times_across_kinds(
    session: AsyncSession, source: str, stored: Iterable[Any]
) -> dict[str, datetime]:
    """When each record's payload came, of a source that has had several kinds: the numbers of
    their tables say nothing of each other. Of all others nothing: there the numbers do."""
    kinds = [
        table
        for table in RAW_TABLES.values()
        if await session.scalar(select(table.id).where(table.source == source).limit(1))
    ]
    if len(kinds) < 2:
        return {}
    stored, found = list(stored), defaultdict(list)
    numbers = sorted({one.raw_id for one in stored})
    for table in kinds:
        query = select(table.id, table.run_id, table.created_at).where(
            table.source == source, among(session, table.id, numbers)
        )
        for row in await session.execute(query):
            found[row.id].append(row)
    began = await replays_among(session, {one.run_id for one in stored})
    return {
        one.source_id: moment
        for one in stored
        if (moment := time_of(one.run_id, found[one.raw_id], began.get(one.run_id)))
    }


async def replays_among(session: AsyncSession, run_ids: Collection[str]) -> dict[str, datetime]:
    query = select(Run.run_id, Run.start_time).where(
        Run.run_id.in_(run_ids), Run.kind == RunKind.replay
    )
    return dict((await session.execute(query)).all())


def time_of(run_id: str, rows: Sequence[Any], began: datetime | None) -> datetime | None:
    """Of the rows of one number that one which the run stored, or read if it was a replay."""
    times = [
        row.created_at
        for row in rows
        if (row.run_id == run_id if began is None else row.created_at <= began)
    ]
    return max(times, default=None)
