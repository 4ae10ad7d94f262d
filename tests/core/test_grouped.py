"""Group commit: many callers, few transactions, and each hears of its own item."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.broadcast import OutboxMessage
from astralytiq.core.db import Database
from astralytiq.core.errors import Conflict
from astralytiq.core.grouped import Grouped

pytestmark = pytest.mark.anyio


class Storing:
    """Stores numbers as rows, and notes which came together."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    async def __call__(self, session: AsyncSession, numbers: Sequence[int]) -> None:
        self.groups.append(list(numbers))
        if 13 in numbers:
            raise Conflict("13 is refused")
        session.add_all([OutboxMessage(id=number, topic="t", payload={}) for number in numbers])
        await session.flush()


async def stored(database: Database) -> list[int]:
    async with database.reading() as session:
        return list(await session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id)))


async def test_who_comes_while_a_group_is_written_is_stored_by_the_next(
    database: Database,
) -> None:
    storing = Storing()
    grouped = Grouped(database, storing, most=20)
    await asyncio.gather(*(grouped.add(number) for number in range(101, 151)))
    assert await stored(database) == list(range(101, 151))
    assert [len(group) for group in storing.groups] == [20, 20, 10]
    await grouped.add(199)  # It begins anew after a pause.
    assert (await stored(database))[-1] == 199


async def test_what_is_refused_costs_the_others_nothing(database: Database) -> None:
    grouped = Grouped(database, Storing())
    await grouped.add(5)
    ends = await asyncio.gather(
        *(grouped.add(number) for number in (1, 13, 5, 2)), return_exceptions=True
    )
    assert ends[0] is None
    assert isinstance(ends[1], Conflict)
    assert isinstance(ends[2], IntegrityError)
    assert ends[3] is None
    assert await stored(database) == [1, 2, 5]


async def test_a_database_that_is_away_is_told_to_all_who_wait(database: Database) -> None:
    groups = []

    async def away(_: AsyncSession, numbers: Sequence[int]) -> None:
        groups.append(list(numbers))
        raise OperationalError("INSERT", None, Exception("away"))

    grouped = Grouped(database, away)
    ends = await asyncio.gather(*(grouped.add(n) for n in range(3)), return_exceptions=True)
    assert {type(end) for end in ends} == {OperationalError}
    assert groups == [[0, 1, 2]]  # Not tried one by one: the fault is nobody's own.


async def test_who_is_cancelled_takes_nothing_back(database: Database) -> None:
    grouped = Grouped(database, Storing())
    gone = asyncio.create_task(grouped.add(1))
    await asyncio.sleep(0)
    gone.cancel()
    await grouped.close()
    assert await stored(database) == [1]
