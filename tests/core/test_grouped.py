"""Group commit: many callers, few transactions, and each hears of its own item."""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any, cast

import pytest
from sqlalchemy import Table, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import bulk, direct
from astralytiq.core.broadcast import OutboxMessage
from astralytiq.core.db import Database, utc_now
from astralytiq.core.errors import Conflict
from astralytiq.core.grouped import Grouped
from tests.patience import soon

pytestmark = pytest.mark.anyio


class Storing:
    """Stores numbers as rows, and notes which came together."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.groups: list[list[int]] = []

    async def __call__(self, numbers: Sequence[int]) -> None:
        self.groups.append(list(numbers))
        if 13 in numbers:
            raise Conflict("13 is refused")
        await direct.store(self.database, [rows_of(self.database, numbers)])


def rows_of(database: Database, numbers: Sequence[int]) -> bulk.Rows:
    size = len(numbers)
    columns: dict[str, list[Any]] = {
        "id": list(numbers), "topic": ["it's\t?"] * size, "payload": [{"a": None}] * size,
        "created_at": [utc_now()] * size,
    }  # fmt: skip
    table = cast(Table, OutboxMessage.__table__)
    return bulk.rows_of(table, columns, for_sqlite=database.is_sqlite)


async def stored(database: Database) -> list[int]:
    async with database.reading() as session:
        return list(await session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id)))


async def test_who_comes_while_a_group_is_written_is_stored_by_the_next(
    database: Database,
) -> None:
    storing = Storing(database)
    grouped = Grouped(storing, most=20)
    await asyncio.gather(*(grouped.add(number) for number in range(101, 151)))
    assert await stored(database) == list(range(101, 151))
    assert [len(group) for group in storing.groups] == [20, 20, 10]
    await grouped.add(199)  # It begins anew after a pause.
    assert (await stored(database))[-1] == 199


async def test_what_is_refused_costs_the_others_nothing(database: Database) -> None:
    grouped = Grouped(Storing(database))
    await grouped.add(5)
    ends = await asyncio.gather(
        *(grouped.add(number) for number in (1, 13, 5, 2)), return_exceptions=True
    )
    assert ends[0] is None
    assert isinstance(ends[1], Conflict)
    assert isinstance(ends[2], IntegrityError)
    assert ends[3] is None
    assert await stored(database) == [1, 2, 5]


async def test_a_database_that_is_away_is_told_to_all_who_wait() -> None:
    groups = []

    async def away(numbers: Sequence[int]) -> None:
        groups.append(list(numbers))
        raise OperationalError("INSERT", None, Exception("away"))

    grouped = Grouped(away)
    ends = await asyncio.gather(*(grouped.add(n) for n in range(3)), return_exceptions=True)
    assert {type(end) for end in ends} == {OperationalError}
    assert groups == [[0, 1, 2]]  # Not tried one by one: the fault is nobody's own.


async def test_who_is_cancelled_takes_nothing_back(database: Database) -> None:
    grouped = Grouped(Storing(database))
    gone = asyncio.create_task(grouped.add(1))
    await asyncio.sleep(0)
    gone.cancel()
    await grouped.close()
    assert await stored(database) == [1]


async def test_nobody_waits_for_ever_for_a_writer_that_was_stopped() -> None:
    begun = asyncio.Event()

    async def never(_: Sequence[int]) -> None:
        begun.set()
        await asyncio.Event().wait()

    grouped = Grouped(never, most=1)
    waiting = [asyncio.create_task(grouped.add(number)) for number in (1, 2)]
    await begun.wait()
    assert grouped._writing
    grouped._writing.cancel()
    ends = await soon(asyncio.gather(*waiting, return_exceptions=True))
    assert {type(end) for end in ends} == {asyncio.CancelledError}


# Past SQLAlchemy ---------------------------------------------------------------------------------


async def test_rows_and_statements_are_stored_all_or_none(database: Database) -> None:
    rename = direct.Statement("UPDATE outbox SET topic = ? WHERE id = ?", ("new", 1))
    await direct.store(database, [rows_of(database, [1, 2])], [rename])
    again = direct.Statement("UPDATE outbox SET topic = ?", ("lost",))
    with pytest.raises(IntegrityError):
        await direct.store(database, [rows_of(database, [3]), rows_of(database, [1])], [again])
    async with database.reading() as session:
        kept = (await session.execute(select(OutboxMessage).order_by(OutboxMessage.id))).scalars()
        found = [(row.id, row.topic, row.payload) for row in kept]
    assert found == [(1, "new", {"a": None}), (2, "it's\t?", {"a": None})]
    await direct.store(database, [rows_of(database, [3])])  # Nothing is left open.


async def test_a_statement_that_cannot_run_is_a_fault_of_the_database(database: Database) -> None:
    with pytest.raises(DBAPIError):
        await direct.store(database, [], [direct.Statement("UPDATE nothing SET a = ?", (1,))])
    await direct.store(database, [rows_of(database, [1])])


async def test_writes_of_both_kinds_at_once_lose_nothing(database: Database) -> None:
    """The event loop's writes through SQLAlchemy and those past it, in one line."""

    async def through(number: int) -> None:
        async def add(session: AsyncSession) -> None:
            session.add(OutboxMessage(id=number, topic="t", payload={}))

        await database.write(add)

    grouped = Grouped(Storing(database))
    both = [through(n) if n % 2 else grouped.add(n) for n in range(100, 160)]
    await asyncio.gather(*both)
    assert await stored(database) == list(range(100, 160))


async def test_a_heavy_item_takes_the_room_of_many() -> None:
    groups: list[list[int]] = []

    async def store(weights: Sequence[int]) -> None:
        groups.append(list(weights))

    grouped = Grouped(store, most=10, weigh=lambda weight: weight)
    await asyncio.gather(*(grouped.add(weight) for weight in (1, 50, 4, 6, 1, 9)))
    assert groups == [[1], [50], [4, 6], [1, 9]]


async def test_work_of_ones_own_in_one_turn_is_whole_or_nothing(database: Database) -> None:
    if not database.is_sqlite:
        await of_postgresql(database)
        return
    insert = "INSERT INTO outbox (topic, payload, created_at) VALUES ('t', '{}', '')"

    def twice(connection: sqlite3.Connection) -> int:
        return connection.execute(insert).rowcount + connection.execute(insert).rowcount

    def and_fail(connection: sqlite3.Connection) -> None:
        connection.execute(insert)
        raise Conflict("it is refused")

    assert await direct.in_one_turn(database, twice) == 2
    with pytest.raises(Conflict):
        await direct.in_one_turn(database, and_fail)
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(OutboxMessage)) == 2


async def of_postgresql(database: Database) -> None:
    insert = "INSERT INTO outbox (topic, payload, created_at) VALUES ('t', '{}', now())"

    async def once(refusal: Conflict | None = None) -> None:
        async with direct.in_one_transaction(database) as (_, raw):
            await raw.execute(insert)
            if refusal:
                raise refusal

    await once()
    with pytest.raises(Conflict):
        await once(Conflict("it is refused"))
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(OutboxMessage)) == 1
