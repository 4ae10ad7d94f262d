"""Bulk upsert: new, changed and unchanged rows, told apart, on both databases."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Table, select
from sqlalchemy.exc import IntegrityError

from astralytiq.core.bulk import Upserted, append, upsert
from astralytiq.core.resources import Resources
from astralytiq.features.ingestion.models import DataRecord

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TABLE: Table = DataRecord.__table__  # type: ignore[assignment]


def row(number: int, content: str) -> dict[str, Any]:
    return {
        "source": "s",
        "source_id": str(number),
        "entity_id": f"s:{number}",
        "title": content,
        "metadata": {"n": number, "text": 'quote " and ünïcode'},
        "content_hash": content,
        "run_id": content,
        "raw_id": 1,
        "raw_position": number,
        "created_at": NOW,
        "updated_at": NOW,
    }


async def store(resources: Resources, rows: list[dict[str, Any]]) -> Upserted:
    return await resources.database.write(
        lambda session: upsert(
            session,
            TABLE,
            rows,
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
    assert found[3].extra == {"n": 3, "text": 'quote " and ünïcode'}
    assert found[3].created_at == NOW


async def test_a_failed_batch_leaves_no_row(resources: Resources) -> None:
    broken = {**row(2, "a"), "run_id": None}
    with pytest.raises(Exception, match="run_id"):
        await store(resources, [{**row(1, "a")}, broken])
    async with resources.database.reading() as session:
        assert (await session.scalars(select(DataRecord))).all() == []
    assert await store(resources, [row(1, "a")]) == Upserted(1, 0, 0)


async def added(resources: Resources, rows: list[dict[str, Any]]) -> None:
    await resources.database.write(lambda session: append(session, TABLE, rows))


async def test_what_is_appended_is_stored_as_it_was_given(resources: Resources) -> None:
    await added(resources, [row(1, "a"), {**row(2, "b"), "created_at": NOW.replace(tzinfo=None)}])
    async with resources.database.reading() as session:
        found = (await session.execute(select(TABLE).order_by(TABLE.c.source_id))).all()
    assert [one.created_at for one in found] == [NOW, NOW]
    assert found[0].metadata == {"n": 1, "text": 'quote " and ünïcode'}


async def test_appending_what_is_there_stores_none_of_it(resources: Resources) -> None:
    await added(resources, [row(1, "a")])
    with pytest.raises(IntegrityError):
        await added(resources, [row(2, "b"), row(1, "c")])
    async with resources.database.reading() as session:
        titles = (await session.scalars(select(TABLE.c.title))).all()
    assert titles == ["a"]
