"""Bulk upsert: new, changed and unchanged rows, told apart, on both databases."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Table, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.bulk import Rows, Upserted, append, is_sqlite, rows_of, upsert
from astralytiq.core.resources import Resources
from astralytiq.features.ingestion.models import DataRecord, RawCsv

pytestmark = pytest.mark.anyio

AWKWARD = 'quote " and ünïcode, \\ \\N \t tab, \n line, \r return'
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TABLE: Table = DataRecord.__table__  # type: ignore[assignment]


def row(number: int, content: str) -> dict[str, Any]:
    return {
        "source": "s",
        "source_id": str(number),
        "entity_id": f"s:{number}",
        "title": content,
        "metadata": {"n": number, "text": AWKWARD},
        "content_hash": content,
        "run_id": content,
        "raw_id": 1,
        "raw_position": number,
        "created_at": NOW,
        "updated_at": NOW,
    }


def columns_of(session: AsyncSession, rows: list[dict[str, Any]]) -> Rows:
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    return rows_of(TABLE, columns, for_sqlite=is_sqlite(session))


async def store(resources: Resources, rows: list[dict[str, Any]]) -> Upserted:
    return await resources.database.write(
        lambda session: upsert(
            session,
            columns_of(session, rows),
            key=("source", "source_id"),
            content="content_hash",
            keep=frozenset({"created_at"}),
        )
    )


async def test_rows_are_inserted_changed_or_left_alone(resources: Resources) -> None:
    assert await store(resources, [row(n, "a") for n in range(1000)]) == Upserted(1000, 0, 0)
    assert await store(resources, [row(n, "a") for n in range(1000)]) == Upserted(0, 0, 1000)
    mixed = [row(n, "b" if n % 2 else "a") for n in range(1500)]
    assert await store(resources, mixed) == Upserted(500, 500, 500)
    assert await store(resources, []) == Upserted(0, 0, 0)

    async with resources.database.reading() as session:
        found = (await session.scalars(select(DataRecord).order_by(DataRecord.id))).all()
    assert len(found) == 1500
    assert [record.title for record in found[:3]] == ["a", "b", "a"]
    assert found[3].extra == {"n": 3, "text": AWKWARD}
    assert found[3].created_at == NOW


async def test_a_failed_batch_leaves_no_row(resources: Resources) -> None:
    broken = {**row(2, "a"), "run_id": None}
    with pytest.raises(Exception, match="run_id"):
        await store(resources, [{**row(1, "a")}, broken])
    async with resources.database.reading() as session:
        assert (await session.scalars(select(DataRecord))).all() == []
    assert await store(resources, [row(1, "a")]) == Upserted(1, 0, 0)


async def added(resources: Resources, rows: list[dict[str, Any]]) -> None:
    await resources.database.write(lambda session: append(session, columns_of(session, rows)))


async def test_what_is_appended_is_stored_as_it_was_given(resources: Resources) -> None:
    await added(resources, [row(1, "a"), {**row(2, "b"), "created_at": NOW.replace(tzinfo=None)}])
    async with resources.database.reading() as session:
        found = (await session.execute(select(TABLE).order_by(TABLE.c.source_id))).all()
    assert [one.created_at for one in found] == [NOW, NOW]
    assert found[0].metadata == {"n": 1, "text": AWKWARD}


async def test_text_is_stored_as_it_is_whatever_it_holds(resources: Resources) -> None:
    texts = [AWKWARD, "\\.", "\\N", "", "plain", None]
    await added(
        resources, [row(at, "a") | {"title": text, "url": AWKWARD} for at, text in enumerate(texts)]
    )
    async with resources.database.reading() as session:
        found = (await session.execute(select(TABLE).order_by(TABLE.c.id))).all()
    assert [one.title for one in found] == texts
    assert {one.url for one in found} == {AWKWARD}


async def test_bytes_are_stored_as_they_are(resources: Resources) -> None:
    table: Table = RawCsv.__table__  # type: ignore[assignment]
    payloads = [b"", b"\\x00", bytes(range(256))]
    columns: dict[str, list[Any]] = {
        name: [value] * 3
        for name, value in {"source": "s", "run_id": "r", "batch": 1, "record_count": 0}.items()
    }
    columns |= {"payload": payloads, "created_at": [NOW] * 3}
    await resources.database.write(
        lambda session: append(session, rows_of(table, columns, for_sqlite=is_sqlite(session)))
    )
    async with resources.database.reading() as session:
        found = (await session.scalars(select(table.c.payload).order_by(table.c.id))).all()
    assert found == payloads


async def test_more_rows_than_one_insert_takes_are_all_stored(resources: Resources) -> None:
    await added(resources, [row(number, "a") for number in range(5_003)])
    async with resources.database.reading() as session:
        numbers = (await session.scalars(select(TABLE.c.raw_position).order_by(TABLE.c.id))).all()
    assert numbers == list(range(5_003))


async def test_appending_what_is_there_stores_none_of_it(resources: Resources) -> None:
    await added(resources, [row(1, "a")])
    with pytest.raises(IntegrityError):
        await added(resources, [row(2, "b"), row(1, "c")])
    async with resources.database.reading() as session:
        titles = (await session.scalars(select(TABLE.c.title))).all()
    assert titles == ["a"]
