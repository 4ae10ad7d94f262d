"""Broadcasts arrive after the commit and in order; a slow listener loses the oldest."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.broadcast import Broadcast, publish
from astralytiq.core.errors import Conflict
from astralytiq.core.resources import Resources
from tests.patience import soon

pytestmark = pytest.mark.anyio


async def say(resources: Resources, topic: str, number: int) -> None:
    async def write(session: AsyncSession) -> None:
        publish(session, topic, {"number": number})

    await resources.database.write(write)


async def test_messages_arrive_in_order_and_by_topic(resources: Resources) -> None:
    live = Broadcast(resources.database)
    async with live.listen("run/") as runs, live.listen("job/") as jobs:
        for number in range(3):
            await say(resources, "run/meters", number)
        await say(resources, "job/7", 9)
        await live.deliver()
        assert [runs.get_nowait().payload["number"] for _ in range(3)] == [0, 1, 2]
        assert jobs.get_nowait().topic == "job/7"
        assert runs.empty()
        assert jobs.empty()


async def test_what_is_rolled_back_is_never_said(resources: Resources) -> None:
    live = Broadcast(resources.database)

    async def fail(session: AsyncSession) -> None:
        publish(session, "run/x", {"number": 1})
        raise Conflict("no")

    async with live.listen("run/") as queue:
        with pytest.raises(Conflict):
            await resources.database.write(fail)
        await say(resources, "run/x", 2)
        await live.deliver()
        assert queue.get_nowait().payload == {"number": 2}
        assert queue.empty()


async def test_concurrent_writers_leave_no_gap_for_a_tailing_reader(resources: Resources) -> None:
    live = Broadcast(resources.database, backlog=1000)
    async with live.listen("") as queue:
        tail = asyncio.create_task(live.tail())
        await asyncio.gather(*(say(resources, "t", number) for number in range(60)))
        got = [await soon(queue.get()) for _ in range(60)]
        tail.cancel()
    assert {message.payload["number"] for message in got} == set(range(60))
    sequences = [message.sequence for message in got]
    assert sequences == sorted(sequences)


async def test_a_slow_listener_loses_the_oldest(resources: Resources) -> None:
    live = Broadcast(resources.database, backlog=2)
    async with live.listen("t") as queue:
        for number in range(5):
            await say(resources, "t", number)
        await live.deliver()
        assert [queue.get_nowait().payload["number"] for _ in range(2)] == [3, 4]


async def test_a_new_listener_hears_only_what_comes_after_it(resources: Resources) -> None:
    live = Broadcast(resources.database)
    await say(resources, "t", 1)
    async with live.listen("t") as queue:
        await say(resources, "t", 2)
        await live.deliver()
        assert queue.get_nowait().payload == {"number": 2}
