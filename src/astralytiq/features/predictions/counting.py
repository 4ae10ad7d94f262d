"""Counts predictions by version and hour: off the answers' path, each exactly once.

With each group of predictions a row of `predictions_uncounted` is stored, and it goes in the
transaction that adds the group to its hours. Nothing depends on the order of commits, of ids or of
clocks, and whoever was slower finds the row gone and adds nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Table, Text, delete, func, select, update
from sqlalchemy import cast as cast_as
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import bulk
from astralytiq.core.db import Database

from . import baselines, tallies
from .baselines import Known
from .models import Prediction, PredictionHour, QualityHour, ShadowTally, Uncounted
from .tallies import Tally

PAGE_ROWS = 20_000  # in memory at once: of 20 features, some 20 MB
PAGE_GROUPS = 500
MOST_IDS = 5_000

Key = tuple[int, Any]
Counted = type[PredictionHour] | type[QualityHour] | type[ShadowTally]


class CountedElsewhere(Exception):
    """Another process has counted some of these groups meanwhile."""


@dataclass(frozen=True)
class Page:
    """Groups that wait, with all that counting them takes."""

    group_ids: list[int]
    stored: Sequence[Any]  # rows that cells.Stored is made of
    known: dict[int, Known]
    rows: int = field(default=0)


# Reading ----------------------------------------------------------------------------------------


async def waiting(session: AsyncSession) -> int:
    """Rows that are not counted yet."""
    return await session.scalar(select(func.coalesce(func.sum(Uncounted.rows), 0))) or 0


async def page(session: AsyncSession, most_rows: int = PAGE_ROWS) -> Page:
    query = select(Uncounted.id, Uncounted.ids, Uncounted.rows).order_by(Uncounted.id)
    groups = (await session.execute(query.limit(PAGE_GROUPS))).all()
    chosen, ids, rows = list[int](), list[str](), 0
    for group_id, text, count in groups:
        if chosen and (rows + count > most_rows or len(ids) > MOST_IDS):
            break
        chosen.append(group_id)
        ids += text.split(",")
        rows += count
    stored = await stored_of(session, ids)
    known = await baselines.known_of(session, {row[0] for row in stored})
    return Page(chosen, stored, known, rows)


async def stored_of(session: AsyncSession, ids: Sequence[str]) -> Sequence[Any]:
    columns = (
        Prediction.model_version_id,
        Prediction.created_at,
        Prediction.latency_ms,
        cast_as(Prediction.inputs, Text),
        cast_as(Prediction.outputs, Text),
    )
    return (await session.execute(select(*columns).where(Prediction.id.in_(ids)))).all()


def tallied(found: Page) -> dict[Key, Tally]:
    """Blocks: call it from a thread."""
    from .cells import Stored, counted  # noqa: PLC0415 - NumPy: the API starts without it

    rows = [Stored(*row) for row in found.stored]
    return cast("dict[Key, Tally]", counted(rows, baselines.restored(found.known)))


# Writing ----------------------------------------------------------------------------------------


async def count_page(database: Database, most_rows: int = PAGE_ROWS) -> int | None:
    """How many rows were counted; None if there were none to count."""
    async with database.reading() as session:
        found = await page(session, most_rows)
    if not found.group_ids:
        return None
    statistics = await asyncio.to_thread(tallied, found)

    async def store(session: AsyncSession) -> None:
        await take(session, found.group_ids)
        await add(session, PredictionHour, statistics)

    try:
        await database.write(store)
    except CountedElsewhere:
        return 0
    return found.rows


async def take(session: AsyncSession, group_ids: Sequence[int]) -> None:
    gone = await session.execute(delete(Uncounted).where(Uncounted.id.in_(group_ids)))
    if cast("CursorResult[Any]", gone).rowcount != len(group_ids):
        raise CountedElsewhere


async def add(session: AsyncSession, table: Counted, tallied: Mapping[Key, Tally]) -> None:
    """Add to what is stored under each key, in one order, so that two cannot wait for each other.

    Each row is locked from its reading to the commit; SQLite has one writer anyway.
    """
    target = cast(Table, table.__table__)
    first, second = target.primary_key.columns
    insert = (sqlite if bulk.is_sqlite(session) else postgresql).insert(target)
    for one, two in sorted(tallied):
        row = {first.name: one, second.name: two}
        await session.execute(insert.values(**row, statistics={}).on_conflict_do_nothing())
        same = (first == one, second == two)
        query = select(target.c.statistics).where(*same).with_for_update()
        known = (await session.execute(query)).scalar_one()
        fresh = tallies.added(known, tallied[one, two])
        await session.execute(update(target).where(*same).values(statistics=fresh))


async def count_all(database: Database) -> int:
    """Everything that waits now; answers how many rows that were."""
    done = 0
    while (rows := await count_page(database)) is not None:
        done += rows
    return done


# What was counted -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """Whole hours: from `since` to before `until`."""

    since: datetime
    until: datetime


Hours = dict[int, list[tuple[datetime, str]]]  # of each version, with what was counted as JSON


async def hours(
    session: AsyncSession,
    table: type[PredictionHour] | type[QualityHour],
    version_ids: Sequence[int],
    window: Window,
) -> Hours:
    columns = (table.model_version_id, table.hour, cast_as(table.statistics, Text))
    query = select(*columns).where(
        table.model_version_id.in_(version_ids),
        table.hour >= window.since,
        table.hour < window.until,
    )
    found: Hours = {}
    for version_id, hour, statistics in await session.execute(query.order_by(table.hour)):
        found.setdefault(version_id, []).append((hour, statistics))
    return found
