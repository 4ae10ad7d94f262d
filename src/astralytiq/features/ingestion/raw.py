"""Stored payloads: where they stand, how they come back, and which of them still count."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from . import records
from .models import DataRecord, RawApi, RawCsv, RawPayload, RawRss, Run, RunKind
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
    replayed = run is not None and run.kind is RunKind.replay
    return max(own, key=lambda row: row.created_at, default=None) if replayed else None


async def unreplaced(
    session: AsyncSession, source: str, rows: Sequence[Row], fetched: Mapping[int, datetime]
) -> list[Row]:
    """The rows that no later payload has replaced, nor a full refresh found vanished.

    `fetched` says of each raw row when it came.
    """
    query = select(
        DataRecord.source_id, DataRecord.raw_id, DataRecord.raw_position, DataRecord.deleted_at
    ).where(DataRecord.source == source, records.among(session, [row["source_id"] for row in rows]))
    stored = {one.source_id: one for one in await session.execute(query)}

    def counts(row: Row) -> bool:
        known = stored.get(row["source_id"])
        if known is None:
            return True
        if known.deleted_at is not None:
            return bool(fetched[row["raw_id"]] > known.deleted_at)
        at = (row["raw_id"], row["raw_position"])
        return bool(at >= (known.raw_id, known.raw_position))

    return [row for row in rows if counts(row)]
