"""Transactions: nothing lost to cancellation, to another process, or to a refusal."""

import asyncio
import gc
import random
import sys
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from astralytiq.core import audit
from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database, after_commit, async_url
from astralytiq.core.errors import Conflict
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Role
from astralytiq.features.accounts.models import User
from tests.factories import make_user
from tests.patience import soon

pytestmark = pytest.mark.anyio

# Reads a counter, then writes it back one higher, each time in one transaction.
COUNT_UP = """
import asyncio, sys
from sqlalchemy import select
from astralytiq import wiring
from astralytiq.core.db import Database
from astralytiq.features.accounts.models import User

async def count_up(session):
    query = select(User).where(User.id == int(sys.argv[2])).with_for_update()
    user = (await session.scalars(query)).one()
    user.department = str(int(user.department or 0) + 1)

async def main():
    wiring.load_tables()
    database = Database(sys.argv[1])
    for _ in range(200):
        await database.write(count_up)
    await database.close()

asyncio.run(main())
"""


async def departments(database: Database) -> list[str | None]:
    async with database.reading() as session:
        return list(await session.scalars(select(User.department)))


async def test_two_processes_lose_no_update(resources: Resources, database_url: str) -> None:
    user = await make_user(resources, Role.viewer)
    command = [sys.executable, "-c", COUNT_UP, database_url, str(user.id)]
    children = [await asyncio.create_subprocess_exec(*command) for _ in range(2)]
    assert [await asyncio.wait_for(child.wait(), 120) for child in children] == [0, 0]
    assert await departments(resources.database) == ["400"]


async def test_the_database_writes_at_once_after_400_cancelled_writes(
    resources: Resources,
) -> None:
    user = await make_user(resources, Role.viewer)
    database, chance = resources.database, random.Random(7)

    async def slow_write(session: AsyncSession) -> None:
        found = await session.get_one(User, user.id, with_for_update=True)
        found.department = "cancelled or not"
        await session.flush()
        await asyncio.sleep(chance.random() * 0.004)
        await session.execute(select(1))

    for _ in range(100):
        tasks = [asyncio.create_task(database.write(slow_write)) for _ in range(4)]
        await asyncio.sleep(chance.random() * 0.012)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [end for end in ends if isinstance(end, Exception)]

    await soon(database.write(slow_write))
    assert database.writer.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_write_that_fails_after_its_caller_has_gone_is_logged_and_no_more(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A heartbeat that is stopped amid its write learns of the job's end, and nobody listens."""
    caplog.set_level("INFO")
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    begun, told = asyncio.Event(), asyncio.Event()

    async def fail(_: AsyncSession) -> None:
        begun.set()
        await told.wait()
        raise Conflict("no")

    task = asyncio.create_task(database.write(fail))
    await begun.wait()
    task.cancel()
    told.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()
    assert not reported
    assert "whose caller had gone" in caplog.text


async def test_a_refusal_rolls_back_unless_it_must_leave_a_trace(database: Database) -> None:
    async def refuse(session: AsyncSession, *, keep: bool) -> None:
        audit.record(session, SYSTEM, "kept" if keep else "dropped", "r", outcome="refused")
        raise Conflict("no", keep=keep)

    for keep in (True, False):
        with pytest.raises(Conflict):
            await database.write(lambda session, keep=keep: refuse(session, keep=keep))  # type: ignore[misc]
    async with database.reading() as session:
        assert list(await session.scalars(select(AuditEntry.action))) == ["kept"]


async def test_the_read_engine_refuses_to_write(resources: Resources) -> None:
    user = await make_user(resources, Role.viewer)
    async with resources.database.reading() as session:
        found = await session.get_one(User, user.id)
        found.department = "sneaked in"
        with pytest.raises(DBAPIError):
            await session.flush()


async def test_a_stale_change_is_refused(resources: Resources) -> None:
    user = await make_user(resources, Role.viewer)
    async with resources.database.reading() as session:
        stale = await session.get_one(User, user.id)

    async def change(session: AsyncSession) -> None:
        (await session.get_one(User, user.id)).department = "first"

    async def change_the_stale(session: AsyncSession) -> None:
        session.add(stale)
        stale.department = "second"

    await resources.database.write(change)
    with pytest.raises(StaleDataError):
        await resources.database.write(change_the_stale)
    assert await departments(resources.database) == ["first"]


async def test_actions_after_commit_wait_for_the_commit(database: Database) -> None:
    told: list[str] = []

    async def fail(session: AsyncSession) -> None:
        after_commit(session, lambda: told.append("failed"))
        raise Conflict("no")

    async def succeed(session: AsyncSession) -> None:
        after_commit(session, lambda: told.append("succeeded"))
        assert told == []

    with pytest.raises(Conflict):
        await database.write(fail)
    await database.write(succeed)
    assert told == ["succeeded"]


def test_every_way_to_write_a_url_means_its_driver() -> None:
    names = ["postgres://u@h/d", "postgresql://u@h/d", "postgresql+asyncpg://u@h/d"]
    assert {async_url(name).drivername for name in names} == {"postgresql+asyncpg"}
    assert async_url("sqlite:///x.db").drivername == "sqlite+aiosqlite"
    with pytest.raises(ValueError, match="mysql"):
        async_url("mysql://u@h/d")
