"""Reads that span many rows: the page of records, statistics, rejects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Invalid, NotFound

from . import service
from .models import DataRecord, Reject, RejectStatus, Run, RunStatus
from .schemas import RunInStats, SourceStats, Stats


@dataclass(frozen=True)
class Filters:
    """What records are asked for: from `*_after` and `updated_since` on, up to `*_before`."""

    source: str | None = None
    category: str | None = None
    entity_id: str | None = None
    published_after: datetime | None = None
    published_before: datetime | None = None
    updated_since: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        asked = (
            (self.source, DataRecord.source.__eq__),
            (self.category, DataRecord.category.__eq__),
            (self.entity_id, DataRecord.entity_id.__eq__),
            (self.published_after, DataRecord.published_at.__ge__),
            (self.published_before, DataRecord.published_at.__lt__),
            (self.updated_since, DataRecord.updated_at.__ge__),
        )
        return [compare(value) for value, compare in asked if value is not None]


async def page_of_records(
    session: AsyncSession, filters: Filters, limit: int, offset: int, cursor: int | None
) -> tuple[Sequence[DataRecord], int, str | None]:
    """Records in the order of their ids, how many match, and the cursor of the next page."""
    if cursor is not None and offset:
        raise Invalid("Give 'cursor' or 'offset', not both.")
    matching = select(DataRecord).where(DataRecord.deleted_at.is_(None), *filters.conditions())
    if filters == Filters(source=filters.source):
        total = await service.count_records(session, filters.source)
    else:
        counted = matching.with_only_columns(func.count(DataRecord.id))
        total = await session.scalar(counted) or 0
    query = matching.where(DataRecord.id > cursor) if cursor is not None else matching
    query = query.order_by(DataRecord.id).limit(limit + 1).offset(offset)
    found = (await session.scalars(query)).all()
    following = str(found[limit - 1].id) if len(found) > limit else None
    return found[:limit], total, following


async def get_record(session: AsyncSession, record_id: int) -> DataRecord:
    found = await session.get(DataRecord, record_id)
    if found is None:
        raise NotFound(f"There is no record {record_id}.")
    if found.deleted_at is not None:
        raise NotFound(
            f"The source no longer has record {record_id}: see /data/{record_id}/history."
        )
    return found


async def list_rejects(
    session: AsyncSession,
    source: str | None,
    run_id: str | None,
    status: RejectStatus | None,
    limit: int,
    offset: int,
) -> tuple[Sequence[Reject], int]:
    wanted = {"source": source, "run_id": run_id, "status": status}
    matching: Select[Reject] = select(Reject).filter_by(
        **{k: v for k, v in wanted.items() if v is not None}
    )
    total = await session.scalar(matching.with_only_columns(func.count(Reject.id))) or 0
    query = matching.order_by(Reject.id).limit(limit).offset(offset)
    return (await session.scalars(query)).all(), total


async def stats(session: AsyncSession, limit: int) -> Stats:
    """Sums over all runs, and the newest `limit` of them."""
    counters = (
        Run.records_processed, Run.records_inserted, Run.records_updated, Run.records_failed
    )  # fmt: skip
    sums: list[Any] = [func.coalesce(func.sum(counter), 0) for counter in counters]
    processed, inserted, updated, failed = (await session.execute(select(*sums))).one()
    last = await service.last_run(session)
    runs, _ = await service.list_runs(session, None, limit, 0)
    return Stats(
        last_run_id=last.run_id if last else None,
        total_records_processed=processed,
        total_records_inserted=inserted,
        total_records_updated=updated,
        total_records_failed=failed,
        last_run_timestamp=last.start_time if last else None,
        last_run_status=last.status if last else None,
        last_failure_timestamp=await last_failure(session),
        runs=[RunInStats.model_validate(run) for run in runs],
        sources=await stats_by_source(session, counters, sums),
    )


async def last_failure(session: AsyncSession) -> datetime | None:
    query = select(Run.end_time).where(Run.status == RunStatus.failed)
    return await session.scalar(query.order_by(Run.end_time.desc()).limit(1))


async def stats_by_source(
    session: AsyncSession, counters: Sequence[Any], sums: Sequence[Any]
) -> dict[str, SourceStats]:
    names = [counter.key for counter in counters]
    columns: list[Any] = [
        Run.source,
        func.count().label("runs"),
        func.max(Run.run_id).label("last_run_id"),  # ids are in the order of their making
        *(total.label(name) for total, name in zip(sums, names, strict=True)),
    ]
    grouped = select(*columns).group_by(Run.source).subquery()
    query = select(grouped, Run.start_time, Run.status).join(
        Run, Run.run_id == grouped.c.last_run_id
    )
    return {
        row.source: SourceStats(
            runs=row.runs,
            **{name: getattr(row, name) for name in names},
            last_run_id=row.last_run_id,
            last_run_timestamp=row.start_time,
            last_run_status=row.status,
        )
        for row in await session.execute(query)
    }
