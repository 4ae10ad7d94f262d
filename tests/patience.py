"""To wait for what must come: long, so that a slow machine fails nothing; no longer than needed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE = 60.0


async def soon(coming: Awaitable[Found]) -> Found:
    """What comes, as long as anybody would wait for it."""
    return await asyncio.wait_for(coming, PATIENCE)


async def until(look: Callable[[], Awaitable[Found]], *, pause: float = 0.02) -> Found:
    """The first true answer of `look`."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + PATIENCE
    while True:
        if found := await look():
            return found
        if loop.time() > ends:
            raise AssertionError(f"It did not come to pass within {PATIENCE:g} s; last: {found!r}")
        await asyncio.sleep(pause)
