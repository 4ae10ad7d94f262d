"""Server-sent events: what happens in something that goes on, told until it ends.

The rows are the truth: a reader who comes back gets those after the last that it saw, from any
process. Broadcasts only say that it is time to look.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from astralytiq.core.broadcast import Broadcast, Message
from astralytiq.core.errors import TooMany
from astralytiq.core.settings import Settings

BEAT_SECONDS = 15.0  # Proxies cut what is silent for longer.
# Then the reader connects again, from the last id on: who may read is asked once more.
STREAM_SECONDS = 600.0
PAGE = 500
BEAT = b": still here\n\n"
OPEN: Counter[str] = Counter()  # streams of this process, by who reads them

Queue = asyncio.Queue[Message]
# What happened after a number, PAGE at most, and whether nothing more will.
Look = Callable[[int], Awaitable[tuple[Sequence[Any], bool]]]
Wait = Callable[[Queue], Awaitable[bytes]]


def number_in(last_event_id: str | None) -> int:
    """A browser sends what we called an event; anything else begins at the first."""
    told = last_event_id or ""
    return int(told) if told.isascii() and told.isdigit() and len(told) < 16 else 0


def written(name: str, data: bytes, number: int | None = None) -> bytes:
    """One event. Without a number a reader who comes back is not told it again."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%bevent: %b\ndata: %b\n\n" % (head, name.encode(), data)


async def follow(
    live: Broadcast,
    topic: str,
    after: int,
    look: Look,
    word: Callable[[Any], bytes],
    wait: Wait,
) -> AsyncIterator[bytes]:
    """What `look` finds, each in its `word`, until nothing more will come.

    It holds no session while it waits. What `wait` says in between may be empty.
    """
    ends_at = asyncio.get_running_loop().time() + STREAM_SECONDS
    async with live.listen(topic) as queue:
        yield b": connected\n\n"
        while asyncio.get_running_loop().time() < ends_at:
            found, has_ended = await look(after)
            for event in found:
                after = event.id
                yield word(event)
            if len(found) == PAGE:
                continue
            if has_ended:
                return
            if said := await wait(queue):
                yield said


async def heard(queue: Queue, seconds: float) -> list[Message]:
    """What is there, or comes within `seconds`."""
    said: list[Message] = []
    with suppress(TimeoutError):
        said.append(await asyncio.wait_for(queue.get(), seconds))
    while not queue.empty():
        said.append(queue.get_nowait())
    return said


def refuse_more(settings: Settings, reader: str) -> None:
    if OPEN[reader] >= settings.event_streams:
        raise TooMany(
            f"You hold {OPEN[reader]} streams open: close one, or ask with "
            "'Accept: application/json'.",
            headers={"Retry-After": str(int(BEAT_SECONDS) or 1)},
        )


async def counted(reader: str, told: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Counts from the first byte to the last: a stream that is never begun holds no place."""
    OPEN[reader] += 1
    try:
        async for block in told:
            yield block
    finally:
        OPEN[reader] -= 1
        if not OPEN[reader]:
            del OPEN[reader]
