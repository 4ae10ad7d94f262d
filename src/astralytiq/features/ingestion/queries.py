"""Reads that span many rows: statistics, rejects. Pages of records: searching.py."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import NotFound

from . import service
from .models import DataRecord, Reject, RejectStatus, Run, RunStatus
from .schemas_runs import RunInStats, SourceStats, Stats


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
    """Sums over all runs but dry ones, and the newest `limit` of them."""
    counters = (
        Run.records_processed, Run.records_inserted, Run.records_updated, Run.records_failed
    )  # fmt: skip
    sums: list[Any] = [func.coalesce(func.sum(counter), 0) for counter in counters]
    totals = select(*sums).where(Run.dry_run.is_(False))
    processed, inserted, updated, failed = (await session.execute(totals)).one()
    last = await service.last_run(session)
    runs, _ = await service.list_runs(session, None, limit, 0, stored=True)
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
    query = select(Run.end_time).where(Run.status == RunStatus.failed, Run.dry_run.is_(False))
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
    grouped = select(*columns).where(Run.dry_run.is_(False)).group_by(Run.source).subquery()
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
